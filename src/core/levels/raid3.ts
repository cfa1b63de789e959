/**
 * RAID 3: on the drives it is RAID 4 with the smallest chunk md takes (4 KiB), so the kernel can
 * assemble it. What makes it RAID 3 is how it is used: a stripe is one unit. Writing any part of it
 * reads the rest, and recomputes the whole parity (never read-modify-write), and parity can be
 * checked on every read.
 */

import { KIB } from '../../base/units.ts';
import type { LevelDescriptor } from './descriptor.ts';
import { raid4 } from './raid4.ts';

const CHUNK_BYTES = 4 * KIB;

export const raid3: LevelDescriptor = {
  ...raid4,
  number: 3,
  title: 'RAID 3',
  defaultChunkBytes: CHUNK_BYTES,
  chunkBytesAllowed: (chunkBytes) => chunkBytes === CHUNK_BYTES,
  lockstep: true,
};
