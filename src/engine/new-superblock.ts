/**
 * The superblock of a member that Locum makes; from then on metadata.ts keeps it up to date. And as it is where no label
 * stands beside it, which is how it begins and ends.
 */

import { assert } from '../base/assert.ts';
import type { MemberLayout } from '../core/format/member-layout.ts';
import {
  FEATURE_BITMAP,
  FEATURE_LOCUM_WINDOW,
  ROLE_SPARE,
  ROLES_COUNT,
  type Superblock,
} from '../core/format/superblock.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';

export function newSuperblock(
  v: VolumeCore,
  member: Member,
  layout: MemberLayout,
  events: number,
): Superblock {
  assert(
    member.deviceNumber >= 0 && member.deviceNumber < ROLES_COUNT,
    'superblock: device number',
  );
  const g = v.geometry;
  const nowUs = v.environment.clock.wallMs() * 1000;
  // md takes members for one array only if they were created at the same microsecond; the others know when.
  const peer = [...v.members.slots, ...v.members.spares].find(
    (other) => other !== member && other.superblock !== null,
  )?.superblock;
  return {
    setUuid: v.uuid,
    setName: peer?.setName ?? v.name,
    createdUs: peer?.createdUs ?? nowUs,
    updatedUs: nowUs,
    level: g.level.mdLevel,
    parityLayout: g.level.mdLayout,
    chunkBytes: g.level.mdChunkBytes(g.chunkBytes),
    memberCount: g.members,
    memberDataBytes: g.memberDataBytes,
    features: FEATURE_BITMAP,
    bitmapOffset: layout.bitmapOffset,
    dataOffset: layout.dataOffset,
    dataSpaceBytes: layout.dataSpaceBytes,
    recoveryBytes: null,
    deviceNumber: member.deviceNumber,
    memberUuid: member.uuid,
    deviceFlags: 0,
    correctedErrors: 0,
    badBlockLog: { shift: 0, lengthBytes: 0, offset: 0 },
    events,
    resyncBytes: null,
    roles: new Array<number>(ROLES_COUNT).fill(ROLE_SPARE),
    byLocum: true,
  };
}

/** Without the bit of a window: that asks for a label. */
export const withoutWindow = (superblock: Superblock): Superblock => ({
  ...superblock,
  features: superblock.features & ~FEATURE_LOCUM_WINDOW,
});
