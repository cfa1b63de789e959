/**
 * Where things lie on a member, for members we make and for members that mdadm made.
 *
 *    0        4 KiB        8 KiB                                       A −128 KiB  B −64 KiB     dataOffset
 *    ├─────────┼────────────┼──────────┬───────────────┬── gap ─────────┼───────────┼─────────────┼──── data ──▶
 *    │ boot    │ superblock │ bitmap   │ (bad-block log)│   ≥ 256 KiB    │ label A   │ label B     │
 *
 * All numbers are bytes from the start of the drive. We write no bad-block log, so that a kernel that runs a volume of
 * ours drops a drive it cannot write to instead of noting blocks that we would have to honour; md members usually have
 * one and it stays where it is. Like mdadm we leave more room in front of the data of larger drives (about a
 * thousandth, up to 128 MiB), which is what mdadm needs to grow such a volume later.
 */

import { assert } from '../../base/assert.ts';
import { BLOCK_BYTES, GIB, isPowerOfTwo, KIB, MIB, roundDown, roundUp } from '../../base/units.ts';
import { BITMAP_HEADER_BYTES, type BitmapHeader } from './bitmap.ts';
import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET_BYTES, type Superblock } from './superblock.ts';

export interface MemberLayout {
  readonly superOffset: number;
  readonly bitmapOffset: number;
  /** Room for header and bits, a multiple of 4096. */
  readonly bitmapBytes: number;
  /** Member bytes covered by one bit. */
  readonly bitmapChunkBytes: number;
  /** False: there is room for a bitmap at that place, but none yet (adopted array without one). */
  readonly bitmapPresent: boolean;
  /** Offset and length 0: no bad-block log. */
  readonly badBlockOffset: number;
  readonly badBlockBytes: number;
  /** Copies A and B of the label. */
  readonly labelOffsets: readonly [number, number];
  readonly dataOffset: number;
  /** Used for data, the same on all members; a multiple of the chunk. */
  readonly dataBytes: number;
  /** Room for data on this drive, at least `dataBytes`; md records it. */
  readonly dataSpaceBytes: number;
}

interface TooSmall {
  readonly kind: 'too-small';
  /** What a drive must have at least. */
  readonly leastBytes: number;
}

export type PlannedLayout = { readonly kind: 'layout'; readonly value: MemberLayout } | TooSmall;

export type AdoptedLayout =
  | { readonly kind: 'layout'; readonly value: MemberLayout }
  | { readonly kind: 'no-room'; readonly reason: string };

/** Between the end of md's metadata and the data: room for the labels, and for what comes later. */
export const GAP_BYTES = 256 * KIB;
const LABEL_A_BEFORE_DATA_BYTES = 128 * KIB;
const LABEL_B_BEFORE_DATA_BYTES = 64 * KIB;

const BITMAP_OFFSET = SUPERBLOCK_OFFSET_BYTES + SUPERBLOCK_BYTES;
const BITMAP_CHUNK_MIN = 64 * KIB;
const BITMAP_CHUNK_MAX = 64 * MIB;

const DATA_OFFSET_MIN = MIB;
const DATA_OFFSET_MAX = 128 * MIB;

/** md rounds the size of RAID 1 members to this, and so do we for members of any level. */
const SIZE_UNIT_BYTES = 64 * KIB;

/** Room for the bitmap by drive size, as mdadm reserves it. */
function bitmapSpaceBytes(driveBytes: number): number {
  if (driveBytes >= 200 * GIB) return 128 * KIB;
  return driveBytes > 8 * GIB ? 64 * KIB : 4 * KIB;
}

/** The smallest chunk, from a 512th of the member on, whose bits fit in the room. */
export function chooseBitmapChunkBytes(memberBytes: number, bitmapBytes: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(memberBytes / 512, 1)));
  let chunkBytes = Math.min(Math.max(wanted, BITMAP_CHUNK_MIN), BITMAP_CHUNK_MAX);
  while (bitmapRegionBytes(memberBytes, chunkBytes) > bitmapBytes) chunkBytes *= 2;
  return chunkBytes;
}

/** Header and bits together, without rounding. */
export const bitmapRegionBytes = (memberBytes: number, chunkBytes: number): number =>
  BITMAP_HEADER_BYTES + Math.ceil(Math.ceil(memberBytes / chunkBytes) / 8);

const labelOffsets = (dataOffset: number): readonly [number, number] => [
  dataOffset - LABEL_A_BEFORE_DATA_BYTES,
  dataOffset - LABEL_B_BEFORE_DATA_BYTES,
];

/** A power of two near a thousandth of the drive: 1 MiB below 2 GiB, 128 MiB from 128 GiB on. */
function dataOffsetFor(driveBytes: number): number {
  const thousandth = 2 ** Math.floor(Math.log2(Math.max(driveBytes / KIB, 1)));
  return Math.min(Math.max(thousandth, DATA_OFFSET_MIN), DATA_OFFSET_MAX);
}

/** Where the labels of a member made by us would lie: to look for them when the superblock cannot be read. */
export const likelyLabelOffsets = (driveBytes: number): readonly [number, number] =>
  labelOffsets(dataOffsetFor(driveBytes));

/** What all members of one volume share: md keeps one bitmap geometry for the whole array. */
export interface VolumeGeometry {
  readonly memberDataBytes: number;
  readonly bitmapOffset: number;
  readonly bitmapBytes: number;
  readonly bitmapChunkBytes: number;
}

