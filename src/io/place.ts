/**
 * What physical thing a path lives on, to keep log legs off the drives of the members they stand in
 * for.
 */

import fs from 'node:fs';
import path from 'node:path';
import { backingFileOf, sysfsOf, wholeDiskOf } from './drive-users.ts';
import { identityOf } from './open-file.ts';

export interface Place {
  /** Equal for two names of one thing. */
  readonly identity: string;
  /** The whole disk of a block device, such as `sda`; null for an image file. */
  readonly disk: string | null;
  /** The file system of an image file; null for a block device. */
  readonly file: string | null;
  /** The whole disk under that file system; null when it has none of its own (tmpfs, a network). */
  readonly fileDisk: string | null;
}

/** A path that leads nowhere is a thing of its own: opening it will say so. */
export async function placeOf(name: string): Promise<Place> {
  let stat: fs.Stats;
  try {
    stat = await fs.promises.stat(name);
  } catch {
    const device = await fileSystemOf(path.dirname(name));
    return { identity: `path:${path.resolve(name)}`, disk: null, ...onFileSystem(device) };
  }
  if (!stat.isBlockDevice()) {
    return { identity: identityOf(stat), disk: null, ...onFileSystem(stat.dev) };
  }
  const disk = wholeDiskOf(stat.rdev);
  const backing = backingFileOf(disk);
  // A loop device and the file behind it are one thing.
  if (backing !== null && backing !== name) return placeOf(backing);
  return { identity: identityOf(stat), disk, file: null, fileDisk: null };
}

/** Device numbers with major 0 belong to no disk. */
function onFileSystem(device: number | null): Pick<Place, 'file' | 'fileDisk'> {
  if (device === null) return { file: null, fileDisk: null };
  const hasDisk = fs.existsSync(sysfsOf(device));
  return { file: `fs:${device}`, fileDisk: hasDisk ? wholeDiskOf(device) : null };
}

async function fileSystemOf(directory: string): Promise<number | null> {
  try {
    return (await fs.promises.stat(directory)).dev;
  } catch {
    return null;
  }
}
