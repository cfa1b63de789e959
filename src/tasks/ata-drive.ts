/**
 * The task on an ATA drive, by hdparm. Identity comes from IDENTIFY DEVICE itself: the INQUIRY that the kernel makes of it
 * has room for half of the firmware revision only. A download makes the firmware current at once, or at the next power
 * cycle, as the drive likes; there is nothing else to be told to it.
 */

import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { askWell } from './ask.ts';
import { fwdownloadArgs, parseIdentify } from './ata-format.ts';
import { runCommand } from './command.ts';
import { findTool, type TaskContext } from './context.ts';
import { diagnose, readTest } from './diagnose.ts';
import { readHealth } from './health.ts';
import { nothingToDo } from './nothing.ts';
import { checkRequirements } from './requirements.ts';
import { scsiReset } from './scsi-drive.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class AtaDriveTask implements DriveTask {
  readonly transport = 'ata';
  readonly stageActivates = true;
  readonly #context: TaskContext;

  constructor(context: TaskContext) {
    this.#context = context;
  }

  async probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    const answer = await askWell(this.#context, path, 'hdparm', ['--Istdout', path]);
    if (!answer.ok) return answer;
    const identity = parseIdentify(answer.value.toString('latin1'));
    if (identity === null) {
      return refuse('drive-no-answer', { path, reason: 'it does not identify as an ATA drive' });
    }
    const health = await readHealth(path, this.#context);
    return done({ path, transport: 'ata', ...identity, ...health });
  }

  check(_: TaskDrive, facts: DriveFacts, request: TaskRequest): Promise<Outcome<void>> {
    return checkRequirements(this.#context, facts, request, {
      transport: 'ata',
      firmware: ['hdparm'],
      reset: ['sg_reset'],
      needsImage: true,
    });
  }

  stage({ path }: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    const program = findTool(this.#context, 'hdparm') ?? 'hdparm';
    const args = fwdownloadArgs(path, request.imagePath ?? '');
    return runCommand({ program, args, mayStop: false }, control, this.#context);
  }

  activate(): Promise<CommandResult> {
    return Promise.resolve(nothingToDo('the download activates'));
  }

  reset(drive: TaskDrive, _: TaskRequest, control: StepControl): Promise<CommandResult> {
    return scsiReset(drive, control, this.#context);
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return diagnose('ata', drive, request, control, this.#context);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return readTest(drive, control, this.#context);
  }
}
