/**
 * STATE/runs: a record of each run, ID.json, and a folder ID with what its commands print. Written durably before every
 * step, and twice (kept-records.ts), so that what began is never forgotten. The oldest ended ones go when there are more
 * than RUNS_MAX. One that cannot be read is said; the others are not concerned by it.
 *
 * What the commands of an ended run printed is in its file only, and read when it is shown: in memory a thousand of those
 * could be more than a hundred mebibytes.
 */

import { join } from 'node:path';
import { runPhases } from '../../core/machines/run.ts';
import type { RunReport } from '../../core/run-report.ts';
import { readText } from '../json-file.ts';
import { type LostRecord, readKept, removeKept, writeKept } from '../kept-records.ts';
import { copyOf, type RunRecord } from './run-record.ts';

export const RUNS_MAX = 1_000;
const RETRY_MS = 5_000;

export class RunStore {
  readonly #folder: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #records = new Map<string, RunRecord>();
  /** What is in each file, so that nothing is written twice. */
  readonly #written = new Map<string, string>();
  /** Ended ones, without what their commands printed. */
  readonly #light = new Set<string>();
  readonly #writing = new Map<string, Promise<boolean>>();
  /** Records that could not be written, and are tried again: the last one of a run has nobody else to do it. */
  readonly #waiting = new Map<string, NodeJS.Timeout>();
  readonly #retryMs: number;
  #isClosed = false;
  /** Why the record of a run is not on file as it is now, by the id of the run. */
  readonly #unwritten = new Map<string, string>();

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
  ): Promise<RunStore> {
    const { kept, lost } = await readKept(folder, parse);
    const store = new RunStore(folder, onTrouble, lost, retryMs);
    for (const { id, path } of lost)
      onTrouble(`the record of run ${id} cannot be read, and neither can its copy: ${path}`);
    const records = kept.map(({ record }) => record);
    for (const { record, text, isCopy } of kept) {
      if (isCopy) store.restored.add(record.report.id);
      else store.#written.set(record.report.id, text);
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

  /** Why a record cannot be written, the last one that was tried; null: all are on file. */
  get unwritten(): string | null {
    return [...this.#unwritten.values()].at(-1) ?? null;
  }

  outputPath(id: string, step: string): string {
    return join(this.#folder, id, `${step}.log`);
  }

  async add(record: RunRecord): Promise<boolean> {
    const { id } = record.report;
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
        await writeKept(this.#folder, id, text);
        this.#written.set(id, text);
        this.#unwritten.delete(id);
        if (isLast) this.#lighten(record);
        return true;
      } catch (error) {
        const reason = `the record of run ${id} cannot be written: ${(error as Error).message}`;
        if (this.#unwritten.get(id) !== reason) this.#onTrouble(reason);
        this.#unwritten.set(id, reason);
        this.#tryAgain(record);
        return false;
      }
    });
    this.#writing.set(id, writing);
    return writing;
  }

  #tryAgain(record: RunRecord): void {
    const { id } = record.report;
    if (this.#isClosed || this.#waiting.has(id)) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      if (this.#records.has(id)) void this.save(record);
      else this.#unwritten.delete(id);
    }, this.#retryMs);
    this.#waiting.set(id, timer.unref());
  }

  /** Nothing is tried again after this. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#waiting.values()) clearTimeout(timer);
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
      await removeKept(this.#folder, id);
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
