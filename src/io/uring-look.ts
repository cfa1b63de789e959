/**
 * Does a path still lead to what was opened? Asked through the ring, whose threads are many: a call of node:fs would hold
 * one of libuv's few for as long as the file system does not answer (FUSE, NFS), and once a few drives hang, every look at
 * every other drive would be late, which means "gone".
 *
 * The page that takes path and answer is held until the kernel has answered, however late.
 *
 *   struct statx (linux/stat.h), of 256 bytes, little-endian on the machines that node runs on
 *   28  u16  mode: the type in the upper four bits, 6 = block device        32  u64  inode
 *   128 u32  major, 132 u32 minor: of the device that it is                 136 u32  major, 140 u32 minor: that it is on
 */

import { EINVAL, ENODEV, ENOSYS, type Errno, OK } from '../base/errno.ts';
import type { Address } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import { identityFrom, isStillThere, type OpenFile } from './open-file.ts';
import type { Ring } from './uring.ts';

/** PATH_MAX of Linux: a path and the zero behind it. */
const PATH_BYTES_MAX = 4096;
const STATUS_BYTES = 256;
const TYPE_BITS = 0xf000;
const BLOCK_DEVICE = 0x6000;

export async function lookThroughRing(
  ring: Ring,
  buffers: Buffers,
  file: OpenFile,
): Promise<Errno> {
  const path = Buffer.from(`${file.path}\0`);
  if (path.length > PATH_BYTES_MAX) return isStillThere(file);
  const address = buffers.take(PATH_BYTES_MAX + STATUS_BYTES, 'engine');
  // No room to ask: that says nothing of the drive.
  if (address === 0) return OK;
  const status = (address + PATH_BYTES_MAX) as Address;
  buffers.slice(address, path.length).set(path);
  const result = await new Promise<number>((complete) => {
    ring.prepStatx(address, status, { complete });
  });
  const found = result === 0 ? identityAt(buffers.view, status) : '';
  buffers.give(address);
  // A kernel before 5.6 cannot be asked this way.
  if (result === -EINVAL || result === -ENOSYS) return isStillThere(file);
  if (result < 0) return -result;
  return found === file.identity ? OK : ENODEV;
}

function identityAt(view: DataView, at: number): string {
  return identityFrom({
    isDevice: (view.getUint16(at + 28, true) & TYPE_BITS) === BLOCK_DEVICE,
    ino: Number(view.getBigUint64(at + 32, true)),
    rdev: deviceNumber(view.getUint32(at + 128, true), view.getUint32(at + 132, true)),
    dev: deviceNumber(view.getUint32(at + 136, true), view.getUint32(at + 140, true)),
  });
}

/** As makedev of glibc, and so as `dev` and `rdev` of node: MMMMM mmmmmm MMM mm in hexadecimal digits. */
function deviceNumber(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 2 ** 8;
  return low + Math.floor(minor / 2 ** 8) * 2 ** 20 + Math.floor(major / 2 ** 12) * 2 ** 44;
}
