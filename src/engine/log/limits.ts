/** The numbers of the log, in one place. Tests make them small; the defaults are for a server. */

import { BLOCK_BYTES, MIB } from '../../base/units.ts';

export interface LogLimits {
  /** A longer append becomes several records. */
  readonly recordBytes: number;
  /**
   * Records and payload blocks of one segment. With 64 and 512 its header is always a single block.
   */
  readonly segmentRecords: number;
  readonly segmentBlocks: number;
  /** What arrives while this many segments are being written makes up the next one. */
  readonly segmentsInFlight: number;
  /** Records that wait for a segment; further appends wait for room. */
  readonly queueRecords: number;
  /** Extents of the overlay at which the log counts as full: bounds memory, about 60 bytes each. */
  readonly overlayExtents: number;
  /**
   * Unflushed bytes after which the log flushes by itself, so that recovery never has to verify
   * much.
   */
  readonly selfSyncBytes: number;
  /** New segments after which a checkpoint is written, at the latest after `checkpointMs`. */
  readonly checkpointBytes: number;
  readonly checkpointMs: number;
  /** Payload blocks and images of one stripe segment: what one `logImages` may hand over. */
  readonly stripeBlocks: number;
  readonly stripeImages: number;
}

export const defaultLimits: LogLimits = {
  recordBytes: MIB,
  segmentRecords: 64,
  segmentBlocks: (2 * MIB) / BLOCK_BYTES,
  segmentsInFlight: 2,
  queueRecords: 4096,
  overlayExtents: 16_000_000,
  selfSyncBytes: 64 * MIB,
  checkpointBytes: 64 * MIB,
  checkpointMs: 10_000,
  stripeBlocks: MIB / BLOCK_BYTES,
  stripeImages: 256,
};
