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
import { errnoOf, identityOf, type OpenFile, openDescriptor, statDescriptor } from './open-file.ts';
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
  if (stat.isFile()) return openImage(path, stat, backend);
  return refused('drive-not-a-drive', { path, found: whatItIs(stat) });
}

async function openImage(
  path: string,
  found: fs.Stats,
  backend: DriveBackend,
): Promise<IoOutcome<Drive>> {
  if (isSwapFile(found)) return refused('drive-mounted', { path, mountPoint: 'swap' });
  const loop = await loopDeviceOf(path);
  if (loop !== null) return refused('drive-busy', { path, by: loop });
  let fd: number;
  try {
    fd = await openDescriptor(path, fs.constants.O_RDWR);
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
  let stat: fs.Stats;
  try {
    stat = await statDescriptor(fd);
  } catch (error) {
    release();
    fs.closeSync(fd);
    return refusalOf(path, error);
  }
  const sizeBytes = roundDown(stat.size, SECTOR_BYTES);
  const type = await fileSystemOf(path);
  const file = {
    path,
    fd,
    sizeBytes,
    blockBytes: SECTOR_BYTES,
    identity: identityOf(stat),
    release,
    blocksCaller: !MEMORY_FILE_SYSTEMS.includes(type) && !PROMPT_FILE_SYSTEMS.includes(type),
  };
  const drive = driveOn(file, backend);
  const system = native();
  const isInMemory = MEMORY_FILE_SYSTEMS.includes(type);
  if (backend.ring === null || system === null || !isInMemory) return opened(drive);
  return opened(new MemoryFileDrive(system, backend.buffers, fd, drive));
}

/** tmpfs and ramfs, by their magic numbers. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x0102_1994, 0x8584_58f6];
/** Those that say so when an operation would have to wait: ext, XFS, btrfs, F2FS, and overlays, which are on such. */
const PROMPT_FILE_SYSTEMS: readonly number[] = [
  0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x794c_7630,
];

/** 0 where it cannot be found out. */
async function fileSystemOf(path: string): Promise<number> {
  return fs.promises.statfs(path).then(
    ({ type }) => type,
    () => 0,
  );
}

async function openDevice(
  path: string,
  device: number,
  backend: DriveBackend,
): Promise<IoOutcome<Drive>> {
  const mountPoint = mountedAt(device);
  if (mountPoint !== null) return refused('drive-mounted', { path, mountPoint });
  const blockBytes = readSysfs(device, 'queue/logical_block_size') ?? SECTOR_BYTES;
  const { O_RDWR, O_EXCL, O_DIRECT } = fs.constants;
  const direct = blockBytes === SECTOR_BYTES;
  let fd: number;
  try {
    fd = await openDescriptor(path, O_RDWR | O_EXCL | (direct ? O_DIRECT : 0));
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
    identity: identityOf(await statDescriptor(fd)),
    release: (): void => {},
    blocksCaller: false,
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
