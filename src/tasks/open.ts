/** Picks the task for a path: which drive it is on, and which of the small implementations knows how to deal with that. */

import type { Transport } from '../core/drive-facts.ts';
import { done, type Outcome } from '../core/problems.ts';
import type { TaskRequest } from '../core/run-report.ts';
import { AtaDriveTask } from './ata-drive.ts';
import { CommandTask } from './command-task.ts';
import type { TaskContext } from './context.ts';
import { ImageDriveTask } from './image-drive.ts';
import { NvmeDriveTask } from './nvme-drive.ts';
import { OtherDriveTask } from './other-drive.ts';
import { type PhysicalDrive, physicalDrive } from './physical.ts';
import { ScsiDriveTask } from './scsi-drive.ts';
import type { DriveTask } from './task.ts';

export interface OpenTask {
  readonly task: DriveTask;
  readonly drive: PhysicalDrive;
}

export function openTask(
  path: string,
  request: TaskRequest,
  context: TaskContext,
): Outcome<OpenTask> {
  const drive = physicalDrive(path, context);
  if (!drive.ok) return drive;
  return done({ task: taskFor(drive.value.transport, request, context), drive: drive.value });
}

/** Without a path: for a drive that is known from before and may not be there now. */
export function taskFor(
  transport: Transport,
  request: TaskRequest,
  context: TaskContext,
): DriveTask {
  const task = transportTask(transport, request, context);
  return request.command === null ? task : new CommandTask(context, task);
}

function transportTask(
  transport: Transport,
  request: TaskRequest,
  context: TaskContext,
): DriveTask {
  switch (transport) {
    case 'image':
      return new ImageDriveTask(context);
    case 'nvme':
      return new NvmeDriveTask(context);
    case 'scsi':
      return new ScsiDriveTask(context, request);
    case 'ata':
      return new AtaDriveTask(context);
    case 'other':
      return new OtherDriveTask(context);
  }
}
