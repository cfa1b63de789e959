/**
 * STATE/volumes.json: which volumes this server knows, and where their drives and log legs were seen last. It is a
 * list of addresses and nothing more; what a volume *is* stands on its drives and legs. The shape of a volume is kept
 * beside, only so that a volume that cannot start can be shown as more than a name.
 *
 * Writes are durable and one at a time; a burst of changes ends in one write of the newest state.
 */

import { done, type Outcome, refuse } from '../core/problems.ts';
import type { VolumeStatus } from '../core/status.ts';
import { readText, writeFileDurably } from './json-file.ts';

export interface KnownVolume {
  readonly name: string;
  readonly drives: readonly string[];
  readonly logs: readonly string[];
  /** What a command under way may be making part of the volume; a server that dies in it looks there too. */
  readonly coming?: { readonly drives: readonly string[]; readonly logs: readonly string[] };
  /** Stopped on request: not started again by itself. */
  readonly stopped: boolean;
  readonly lastSeen: {
    readonly uuid: string;
    readonly level: number;
    readonly sizeBytes: number;
    readonly chunkBytes: number;
    readonly drives: readonly {
      readonly slot: number | null;
      readonly path: string;
      readonly uuid: string;
    }[];
  };
}

const VERSION = 1;

export const lastSeenOf = (status: VolumeStatus): KnownVolume['lastSeen'] => ({
  uuid: status.uuid,
  level: status.level,
  sizeBytes: status.sizeBytes,
  chunkBytes: status.chunkBytes,
  drives: status.drives.map(({ slot, path, uuid }) => ({ slot, path, uuid })),
});

export class KnownVolumes {
  readonly #path: string;
  readonly #volumes = new Map<string, KnownVolume>();
  #written = '';
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string) {
    this.#path = path;
  }

  static async load(path: string): Promise<Outcome<KnownVolumes>> {
    const list = new KnownVolumes(path);
    const text = await readText(path);
    if (text === null) return done(list);
    const volumes = parse(text);
    if (!volumes) return refuse('volume-list-damaged', { path });
    for (const volume of volumes) list.#volumes.set(volume.name, volume);
    list.#written = text;
    return done(list);
  }

  all(): KnownVolume[] {
    return [...this.#volumes.values()];
  }

  get(name: string): KnownVolume | null {
    return this.#volumes.get(name) ?? null;
  }

  set(volume: KnownVolume): void {
    this.#volumes.set(volume.name, volume);
  }

  delete(name: string): void {
    this.#volumes.delete(name);
  }

  /** Resolves when what is known now is durable. */
  save(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const text = `${JSON.stringify({ version: VERSION, volumes: this.all() }, null, 2)}\n`;
      if (text === this.#written) return;
      await writeFileDurably(this.#path, text);
      this.#written = text;
    });
    const saved = this.#writing;
    // A failed write is reported to its caller; the next one starts afresh.
    this.#writing = saved.catch(() => {});
    return saved;
  }
}

function parse(text: string): KnownVolume[] | null {
  try {
    const { version, volumes } = JSON.parse(text) as { version: unknown; volumes: unknown };
    if (version !== VERSION || !Array.isArray(volumes) || !volumes.every(isKnownVolume))
      return null;
    return volumes;
  } catch {
    return null;
  }
}

function isKnownVolume(value: unknown): value is KnownVolume {
  const { name, drives, logs, coming, stopped, lastSeen } = (value ?? {}) as Record<
    string,
    unknown
  >;
  const paths = (list: unknown): boolean =>
    Array.isArray(list) && list.every((path) => typeof path === 'string');
  const arePaths = (both: unknown): boolean => {
    const { drives: some, logs: others } = (both ?? {}) as Record<string, unknown>;
    return paths(some) && paths(others);
  };
  return (
    typeof name === 'string' &&
    paths(drives) &&
    paths(logs) &&
    (coming === undefined || arePaths(coming)) &&
    typeof stopped === 'boolean' &&
    typeof lastSeen === 'object' &&
    lastSeen !== null
  );
}
