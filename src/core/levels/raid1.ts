/**
 * RAID 1: every member holds the whole volume (md level 1).
 *
 * md has no chunks here and stores 0. Locum cuts the volume into stripes of 64 KiB all the same, as
 * the unit of locking and of spreading reads; nothing on the drives depends on it. The last stripe
 * may be short.
 */

import { KIB, type Slot } from '../../base/units.ts';
import { type LevelDescriptor, MAX_MEMBERS, NONE } from './descriptor.ts';

const STRIPE_BYTES = 64 * KIB;

export const raid1: LevelDescriptor = {
  number: 1,
  title: 'RAID 1',
  mdLevel: 1,
  mdLayout: 0,
  minMembers: 2,
  maxMembers: MAX_MEMBERS,
  defaultChunkBytes: STRIPE_BYTES,
  chunkBytesAllowed: (chunkBytes) => chunkBytes === STRIPE_BYTES,
  mdChunkBytes: () => 0,
  mirrored: true,
  parityChunks: 0,
  lockstep: false,
  tolerates: (members) => members - 1,
  dataChunks: () => 1,
  dataSlot: () => 0 as Slot,
  paritySlot: () => NONE,
  indexOfSlot: () => 0,
};
