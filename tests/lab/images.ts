/**
 * Members on image files, made and read with nothing but the formats: no engine, so that what the kernel says about
 * them is said about the formats alone.
 */

import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { type Uuid, uuidFromBytes } from '../../src/base/uuid.ts';
import type { FoundDrive } from '../../src/core/assembly-identity.ts';
import { type BitmapHeader, decodeBitmapHeader } from '../../src/core/format/bitmap.ts';
import { IntentBits } from '../../src/core/format/intent-bits.ts';
import { LABEL_BYTES, type Label } from '../../src/core/format/label.ts';
import {
  decodeLabel,
  encodeLabel,
  labelCopyIndex,
  newestLabel,
} from '../../src/core/format/label-codec.ts';
import {
  layoutOfSuperblock,
  type MemberLayout,
  planMember,
  planVolume,
} from '../../src/core/format/member-layout.ts';
import {
  decodeSuperblock,
  encodeSuperblock,
  FEATURE_BITMAP,
  initialRoles,
  type Superblock,
} from '../../src/core/format/superblock.ts';
import type { LevelDescriptor } from '../../src/core/levels/descriptor.ts';

let uuids = 0;
/** Random is not needed here, only different. */
const nextUuid = (): Uuid => {
  const bytes = new Uint8Array(16).fill(0x4c);
  new DataView(bytes.buffer).setUint32(0, ++uuids);
  return uuidFromBytes(bytes);
};

export function readAt(path: string, offset: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  const file = openSync(path, 'r');
  readSync(file, bytes, 0, lengthBytes, offset);
  closeSync(file);
  return bytes;
}

export function writeAt(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

export interface MadeMember {
  readonly path: string;
  readonly layout: MemberLayout;
  readonly superblock: Superblock;
  readonly label: Label;
}

export interface Making {
  readonly level: LevelDescriptor;
  readonly chunkBytes: number;
  readonly paths: readonly string[];
  /** More feature bits. */
  readonly features?: number;
  /** Not clean, with these bits set. */
  readonly marked?: readonly number[];
}

/** Turns blank images into the members of a stopped volume; zeros are consistent at every level. */
export function makeVolume(making: Making): MadeMember[] {
  const { level, chunkBytes, paths, features = 0, marked } = making;
  const drivesBytes = paths.map((path) => statSync(path).size);
  const planned = planVolume({ drivesBytes, chunkBytes });
  if (planned.kind !== 'geometry') throw new Error('the images are too small');
  const geometry = planned.value;
  const setUuid = nextUuid();
  const members = paths.map(() => nextUuid());
  const header: BitmapHeader = {
    uuid: setUuid,
    events: 1,
    eventsCleared: 1,
    syncBytes: geometry.memberDataBytes,
    stale: false,
    chunkBytes: geometry.bitmapChunkBytes,
    daemonSleepSeconds: 5,
    reservedBytes: geometry.bitmapBytes,
  };
  const bits = new IntentBits(geometry.bitmapChunkBytes, geometry.memberDataBytes);
  for (const index of marked ?? []) bits.set(index);
  return paths.map((path, slot) => {
    const member = planMember(drivesBytes[slot]!, geometry);
    if (member.kind !== 'layout') throw new Error('the image is too small');
    const layout = member.value;
    const superblock: Superblock = {
      setUuid,
      setName: 'lab',
      createdUs: 1.7e15,
      updatedUs: 1.7e15,
      level: level.mdLevel,
      parityLayout: level.mdLayout,
      chunkBytes: level.mdChunkBytes(chunkBytes),
      memberCount: paths.length,
      memberDataBytes: geometry.memberDataBytes,
      features: FEATURE_BITMAP + features,
      bitmapOffset: layout.bitmapOffset,
      dataOffset: layout.dataOffset,
      dataSpaceBytes: layout.dataSpaceBytes,
      recoveryBytes: null,
      deviceNumber: slot,
      memberUuid: members[slot]!,
      deviceFlags: 0,
      correctedErrors: 0,
      badBlockLog: { shift: 0, lengthBytes: 0, offset: 0 },
      events: 1,
      resyncBytes: marked ? 0 : null,
      roles: initialRoles(paths.length),
      byLocum: true,
    };
    const label = labelOf(superblock, level, chunkBytes, members);
    writeAt(path, layout.superOffset, encodeSuperblock(superblock));
    const page = new Uint8Array(4096);
    for (let index = 0; index < bits.pageCount(4096); index++) {
      bits.encodePage(index, page, header);
      writeAt(path, layout.bitmapOffset + index * 4096, page);
    }
    writeAt(path, layout.labelOffsets[labelCopyIndex(label.sequence)]!, encodeLabel(label));
    return { path, layout, superblock, label };
  });
}

export function labelOf(
  superblock: Superblock,
  level: LevelDescriptor,
  chunkBytes: number,
  members: readonly Uuid[],
): Label {
  return {
    volumeUuid: superblock.setUuid,
    memberUuid: superblock.memberUuid,
    slot: members.indexOf(superblock.memberUuid),
    sequence: 1,
    generation: superblock.setUuid,
    history: [],
    events: superblock.events,
    name: 'lab',
    level: level.number,
    memberCount: superblock.memberCount,
    chunkBytes,
    memberDataBytes: superblock.memberDataBytes,
    clean: true,
    owner: null,
    members: members.map((uuid, slot) => ({
      uuid,
      slot,
      state: 'online',
      reason: 'none',
      eventsAtChange: 1,
      changedWallMs: 0,
    })),
    log: null,
    stripeLog: 'void',
    window: null,
    recovery: [],
    doubt: [],
    scrub: null,
  };
}

/** What an assembly would find on an image. */
export function findDrive(path: string): FoundDrive {
  const sizeBytes = statSync(path).size;
  const superblock = decodeSuperblock(readAt(path, 4096, 4096));
  const nothing = { path, sizeBytes, superblock, bitmap: null, label: { kind: 'none' } } as const;
  if (superblock.kind !== 'superblock') return nothing;
  const { bitmapOffset } = superblock.value;
  const bitmap = bitmapOffset === 0 ? null : decodeBitmapHeader(readAt(path, bitmapOffset, 4096));
  const header = bitmap?.kind === 'bitmap' ? bitmap.value : null;
  const layout = layoutOfSuperblock(superblock.value, header);
  if (layout.kind !== 'layout') return { ...nothing, bitmap };
  const [a, b] = layout.value.labelOffsets.map((offset) =>
    decodeLabel(readAt(path, offset, LABEL_BYTES)),
  );
  return { path, sizeBytes, superblock, bitmap, label: newestLabel(a!, b!) };
}

export function bitsOf(path: string): IntentBits {
  const drive = findDrive(path);
  if (drive.superblock.kind !== 'superblock' || drive.bitmap?.kind !== 'bitmap') {
    throw new Error(`${path} has no bitmap`);
  }
  const { chunkBytes, syncBytes } = drive.bitmap.value;
  const bits = new IntentBits(chunkBytes, syncBytes);
  const regionBytes = Math.ceil(bits.regionBytes / 4096) * 4096;
  bits.load(readAt(path, drive.superblock.value.bitmapOffset, regionBytes));
  return bits;
}
