/**
 * The state words and the shape of a volume's status. The JSON of `locum status -o json` is exactly this: a field is
 * never renamed, only added. Sizes in bytes, times as RFC 3339 strings in UTC.
 */

export const driveStates = [
  'online',
  'away',
  'returning',
  'failed',
  'missing',
  'rebuilding',
  'spare',
] as const;
export type DriveState = (typeof driveStates)[number];

export const volumeStates = [
  'optimal',
  'degraded',
  'resyncing',
  'rebuilding',
  'freezing',
  'frozen',
  'replaying',
  'thawing',
  'suspended',
  'halted',
] as const;
export type VolumeState = (typeof volumeStates)[number];

export const windowStates = [
  'freezing',
  'open',
  'returning',
  'replaying',
  'thawing',
  'closed',
  'aborted',
] as const;
export type WindowState = (typeof windowStates)[number];

export const purposes = ['firmware', 'diagnostics', 'replacement', 'reset'] as const;
export type Purpose = (typeof purposes)[number];

export const verifyModes = ['recent', 'sample', 'full'] as const;
export type VerifyMode = (typeof verifyModes)[number];

export interface DriveStatus {
  slot: number | null;
  path: string;
  uuid: string;
  state: DriveState;
  errors: { read: number; write: number };
  /** Why the drive is not online; empty when it is. */
  reason: string;
}

export interface LegStatus {
  path: string;
  state: 'online' | 'failed' | 'missing';
  /** Reads of it that failed or were wrong, while it stayed in; what was read came from another leg. */
  errors: { read: number };
  reason: string;
}

export interface LogStatus {
  state: 'idle' | 'logging' | 'replaying' | 'degraded' | 'failed';
  capacityBytes: number;
  usedBytes: number;
  legs: LegStatus[];
}

export interface WindowStatus {
  id: string;
  purpose: Purpose;
  state: WindowState;
  drive: { slot: number; path: string };
  openedAt: string;
  deadlineAt: string;
  loggedBytes: number;
  replayedBytes: number;
  /** True once the drive should be brought back without delay (second failure, log 85 % full). */
  recall: boolean;
  onDoubleAbsence: 'wait' | 'error';
  waitMs: number;
  /** Reads held at the moment because they need two absent members. */
  heldReads: number;
  /** Which returns restore full access: each entry is a set of slots, any one set is enough. */
  restoredBy: number[][];
}

export const jobKinds = ['resync', 'rebuild', 'scrub', 'verify', 'replay'] as const;
export type JobKind = (typeof jobKinds)[number];

export interface JobStatus {
  kind: JobKind;
  state: 'running' | 'paused' | 'done' | 'failed' | 'stopped';
  slot: number | null;
  doneBytes: number;
  totalBytes: number;
  bytesPerSecond: number;
  /** scrub: stripes whose parity or mirrors disagree; verify: stripes that differ. */
  mismatches: number;
  /** Empty unless failed. */
  reason: string;
}

export interface Alarm {
  code: string;
  severity: 'info' | 'warning' | 'critical';
  message: string;
}

export interface VolumeStatus {
  name: string;
  uuid: string;
  level: number;
  state: VolumeState;
  sizeBytes: number;
  chunkBytes: number;
  io: 'uring' | 'node' | 'memory';
  redundancy: { canLose: number };
  writeHole: 'closed' | 'open';
  drives: DriveStatus[];
  log: LogStatus | null;
  window: WindowStatus | null;
  jobs: JobStatus[];
  alarms: Alarm[];
  /** STATE / WHY / NEXT sentences for people. */
  story: { state: string; why: string; next: string };
}

/** One check of a plan or a refusal. Ids are stable: scripts may depend on them. */
export interface Check {
  id: string;
  title: string;
  result: 'pass' | 'warn' | 'block';
  reason: string;
  fix: string;
}

export interface WindowPlan {
  allowed: boolean;
  drive: { slot: number; path: string };
  purpose: Purpose;
  checks: Check[];
}

/** The audit record of a window, kept after it has closed. */
export interface WindowReport {
  id: string;
  volume: string;
  purpose: Purpose;
  state: WindowState;
  drive: { slot: number; path: string; uuid: string };
  openedAt: string;
  deadlineAt: string;
  closedAt: string | null;
  /** How it ended: returned, rebuilt, thawed, aborted; empty while open. */
  outcome: string;
  loggedBytes: number;
  replayedBytes: number;
  verify: { mode: VerifyMode; checkedBytes: number; differingStripes: number } | null;
  secondFailures: { slot: number; path: string; at: string; reason: string }[];
}

export interface LogReport {
  uuid: string;
  epoch: number;
  state: LogStatus['state'];
  capacityBytes: number;
  usedBytes: number;
  liveBytes: number;
  records: number;
  lastSequence: number;
  committedThrough: number;
  legs: LegStatus[];
}

export interface LogCheck {
  records: number;
  bytes: number;
  legs: { path: string; damagedRecords: number; missingRecords: number }[];
  damagedOnAllLegs: number;
}

export interface LocumEvent {
  /** Rises by one with each event of a server's life; given by the daemon. */
  sequence: number;
  at: string;
  volume: string;
  /** Stable name such as `drive-failed`, `window-opened`, `log-85`. */
  kind: string;
  severity: 'info' | 'warning' | 'critical';
  message: string;
  detail: Record<string, string | number | boolean | null>;
}
