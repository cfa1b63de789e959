/**
 * Recognises what else is on a drive, so that nobody's file system is overwritten by mistake. A
 * table of signatures: where to look, what is there, how people call it. The first that fits is the
 * answer; file systems come before the partition tables that some of them resemble. Locum's own
 * superblock and label are md 1.2 and the caller's to judge.
 */

import { OK } from '../base/errno.ts';
import { BLOCK_BYTES, type DriveOffset, KIB, roundDown, SECTOR_BYTES } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Drive } from './drive.ts';

/** Everything at the front that a signature looks at: a ZFS label is 256 KiB. */
const HEAD_BYTES = 256 * KIB;
/** Everything at the back: md 0.90 lies in the last 128 KiB. */
const TAIL_BYTES = 128 * KIB;

const MD_MAGIC = 0xa92b4efc;
const ZFS_UBERBLOCK = 0x00bab10c;

/** Both ends of the drive. Offsets beyond what was read give no match. */
interface Ends {
  readonly head: DataView;
  readonly tail: DataView;
  /** Where on the drive the tail begins. */
  readonly tailOffset: number;
  readonly sizeBytes: number;
}

type Recognise = (ends: Ends) => string | null;

const recognisers: readonly Recognise[] = [
  ({ head }) => (u16(head, 1024 + 56) === 0xef53 ? extName(head) : null),
  signature(0, 'XFSB', 'an XFS file system'),
  signature(64 * KIB + 64, '_BHRfS_M', 'a btrfs file system'),
  signature(BLOCK_BYTES - 10, 'SWAPSPACE2', 'swap space'),
  signature(64 * KIB - 10, 'SWAPSPACE2', 'swap space'),
  signature(BLOCK_BYTES - 10, 'SWAP-SPACE', 'swap space'),
  signature(0, 'LUKS\xba\xbe', 'a LUKS encrypted volume'),
  ({ head }) =>
    lvmSectors.some((at) => has(head, at, 'LABELONE')) ? 'an LVM physical volume' : null,
  ({ head }) => (zfsUberblocks.some((at) => isZfs(head, at)) ? 'a ZFS pool member' : null),
  ({ head }) => mdName(head, 0, '1.1'),
  ({ head }) => mdName(head, BLOCK_BYTES, '1.2'),
  (ends) => mdName(ends.tail, md10Offset(ends.sizeBytes) - ends.tailOffset, '1.0'),
  (ends) =>
    u32(ends.tail, md090Offset(ends.sizeBytes) - ends.tailOffset) === MD_MAGIC
      ? 'a Linux md 0.90 member'
      : null,
  signature(3, 'NTFS    ', 'an NTFS file system'),
  signature(3, 'EXFAT   ', 'an exFAT file system'),
  signature(82, 'FAT32   ', 'a FAT file system'),
  signature(54, 'FAT', 'a FAT file system'),
  signature(32 * KIB + 1, 'CD001', 'an ISO 9660 file system'),
  signature(1024, '\x10\x20\xf5\xf2', 'an F2FS file system'),
  signature(0, 'hsqs', 'a squashfs file system'),
  signature(64 * KIB + 52, 'ReIsEr', 'a ReiserFS file system'),
  signature(32 * KIB, 'JFS1', 'a JFS file system'),
  signature(0, 'QFI\xfb', 'a qcow2 image'),
  signature(0, 'KDMV', 'a VMDK image'),
  signature(0, 'vhdxfile', 'a VHDX image'),
  signature(0, 'bluestore block device', 'a Ceph OSD'),
  signature(
    BLOCK_BYTES + 24,
    '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81',
    'a bcache device',
  ),
  signature(512, 'EFI PART', 'a GPT partition table'),
  signature(BLOCK_BYTES, 'EFI PART', 'a GPT partition table'),
  (ends) =>
    has(ends.tail, ends.sizeBytes - SECTOR_BYTES - ends.tailOffset, 'EFI PART')
      ? 'a GPT partition table'
      : null,
  ({ head }) => (isMbr(head) ? 'an MBR partition table' : null),
];

/** Nobody knows what it is, and it is as little to be overwritten. */
export const UNREADABLE_CONTENT = 'something that could not be read';

