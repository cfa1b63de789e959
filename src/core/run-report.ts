/**
 * A run: one drive task inside one window, from the plan to the end of the replay, and the audit record that is left of
 * it. The JSON of `locum window run -o json` and of `window show` is this: a field is never renamed, only added.
 *
 * A run is written down before each of its steps begins (STATE/runs), so that after a crash it is known how far the drive
 * has come. The truth about the volume is on its drives and in its log as always; a run only says what was done to a drive.
 *
 * Sizes in bytes, times as RFC 3339 strings in UTC.
 */

import type { DriveFacts } from './drive-facts.ts';
import type { Check, Purpose } from './status.ts';

/** In the order in which they come. A purpose leaves out what it has no use for. */
export const runSteps = [
  'plan',
  'open',
  'stage',
  'activate',
  'reset',
  'diagnose',
  'exchange',
  'identify',
  'verify',
  'return',
  'replay',
  'close',
] as const;
export type RunStep = (typeof runSteps)[number];

export const stepResults = ['running', 'done', 'skipped', 'failed', 'interrupted'] as const;
export type StepResult = (typeof stepResults)[number];

export interface StepReport {
  step: RunStep;
  result: StepResult;
  startedAt: string;
  endedAt: string | null;
  /** The command as it was started, for people; empty when none was. */
  command: string;
  /** Null while it runs, when none was started, or when a signal ended it. */
  exitStatus: number | null;
  /** What the command printed: the beginning and the end of it, with a line between that says how much was left out. */
  output: string;
  /** One sentence. */
  note: string;
}

export const runStates = [
  'running',
  /** The drive does not answer, or is not the one that left: somebody has to do something, `next` says what. */
  'waiting',
  'ended',
] as const;
export type RunState = (typeof runStates)[number];

export const runOutcomes = [
  'done',
  /** The drive is back and well, and its firmware is what it was before. */
  'not-applied',
  /** A self-test or a read scan found something. */
  'unhealthy',
  /** The task failed; the drive is back. */
  'failed',
  /** Brought back before the task began: second failure, log nearly full, or on request. */
  'recalled',
  'refused',
  /** Everything but the touching of the drive was done. */
  'rehearsed',
  /** The window ended without the drive (thaw), or the drive that came back was not taken. */
  'drive-lost',
] as const;
export type RunOutcome = (typeof runOutcomes)[number];

export interface TaskRequest {
  readonly purpose: Purpose;
  /** Absolute path on the server. */
  readonly imagePath: string | null;
  /** Lower-case hexadecimal SHA-256 that the image must have; null: not checked. */
  readonly imageSha256: string | null;
  /** The revision that the drive must have afterwards; null: any other than before. */
  readonly version: string | null;
  /** The model must contain this text; null: any model. */
  readonly model: string | null;
  /**
   * How new firmware becomes current, where the transport leaves a choice; absent: the way that is known to be safest.
   * `live`: NVMe without a reset; `deferred`: SCSI in two steps, download and activate.
   */
  readonly activation?: 'live' | 'deferred';
  /** NVMe: the firmware slot; absent: the controller chooses. Without an image, what the slot holds is made current. */
  readonly firmwareSlot?: number;
  /** A shell command of the user's own instead of the transport's tool; null: the tool. */
  readonly command: string | null;
  readonly commandDirectory: string | null;
  /** For diagnostics. */
  readonly test: 'short' | 'long' | 'scan' | null;
  /** For replacement: where the new drive is; null: the operator closes the window with it. */
  readonly newDrivePath: string | null;
  /** Limits for one command of a tool, and for how long the drive may take to answer again. */
  readonly commandLimitMs: number;
  readonly answerLimitMs: number;
}

export interface ImageReport {
  path: string;
  sizeBytes: number;
  sha256: string;
}

export interface RunReport {
  id: string;
  /** The volumes that froze for it; more than one when the drive holds members of several. */
  volumes: string[];
  drive: { slot: number | null; path: string; uuid: string };
  purpose: Purpose;
  rehearsal: boolean;
  /** The user who asked, as the command line says: `root@host`. */
  requestedBy: string;
  image: ImageReport | null;
  state: RunState;
  step: RunStep;
  /** True from the moment the task has begun to change the drive: a recall waits for its end. */
  begun: boolean;
  outcome: RunOutcome | null;
  /** One sentence each: what happened, and what to do next. Empty when there is nothing to say. */
  sentence: string;
  next: string;
  startedAt: string;
  endedAt: string | null;
  before: DriveFacts | null;
  after: DriveFacts | null;
  steps: StepReport[];
  checks: Check[];
  /** The windows of `volumes`, in that order; empty before they are open. */
  windowIds: string[];
  loggedBytes: number;
  replayedBytes: number;
  /** The rollout that this run is part of; null when it was asked for by itself. */
  rolloutId: string | null;
}
