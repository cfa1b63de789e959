/**
 * The md 1.2 superblock: the 4 KiB at byte 4096 of every member, shared with mdadm and the kernel.
 *
 * One table describes the first 256 bytes; the roles table follows. In memory sizes and offsets are bytes, on the drive
 * they are 512-byte sectors. `encodeSuperblock(decodeSuperblock(x))` gives back the bytes of x (tested on arrays
 * made by mdadm), except for fields md calls padding.
 *
 * A superblock is valid if and only if
 *   1. magic and major version match and the checksum is right,
 *   2. the counts are possible: roles table within the block, device number within the roles table, sizes below 2^53,
 *   3. it says that it lies where it was found (super offset 8 sectors).
 * What is valid but cannot be served (levels, running reshape, journal, …) is `unsupported`, with the reason.
 */

import { assert } from '../../base/assert.ts';
import { type Decoded, field, Layout } from '../../base/layout.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import { NIL_UUID, type Uuid } from '../../base/uuid.ts';
import { levelOfMd } from '../levels/index.ts';

export const SUPERBLOCK_OFFSET_BYTES = 4096;
export const SUPERBLOCK_BYTES = 4096;
export const SUPERBLOCK_MAGIC = 0xa92b4efc;

export const FEATURE_BITMAP = 0x1;
export const FEATURE_RECOVERY_OFFSET = 0x2;
export const FEATURE_RESHAPE = 0x4;
export const FEATURE_BAD_BLOCKS = 0x8;
export const FEATURE_REPLACEMENT = 0x10;
export const FEATURE_NEW_OFFSET = 0x40;
export const FEATURE_RECOVERY_BITMAP = 0x80;
export const FEATURE_CLUSTERED = 0x100;
export const FEATURE_MD_LOG_DEVICE = 0x200;
export const FEATURE_PPL = 0x400;
export const FEATURE_MULTIPLE_PPLS = 0x800;
/** Not md's: set while a window is open, so that every kernel refuses the old image of the volume. */
export const FEATURE_LOCUM_WINDOW = 0x8000_0000;

/** Entries of the roles table that are not slots. */
export const ROLE_SPARE = 0xffff;
export const ROLE_FAULTY = 0xfffe;
export const ROLE_MD_LOG_DEVICE = 0xfffd;
/** What mdadm writes as the length of the roles table. */
export const ROLES_COUNT = 128;

const HEADER_BYTES = 256;
const ROLES_COUNT_MAX = (SUPERBLOCK_BYTES - HEADER_BYTES) / 2;