/** The geometry of a new volume on drives of these sizes: the smallest counts. */
export function planVolume(request: {
  readonly drivesBytes: readonly number[];
  /** The volume's chunk; for RAID 1 Locum's own, 64 KiB. */
  readonly chunkBytes: number;
}): { readonly kind: 'geometry'; readonly value: VolumeGeometry } | TooSmall {
  const { drivesBytes, chunkBytes } = request;
  assert(isPowerOfTwo(chunkBytes) && chunkBytes >= BLOCK_BYTES, 'a chunk is a power of two');
  const unit = Math.max(chunkBytes, SIZE_UNIT_BYTES);
  const rooms = drivesBytes.map((bytes) => roundDown(bytes - dataOffsetFor(bytes), unit));
  const memberDataBytes = Math.min(...rooms);
  // Something to serve: one chunk on each member is already a volume, if a small one.
  if (memberDataBytes <= 0) return { kind: 'too-small', leastBytes: DATA_OFFSET_MIN + unit };
  const bitmapBytes = bitmapSpaceBytes(Math.min(...drivesBytes));
  const bitmapChunkBytes = chooseBitmapChunkBytes(memberDataBytes, bitmapBytes);
  const value = { memberDataBytes, bitmapOffset: BITMAP_OFFSET, bitmapBytes, bitmapChunkBytes };
  return { kind: 'geometry', value };
}

/**
 * The layout of a new member of a volume: at creation, as a spare, as a replacement. A drive that would be too small
 * gives up the spare room in front of the data before it is refused.
 */
export function planMember(driveBytes: number, geometry: VolumeGeometry): PlannedLayout {
  const { memberDataBytes, bitmapOffset, bitmapBytes } = geometry;
  const metadataEnd = bitmapOffset + bitmapBytes;
  const dataOffsetLeast = Math.max(roundUp(metadataEnd + GAP_BYTES, MIB), DATA_OFFSET_MIN);
  let dataOffset = Math.max(dataOffsetFor(driveBytes), dataOffsetLeast);
  while (dataOffset > dataOffsetLeast && dataOffset + memberDataBytes > driveBytes) {
    dataOffset = Math.max(dataOffset / 2, dataOffsetLeast);
  }
  const leastBytes = dataOffset + memberDataBytes;
  if (leastBytes > driveBytes) return { kind: 'too-small', leastBytes };
  return {
    kind: 'layout',
    value: {
      superOffset: SUPERBLOCK_OFFSET_BYTES,
      bitmapOffset,
      bitmapBytes,
      bitmapChunkBytes: geometry.bitmapChunkBytes,
      bitmapPresent: true,
      badBlockOffset: 0,
      badBlockBytes: 0,
      labelOffsets: labelOffsets(dataOffset),
      dataOffset,
      dataBytes: memberDataBytes,
      dataSpaceBytes: roundDown(driveBytes - dataOffset, BLOCK_BYTES),
    },
  };
}

/**
 * The layout of a member as its superblock (and the header of its bitmap, if it has one) describes it, and whether
 * there is room for our labels. Used for every member at assembly, ours included.
 */
export function layoutOfSuperblock(
  superblock: Superblock,
  bitmap: BitmapHeader | null,
): AdoptedLayout {
  const { dataOffset, badBlockLog, memberDataBytes } = superblock;
  const noRoom = (reason: string): AdoptedLayout => ({ kind: 'no-room', reason });
  const bitmapPresent = superblock.bitmapOffset !== 0;
  if (bitmapPresent && bitmap === null) return noRoom('its bitmap cannot be read');
  const hasLog = badBlockLog.lengthBytes !== 0;
  const logEnd = hasLog ? badBlockLog.offset + badBlockLog.lengthBytes : 0;

  const bitmapOffset = bitmapPresent ? superblock.bitmapOffset : BITMAP_OFFSET;
  const chunkBytes = bitmapPresent
    ? bitmap!.chunkBytes
    : chooseBitmapChunkBytes(memberDataBytes, bitmapSpaceBytes(memberDataBytes));
  const needed = roundUp(bitmapRegionBytes(memberDataBytes, chunkBytes), BLOCK_BYTES);
  const bitmapBytes = Math.max(needed, roundDown(bitmap?.reservedBytes ?? 0, BLOCK_BYTES));
  const overlapsLog = hasLog && bitmapOffset < logEnd && badBlockLog.offset < bitmapOffset + needed;
  if (overlapsLog) return noRoom('there is no room for a bitmap in front of the bad-block log');

  const metadataEnd = Math.max(BITMAP_OFFSET, bitmapOffset + bitmapBytes, logEnd);
  if (metadataEnd + GAP_BYTES > dataOffset) {
    const freeKib = Math.max(Math.floor((dataOffset - metadataEnd) / KIB), 0);
    return noRoom(`${freeKib} KiB are free in front of the data, ${GAP_BYTES / KIB} are needed`);
  }
  return {
    kind: 'layout',
    value: {
      superOffset: SUPERBLOCK_OFFSET_BYTES,
      bitmapOffset,
      bitmapBytes,
      bitmapChunkBytes: chunkBytes,
      bitmapPresent,
      badBlockOffset: hasLog ? badBlockLog.offset : 0,
      badBlockBytes: badBlockLog.lengthBytes,
      labelOffsets: labelOffsets(dataOffset),
      dataOffset,
      dataBytes: memberDataBytes,
      dataSpaceBytes: superblock.dataSpaceBytes,
    },
  };
}
