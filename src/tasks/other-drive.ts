/**
 * A block device that is none of the kinds with a tool: a loop device, a virtual disk, something of dm or md. It can be
 * identified as far as the kernel knows it and read; flashing, resetting and self-tests need a command of the user's own.
 */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { SECTOR_BYTES } from '../base/units.ts';
import type { DriveFacts } from '../core/drive-facts.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { runCommand } from './command.ts';
import type { TaskContext } from './context.ts';
import { impossible } from './nothing.ts';
import { readCommand } from './own-tools.ts';
import type { CommandResult, DriveTask, StepControl, TaskDrive } from './task.ts';

export class OtherDriveTask implements DriveTask {
  readonly transport = 'other';
  readonly stageActivates = true;
  readonly #context: TaskContext;

  constructor(context: TaskContext) {
    this.#context = context;
  }

  probe({ path }: TaskDrive): Promise<Outcome<DriveFacts>> {
    return Promise.resolve(kernelFacts(path, this.#context.sysRoot));
  }

  check({ path }: TaskDrive, _: DriveFacts, request: TaskRequest): Promise<Outcome<void>> {
    const reason = 'Locum has no tool for this kind of device';
    if (request.purpose === 'firmware') {
      return Promise.resolve(
        refuse('task-impossible', { task: 'A firmware update', path, reason }),
      );
    }
    if (request.purpose === 'reset') {
      return Promise.resolve(refuse('task-impossible', { task: 'A reset', path, reason }));
    }
    if (request.purpose === 'diagnostics' && request.test !== 'scan') {
      const advice = `${reason}; a read scan (--test scan) is possible`;
      return Promise.resolve(
        refuse('task-impossible', { task: 'A self-test', path, reason: advice }),
      );
    }
    return Promise.resolve(done(undefined));
  }

  stage(): Promise<CommandResult> {
    return Promise.resolve(impossible('a firmware update'));
  }

  activate(): Promise<CommandResult> {
    return Promise.resolve(impossible('a firmware update'));
  }

  reset(): Promise<CommandResult> {
    return Promise.resolve(impossible('a reset'));
  }

  diagnose(drive: TaskDrive, request: TaskRequest, control: StepControl): Promise<CommandResult> {
    if (request.test !== 'scan') return Promise.resolve(impossible('a self-test'));
    return runCommand(readCommand('scan', [drive.path]), control, this.#context);
  }

  verify(drive: TaskDrive, control: StepControl): Promise<CommandResult> {
    return runCommand(readCommand('sample', [drive.path]), control, this.#context);
  }
}

/** What the kernel knows of a device; it has asked when it found it, so that a firmware revision is none of it. */
export function kernelFacts(path: string, sysRoot: string): Outcome<DriveFacts> {
  const place = join(sysRoot, 'class/block', basename(path));
  const line = (name: string): string => {
    try {
      return readFileSync(join(place, name), 'utf8').trim();
    } catch {
      return '';
    }
  };
  const number = (name: string): number | null => {
    const text = line(name);
    return /^\d+$/.test(text) ? Number(text) : null;
  };
  const sectors = number('size');
  if (sectors === null || sectors === 0) {
    return refuse('drive-no-answer', { path, reason: 'the kernel does not see it' });
  }
  return done({
    path,
    transport: 'other',
    model: line('device/model'),
    serial: line('serial') || line('device/serial') || line('dm/uuid') || line('md/uuid'),
    firmware: '',
    capacityBytes: sectors * SECTOR_BYTES,
    logicalBlockBytes: number('queue/logical_block_size'),
    physicalBlockBytes: number('queue/physical_block_size'),
    health: 'unknown',
    healthNote: '',
  });
}
