/**
 * Which drive or leg belongs to which volume of this server: a second volume that asks for one is refused before
 * anything is opened. Two names of one thing (a symlink, /dev/disk/by-id) are one thing.
 *
 * A path may hang (FUSE, NFS, a driver that waits): looking is never waited for for long, and a look that hangs is joined
 * by the next one. Looking comes first; what is decided from it is decided, and claimed, in one go.
 *
 * This is only about this server's own volumes. Mounts, md arrays and other servers are found when a drive is opened.
 */

import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { done, type Outcome, refuse } from '../core/problems.ts';

/** A path that has not answered by then counts as what it was when it last did. */
const LOOK_MS = 1_000;
const LAST_MOST = 4_096;

/** Equal for two names of the same drive or file; for a file that does not exist yet, its place. */
async function identityOf(path: string): Promise<string> {
  try {
    const found = await stat(path);
    return found.isBlockDevice() ? `block ${found.rdev}` : `file ${found.dev}:${found.ino}`;
  } catch {
    try {
      return `path ${join(await realpath(dirname(path)), basename(path))}`;
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
  /** Looks under way: a second one joins the first, and waits no longer than for one of its own. */
  readonly #looking = new Map<string, Promise<string>>();
  /** What each claimed path was when it last answered. */
  readonly #last = new Map<string, string>();

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
  async check(volume: string, paths: readonly string[]): Promise<Outcome<void>> {
    const identities = await this.#look(volume, paths);
    return this.#decide(volume, paths, identities);
  }

  /** The same, and the volume has them from then on. */
  async take(volume: string, paths: ClaimedPaths): Promise<Outcome<void>> {
    const all = [...paths.drives, ...paths.logs];
    const identities = await this.#look(volume, all);
    const free = this.#decide(volume, all, identities);
    if (free.ok) this.set(volume, paths);
    return free;
  }

  /** At these paths and at all that others have, including what they take meanwhile. */
  async #look(volume: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const identities = new Map<string, string>();
    for (;;) {
      const wanted = [...paths, ...this.#others(volume).map(({ path }) => path)];
      const next = [...new Set(wanted)].filter((path) => !identities.has(path));
      if (next.length === 0) break;
      const found = await Promise.all(next.map((path) => this.#identify(path)));
      for (const [index, path] of next.entries()) identities.set(path, found[index]!);
    }
    return identities;
  }

  #others(volume: string): Claim[] {
    const all = [...this.#volumes.values()].flat();
    return all.filter((claim) => claim.volume !== volume && claim.path !== '');
  }

  async #identify(path: string): Promise<string> {
    const before = this.#last.get(path) ?? `path ${path}`;
    const looked = this.#looking.get(path) ?? this.#begin(path);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(before), LOOK_MS);
    });
    const identity = await Promise.race([looked, late]);
    clearTimeout(timer);
    return identity;
  }

  #begin(path: string): Promise<string> {
    const looked = identityOf(path).then((identity) => {
      this.#looking.delete(path);
      if (this.#last.size >= LAST_MOST) this.#last.clear();
      this.#last.set(path, identity);
      return identity;
    });
    this.#looking.set(path, looked);
    return looked;
  }

  #decide(
    volume: string,
    paths: readonly string[],
    identities: ReadonlyMap<string, string>,
  ): Outcome<void> {
    const taken = new Map<string, Claim>();
    for (const claim of this.#others(volume)) taken.set(identities.get(claim.path)!, claim);
    const given = new Map<string, string>();
    for (const path of paths) {
      const identity = identities.get(path)!;
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