export const superblockLayout = new Layout('md superblock', HEADER_BYTES, {
  magic: field(0x00, 'u32', '`a92b4efc`'),
  majorVersion: field(0x04, 'u32', '1'),
  features: field(
    0x08,
    'u32',
    'feature bits; the kernel refuses a member with one it does not know',
  ),
  pad0: field(0x0c, 'pad', 'zero', 4),
  setUuid: field(0x10, 'uuid', 'the volume'),
  setName: field(0x20, 'ascii', '`host:name`', 32),
  createdSeconds: field(0x40, 'u40', 'creation time, seconds since 1970'),
  createdMicros: field(0x45, 'u24', 'and microseconds'),
  level: field(0x48, 'i32', '1, 4 or 5'),
  parityLayout: field(0x4c, 'i32', 'level 5: 2, left-symmetric; otherwise 0'),
  sizeSectors: field(0x50, 'u64', 'used of every member'),
  chunkSectors: field(0x58, 'u32', 'chunk; 0 for level 1'),
  memberCount: field(0x5c, 'u32', 'slots of the volume'),
  bitmapSectors: field(0x60, 'i32', 'bitmap, from the start of the superblock; 0 for none'),
  newLevel: field(0x64, 'i32', 'zero unless reshaping'),
  reshapeSectors: field(0x68, 'u64', 'zero unless reshaping'),
  deltaDisks: field(0x70, 'i32', 'zero unless reshaping'),
  newLayout: field(0x74, 'u32', 'zero unless reshaping'),
  newChunk: field(0x78, 'u32', 'zero unless reshaping'),
  newOffset: field(0x7c, 'i32', 'zero unless reshaping'),
  dataOffsetSectors: field(0x80, 'u64', 'start of the data on this member'),
  dataSectors: field(0x88, 'u64', 'room for data on this member'),
  superSectors: field(0x90, 'u64', '8: where this block lies'),
  recoverySectors: field(0x98, 'u64', 'rebuilt below this offset; valid with feature bit 2'),
  deviceNumber: field(0xa0, 'u32', 'index into the roles table, for the life of the member'),
  correctedErrors: field(0xa4, 'u32', 'read errors repaired by rewriting'),
  memberUuid: field(0xa8, 'uuid', 'the member'),
  deviceFlags: field(0xb8, 'u8', '1 write-mostly, 2 failfast'),
  badBlockShift: field(0xb9, 'u8', 'bad-block log: unit'),
  badBlockLogSectors: field(0xba, 'u16', 'bad-block log: size; 0 for none'),
  badBlockOffsetSectors: field(0xbc, 'i32', 'bad-block log: from the start of the superblock'),
  updatedSeconds: field(0xc0, 'u40', 'last update, seconds since 1970'),
  updatedMicros: field(0xc5, 'u24', 'and microseconds'),
  events: field(0xc8, 'u64', 'rises with every change of state, never goes backwards'),
  resyncSectors: field(
    0xd0,
    'u64',
    'all ones: clean; otherwise redundancy is good below this offset',
  ),
  checksum: field(0xd8, 'u32', 'sum of all 32-bit words, folded'),
  rolesCount: field(0xdc, 'u32', 'length of the roles table'),
  writer: field(0xe0, 'pad', 'Locum: `LOCUM` if it wrote this last; md leaves zeroes', 8),
  pad1: field(0xe8, 'pad', 'zero', 24),
});

/** `LOCUM` and zeroes. */
const WRITER = Uint8Array.of(0x4c, 0x4f, 0x43, 0x55, 0x4d, 0, 0, 0);

export interface Superblock {
  setUuid: Uuid;
  /** `host:name` or just a name; at most 32 bytes. */
  setName: string;
  /** Microseconds since 1970, as are all md times. */
  createdUs: number;
  updatedUs: number;
  /** md's level: 1, 4 or 5. Locum's RAID 3 is md level 4. */
  level: number;
  parityLayout: number;
  /** 0 for level 1. */
  chunkBytes: number;
  memberCount: number;
  /** Used of every member; a multiple of the chunk. */
  memberDataBytes: number;
  features: number;
  /** From the start of the drive; 0 when there is no bitmap. */
  bitmapOffset: number;
  /** From the start of the drive. */
  dataOffset: number;
  /** Room for data on this member, at least `memberDataBytes`. */
  dataSpaceBytes: number;
  /** Member bytes that are rebuilt; null without FEATURE_RECOVERY_OFFSET. */
  recoveryBytes: number | null;
  deviceNumber: number;
  memberUuid: Uuid;
  deviceFlags: number;
  correctedErrors: number;
  /** From the start of the drive; lengthBytes 0 when there is none. */
  badBlockLog: { shift: number; lengthBytes: number; offset: number };
  events: number;
  /** null: clean. Otherwise parity is to be trusted below this member offset only: 0 while writes are going on. */
  resyncBytes: number | null;
  /** By device number: a slot or one of ROLE_*. */
  roles: number[];
  /** Nobody else has written this superblock since: md clears the mark with each of its updates. */
  byLocum: boolean;
}

export type SuperblockResult =
  | { readonly kind: 'superblock'; readonly value: Superblock }
  | { readonly kind: 'none' }
  | { readonly kind: 'corrupt'; readonly reason: string }
  /** `setUuid` and `memberUuid` can be believed: the block itself is intact. */
  | {
      readonly kind: 'unsupported';
      readonly reason: string;
      readonly setUuid: Uuid;
      readonly memberUuid: Uuid;
    };

