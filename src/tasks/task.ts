/**
 * What a window does with the drive that is away: one small interface, one implementation for each transport, and one for
 * a command of the user's own. A task talks to a drive through its tools; it knows nothing of volumes, windows or logs.
 *
 * Rules
 *   - A task never decides that it succeeded. `stage`, `activate` and `reset` say only how the command ended; whether the
 *     drive is well is decided from `probe` afterwards (core/drive-facts.ts).
 *   - Every command has a limit of time and of output. After the limit it is ended, by force in the end, and the caller
 *     treats the drive as away until it identifies.
 *   - Output goes to a file of the run, not through a pipe: a flash tool must not die of a broken pipe with the server.
 *   - Nothing here throws for what a drive or a tool does.
 */

import type { DriveFacts, Transport } from '../core/drive-facts.ts';
import type { Outcome } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';

export interface TaskDrive {
  /** The whole drive: `/dev/sdb`, `/dev/nvme0n1`, an image file. */
  readonly path: string;
  readonly transport: Transport;
  /** What the user's own command is told, beside the drive and the image: `LOCUM_VOLUME`, `LOCUM_WINDOW`, `LOCUM_SLOT` … */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a command ended. */
export interface CommandResult {
  /** For people. */
  readonly command: string;
  readonly result: 'done' | 'failed' | 'timed-out' | 'stopped' | 'not-started';
  readonly exitStatus: number | null;
  /** Bounded: the beginning and the end. */
  readonly output: string;
  /** One sentence; empty when `done`. */
  readonly reason: string;
}

/** What a running step may be told, and tells. */
export interface StepControl {
  /** Where output goes; one file for a step, made by the task. */
  readonly outputPath: string;
  readonly limitMs: number;
  /** Aborted: end the command if its kind allows that (`mayStop`); others are let finish. */
  readonly signal: AbortSignal;
  /** 0 to 1 where the drive says it, else not called. */
  readonly onProgress: (share: number) => void;
  /** Called once the command runs, so that a server that is started again can wait for its end. */
  readonly onStarted: (process: { pid: number; startTicks: number }) => void;
}

export interface DriveTask {
  readonly transport: Transport | 'command';
  /** Asks the drive itself, never a cache. Refused: tool missing, not permitted, drive does not answer. */
  probe(drive: TaskDrive): Promise<Outcome<DriveFacts>>;
  /** What must hold before anything is touched: tools, rights, image (size, checksum, model). Refused with one sentence. */
  check(drive: TaskDrive, facts: DriveFacts, request: TaskRequest): Promise<Outcome<void>>;
  /** Brings the image to the drive. `activates`: the download itself makes it current, and `activate` is not called. */
  stage(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult>;
  readonly stageActivates: boolean;
  activate(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult>;
  reset(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult>;
  /**
   * A self-test or a read scan; may be stopped at any time. `failed` with exit status 1: the drive is not well; with
   * another one: the test could not be done, and says nothing of the drive.
   */
  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult>;
  /** Reads samples of the medium (beginning, end, evenly between): the read test after a task. */
  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult>;
}
