/**
 * STATE/runs: a file for each run, ID.json, and a folder ID with what its commands print. Written durably before every step,
 * so that what began is never forgotten. The oldest ended ones go when there are more than RUNS_MAX.
 *
 * A file that cannot be read is set aside as ID.json.unreadable and said; the others are not concerned by it.
 *
 * What the commands of an ended run printed is in its file only, and read when it is shown: in memory a thousand of those
 * could be more than a hundred mebibytes.
 */

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runPhases } from '../../core/machines/run.ts';
import type { RunReport } from '../../core/run-report.ts';
import { makeDirectory, readRecord, readText, setAside, writeFileDurably } from '../json-file.ts';
import { copyOf, type RunRecord } from './run-record.ts';

export const RUNS_MAX = 1_000;

export class RunStore {
  readonly #folder: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #records = new Map<string, RunRecord>();
  /** What is in each file, so that nothing is written twice. */
  readonly #written = new Map<string, string>();
  /** Ended ones, without what their commands printed. */
  readonly #light = new Set<string>();
  readonly #writing = new Map<string, Promise<boolean>>();

  private constructor(folder: string, onTrouble: (reason: string) => void) {
    this.#folder = folder;
    this.#onTrouble = onTrouble;
  }

  static async open(folder: string, onTrouble: (reason: string) => void): Promise<RunStore> {
    const store = new RunStore(folder, onTrouble);
    await makeDirectory(folder);
    const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
    const records: RunRecord[] = [];
    for (const name of names) {
      const text = await readRecord(join(folder, name));
      const record = parse(text);
      if (record === null) {
        onTrouble(`the record of a run cannot be read and was set aside: ${join(folder, name)}`);
        await setAside(join(folder, name));
        continue;
      }
      records.push(record);
      store.#written.set(record.report.id, text);
      if (record.phase === 'ended') store.#lighten(record);
    }
    records.sort((a, b) => order(a).localeCompare(order(b)));
    for (const record of records) store.#records.set(record.report.id, record);
    return store;
  }

  /** Newest last. */
  all(): RunRecord[] {
    return [...this.#records.values()];
  }

  get(id: string): RunRecord | null {
    return this.#records.get(id) ?? null;
  }

  /** With what its commands printed; without, when its file cannot be read any more. */
  async whole(id: string): Promise<RunReport | null> {
    const record = this.get(id);
    if (record === null) return null;
    const file = join(this.#folder, `${id}.json`);
    const text = this.#light.has(id) ? await readText(file).catch(() => null) : null;
    return (text === null ? null : parse(text)?.report) ?? copyOf(record.report);
  }

  outputPath(id: string, step: string): string {
    return join(this.#folder, id, `${step}.log`);
  }

  async add(record: RunRecord): Promise<boolean> {
    const { id } = record.report;
    await makeDirectory(join(this.#folder, id));
    this.#records.set(id, record);
    const isWritten = await this.save(record);
    if (!isWritten) this.#records.delete(id);
    else await this.#prune();
    return isWritten;
  }

  /** Resolves when the record as it is now is durable; false: it could not be written, which was said. */
  save(record: RunRecord): Promise<boolean> {
    const { id } = record.report;
    // It has ended, and nothing changes any more.
    if (this.#light.has(id)) return Promise.resolve(true);
    const text = `${JSON.stringify(record)}\n`;
    if (this.#written.get(id) === text) return Promise.resolve(true);
    const isLast = record.phase === 'ended';
    const before = this.#writing.get(id) ?? Promise.resolve(true);
    const writing = before.then(async () => {
      try {
        await writeFileDurably(join(this.#folder, `${id}.json`), text);
        this.#written.set(id, text);
        if (isLast) this.#lighten(record);
        return true;
      } catch (error) {
        this.#onTrouble(`the record of run ${id} cannot be written: ${(error as Error).message}`);
        return false;
      }
    });
    this.#writing.set(id, writing);
    return writing;
  }

  async flush(): Promise<void> {
    await Promise.all(this.#writing.values());
  }

  /** Of one that has ended and is on file as it is now. */
  #lighten({ report: { id, steps } }: RunRecord): void {
    for (const step of steps) step.output = '';
    this.#light.add(id);
    this.#written.delete(id);
  }

  async #prune(): Promise<void> {
    const ended = this.all().filter(({ phase }) => phase === 'ended');
    for (const { report } of ended.slice(0, Math.max(0, this.#records.size - RUNS_MAX))) {
      const { id } = report;
      for (const map of [this.#records, this.#written, this.#writing, this.#light]) map.delete(id);
      await rm(join(this.#folder, `${id}.json`), { force: true });
      await rm(join(this.#folder, id), { recursive: true, force: true });
    }
  }
}

const order = ({ report }: RunRecord): string => `${report.startedAt} ${report.id}`;

function parse(text: string): RunRecord | null {
  try {
    const record = JSON.parse(text) as RunRecord;
    return isWhole(record) ? record : null;
  } catch {
    return null;
  }
}

/** What everything else relies on: a record that lacks it would end the server each time it is started. */
function isWhole({
  version,
  report,
  request,
  phase,
  members,
  drive,
  stepsLeft,
}: RunRecord): boolean {
  const lists = [members, stepsLeft, report.steps, report.windowIds, report.volumes, report.checks];
  return (
    version === 1 &&
    lists.every((list) => Array.isArray(list)) &&
    [report.id, report.startedAt, report.drive.path, drive.path, request.task.purpose].every(
      (text) => typeof text === 'string',
    ) &&
    runPhases.includes(phase)
  );
}