/** A short name with its article, or null when the drive is empty at its front. */
export async function foreignContent(drive: Drive, buffers: Buffers): Promise<string | null> {
  const sizeBytes = roundDown(drive.sizeBytes, SECTOR_BYTES);
  const headBytes = Math.min(HEAD_BYTES, sizeBytes);
  const tailBytes = Math.min(TAIL_BYTES, sizeBytes);
  const head = await readBytes(drive, buffers, 0, headBytes);
  const tail = await readBytes(drive, buffers, sizeBytes - tailBytes, tailBytes);
  const ends: Ends = { head, tail, tailOffset: sizeBytes - tailBytes, sizeBytes };
  for (const recognise of recognisers) {
    const found = recognise(ends);
    if (found !== null) return found;
  }
  if (head.byteLength < headBytes || tail.byteLength < tailBytes) return UNREADABLE_CONTENT;
  // Not in the table, but not empty either: somebody's raw data.
  return isZero(head) ? null : 'data of an unknown kind';
}

function isZero(view: DataView): boolean {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return bytes.every((byte) => byte === 0);
}

async function readBytes(
  drive: Drive,
  buffers: Buffers,
  offset: number,
  lengthBytes: number,
): Promise<DataView> {
  if (lengthBytes === 0) return new DataView(new ArrayBuffer(0));
  const address = await buffers.takeLater(lengthBytes, 'engine');
  const errno = await drive.read(offset as DriveOffset, address, lengthBytes);
  const copy = errno === OK ? buffers.slice(address, lengthBytes).slice() : new Uint8Array(0);
  buffers.give(address);
  return new DataView(copy.buffer);
}

/** `text` at `offset` of the drive, one byte a character. */
function signature(offset: number, text: string, name: string): Recognise {
  return ({ head }) => (has(head, offset, text) ? name : null);
}

function has(view: DataView, offset: number, text: string): boolean {
  if (offset < 0 || offset + text.length > view.byteLength) return false;
  for (let i = 0; i < text.length; i += 1)
    if (view.getUint8(offset + i) !== text.charCodeAt(i)) return false;
  return true;
}

const inside = (view: DataView, offset: number, lengthBytes: number): boolean =>
  offset >= 0 && offset + lengthBytes <= view.byteLength;
const u16 = (view: DataView, offset: number): number =>
  inside(view, offset, 2) ? view.getUint16(offset, true) : -1;
const u32 = (view: DataView, offset: number): number =>
  inside(view, offset, 4) ? view.getUint32(offset, true) : -1;

function extName(head: DataView): string {
  const compatible = u32(head, 1024 + 92);
  const incompatible = u32(head, 1024 + 96);
  const usesExtents = (incompatible & 0x40) !== 0;
  const hasJournal = (compatible & 0x4) !== 0;
  return `an ${usesExtents ? 'ext4' : hasJournal ? 'ext3' : 'ext2'} file system`;
}

const lvmSectors = [0, 1, 2, 3].map((sector) => sector * SECTOR_BYTES);
const zfsUberblocks = Array.from({ length: 128 }, (_, i) => 128 * KIB + i * KIB);
const isZfs = (head: DataView, at: number): boolean =>
  u32(head, at) === ZFS_UBERBLOCK ||
  (inside(head, at, 8) && head.getUint32(at + 4, false) === ZFS_UBERBLOCK);

const md10Offset = (sizeBytes: number): number =>
  roundDown(sizeBytes / SECTOR_BYTES - 16, 8) * SECTOR_BYTES;
const md090Offset = (sizeBytes: number): number => roundDown(sizeBytes, 64 * KIB) - 64 * KIB;

function mdName(view: DataView, at: number, version: string): string | null {
  if (u32(view, at) !== MD_MAGIC || u32(view, at + 4) !== 1) return null;
  let name = '';
  for (let i = 0; i < 32; i += 1) {
    const code = view.getUint8(at + 32 + i);
    if (code === 0) break;
    name += String.fromCharCode(code);
  }
  return `a Linux md ${version} member${name === '' ? '' : ` (array ${name})`}`;
}

/**
 * The boot signature and at least one entry that makes sense: FAT and NTFS end their first sector
 * the same way.
 */
function isMbr(head: DataView): boolean {
  if (u16(head, 510) !== 0xaa55) return false;
  let used = 0;
  for (let at = 446; at < 510; at += 16) {
    const status = head.getUint8(at);
    if (status !== 0 && status !== 0x80) return false;
    if (head.getUint8(at + 4) !== 0 && u32(head, at + 12) > 0) used += 1;
  }
  return used > 0;
}
