/**
 * The task on a SCSI or SAS drive, by sg3-utils. Everything is asked by a command that goes to the drive (INQUIRY, READ
 * CAPACITY), because what the kernel shows is what it found when the drive was plugged in.
 *
 * Firmware goes by WRITE BUFFER mode 7 (download with offsets, save, activate), which makes it current at once; with
 * `activation: 'deferred'` by mode 14 (download and save), and mode 15 (activate) is a step of its own.
 */

import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { ask, askWell } from './ask.ts';
import { runCommand } from './command.ts';
import { findTool, type TaskContext } from './context.ts';
import { diagnose, readTest } from './diagnose.ts';
import { readHealth } from './health.ts';
import { nothingToDo } from './nothing.ts';
import { scsiDownloadCommand } from './own-tools.ts';
import { checkRequirements } from './requirements.ts';
import {
  type Capacity,
  parseCapacity10,
  parseCapacity16,
  parseInquiry,
  parseSerialPage,
} from './scsi-format.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class ScsiDriveTask implements DriveTask {
  readonly transport = 'scsi';
  readonly stageActivates: boolean;
  readonly #context: TaskContext;

  constructor(context: TaskContext, request: Pick<TaskRequest, 'activation'>) {
    this.#context = context;
    this.stageActivates = request.activation !== 'deferred';
  }

  async probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    const standard = await askWell(this.#context, path, 'sg_inq', ['--raw', path]);
    if (!standard.ok) return standard;
    const inquiry = parseInquiry(standard.value);
    if (inquiry === null) {
      return refuse('drive-no-answer', { path, reason: 'what answers there is no disk' });
    }
    // A drive without a serial number page is compared by its model.
    const page = await ask(this.#context, path, 'sg_vpd', ['--page=0x80', '--raw', path]);
    if (!page.ok) return page;
    const capacity = await this.#capacity(path);
    if (!capacity.ok) return capacity;
    return done({
      path,
      transport: 'scsi',
      model: `${inquiry.vendor} ${inquiry.product}`.trim(),
      serial: page.value.exitStatus === 0 ? parseSerialPage(page.value.bytes) : '',
      firmware: inquiry.revision,
      ...capacity.value,
      ...(await readHealth(path, this.#context)),
    });
  }

  check(_: TaskDrive, facts: DriveFacts, request: TaskRequest): Promise<Outcome<void>> {
    return checkRequirements(this.#context, facts, request, {
      transport: 'scsi',
      firmware: ['sg_write_buffer'],
      reset: ['sg_reset'],
      needsImage: true,
    });
  }

  stage({ path }: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    const mode = this.stageActivates ? 'dmc_offs_save' : 'dmc_offs_defer';
    const program = findTool(this.#context, 'sg_write_buffer') ?? 'sg_write_buffer';
    const command = scsiDownloadCommand(program, mode, request.imagePath ?? '', path);
    return runCommand(command, control, this.#context);
  }

  activate({ path }: TaskDrive, _: TaskRequest, control: StepControl): Promise<CommandResult> {
    if (this.stageActivates) return Promise.resolve(nothingToDo('the download activates'));
    const program = findTool(this.#context, 'sg_write_buffer') ?? 'sg_write_buffer';
    const args = ['--mode=activate_mc', path];
    return runCommand({ program, args, mayStop: false }, control, this.#context);
  }

  reset(drive: TaskDrive, _: TaskRequest, control: StepControl): Promise<CommandResult> {
    return scsiReset(drive, control, this.#context);
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return diagnose('scsi', drive, request, control, this.#context);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return readTest(drive, control, this.#context);
  }

  async #capacity(path: string): Promise<Outcome<Capacity>> {
    const long = await askWell(this.#context, path, 'sg_readcap', ['--16', '--raw', path]);
    const capacity = long.ok ? parseCapacity16(long.value) : null;
    if (capacity !== null) return done(capacity);
    const short = await askWell(this.#context, path, 'sg_readcap', ['--raw', path]);
    if (!short.ok) return short;
    const old = parseCapacity10(short.value);
    if (old !== null) return done(old);
    return refuse('drive-no-answer', { path, reason: 'it does not say how large it is' });
  }
}

/** Of this drive and nothing else: without --no-escalate a failed reset would go on to the whole bus. */
export function scsiReset(
  { path }: TaskDrive,
  control: StepControl,
  context: TaskContext,
): Promise<CommandResult> {
  const program = findTool(context, 'sg_reset') ?? 'sg_reset';
  const args = ['--device', '--no-escalate', path];
  return runCommand({ program, args, mayStop: false }, control, context);
}
