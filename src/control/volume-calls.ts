/**
 * What the control plane can ask of a volume's thread, and what that thread says unasked. Everything here is plain
 * data, because it crosses threads.
 */

import type { Outcome } from '../core/problems.ts';
import type {
  JobStatus,
  LocumEvent,
  LogCheck,
  LogReport,
  VerifyMode,
  VolumeStatus,
  WindowPlan,
  WindowReport,
} from '../core/status.ts';
import type {
  AddLogRequest,
  AssembleRequest,
  CloseRequest,
  CreateRequest,
  ReplaceLegRequest,
  WindowRequest,
} from '../engine/contract.ts';

/** All that is read of a volume regularly, in one call. */
export interface Snapshot {
  readonly status: VolumeStatus;
  readonly paths: { readonly drives: readonly string[]; readonly logs: readonly string[] };
  readonly preferredBytes: number;
  readonly description: string;
  /** The open window, or the last one as long as the volume remembers it. */
  readonly report: WindowReport | null;
  readonly connections: number;
}

/** A connection past its handshake: where it comes from, and what was agreed. `opening` is nbd's own business. */
export interface Connection {
  readonly id: number;
  readonly opening: unknown;
  /** A descriptor number between threads, a socket within one. */
  readonly transport: unknown;
}

type Answer<T> = Promise<Outcome<T>>;

export interface VolumeCalls {
  create(request: CreateRequest): Answer<Snapshot>;
  assemble(request: AssembleRequest): Answer<Snapshot>;
  snapshot(): Answer<Snapshot>;
  connect(connection: Connection): Answer<void>;
  /** Ends the NBD connections: what is in flight is answered, by force after `deadlineMs`. */
  disconnect(deadlineMs: number): Answer<void>;
  stop(): Answer<void>;
  /** Gives the thread's own means back (ring, pool). False when the kernel still has something of it in hand. */
  end(): Answer<boolean>;
  destroy(): Answer<void>;
  addDrive(path: string, spare: boolean, force: boolean, verify?: VerifyMode): Answer<void>;
  failDrive(drive: string): Answer<void>;
  removeDrive(drive: string): Answer<void>;
  replaceDrive(drive: string, path: string, force: boolean): Answer<void>;
  planWindow(request: WindowRequest): Answer<WindowPlan>;
  openWindow(request: WindowRequest): Answer<WindowReport>;
  closeWindow(request: CloseRequest): Answer<WindowReport>;
  abortWindow(): Answer<WindowReport>;
  extendWindow(byMs: number): Answer<WindowReport>;
  windowReport(): Answer<WindowReport>;
  startScrub(repair: boolean): Answer<JobStatus>;
  stopScrub(): Answer<JobStatus>;
  scrubStatus(): Answer<JobStatus>;
  logReport(): Answer<LogReport>;
  checkLog(): Answer<LogCheck>;
  replaceLeg(request: ReplaceLegRequest): Answer<void>;
  addLog(request: AddLogRequest): Answer<void>;
}

export type VolumeNotice =
  | { readonly kind: 'event'; readonly event: Omit<LocumEvent, 'sequence' | 'at'> }
  | { readonly kind: 'disconnected'; readonly id: number; readonly reason: string }
  /** A fault in the volume's thread: it has stopped for good and touches nothing any more. */
  | { readonly kind: 'crashed'; readonly reason: string };