/** Roles of a volume in which the member in slot i has device number i, as at creation. */
export function initialRoles(memberCount: number): number[] {
  return Array.from({ length: ROLES_COUNT }, (_, index) =>
    index < memberCount ? index : ROLE_SPARE,
  );
}

/** The slot this superblock gives its own member: null for a spare, a faulty or a journal device. */
export function ownSlot(superblock: Superblock): number | null {
  const role = superblock.roles[superblock.deviceNumber];
  assert(role !== undefined, 'device number outside the roles table');
  return role < superblock.memberCount ? role : null;
}

/**
 * Sum of the little-endian 32-bit words with the checksum field left out, folded to 32 bits once, as md does it.
 * `bytes` is the whole block, `rolesCount` decides how much of it counts.
 */
export function superblockChecksum(bytes: Uint8Array, rolesCount: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = HEADER_BYTES + 2 * rolesCount;
  let sum = 0;
  let offset = 0;
  for (; offset + 4 <= end; offset += 4) {
    if (offset !== superblockLayout.fields.checksum.offset) sum += view.getUint32(offset, true);
  }
  if (offset + 2 === end) sum += view.getUint16(offset, true);
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32;
}

const sectors = (bytes: number): number => {
  assert(bytes % SECTOR_BYTES === 0, 'md counts in sectors');
  return bytes / SECTOR_BYTES;
};

/** `bytes` from the start of the drive, as md's sectors from the start of the superblock; 0 stays 0. */
const fromSuper = (bytes: number): number =>
  bytes === 0 ? 0 : sectors(bytes - SUPERBLOCK_OFFSET_BYTES);
const toDrive = (fromSuperSectors: number): number =>
  fromSuperSectors === 0 ? 0 : fromSuperSectors * SECTOR_BYTES + SUPERBLOCK_OFFSET_BYTES;

/** The whole 4 KiB block, checksum included. */
export function encodeSuperblock(superblock: Superblock): Uint8Array {
  const { roles, features } = superblock;
  assert(roles.length <= ROLES_COUNT_MAX, 'roles table too long');
  assert(superblock.deviceNumber < roles.length, 'device number outside the roles table');
  assert(
    ((features & FEATURE_RECOVERY_OFFSET) !== 0) === (superblock.recoveryBytes !== null),
    'recovery offset and its feature bit go together',
  );
  assert(
    ((features & FEATURE_BITMAP) !== 0) === (superblock.bitmapOffset !== 0),
    'bitmap offset and its feature bit go together',
  );
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const values: Decoded<typeof superblockLayout.fields> = {
    magic: SUPERBLOCK_MAGIC,
    majorVersion: 1,
    features,
    setUuid: superblock.setUuid,
    setName: superblock.setName,
    createdSeconds: Math.floor(superblock.createdUs / 1e6),
    createdMicros: superblock.createdUs % 1e6,
    level: superblock.level,
    parityLayout: superblock.parityLayout,
    sizeSectors: sectors(superblock.memberDataBytes),
    chunkSectors: sectors(superblock.chunkBytes),
    memberCount: superblock.memberCount,
    bitmapSectors: fromSuper(superblock.bitmapOffset),
    newLevel: 0,
    reshapeSectors: 0,
    deltaDisks: 0,
    newLayout: 0,
    newChunk: 0,
    newOffset: 0,
    dataOffsetSectors: sectors(superblock.dataOffset),
    dataSectors: sectors(superblock.dataSpaceBytes),
    superSectors: sectors(SUPERBLOCK_OFFSET_BYTES),
    recoverySectors: sectors(superblock.recoveryBytes ?? 0),
    deviceNumber: superblock.deviceNumber,
    correctedErrors: superblock.correctedErrors,
    memberUuid: superblock.memberUuid,
    deviceFlags: superblock.deviceFlags,
    badBlockShift: superblock.badBlockLog.shift,
    badBlockLogSectors: sectors(superblock.badBlockLog.lengthBytes),
    badBlockOffsetSectors: fromSuper(superblock.badBlockLog.offset),
    updatedSeconds: Math.floor(superblock.updatedUs / 1e6),
    updatedMicros: superblock.updatedUs % 1e6,
    events: superblock.events,
    resyncSectors:
      superblock.resyncBytes === null ? Number.POSITIVE_INFINITY : sectors(superblock.resyncBytes),
    checksum: 0,
    rolesCount: roles.length,
  };
  superblockLayout.encode(values, bytes);
  if (superblock.byLocum) bytes.set(WRITER, superblockLayout.fields.writer.offset);
  const view = new DataView(bytes.buffer);
  for (const [index, role] of roles.entries()) view.setUint16(HEADER_BYTES + 2 * index, role, true);
  view.setUint32(
    superblockLayout.fields.checksum.offset,
    superblockChecksum(bytes, roles.length),
    true,
  );
  return bytes;
}

