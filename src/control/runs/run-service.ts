/**
 * What the rest of the server may ask of runs: the handlers of the API, and rollouts, which are runs one after another.
 *
 * A run is begun by `start` and then lives by itself; nobody has to wait for it, and nothing is undone when nobody does.
 * Every report is a copy of its own: whoever gets one may keep it.
 */

import type { Outcome } from '../../core/problems.ts';
import type { RunReport, TaskRequest } from '../../core/run-report.ts';
import type { VerifyMode } from '../../core/status.ts';

/** Limits of the windows that a run opens; one per volume with a member on the drive, all alike. */
export interface RunWindow {
  readonly maxMs: number;
  readonly onDoubleAbsence: 'wait' | 'error';
  readonly waitMs: number;
  readonly allowDegraded: boolean;
  readonly allowSingleLog: boolean;
  /** How the drive is compared when it is back. */
  readonly verify: VerifyMode;
}

export interface RunRequest {
  readonly volume: string;
  /** A slot number, a path, a name such as `sdb`, or the beginning of a member's uuid. */
  readonly drive: string;
  readonly task: TaskRequest;
  readonly window: RunWindow;
  readonly rehearsal: boolean;
  /** `root@host`, as the command line says. */
  readonly requestedBy: string;
  readonly rolloutId: string | null;
  /** By which whoever asks will know it again, also after a restart in between; else it is given one. */
  readonly id?: string;
}

export interface RunService {
  /**
   * Plans, refuses with the volume untouched, or begins. Ok: the run is on record and goes on by itself; every check has
   * passed and the freeze comes next. A refused run leaves no record: its answer carries the checks.
   */
  start(request: RunRequest): Promise<Outcome<RunReport>>;
  /**
   * Null: there is no such run, or it is so old that it was forgotten. Of one that has ended, without what its commands
   * printed.
   */
  get(id: string): RunReport | null;
  /** Newest last, without what commands printed: a thousand of those are too much to hand around. */
  all(): RunReport[];
  /** The run of this volume that has not ended; at most one. */
  ofVolume(volume: string): RunReport | null;
  /**
   * Brings the drive back at once when its task has not begun; otherwise lets the step at work finish (diagnostics are
   * stopped) and leaves out the rest. Asking twice is asking once; refused for a run that has ended.
   */
  recall(id: string, why: string): Outcome<RunReport>;
  /** After every change that is worth telling, and once when the run has ended. The function ends it. */
  onChange(listener: (report: RunReport) => void): () => void;
}
