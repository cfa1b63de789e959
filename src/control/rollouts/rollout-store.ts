/**
 * STATE/rollouts: a record of each rollout, ID.json, and a folder ID with what the tools printed on spares. Written durably
 * before every step, and twice (kept-records.ts): it alone knows which spares are out of their volume. The oldest ended ones
 * go when there are more than ROLLOUTS_MAX. One that cannot be read is said; the others are not concerned by it.
 */

import { join } from 'node:path';
import { rolloutStates } from '../../core/rollout-report.ts';
import { type LostRecord, readKept, removeKept, writeKept } from '../kept-records.ts';
import { keyAnew, type RolloutRecord } from './rollout-record.ts';

export const ROLLOUTS_MAX = 200;
const RETRY_MS = 5_000;

export class RolloutStore {
  readonly #folder: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #records = new Map<string, RolloutRecord>();
  /** What is in each file, so that nothing is written twice. */
  readonly #written = new Map<string, string>();
  #writing: Promise<boolean> = Promise.resolve(true);
  /** Why the record of a rollout is not on file as it is now, by its id. */
  readonly #unwritten = new Map<string, string>();
  /** The last one of a rollout has nobody else to try it again. */
  readonly #waiting = new Map<string, NodeJS.Timeout>();
  readonly #retryMs: number;
  #isClosed = false;

  /** Their records are gone for good; nobody knows what they were about. */
  readonly lost: readonly LostRecord[];
  /** Their records were damaged, and taken from the copy. */
  readonly restored = new Set<string>();

  private constructor(
    folder: string,
    onTrouble: (reason: string) => void,
    lost: readonly LostRecord[],
    retryMs: number,
  ) {
    this.#folder = folder;
    this.#onTrouble = onTrouble;
    this.lost = lost;
    this.#retryMs = retryMs;
  }

  static async open(
    folder: string,
    onTrouble: (reason: string) => void,
    retryMs = RETRY_MS,
  ): Promise<RolloutStore> {
    const { kept, lost } = await readKept(folder, parse);
    const store = new RolloutStore(folder, onTrouble, lost, retryMs);
    for (const { id, path } of lost)
      onTrouble(`the record of rollout ${id} cannot be read, and neither can its copy: ${path}`);
    const records = kept.map(({ record }) => record);
    for (const { record, isCopy } of kept) if (isCopy) store.restored.add(record.report.id);
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

  /** Null: it is on file as it is now, or is being written. */
  whyUnwritten(id: string): string | null {
    return this.#unwritten.get(id) ?? null;
  }

  outputPath(id: string, name: string): string {
    return join(this.#folder, id, `${name}.log`);
  }

  async add(record: RolloutRecord): Promise<boolean> {
    const { id } = record.report;
    this.#records.set(id, record);
    const isWritten = await this.save(record);
    if (!isWritten) this.#drop(id);
    else await this.#prune();
    return isWritten;
  }

  /** Resolves when the record as it is now is durable; false: it could not be written, which was said. */
  save(record: RolloutRecord): Promise<boolean> {
    const { id } = record.report;
    const text = `${JSON.stringify(record)}\n`;
    this.#writing = this.#writing.then(async () => {
      if (this.#written.get(id) === text) {
        this.#unwritten.delete(id);
        return true;
      }
      try {
        await writeKept(this.#folder, id, text);
        this.#written.set(id, text);
        this.#unwritten.delete(id);
        return true;
      } catch (error) {
        const reason = `the record of rollout ${id} cannot be written: ${(error as Error).message}`;
        if (this.#unwritten.get(id) !== reason) this.#onTrouble(reason);
        this.#unwritten.set(id, reason);
        this.#tryAgain(record);
        return false;
      }
    });
    return this.#writing;
  }

  #tryAgain(record: RolloutRecord): void {
    const { id } = record.report;
    if (this.#isClosed || this.#waiting.has(id)) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      if (this.#records.has(id)) void this.save(record);
    }, this.#retryMs);
    this.#waiting.set(id, timer.unref());
  }

  #drop(id: string): void {
    for (const map of [this.#records, this.#written, this.#unwritten]) map.delete(id);
  }

  /** Nothing is tried again after this. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    await this.#writing;
  }

  async #prune(): Promise<void> {
    const ended = this.all().filter(({ report }) => report.endedAt !== null);
    for (const { report } of ended.slice(0, Math.max(0, this.#records.size - ROLLOUTS_MAX))) {
      this.#drop(report.id);
      await removeKept(this.#folder, report.id);
    }
  }
}

function parse(text: string): RolloutRecord | null {
  try {
    const record = JSON.parse(text) as RolloutRecord;
    if (!isWhole(record)) return null;
    keyAnew(record);
    return record;
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
