/**
 * A command of the user's own in place of the transport's tool: a vendor's flash tool, a script that power-cycles a bay,
 * a test. It runs in a shell, in the directory of whoever asked, and is told everything by its environment:
 *
 *   LOCUM_DRIVE_PATH the whole drive          LOCUM_PURPOSE    firmware, diagnostics, replacement, reset
 *   LOCUM_IMAGE      the firmware image       LOCUM_VERSION    the revision that is wanted, if one was given
 *   LOCUM_SERIAL, LOCUM_MODEL, LOCUM_FIRMWARE what the drive said before
 *   and what the caller adds: LOCUM_VOLUME, LOCUM_WINDOW, LOCUM_SLOT
 *
 * Whatever it does, it does in one step; identifying and reading the drive is still done by the task of its transport.
 */

import { stat } from 'node:fs/promises';
import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { runCommand } from './command.ts';
import type { TaskContext } from './context.ts';
import { checkFirmware } from './image.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class CommandTask implements DriveTask {
  readonly transport = 'command';
  readonly stageActivates = true;
  readonly #context: TaskContext;
  readonly #drive: DriveTask;
  #facts: DriveFacts | null = null;

  /** `drive`: the task of the drive's own transport. */
  constructor(context: TaskContext, drive: DriveTask) {
    this.#context = context;
    this.#drive = drive;
  }

  async probe(drive: TaskDrive): Promise<Outcome<DriveFacts>> {
    const facts = await this.#drive.probe(drive);
    if (facts.ok) this.#facts ??= facts.value;
    return facts;
  }

  async check(_: TaskDrive, facts: DriveFacts, request: TaskRequest): Promise<Outcome<void>> {
    const value = request.commandDirectory;
    if (value !== null && !(await isThere(value))) {
      const reason = 'the command was to run there, and the server does not see it';
      return refuse('argument-invalid', { name: 'The directory', value, reason });
    }
    if (request.purpose !== 'firmware') return done(undefined);
    return checkFirmware(facts, request, false);
  }

  stage(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return this.#run(drive, request, control, false);
  }

  activate(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return this.#run(drive, request, control, false);
  }

  reset(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return this.#run(drive, request, control, false);
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return this.#run(drive, request, control, true);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return this.#drive.verify(drive, control);
  }

  #run(
    drive: TaskDrive,
    request: TaskRequest,
    control: StepControl,
    mayStop: boolean,
  ): Promise<CommandResult> {
    const command = request.command ?? 'false';
    return runCommand(
      {
        program: '/bin/sh',
        args: ['-c', command],
        environment: { ...commandEnvironment(drive, request, this.#facts), ...drive.environment },
        ...(request.commandDirectory === null ? {} : { directory: request.commandDirectory }),
        shown: command,
        mayStop,
      },
      control,
      this.#context,
    );
  }
}

/** Not asked at once: it is a path of somebody's, on a file system that may hang, and the server's thread must not. */
const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export function commandEnvironment(
  drive: TaskDrive,
  request: TaskRequest,
  facts: DriveFacts | null,
): Record<string, string> {
  return {
    LOCUM_DRIVE_PATH: drive.path,
    LOCUM_TRANSPORT: drive.transport,
    LOCUM_PURPOSE: request.purpose,
    LOCUM_IMAGE: request.imagePath ?? '',
    LOCUM_VERSION: request.version ?? '',
    LOCUM_MODEL: facts?.model ?? '',
    LOCUM_SERIAL: facts?.serial ?? '',
    LOCUM_FIRMWARE: facts?.firmware ?? '',
  };
}
