/**
 * A rollout: one firmware image onto many drives, one drive at a time per volume, and the record that is left of it. The
 * JSON of `locum firmware status -o json` is this: a field is never renamed, only added. Times as RFC 3339 in UTC.
 */

import type { DriveFacts } from './drive-facts.ts';
import type { ImageReport } from './run-report.ts';
import type { Check } from './status.ts';

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
  /** Left out: it has the version, is of another model, or is not there. `note` says which. */
  'skipped',
  'not-applied',
  'failed',
] as const;
export type RolloutDriveState = (typeof rolloutDriveStates)[number];

/** A drive, once, however many members it carries: it is flashed once. */
export interface RolloutDrive {
  /** The volumes with a member on it; `slot`, `path` and `uuid` are those of its member of the first. */
  volumes: string[];
  /** Null for a spare. */
  slot: number | null;
  path: string;
  uuid: string;
  model: string;
  serial: string;
  firmwareBefore: string;
  firmwareAfter: string;
  state: RolloutDriveState;
  /** What is being done to it while it is `running`: the step of its run; otherwise empty. */
  step: string;
  /** The run at work or the last one; null before, and for a spare: it needs no window. */
  runId: string | null;
  startedAt: string | null;
  soakUntil: string | null;
  endedAt: string | null;
  note: string;
}

export interface RolloutReport {
  id: string;
  state: RolloutState;
  /** Why it is halted or paused, or what it waits for, and what to do next. Empty when there is nothing to say. */
  reason: string;
  next: string;
  image: ImageReport;
  version: string | null;
  model: string | null;
  command: string | null;
  /** This many drives are done one by one over all volumes before volumes go side by side. */
  canary: number;
  soakMs: number;
  stopOnError: boolean;
  allowDegraded: boolean;
  requestedBy: string;
  startedAt: string;
  /** Set when nothing of it is at work any more: until then its volumes are taken. */
  endedAt: string | null;
  /** An estimate from the drives that are done; null while there are none. */
  leftMs: number | null;
  drives: RolloutDrive[];
}

/** What a rollout would do with one drive. `flash` in the order of the list. */
export interface PlannedDrive {
  volumes: string[];
  slot: number | null;
  path: string;
  uuid: string;
  model: string;
  serial: string;
  firmware: string;
  action: 'flash' | 'skip';
  /** Why it is left out; empty when it is not. */
  note: string;
  checks: Check[];
}

export interface RolloutPlan {
  allowed: boolean;
  image: ImageReport;
  /** The version that the drives will have; null when only the image knows. */
  version: string | null;
  drives: PlannedDrive[];
  /** At least this long: the soak times of the volume with most drives. */
  soakTotalMs: number;
  /** With what a drive took in earlier runs on this server; null when there were none. */
  estimateMs: number | null;
}

/** A drive of a volume as `locum firmware inventory` lists it. */
export interface InventoryDrive {
  volume: string;
  slot: number | null;
  path: string;
  uuid: string;
  /** The drive's state in its volume. */
  state: string;
  /** Null when the drive could not be asked; `note` says why. */
  facts: DriveFacts | null;
  note: string;
}
