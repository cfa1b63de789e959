/**
 * Opens a block device or an image file for the exclusive use of this process, and says in one word
 * why not.
 *
 * Block devices are opened with O_EXCL: the kernel then refuses mounts, swap, md and every other
 * exclusive opener, and refuses us where one of these is there already. They are opened with
 * O_DIRECT where that works with 512-byte transfers. Image files go through the page cache, and are
 * locked.
 */

import fs from 'node:fs';
import { EACCES, EBUSY, ENOENT, EPERM, EROFS } from '../base/errno.ts';
import { roundDown, SECTOR_BYTES } from '../base/units.ts';
import { AlignedDrive } from './aligned-drive.ts';
import type { Buffers } from './buffers.ts';
import type { Drive } from './drive.ts';
import { holdersOf, isSwapFile, loopDeviceOf, mountedAt, sysfsOf } from './drive-users.ts';
import { lockFile } from './file-lock.ts';
import { type IoOutcome, opened, type Refusal, refused } from './io-outcome.ts';
import { MemoryFileDrive } from './memory-file-drive.ts';
import { native } from './native.ts';
import { NodeDrive } from './node-drive.ts';
import { errnoOf, identityOf, type OpenFile } from './open-file.ts';
import type { Ring } from './uring.ts';
import { UringDrive } from './uring-drive.ts';

const ENOTDIR = 20;
const ETXTBSY = 26;
const BLKGETSIZE64 = 0x8008_1272;

/** `ring` is null where the work is done by node:fs. */
export interface DriveBackend {
  readonly ring: Ring | null;
  readonly buffers: Buffers;
}

export async function openDrive(path: string, backend: DriveBackend): Promise<IoOutcome<Drive>> {
  let stat: fs.Stats;
  try {
    stat = await fs.promises.stat(path);
  } catch (error) {
    return refusalOf(path, error);
  }
  if (stat.isBlockDevice()) return openDevice(path, stat.rdev, backend);
  if (stat.isFile()) return openImage(path, backend);
  return refused('drive-not-a-drive', { path, found: whatItIs(stat) });
}

function openImage(path: string, backend: DriveBackend): IoOutcome<Drive> {
  if (isSwapFile(path)) return refused('drive-mounted', { path, mountPoint: 'swap' });
  const loop = loopDeviceOf(path);
  if (loop !== null) return refused('drive-busy', { path, by: loop });
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR);
  } catch (error) {
    return refusalOf(path, error);
  }
  const release = lockFile(path, fd);
  if (!release) {
    fs.closeSync(fd);
    return refused('drive-busy', {
      path,
      by: 'a process that holds a lock on it, such as another Locum server',
    });
  }
  const stat = fs.fstatSync(fd);
  const sizeBytes = roundDown(stat.size, SECTOR_BYTES);
  const file = {
    path,
    fd,
    sizeBytes,
    blockBytes: SECTOR_BYTES,
    identity: identityOf(stat),
    release,
  };
  const drive = driveOn(file, backend);
  const system = native();
  if (backend.ring === null || system === null || !isInMemory(path)) return opened(drive);
  return opened(new MemoryFileDrive(system, backend.buffers, fd, drive));
}

/** tmpfs and ramfs, by their magic numbers. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x0102_1994, 0x8584_58f6];

function isInMemory(path: string): boolean {
  try {
    return MEMORY_FILE_SYSTEMS.includes(fs.statfsSync(path).type);
  } catch {
    return false;
  }
}

function openDevice(path: string, device: number, backend: DriveBackend): IoOutcome<Drive> {
  const mountPoint = mountedAt(device);
  if (mountPoint !== null) return refused('drive-mounted', { path, mountPoint });
  const blockBytes = readSysfs(device, 'queue/logical_block_size') ?? SECTOR_BYTES;
  const { O_RDWR, O_EXCL, O_DIRECT } = fs.constants;
  const direct = blockBytes === SECTOR_BYTES;
  let fd: number;
  try {
    fd = fs.openSync(path, O_RDWR | O_EXCL | (direct ? O_DIRECT : 0));
  } catch (error) {
    if (errnoOf(error as NodeJS.ErrnoException) !== EBUSY) return refusalOf(path, error);
    return refused('drive-busy', {
      path,
      by: holdersOf(device) ?? 'a process that has opened it exclusively',
    });
  }
  const sizeBytes = deviceSize(fd, device);
  if (sizeBytes === null) {
    fs.closeSync(fd);
    return refused('drive-open-failed', { path, reason: 'its size cannot be found out' });
  }
  const file = {
    path,
    fd,
    sizeBytes,
    blockBytes,
    identity: identityOf(fs.fstatSync(fd)),
    release: (): void => {},
  };
  const drive = driveOn(file, backend);
  return opened(direct ? new AlignedDrive(drive, backend.buffers) : drive);
}

const driveOn = (file: OpenFile, backend: DriveBackend): Drive =>
  backend.ring
    ? new UringDrive(backend.ring, backend.buffers, file)
    : new NodeDrive(backend.buffers, file);

function deviceSize(fd: number, device: number): number | null {
  const answer = new DataView(new ArrayBuffer(8));
  const bytes = new Uint8Array(answer.buffer);
  if (native()?.ioctl(fd, BLKGETSIZE64, bytes) === 0) return Number(answer.getBigUint64(0, true));
  const sectors = readSysfs(device, 'size');
  return sectors === null ? null : sectors * SECTOR_BYTES;
}

/** A partition has the queue of its disk. */
function readSysfs(device: number, name: string): number | null {
  for (const place of [sysfsOf(device), `${sysfsOf(device)}/..`]) {
    try {
      return Number(fs.readFileSync(`${place}/${name}`, 'utf8'));
    } catch {
      // The next place, or none.
    }
  }
  return null;
}

function refusalOf(path: string, error: unknown): Refusal {
  const errno = errnoOf(error as NodeJS.ErrnoException);
  if (errno === ENOENT || errno === ENOTDIR) return refused('drive-path-missing', { path });
  if (errno === EACCES || errno === EPERM || errno === EROFS || errno === ETXTBSY) {
    return refused('drive-not-writable', { path });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return refused('drive-open-failed', { path, reason, errno });
}

function whatItIs(stat: fs.Stats): string {
  if (stat.isDirectory()) return 'a directory';
  if (stat.isFIFO()) return 'a named pipe';
  if (stat.isSocket()) return 'a socket';
  if (stat.isCharacterDevice()) return 'a character device';
  return 'something else';
}
