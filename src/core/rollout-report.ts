/**
 * A rollout: one firmware image onto many drives, one drive at a time per volume, and the record that is left of it. The
 * JSON of `locum firmware status -o json` is this: a field is never renamed, only added. Times as RFC 3339 in UTC.
 */

import type { ImageReport } from './run-report.ts';

export const rolloutStates = [
  'running',
  /** By the administrator; the drive at work is finished first. */
  'paused',
  /** By itself, after a bad result, new errors or a second failure; `reason` says which. */
  'halted',
  /** By the administrator, for good. */
  'stopped',
  'done',
] as const;
export type RolloutState = (typeof rolloutStates)[number];

export const rolloutDriveStates = [
  'pending',
  'running',
  /** Flashed and back; watched for the soak time before the next drive goes. */
  'soaking',
  'done',
  /** It already has the version. */
  'skipped',
  'not-applied',
  'failed',
] as const;
export type RolloutDriveState = (typeof rolloutDriveStates)[number];

export interface RolloutDrive {
  volume: string;
  /** Null for a spare. */
  slot: number | null;
  path: string;
  uuid: string;
  model: string;
  serial: string;
  firmwareBefore: string;
  firmwareAfter: string;
  state: RolloutDriveState;
  /** The run at work or the last one; null before. */
  runId: string | null;
  soakUntil: string | null;
  note: string;
}

export interface RolloutReport {
  id: string;
  state: RolloutState;
  /** Why it is halted or paused, and what to do next. Empty while it runs. */
  reason: string;
  next: string;
  image: ImageReport;
  version: string | null;
  /** This many drives are done one by one over all volumes before volumes go side by side. */
  canary: number;
  soakMs: number;
  stopOnError: boolean;
  requestedBy: string;
  startedAt: string;
  endedAt: string | null;
  drives: RolloutDrive[];
}
