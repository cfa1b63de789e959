/**
 * Which drive or leg belongs to which volume of this server: a second volume that asks for one is refused before
 * anything is opened. Two names of one thing (a symlink, /dev/disk/by-id) are one thing.
 *
 * A drive that is worked on is held: it may belong to no volume for the moment, as a spare that is being flashed, or have
 * parts that never did. Nobody gets what is held but whoever holds it. As long as a tool is at work of which nobody knows
 * any more whose drive it has, nobody is given a drive at all but who knows his own.
 *
 * A path may hang (FUSE, NFS, a driver that waits): looking is never waited for for long, and a look that hangs is joined
 * by the next one. Looking comes first; what is decided from it is decided, and claimed, in one go.
 *
 * This is only about this server's own volumes. Mounts, md arrays and other servers are found when a drive is opened.
 */

import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { LostTool } from './lost-tools.ts';

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

interface Hold {
  /** Whose drive it was; one that several share is held for all of them, the one that was asked first. */
  readonly volumes: readonly string[];
  readonly paths: readonly string[];
  /** What is done to it, for a sentence. */
  readonly work: string;
  /** From a record, at a start: names may have moved since, and nobody has looked yet. */
  readonly isRemembered?: boolean;
}

export interface ClaimedPaths {
  readonly drives: readonly string[];
  readonly logs: readonly string[];
}

export class Claims {
  readonly #volumes = new Map<string, Claim[]>();
  /** By their owner: the id of a run or a rollout, and what of it. */
  readonly #holds = new Map<string, Hold>();
  /** Each says a tool that may be at work on any drive, as long as it is and nobody has looked. */
  readonly #orphans: (() => LostTool | null)[] = [];
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

  /** Replaces what this owner has held so far; in force when it returns. */
  hold(owner: string, hold: Hold): void {
    this.#holds.set(owner, hold);
  }

  letGo(owner: string): void {
    this.#holds.delete(owner);
  }

  /** A tool whose record is lost: any drive may be the one it is at work on. Null: there is none. */
  heedOrphan(unseen: () => LostTool | null): void {
    this.#orphans.push(unseen);
  }

  /** Refuses a path that another volume has, one that somebody else works on, and one that is given twice. */
  async check(
    volume: string,
    paths: readonly string[],
    owner: string | null = null,
  ): Promise<Outcome<void>> {
    const orphan = owner === null ? this.#behindOrphan(paths) : null;
    if (orphan !== null) return orphan;
    const identities = await this.#look(volume, paths);
    return this.#decide(volume, paths, identities, ([holder]) => holder !== owner);
  }

  /**
   * The same, and the volume has them from then on. `isKnown`: they are where it was seen last. That a name of them
   * may be held for its own drive, or was held before the server was started, is no reason not to start it. Nor is a
   * tool at work on nobody knows which drive, of a volume that asks for nothing but what it has had.
   */
  async take(volume: string, paths: ClaimedPaths, isKnown = false): Promise<Outcome<void>> {
    const all = [...paths.drives, ...paths.logs];
    const own = (this.#volumes.get(volume) ?? []).map(({ path }) => path);
    const identities = await this.#look(volume, [...all, ...own]);
    const had = new Set(own.map((path) => identities.get(path)));
    const isNew = (path: string): boolean => !had.has(identities.get(path));
    const orphan = isKnown ? null : this.#behindOrphan(all.filter(isNew));
    if (orphan !== null) return orphan;
    const free = this.#decide(
      volume,
      all,
      identities,
      ([, hold]) => !isKnown || !(hold.volumes.includes(volume) || hold.isRemembered === true),
    );
    if (free.ok) this.set(volume, paths);
    return free;
  }

  #behindOrphan([path]: readonly string[]): Outcome<void> | null {
    if (path === undefined) return null;
    const tool = this.#orphans.map((unseen) => unseen()).find((one) => one !== null);
    if (!tool) return null;
    const { work, step, pid, file } = tool;
    return refuse('drive-perhaps-at-work', { path, work, step, pid, file });
  }

  /** At these paths and at all that others have, including what they take meanwhile. */
  async #look(volume: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const identities = new Map<string, string>();
    for (;;) {
      const held = [...this.#holds.values()].flatMap((hold) => hold.paths);
      const wanted = [...paths, ...this.#others(volume).map(({ path }) => path), ...held];
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
    heeds: (held: readonly [owner: string, hold: Hold]) => boolean,
  ): Outcome<void> {
    const held = new Map<string, Hold>();
    for (const [, hold] of [...this.#holds].filter(heeds)) {
      for (const path of hold.paths) held.set(identities.get(path)!, hold);
    }
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
      const hold = held.get(identity);
      if (hold) {
        return refuse('drive-at-work', { path, volume: hold.volumes[0] ?? '', work: hold.work });
      }
      const claim = taken.get(identity);
      if (claim?.role === 'member') {
        return refuse('drive-in-other-volume', { path, volume: claim.volume, role: 'a member' });
      }
      if (claim) return refuse('leg-in-use', { path, volume: claim.volume });
    }
    return done(undefined);
  }
}
