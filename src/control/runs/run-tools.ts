/**
 * What runs need of the world outside the server: the tasks, and the processes and files that tasks leave behind. The daemon
 * fills it in from src/tasks; tests have drives and tools of their own.
 */

import type { DriveFacts, Transport } from '../../core/drive-facts.ts';
import type { Outcome } from '../../core/problems.ts';
import type { ImageReport, TaskRequest } from '../../core/run-report.ts';
import type { Place } from '../../io/place.ts';
import type { CommandResult, DriveTask, StepControl } from '../../tasks/task.ts';

/** Which drive a path is on. */
export interface WholeDrive {
  /** Equal for two paths on one drive. */
  readonly key: string;
  /** What tools are given. */
  readonly path: string;
  readonly transport: Transport;
  /** Everything on it that could be a member, as paths, the drive itself included. */
  readonly parts: readonly string[];
  /** Keys of the drives below a device that is built on others. */
  readonly sitsOn: readonly string[];
}

/** A command that a server before this one began. */
export interface FormerCommand {
  readonly process: { readonly pid: number; readonly startTicks: number } | null;
  readonly shown: string;
  readonly mayStop: boolean;
}

export interface NewDrive {
  readonly sizeBytes: number;
  /** What is on it; null: blank. */
  readonly content: string | null;
}

export interface RunTools {
  readonly placeOf: (path: string) => Promise<Place>;
  /** Refused: there is nothing, or nothing that could be a drive. */
  readonly wholeDrive: (path: string) => Promise<Outcome<WholeDrive>>;
  /** Also for a drive that is not there at the moment. */
  readonly taskOf: (transport: Transport, request: TaskRequest) => DriveTask;
  /** A drive that came back under another name, by what it says of itself; null: none here is it. */
  readonly findDrive: (wanted: DriveFacts, task: DriveTask) => Promise<WholeDrive | null>;
  /** Waits under the same limits; null: nothing is known of it, not even whether it ran. */
  readonly waitForCommand: (
    former: FormerCommand,
    control: Omit<StepControl, 'onStarted'>,
  ) => Promise<CommandResult | null>;
  /** The process that a server before this one left running with this output; null: none that still runs. */
  readonly findCommand: (outputPath: string) => FormerCommand['process'];
  readonly isRunning: (process: NonNullable<FormerCommand['process']>) => boolean;
  /** For the record; null when it cannot be read, which the task's own check says. */
  readonly imageOf: (path: string) => Promise<ImageReport | null>;
  /** The drive that is to replace another. Refused: it cannot be opened. */
  readonly newDrive: (path: string) => Promise<Outcome<NewDrive>>;
  /** The uuid of the member at a path that the server has let go; null: none. Refused: it cannot be opened. */
  readonly memberAt: (path: string) => Promise<Outcome<string | null>>;
  /**
   * Refused: something on the drive beside `ours` is mounted, or held by md, dm or swap. Null: nothing of it is ours to
   * use at the moment.
   */
  readonly checkUnused: (drive: WholeDrive, ours: readonly string[] | null) => Outcome<void>;
}

export interface RunTiming {
  /** How often the volumes of a run are looked at. */
  readonly lookMs: number;
  /** How often a drive that does not answer, or is not taken back, is tried again: at first, and at most. */
  readonly retryMs: number;
  readonly retryMostMs: number;
  /** How long a drive whose volume went on without it is offered to that volume. */
  readonly lateMs: number;
}

export const defaultRunTiming: RunTiming = {
  lookMs: 500,
  retryMs: 1_000,
  retryMostMs: 15_000,
  lateMs: 300_000,
};
