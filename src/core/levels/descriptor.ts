/**
 * What the rest of Locum may ask about a RAID level. One file per level fills this in and nothing
 * else in the code names a level: shared code asks "is every member a copy?" or "where is the
 * parity chunk of this stripe?".
 *
 * Words: stripe `s` is row `s` of chunks across all members. `index` is the position of a data
 * chunk in its stripe, 0 … dataChunks−1, in volume order. `slot` is the member that holds a chunk.
 * Numbers only; nothing here allocates.
 *
 *   volume chunk c ──► stripe c / dataChunks, index c mod dataChunks ──► dataSlot(stripe, index)
 */

import type { Slot } from '../../base/units.ts';
import { SLOT_COUNT_MAX } from '../slot-set.ts';

/** What `paritySlot` answers where there is no parity, and `indexOfSlot` for the parity chunk. */
export const NONE = -1;

export interface LevelDescriptor {
  /** What the user asks for. */
  readonly number: 1 | 3 | 4 | 5;
  /** For people: "RAID 5". */
  readonly title: string;
  /** The two numbers by which the md superblock names the level. */
  readonly mdLevel: number;
  readonly mdLayout: number;
  readonly minMembers: number;
  readonly maxMembers: number;
  readonly defaultChunkBytes: number;
  /** What a user may ask for, and what an adopted array may have. */
  chunkBytesAllowed(chunkBytes: number): boolean;
  /** What the md superblock says for this chunk; 0 where md knows no chunks. */
  mdChunkBytes(chunkBytes: number): number;
  /** Every member holds the whole volume. */
  readonly mirrored: boolean;
  /** How many parity chunks a stripe has. */
  readonly parityChunks: 0 | 1;
  /**
   * The stripe is one unit: it is read and recomputed as a whole, and parity may be checked on
   * every read.
   */
  readonly lockstep: boolean;
  /** How many members may be absent with every byte still readable. */
  tolerates(members: number): number;
  dataChunks(members: number): number;
  /** The member with data chunk `index`; for mirrored levels the first copy. */
  dataSlot(stripe: number, index: number, members: number): Slot;
  paritySlot(stripe: number, members: number): Slot | typeof NONE;
  /** Reverse of `dataSlot`: NONE for the parity chunk, 0 for every copy of a mirror. */
  indexOfSlot(stripe: number, slot: number, members: number): number;
}

export const MAX_MEMBERS = SLOT_COUNT_MAX;
