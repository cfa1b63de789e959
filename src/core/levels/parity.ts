/**
 * What all levels with one parity chunk a stripe have in common: member counts, chunk sizes, what
 * they tolerate. Parity is the XOR of the data chunks of its stripe, byte by byte.
 */

import { isPowerOfTwo, KIB, MIB } from '../../base/units.ts';
import { MAX_MEMBERS } from './descriptor.ts';

/** md refuses less than 8 sectors. */
export const CHUNK_BYTES_MIN = 4 * KIB;
export const CHUNK_BYTES_MAX = 1 * MIB;

export const singleParity = {
  minMembers: 3,
  maxMembers: MAX_MEMBERS,
  defaultChunkBytes: 64 * KIB,
  mirrored: false,
  parityChunks: 1,
  lockstep: false,
  chunkBytesAllowed: (chunkBytes: number): boolean =>
    isPowerOfTwo(chunkBytes) && chunkBytes >= CHUNK_BYTES_MIN && chunkBytes <= CHUNK_BYTES_MAX,
  mdChunkBytes: (chunkBytes: number): number => chunkBytes,
  tolerates: (): number => 1,
  dataChunks: (members: number): number => members - 1,
} as const;
