/**
 * What the handshake needs to know about the volumes being served. The daemon implements it; it
 * lives in the main thread, so it answers from what it knows without asking a worker.
 */

import {
  FLAG_CAN_MULTI_CONN,
  FLAG_HAS_FLAGS,
  FLAG_SEND_CACHE,
  FLAG_SEND_DF,
  FLAG_SEND_FAST_ZERO,
  FLAG_SEND_FLUSH,
  FLAG_SEND_FUA,
  FLAG_SEND_TRIM,
  FLAG_SEND_WRITE_ZEROES,
} from './protocol.ts';

export interface ExportInfo {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly preferredBytes: number;
}

export interface ExportDirectory {
  list(): readonly Pick<ExportInfo, 'name' | 'description'>[];
  /** By exact name. The empty name is the only export, when there is exactly one. */
  find(name: string): ExportInfo | null;
}

/** DF belongs to structured replies, so it is announced only after they were agreed. */
export const transmissionFlags = (structured: boolean): number =>
  FLAG_HAS_FLAGS |
  FLAG_SEND_FLUSH |
  FLAG_SEND_FUA |
  FLAG_SEND_TRIM |
  FLAG_SEND_WRITE_ZEROES |
  FLAG_SEND_FAST_ZERO |
  FLAG_CAN_MULTI_CONN |
  FLAG_SEND_CACHE |
  (structured ? FLAG_SEND_DF : 0);
