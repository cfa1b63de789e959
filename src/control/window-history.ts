/**
 * STATE/windows.jsonl: the report of every window of this server's volumes, kept after it has ended. A line is appended
 * whenever a report changes in something worth keeping; the last line of an id counts.
 *
 * The truth about an *open* window is on the members and in the log. This file is an audit record; losing it loses no data.
 */

import { appendFile } from 'node:fs/promises';
import type { WindowReport } from '../core/status.ts';
import { parseLines, readText, writeFileDurably } from './json-file.ts';

const REPORTS_MAX = 1_000;
/** Rewritten at the start when it has more lines than this for the reports it keeps. */
const LINES_PER_REPORT = 4;

export class WindowHistory {
  readonly #path: string;
  readonly #onTrouble: (reason: string) => void;
  readonly #reports = new Map<string, WindowReport>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, onTrouble: (reason: string) => void) {
    this.#path = path;
    this.#onTrouble = onTrouble;
  }

  static async open(path: string, onTrouble: (reason: string) => void): Promise<WindowHistory> {
    const history = new WindowHistory(path, onTrouble);
    const lines = parseLines<WindowReport>((await readText(path)) ?? '');
    for (const report of lines) history.#keep(report);
    if (lines.length > history.#reports.size * LINES_PER_REPORT) {
      await writeFileDurably(
        path,
        [...history.#reports.values()].map((report) => `${JSON.stringify(report)}\n`).join(''),
      );
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
    const line = `${JSON.stringify(report)}\n`;
    this.#writing = this.#writing
      .then(() => appendFile(this.#path, line, { mode: 0o600 }))
      .catch((error: unknown) =>
        this.#onTrouble(`window reports cannot be written: ${(error as Error).message}`),
      );
  }

  async flush(): Promise<void> {
    await this.#writing;
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
