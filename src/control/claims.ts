/**
 * Which drive or leg belongs to which volume of this server: a second volume that asks for one is refused before
 * anything is opened. Two names of one thing (a symlink, /dev/disk/by-id) are one thing.
 *
 * This is only about this server's own volumes. Mounts, md arrays and other servers are found when a drive is opened.
 */

import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { done, type Outcome, refuse } from '../core/problems.ts';

/** Equal for two names of the same drive or file; for a file that does not exist yet, its place. */
export function identityOf(path: string): string {
  try {
    const found = statSync(path);
    return found.isBlockDevice() ? `block ${found.rdev}` : `file ${found.dev}:${found.ino}`;
  } catch {
    try {
      return `path ${join(realpathSync(dirname(path)), basename(path))}`;
    } catch {
      return `path ${path}`;
    }
  }
}

interface Claim {
  readonly volume: string;
  readonly path: string;
  readonly role: 'member' | 'log leg';
}

export interface ClaimedPaths {
  readonly drives: readonly string[];
  readonly logs: readonly string[];
}

export class Claims {
  readonly #volumes = new Map<string, Claim[]>();

  /** Replaces what the volume has claimed so far. */
  set(volume: string, { drives, logs }: ClaimedPaths): void {
    this.#volumes.set(volume, [
      ...drives.map((path) => ({ volume, path, role: 'member' as const })),
      ...logs.map((path) => ({ volume, path, role: 'log leg' as const })),
    ]);
  }

  release(volume: string): void {
    this.#volumes.delete(volume);
  }

  /** Refuses a path that another volume has, and one that is given twice. */
  check(volume: string, paths: readonly string[]): Outcome<void> {
    const taken = new Map<string, Claim>();
    for (const claim of [...this.#volumes.values()].flat()) {
      if (claim.volume !== volume && claim.path !== '') taken.set(identityOf(claim.path), claim);
    }
    const given = new Map<string, string>();
    for (const path of paths) {
      const identity = identityOf(path);
      const other = given.get(identity);
      if (other !== undefined) {
        return refuse('drive-given-twice', other === path ? { path } : { path, other });
      }
      given.set(identity, path);
      const claim = taken.get(identity);
      if (claim?.role === 'member') {
        return refuse('drive-in-other-volume', { path, volume: claim.volume, role: 'a member' });
      }
      if (claim) return refuse('leg-in-use', { path, volume: claim.volume });
    }
    return done(undefined);
  }
}
