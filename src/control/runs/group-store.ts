/**
 * STATE/window-groups.json: which volumes froze together, because the drive that could tell is away. A group is written
 * before its first freeze and once more when every volume is frozen: a server that dies in between undoes the rest at
 * its next start.
 *
 * That is why a file that could not be written is not just old: it may call volumes half-frozen that are not, and the
 * next start would end windows in which somebody works on a drive. As long as it is behind, no window is opened.
 *
 * Without a volume that shares its drive there is nothing to write. Losing the file costs no data: the windows
 * themselves are on the drives.
 */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import { writeFileDurably } from '../json-file.ts';

const RETRY_MS = 5_000;

export interface WindowGroup {
  readonly volumes: readonly string[];
  /** False until every volume is frozen. */
  readonly complete: boolean;
}

export class GroupStore {
  readonly #path: string | null;
  readonly #onTrouble: (reason: string) => void;
  /** As the server before this one left them. */
  readonly loaded: readonly WindowGroup[];
  #groups: readonly WindowGroup[];
  #writing: Promise<Outcome<void>> = Promise.resolve(done(undefined));
  #isBehind = false;
  #whyBehind: string | null = null;
  #retry: NodeJS.Timeout | null = null;
  readonly #retryMs: number;
  #isClosed = false;

  /**
   * `path` is null where nothing needs to outlive the process. Read at once: a window may be asked for before the
   * volumes have been started.
   */
  constructor(path: string | null, onTrouble: (reason: string) => void, retryMs = RETRY_MS) {
    this.#retryMs = retryMs;
    this.#path = path;
    this.#onTrouble = onTrouble;
    this.loaded = path === null ? [] : read(path, onTrouble);
    this.#groups = this.loaded;
  }

  all(): readonly WindowGroup[] {
    return this.#groups;
  }

  /** Refused: the file is as it was, or nobody knows; said to the log of the server as well. */
  set(groups: readonly WindowGroup[]): Promise<Outcome<void>> {
    const isSame =
      groups.length === this.#groups.length &&
      groups.every((group, index) => group === this.#groups[index]);
    this.#groups = groups;
    return isSame ? this.catchUp() : this.#save();
  }

  /** Null: the file says what is so, or is being written. */
  get whyBehind(): string | null {
    return this.#whyBehind;
  }

  /** Nothing is tried again after this. */
  close(): void {
    if (this.#retry) clearTimeout(this.#retry);
    this.#isClosed = true;
  }

  /** Ok: the file says what is so. */
  catchUp(): Promise<Outcome<void>> {
    return this.#isBehind ? this.#save() : Promise.resolve(done(undefined));
  }

  #save(): Promise<Outcome<void>> {
    const path = this.#path;
    if (path === null) return Promise.resolve(done(undefined));
    this.#isBehind = true;
    this.#writing = this.#writing.then(async () => {
      const groups = this.#groups;
      try {
        await writeFileDurably(path, `${JSON.stringify({ groups })}\n`);
        if (groups === this.#groups) this.#isBehind = false;
        this.#whyBehind = null;
        return done(undefined);
      } catch (error) {
        const reason = `${path} cannot be written: ${(error as Error).message}`;
        if (reason !== this.#whyBehind) this.#onTrouble(reason);
        this.#whyBehind = reason;
        this.#tryAgain();
        return refuse('state-unusable', { path: dirname(path), reason });
      }
    });
    return this.#writing;
  }

  #tryAgain(): void {
    if (this.#retry || this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.catchUp();
    }, this.#retryMs).unref();
  }
}

/** None of what cannot be read: a list of addresses and nothing more. */
function read(path: string, onTrouble: (reason: string) => void): readonly WindowGroup[] {
  try {
    const { groups } = JSON.parse(readFileSync(path, 'utf8')) as { groups: WindowGroup[] };
    return groups.every(({ volumes }) => Array.isArray(volumes)) ? groups : [];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') onTrouble(`${path} cannot be read: ${message}`);
    return [];
  }
}
