/**
 * STATE/rollouts: a file for each rollout, ID.json, and a folder ID with what the tools printed on spares. Written durably
 * before every step. The oldest ended ones go when there are more than ROLLOUTS_MAX.
 *
 * A file that cannot be read is set aside as ID.json.unreadable and said; the others are not concerned by it.
 */

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rolloutStates } from '../../core/rollout-report.ts';
import { makeDirectory, readRecord, setAside, writeFileDurably } from '../json-file.ts';
import type { RolloutRecord } from './rollout-record.ts';

export const ROLLOUTS_MAX = 200;

export class RolloutStore {
  readonly #folder: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #records = new Map<string, RolloutRecord>();
  /** What is in each file, so that nothing is written twice. */
  readonly #written = new Map<string, string>();
  #writing: Promise<boolean> = Promise.resolve(true);

  private constructor(folder: string, onTrouble: (reason: string) => void) {
    this.#folder = folder;
    this.#onTrouble = onTrouble;
  }

  static async open(folder: string, onTrouble: (reason: string) => void): Promise<RolloutStore> {
    const store = new RolloutStore(folder, onTrouble);
    await makeDirectory(folder);
    const records: RolloutRecord[] = [];
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.json')) continue;
      const path = join(folder, name);
      const record = parse(await readRecord(path));
      if (record === null) {
        onTrouble(`the record of a rollout cannot be read and was set aside: ${path}`);
        await setAside(path);
        continue;
      }
      records.push(record);
    }
    records.sort((a, b) => a.report.startedAt.localeCompare(b.report.startedAt));
    for (const record of records) store.#records.set(record.report.id, record);
    return store;
  }

  /** Newest last. */
  all(): RolloutRecord[] {
    return [...this.#records.values()];
  }

  get(id: string): RolloutRecord | null {
    return this.#records.get(id) ?? null;
  }

  outputPath(id: string, name: string): string {
    return join(this.#folder, id, `${name}.log`);
  }

  async add(record: RolloutRecord): Promise<boolean> {
    const { id } = record.report;
    this.#records.set(id, record);
    const isWritten = await this.save(record);
    if (!isWritten) this.#records.delete(id);
    else await this.#prune();
    return isWritten;
  }

  /** Resolves when the record as it is now is durable; false: it could not be written, which was said. */
  save(record: RolloutRecord): Promise<boolean> {
    const { id } = record.report;
    const text = `${JSON.stringify(record)}\n`;
    this.#writing = this.#writing.then(async () => {
      if (this.#written.get(id) === text) return true;
      try {
        await makeDirectory(join(this.#folder, id));
        await writeFileDurably(join(this.#folder, `${id}.json`), text);
        this.#written.set(id, text);
        return true;
      } catch (error) {
        const reason = (error as Error).message;
        this.#onTrouble(`the record of rollout ${id} cannot be written: ${reason}`);
        return false;
      }
    });
    return this.#writing;
  }

  async flush(): Promise<void> {
    await this.#writing;
  }

  async #prune(): Promise<void> {
    const ended = this.all().filter(({ report }) => report.endedAt !== null);
    for (const { report } of ended.slice(0, Math.max(0, this.#records.size - ROLLOUTS_MAX))) {
      this.#records.delete(report.id);
      this.#written.delete(report.id);
      await rm(join(this.#folder, `${report.id}.json`), { force: true });
      await rm(join(this.#folder, report.id), { recursive: true, force: true });
    }
  }
}

function parse(text: string): RolloutRecord | null {
  try {
    const record = JSON.parse(text) as RolloutRecord;
    return isWhole(record) ? record : null;
  } catch {
    return null;
  }
}

/** What everything else relies on: a record that lacks it would end the server each time it is started. */
function isWhole({ version, report, task, window, ...record }: RolloutRecord): boolean {
  const { baselines, before, spares, tries } = record;
  const parts: unknown[] = [task, window, report.image, baselines, before, spares, tries];
  return (
    version === 1 &&
    typeof report.id === 'string' &&
    rolloutStates.includes(report.state) &&
    Array.isArray(report.drives) &&
    report.drives.every(({ volumes }) => Array.isArray(volumes)) &&
    parts.every((part) => typeof part === 'object' && part !== null)
  );
}
