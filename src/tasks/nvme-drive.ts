/**
 * The task on an NVMe drive, by nvme-cli 2 or 3.
 *
 * The image is downloaded (stage) and committed (activate): by default with action 1 and a reset of the controller, because
 * drives were seen to drop off the bus when told to activate without one; with `activation: 'live'` by action 3. Without an
 * image, a slot that holds an earlier firmware is made current by action 2. The commit and the reset are one command, so
 * that a server which dies between them leaves no drive half-way.
 */

import { join } from 'node:path';
import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { ask, askWell } from './ask.ts';
import { quoted, runCommand, shownCommand } from './command.ts';
import { findTool, type TaskContext } from './context.ts';
import { diagnose, readTest } from './diagnose.ts';
import { readHealth } from './health.ts';
import { impossible, nothingToDo } from './nothing.ts';
import {
  type Controller,
  commitArgs,
  downloadArgs,
  firmwareVerb,
  parseController,
  parseNamespace,
} from './nvme-format.ts';
import { nvmeControllers } from './physical.ts';
import { checkRequirements } from './requirements.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class NvmeDriveTask implements DriveTask {
  readonly transport = 'nvme';
  readonly stageActivates = false;
  readonly #context: TaskContext;

  constructor(context: TaskContext) {
    this.#context = context;
  }

  async probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    const controller = await this.#controller(path);
    if (!controller.ok) return controller;
    const args = ['id-ns', path, '--output-format=binary'];
    const answer = await askWell(this.#context, path, 'nvme', args);
    if (!answer.ok) return answer;
    const namespace = parseNamespace(answer.value);
    if (namespace === null) {
      return refuse('drive-no-answer', { path, reason: 'its namespace is not active' });
    }
    const { model, serial, firmware } = controller.value;
    return done({
      path,
      transport: 'nvme',
      model,
      serial,
      firmware,
      ...namespace,
      physicalBlockBytes: null,
      ...(await readHealth(path, this.#context)),
    });
  }

  async check(
    { path }: TaskDrive,
    facts: DriveFacts,
    request: TaskRequest,
  ): Promise<Outcome<void>> {
    const ready = await checkRequirements(this.#context, facts, request, {
      transport: 'nvme',
      firmware: ['nvme'],
      reset: [],
      needsImage: request.firmwareSlot === undefined,
    });
    if (!ready.ok || request.purpose === 'replacement' || request.test === 'scan') return ready;
    if (request.purpose === 'reset') return done(undefined);
    const controller = await this.#controller(path);
    if (!controller.ok) return controller;
    const { takesFirmware, testsItself, activatesLive } = controller.value;
    const no = (task: string, reason: string): Outcome<void> =>
      refuse('task-impossible', { task, path, reason });
    if (request.purpose === 'diagnostics') {
      return testsItself
        ? ready
        : no('A self-test', 'the controller has none; --test scan reads it');
    }
    if (!takesFirmware) return no('A firmware update', 'the controller takes no firmware');
    if (request.activation === 'live' && !activatesLive) {
      return no('Activation without a reset', 'the controller does not support it');
    }
    return ready;
  }

  async stage(
    { path }: TaskDrive,
    request: TaskRequest,
    control: StepControl,
  ): Promise<CommandResult> {
    if (request.imagePath === null) return nothingToDo(`slot ${request.firmwareSlot} is taken`);
    const program = this.#nvme();
    const verb = firmwareVerb(await this.#help(path), 'download');
    const args = downloadArgs(verb, this.#controllerPath(path), request.imagePath);
    return runCommand({ program, args, mayStop: false }, control, this.#context);
  }

  async activate(
    { path }: TaskDrive,
    request: TaskRequest,
    control: StepControl,
  ): Promise<CommandResult> {
    const program = this.#nvme();
    const verb = firmwareVerb(await this.#help(path), 'commit');
    const action = request.activation === 'live' ? 3 : request.imagePath === null ? 2 : 1;
    const slot = request.firmwareSlot ?? 0;
    const args = commitArgs(verb, this.#controllerPath(path), slot, action);
    if (action === 3) return runCommand({ program, args, mayStop: false }, control, this.#context);
    const resets = this.#resetFiles(path);
    const script = commitAndReset(quoted([program, ...args]), resets);
    const shown = [shownCommand(program, args), ...resets.map(resetLine)].join('; ');
    const result = await runCommand(shell(script, shown), control, this.#context);
    return result.result === 'failed' ? { ...result, reason: commitReason(result) } : result;
  }

  reset({ path }: TaskDrive, _: TaskRequest, control: StepControl): Promise<CommandResult> {
    const resets = this.#resetFiles(path);
    if (resets.length === 0) return Promise.resolve(impossible('a reset of the controller'));
    const lines = resets.map(resetLine).join(' && ');
    return runCommand(shell(lines, lines), control, this.#context);
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    return diagnose('nvme', drive, request, control, this.#context);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return readTest(drive, control, this.#context);
  }

  async #controller(path: string): Promise<Outcome<Controller>> {
    const args = ['id-ctrl', path, '--output-format=binary'];
    const answer = await askWell(this.#context, path, 'nvme', args);
    if (!answer.ok) return answer;
    const controller = parseController(answer.value);
    if (controller !== null) return done(controller);
    return refuse('drive-no-answer', { path, reason: 'it does not say what it is' });
  }

  async #help(path: string): Promise<string> {
    const answer = await ask(this.#context, path, 'nvme', ['help']);
    return answer.ok ? `${answer.value.bytes.toString('utf8')}\n${answer.value.complaint}` : '';
  }

  #nvme(): string {
    return findTool(this.#context, 'nvme') ?? 'nvme';
  }

  /** Firmware is the controller's, whichever of its namespaces the volume is on. */
  #controllerPath(path: string): string {
    const [controller] = nvmeControllers(path, this.#context.sysRoot);
    return controller === undefined ? path : `/dev/${controller}`;
  }

  #resetFiles(path: string): string[] {
    const { sysRoot } = this.#context;
    return nvmeControllers(path, sysRoot).map((name) =>
      join(sysRoot, 'class/nvme', name, 'reset_controller'),
    );
  }
}

const shell = (script: string, shown: string) =>
  ({ program: '/bin/sh', args: ['-c', script], shown, mayStop: false }) as const;

const resetLine = (file: string): string => `echo 1 >${quoted([file])}`;

/**
 * The reset follows whatever the commit said: "stored, but needs a reset" is an error to nvme-cli, and a reset harms no
 * drive that is away.
 */
export function commitAndReset(commit: string, resetFiles: readonly string[]): string {
  const resets = resetFiles.map((file) => `${resetLine(file)} || status=1`);
  return [`${commit}; status=$?`, ...resets, 'exit $status'].join('; ');
}

/** Some controllers want more than a reset before they run new firmware; nvme-cli says so in words. */
export function commitReason({ output, reason }: Pick<CommandResult, 'output' | 'reason'>): string {
  const wanted = /requires (?:an? )?(.*?reset)/i.exec(output)?.[1];
  if (wanted === undefined || /controller level/i.test(wanted)) return reason;
  return `the firmware is stored and becomes current after ${wanted}: power-cycle the drive`;
}
