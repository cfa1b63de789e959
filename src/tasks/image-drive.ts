/** The task on an image file: a simulated drive with firmware slots and, if wanted, faults (simulated.ts). */

import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { runCommand } from './command.ts';
import type { TaskContext } from './context.ts';
import { checkFirmware } from './image.ts';
import { nothingToDo } from './nothing.ts';
import { readCommand, simulatedCommand } from './own-tools.ts';
import {
  capacityOf,
  ensureSidecar,
  faultAt,
  imagesOf,
  isGone,
  readSimulated,
  type SimulatedDrive,
  sidecarTrouble,
} from './simulated.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class ImageDriveTask implements DriveTask {
  readonly transport = 'image';
  readonly stageActivates = false;
  readonly #context: TaskContext;

  constructor(context: TaskContext) {
    this.#context = context;
  }

  probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    const capacityBytes = capacityOf(path);
    if (capacityBytes === null) {
      return Promise.resolve(refuse('drive-no-answer', { path, reason: 'the image is not there' }));
    }
    const trouble = sidecarTrouble(path);
    if (trouble !== null) {
      return Promise.resolve(refuse('drive-no-answer', { path, reason: trouble }));
    }
    ensureSidecar(path);
    const drive = readSimulated(path);
    if (isGone(drive, Date.now()) || faultAt(drive, 'probe', 'gone') !== null) {
      return Promise.resolve(
        refuse('drive-no-answer', { path, reason: 'the simulated drive is gone' }),
      );
    }
    return Promise.resolve(done(factsOf(path, capacityBytes, drive)));
  }

  async check(_: TaskDrive, facts: DriveFacts, request: TaskRequest): Promise<Outcome<void>> {
    if (request.purpose !== 'firmware') return done(undefined);
    return checkFirmware(facts, request, request.firmwareSlot === undefined);
  }

  async stage(
    drive: TaskDrive,
    request: TaskRequest,
    control: StepControl,
  ): Promise<CommandResult> {
    // Without an image, what lies in a slot is made current: nothing is to be downloaded.
    if (request.imagePath === null) return nothingToDo(`slot ${request.firmwareSlot} is taken`);
    return this.#run(simulatedCommand('stage', drive.path, request.imagePath), control);
  }

  activate(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    const slot = request.imagePath === null ? String(request.firmwareSlot) : null;
    return this.#run(simulatedCommand('activate', drive.path, slot), control);
  }

  reset(drive: TaskDrive, _: TaskRequest, control: StepControl): Promise<CommandResult> {
    return this.#run(simulatedCommand('reset', drive.path, null), control);
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    const simulated = readSimulated(drive.path);
    if (request.test === 'scan') return this.#read('scan', 'diagnose', drive, control);
    const durationMs = simulated.selfTestMs * (request.test === 'long' ? 10 : 1);
    return this.#run(simulatedCommand('self-test', drive.path, String(durationMs)), control);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return this.#read('sample', 'verify', drive, control);
  }

  #read(
    mode: 'sample' | 'scan',
    at: 'diagnose' | 'verify',
    { path }: TaskDrive,
    control: StepControl,
  ): Promise<CommandResult> {
    const badReads = readSimulated(path).faults.filter(
      (fault) => fault.at === at && fault.kind === 'bad-read' && fault.times !== 0,
    );
    return this.#run(readCommand(mode, imagesOf(path), badReads), control);
  }

  #run(command: Parameters<typeof runCommand>[0], control: StepControl): Promise<CommandResult> {
    return runCommand(command, control, this.#context);
  }
}

const factsOf = (path: string, capacityBytes: number, drive: SimulatedDrive): DriveFacts => ({
  path,
  transport: 'image',
  model: drive.model,
  serial: drive.serial,
  firmware: drive.firmware,
  capacityBytes,
  logicalBlockBytes: drive.logicalBlockBytes,
  physicalBlockBytes: drive.physicalBlockBytes,
  health: drive.health,
  healthNote: drive.healthNote,
});