const corrupt = (reason: string): SuperblockResult => ({ kind: 'corrupt', reason });

/** `bytes` is the 4 KiB block at SUPERBLOCK_OFFSET_BYTES, borrowed for the call. */
export function decodeSuperblock(bytes: Uint8Array): SuperblockResult {
  assert(bytes.length >= SUPERBLOCK_BYTES, 'a superblock has 4096 bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { magic, majorVersion, rolesCount, checksum } = superblockLayout.fields;
  if (view.getUint32(magic.offset, true) !== SUPERBLOCK_MAGIC) return { kind: 'none' };
  if (view.getUint32(majorVersion.offset, true) !== 1) return corrupt('major version is not 1');
  const count = view.getUint32(rolesCount.offset, true);
  if (count > ROLES_COUNT_MAX) return corrupt('the roles table is longer than the block');
  if (superblockChecksum(bytes, count) !== view.getUint32(checksum.offset, true)) {
    return corrupt('the checksum does not match');
  }
  const finding = superblockLayout.check(bytes);
  if (finding !== null) return corrupt(finding);
  const raw = superblockLayout.decode(bytes);
  if (raw.superSectors !== sectors(SUPERBLOCK_OFFSET_BYTES)) {
    return corrupt('it belongs at another place of the drive');
  }
  const impossible = impossibleIn(raw);
  if (impossible !== null) return corrupt(impossible);
  const reason = unsupportedIn(raw);
  if (reason !== null) {
    return { kind: 'unsupported', reason, setUuid: raw.setUuid, memberUuid: raw.memberUuid };
  }
  const roles = Array.from({ length: count }, (_, index) =>
    view.getUint16(HEADER_BYTES + 2 * index, true),
  );
  const at = superblockLayout.fields.writer.offset;
  const byLocum = WRITER.every((byte, index) => bytes[at + index] === byte);
  return { kind: 'superblock', value: fromRaw(raw, roles, byLocum) };
}

type Raw = Decoded<typeof superblockLayout.fields>;

/** Drives are smaller than this; it keeps every sum of offsets in bytes below 2^53. */
const SECTORS_MAX = 2 ** 42;

function impossibleIn(raw: Raw): string | null {
  if (raw.deviceNumber >= raw.rolesCount) return 'the device number is outside the roles table';
  if (raw.sizeSectors > SECTORS_MAX) return 'the member size is impossibly large';
  if (raw.dataSectors > SECTORS_MAX) return 'the data size is impossibly large';
  if (raw.dataOffsetSectors > SECTORS_MAX) return 'the data offset is impossibly large';
  if (raw.sizeSectors > raw.dataSectors) return 'the member size exceeds the data size';
  if (raw.memberCount === 0 || raw.memberCount > ROLES_COUNT_MAX) {
    return 'the number of members is impossible';
  }
  if (raw.events > Number.MAX_SAFE_INTEGER) return 'the event counter is impossibly large';
  if (raw.resyncSectors !== Number.POSITIVE_INFINITY && raw.resyncSectors > SECTORS_MAX) {
    return 'the resync offset is impossibly large';
  }
  const recovering = (raw.features & FEATURE_RECOVERY_OFFSET) !== 0;
  if (recovering && raw.recoverySectors > SECTORS_MAX)
    return 'the recovery offset is impossibly large';
  if (raw.setUuid === NIL_UUID || raw.memberUuid === NIL_UUID) return 'a uuid is all zero';
  return null;
}

const knownFeatures = 0x1fff;

const refusedFeatures: readonly (readonly [number, string])[] = [
  [FEATURE_RESHAPE, 'a reshape is not finished; let mdadm finish it first'],
  [FEATURE_NEW_OFFSET, 'a change of the data offset is not finished; let mdadm finish it first'],
  [FEATURE_BAD_BLOCKS, 'its bad-block log has entries; repair them with mdadm first'],
  [FEATURE_REPLACEMENT, 'it is a hot replacement in progress; let mdadm finish it first'],
  [FEATURE_RECOVERY_BITMAP, 'a recovery by bitmap is not finished; let the kernel finish it first'],
  [FEATURE_CLUSTERED, 'its bitmap is shared by a cluster'],
  [FEATURE_MD_LOG_DEVICE, 'it has a journal device; remove the journal with mdadm first'],
  [
    FEATURE_PPL | FEATURE_MULTIPLE_PPLS,
    'it uses a partial parity log; change to `mdadm --grow --consistency-policy=bitmap` first',
  ],
];

function unsupportedIn(raw: Raw): string | null {
  const { level: mdLevel, parityLayout, chunkSectors } = raw;
  const level = levelOfMd(mdLevel, parityLayout, chunkSectors * SECTOR_BYTES);
  if (level === null) {
    return `md level ${mdLevel}, layout ${parityLayout}, chunk ${chunkSectors / 2} KiB`;
  }
  if (raw.memberCount < level.minMembers || raw.memberCount > level.maxMembers) {
    return `${raw.memberCount} members`;
  }
  for (const [bits, reason] of refusedFeatures) if ((raw.features & bits) !== 0) return reason;
  const unknown = (raw.features & ~knownFeatures & ~FEATURE_LOCUM_WINDOW) >>> 0;
  if (unknown !== 0) return `unknown feature bits 0x${unknown.toString(16)}`;
  if (!level.mirrored && raw.sizeSectors % chunkSectors !== 0) {
    return 'a member size that is no multiple of the chunk';
  }
  if (raw.bitmapSectors < 0) return 'a bitmap in front of the superblock';
  return null;
}

function fromRaw(raw: Raw, roles: number[], byLocum: boolean): Superblock {
  return {
    setUuid: raw.setUuid,
    setName: raw.setName,
    createdUs: raw.createdSeconds * 1e6 + raw.createdMicros,
    updatedUs: raw.updatedSeconds * 1e6 + raw.updatedMicros,
    level: raw.level,
    parityLayout: raw.parityLayout,
    chunkBytes: raw.chunkSectors * SECTOR_BYTES,
    memberCount: raw.memberCount,
    memberDataBytes: raw.sizeSectors * SECTOR_BYTES,
    features: raw.features,
    bitmapOffset: (raw.features & FEATURE_BITMAP) !== 0 ? toDrive(raw.bitmapSectors) : 0,
    dataOffset: raw.dataOffsetSectors * SECTOR_BYTES,
    dataSpaceBytes: raw.dataSectors * SECTOR_BYTES,
    recoveryBytes:
      (raw.features & FEATURE_RECOVERY_OFFSET) !== 0 ? raw.recoverySectors * SECTOR_BYTES : null,
    deviceNumber: raw.deviceNumber,
    memberUuid: raw.memberUuid,
    deviceFlags: raw.deviceFlags,
    correctedErrors: raw.correctedErrors,
    badBlockLog: {
      shift: raw.badBlockShift,
      lengthBytes: raw.badBlockLogSectors * SECTOR_BYTES,
      offset: toDrive(raw.badBlockOffsetSectors),
    },
    events: raw.events,
    resyncBytes:
      raw.resyncSectors === Number.POSITIVE_INFINITY ? null : raw.resyncSectors * SECTOR_BYTES,
    roles,
    byLocum,
  };
}
