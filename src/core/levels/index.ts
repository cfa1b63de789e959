/** The table of levels: by the number a user gives, and by what an md superblock says. */

import type { LevelDescriptor } from './descriptor.ts';
import { raid1 } from './raid1.ts';
import { raid3 } from './raid3.ts';
import { raid4 } from './raid4.ts';
import { raid5 } from './raid5.ts';

export const levels: readonly LevelDescriptor[] = [raid1, raid3, raid4, raid5];

export function levelByNumber(number: number): LevelDescriptor | null {
  return levels.find((level) => level.number === number) ?? null;
}

/**
 * The level of a member, or null when Locum does not serve it. md has one name for two of our
 * levels: level 4 with the only chunk that the lockstep level takes is read as that one, unless
 * Locum's label says otherwise (`labelled`).
 */
export function levelOfMd(
  mdLevel: number,
  mdLayout: number,
  mdChunkBytes: number,
  labelled: number | null = null,
): LevelDescriptor | null {
  for (const level of levels) {
    if (level.mdLevel !== mdLevel || level.mdLayout !== mdLayout) continue;
    if (labelled !== null && level.number !== labelled) continue;
    const chunkBytes = level.mirrored ? level.defaultChunkBytes : mdChunkBytes;
    if (level.mdChunkBytes(chunkBytes) !== mdChunkBytes) continue;
    if (level.chunkBytesAllowed(chunkBytes)) return level;
  }
  return null;
}
