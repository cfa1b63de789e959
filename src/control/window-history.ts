/**
 * STATE/windows.jsonl: the report of every window of this server's volumes, kept after it has ended. A line is appended
 * whenever a report changes in something worth keeping; the last line of an id counts.
 *
 * The truth about an *open* window is on the members and in the log. This file is an audit record; losing it loses no
 * data. A report that could not be written is tried again for as long as the server runs: a run that is gone on with
 * after a restart learns here how its window ended.
 */

import { appendFile } from 'node:fs/promises';
import type { WindowReport } from '../core/status.ts';
import { parseLines, readText, writeFileDurably } from './json-file.ts';

const REPORTS_MAX = 1_000;
/** Rewritten at the start when it has more lines than this for the reports it keeps. */
const LINES_PER_REPORT = 4;
/** The outcome of a window that was over when its volume was asked again. */
export const ENDED_UNSEEN = 'ended';
const RETRY_MS = 5_000;

export class WindowHistory {
  readonly #path: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #retryMs: number;
  readonly #reports = new Map<string, WindowReport>();
  /** The last report of each id that is not on file yet. */
  readonly #unwritten = new Map<string, WindowReport>();
  #writing: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  /** The file may end in the middle of a line. */
  #isTorn = false;
  /** What was said last, so that a retry does not say it again. */
  #said = '';

  private constructor(path: string, onTrouble: (reason: string) => void, retryMs: number) {
    this.#path = path;
    this.#onTrouble = onTrouble;
    this.#retryMs = retryMs;
  }

  static async open(
    path: string,
    onTrouble: (reason: string) => void,
    retryMs = RETRY_MS,
  ): Promise<WindowHistory> {
    const history = new WindowHistory(path, onTrouble, retryMs);
    const text = (await readText(path)) ?? '';
    history.#isTorn = text !== '' && !text.endsWith('\n');
    const lines = parseLines<WindowReport>(text);
    for (const report of lines) history.#keep(report);
    if (lines.length > history.#reports.size * LINES_PER_REPORT) {
      await writeFileDurably(
        path,
        [...history.#reports.values()].map((report) => `${JSON.stringify(report)}\n`).join(''),
      );
      history.#isTorn = false;
    }
    return history;
  }

  /** Ended ones, oldest first. */
  ended(volume: string | null): WindowReport[] {
    return [...this.#reports.values()].filter(
      (report) => report.closedAt !== null && (volume === null || report.volume === volume),
    );
  }

  open(volume: string): WindowReport[] {
    return [...this.#reports.values()].filter(
      (report) => report.closedAt === null && report.volume === volume,
    );
  }

  record(report: WindowReport): void {
    const before = this.#reports.get(report.id);
    this.#keep(report);
    if (before && sameInSubstance(before, report)) return;
    this.#unwritten.set(report.id, report);
    this.#writing ??= this.#write();
  }

  /** Of this volume: why a report is not on file as it is now; null: all are, or are being written. */
  whyUnwritten(volume: string): string | null {
    const isOf = [...this.#unwritten.values()].some((report) => report.volume === volume);
    return isOf && this.#said !== '' ? this.#said : null;
  }

  /** Resolves when everything recorded so far is in the file, or could not be written. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#unwritten.size > 0) await (this.#writing ??= this.#write());
  }

  async #write(): Promise<void> {
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = null;
    while (this.#unwritten.size > 0) {
      const reports = [...this.#unwritten.values()];
      const lines = reports.map((report) => `${JSON.stringify(report)}\n`).join('');
      try {
        await appendFile(this.#path, (this.#isTorn ? '\n' : '') + lines, { mode: 0o600 });
      } catch (error) {
        this.#couldNot(error as Error);
        break;
      }
      this.#isTorn = false;
      this.#said = '';
      for (const report of reports) {
        if (this.#unwritten.get(report.id) === report) this.#unwritten.delete(report.id);
      }
    }
    this.#writing = null;
  }

  #couldNot({ message }: Error): void {
    this.#isTorn = true;
    const reason = `reports of windows cannot be written to ${this.#path}: ${message}`;
    if (this.#said !== reason) this.#onTrouble(reason);
    this.#said = reason;
    for (const id of this.#unwritten.keys()) {
      if (!this.#reports.has(id)) this.#unwritten.delete(id);
    }
    this.#retry = setTimeout(() => {
      this.#writing ??= this.#write();
    }, this.#retryMs).unref();
  }

  /** Newest last; the oldest ended one goes when there are too many. */
  #keep(report: WindowReport): void {
    this.#reports.delete(report.id);
    this.#reports.set(report.id, report);
    if (this.#reports.size <= REPORTS_MAX) return;
    const oldest = [...this.#reports.values()].find(({ closedAt }) => closedAt !== null);
    if (oldest) this.#reports.delete(oldest.id);
  }
}

/** Counters move all the time and are not worth a line each. */
function sameInSubstance(a: WindowReport, b: WindowReport): boolean {
  const substance = (report: WindowReport): string =>
    JSON.stringify({ ...report, loggedBytes: 0, replayedBytes: 0 });
  return substance(a) === substance(b);
}
