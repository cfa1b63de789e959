/**
 * Finds a drive that came back under another name. The kernel gives names as they come: what was sdb before a reset or a
 * power cycle may be sde after it. A drive is found by what it says of itself, and only one that has a serial number is
 * looked for: any other could be anybody's.
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DriveFacts, Transport } from '../core/drive-facts.ts';
import type { TaskContext } from './context.ts';
import { type PhysicalDrive, physicalDrive } from './physical.ts';
import type { DriveTask } from './task.ts';

const names: Readonly<Record<Transport, RegExp | null>> = {
  scsi: /^sd[a-z]+$/,
  ata: /^sd[a-z]+$/,
  nvme: /^nvme\d+n\d+$/,
  image: null,
  other: null,
};

/** `task`: of the transport of the drive. Null: no drive here says that it is the one. */
export async function findDrive(
  wanted: DriveFacts,
  task: DriveTask,
  context: TaskContext,
): Promise<PhysicalDrive | null> {
  const pattern = names[wanted.transport];
  if (pattern === null || wanted.serial === '') return null;
  for (const name of blockDevices(context.sysRoot).filter((one) => pattern.test(one))) {
    const path = `/dev/${name}`;
    const drive = physicalDrive(path, context);
    if (!drive.ok || drive.value.transport !== wanted.transport) continue;
    const facts = await task.probe({ path, transport: wanted.transport, environment: {} });
    if (facts.ok && isSame(facts.value, wanted)) return drive.value;
  }
  return null;
}

/** An NVMe controller has several namespaces of one serial number: size tells them apart as far as anything can. */
export const isSame = (found: DriveFacts, wanted: DriveFacts): boolean =>
  found.serial === wanted.serial &&
  (wanted.transport !== 'nvme' || found.capacityBytes === wanted.capacityBytes);

function blockDevices(sysRoot: string): string[] {
  try {
    return readdirSync(join(sysRoot, 'block')).toSorted();
  } catch {
    return [];
  }
}
