/**
 * Runs whose records are gone, and what they may have left behind: a window that nobody closes by itself, and a tool that is
 * still at work on the drive that is away. Whose drive that is only the record knew. So while such a tool lives, no volume
 * with a window that no other run owns takes its drive back: a drive that is being flashed must not be written to.
 *
 * The alarm stays until somebody has looked, and has removed the file that was set aside.
 */

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Concern } from '../concerns.ts';
import type { LostRecord } from '../kept-records.ts';
import type { VolumeTable } from '../volume-table.ts';
import type { RunTools } from './run-tools.ts';

export interface LostRunsOptions {
  readonly lost: readonly LostRecord[];
  readonly table: VolumeTable;
  readonly tools: Pick<RunTools, 'findCommand'>;
  readonly lookMs: number;
  /** The window is that of a run whose record is there. */
  readonly isOwned: (windowId: string) => boolean;
}

/** A tool at work of which nothing is known but this. */
export interface OrphanTool {
  readonly run: string;
  readonly step: string;
  readonly pid: number;
  readonly outputPath: string;
}

export class LostRuns {
  readonly #options: LostRunsOptions;
  #orphans: OrphanTool[] = [];
  /** Windows that were open when the volumes had been started: a later one is no business of a lost run. */
  readonly #windows = new Set<string>();
  readonly #silent = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LostRunsOptions) {
    this.#options = options;
    for (const { id: run, outputs } of options.lost) {
      for (const outputPath of outputs) {
        const found = options.tools.findCommand(outputPath);
        const step = basename(outputPath, '.log');
        if (found !== null) this.#orphans.push({ run, step, pid: found.pid, outputPath });
      }
    }
    options.table.claims.heedOrphan(() => this.#orphans[0]?.pid ?? null);
  }

  /** Once the volumes have been started. */
  resume(): void {
    for (const [volume, { handle }] of this.#options.table.entries) {
      const status = handle?.last?.status;
      if (status === undefined) this.#silent.add(volume);
      else if (status.window !== null) this.#windows.add(status.window.id);
    }
    for (const { id, path, isNews } of this.#options.lost) {
      const orphan = this.#orphans.find(({ run }) => run === id);
      if (orphan) this.#announce('run-tool-lost', 'critical', () => atWork(orphan));
      else if (isNews) this.#announce('run-record-lost', 'warning', () => forgotten(id, path));
    }
    this.#look();
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  /** Why this volume may not take a drive back now; null: nothing speaks against it. */
  orphanAt(volume: string): OrphanTool | null {
    const [first] = this.#orphans;
    return first !== undefined && this.#mayConcern(volume) ? first : null;
  }

  concerns(volume: string): Concern[] {
    const { lost } = this.#options;
    if (lost.length === 0 || !this.#mayConcern(volume)) return [];
    return lost.flatMap(({ id, path }): Concern[] => {
      const orphan = this.#orphans.find(({ run }) => run === id);
      if (orphan) {
        const next = `Wait until process ${orphan.pid} has ended (\`ps -p ${orphan.pid}\`), then \`locum window close ${volume}\`.`;
        const message = `${atWork(orphan)} ${next}`;
        return [{ alarm: { code: 'run-tool-lost', severity: 'critical', message }, next }];
      }
      if (!this.#wasOpen(volume) || !existsSync(path)) return [];
      const next = `Look at the drive that is away, then \`locum window close ${volume}\`, and remove ${path}.`;
      const message = `${forgotten(id, path)} ${next}`;
      return [{ alarm: { code: 'run-record-lost', severity: 'warning', message }, next }];
    });
  }

  /** A volume that has not said anything yet may have a window, too. */
  #mayConcern(volume: string): boolean {
    const status = this.#options.table.entries.get(volume)?.handle?.last?.status;
    if (status === undefined) return true;
    return status.window !== null && !this.#options.isOwned(status.window.id);
  }

  #wasOpen(volume: string): boolean {
    const window = this.#options.table.entries.get(volume)?.handle?.last?.status.window;
    return this.#silent.has(volume) || (window ? this.#windows.has(window.id) : false);
  }

  #look(): void {
    const { tools, lookMs } = this.#options;
    const ended = this.#orphans.filter(({ outputPath }) => tools.findCommand(outputPath) === null);
    this.#orphans = this.#orphans.filter((orphan) => !ended.includes(orphan));
    for (const { run, step, outputPath } of ended) {
      this.#announce(
        'run-tool-ended',
        'warning',
        (volume) =>
          `The tool of run ${run} (${step}) has ended. What it printed is in ${outputPath}. ` +
          `Look at the drive, then close the window: \`locum window close ${volume}\`.`,
      );
    }
    if (this.#orphans.length === 0) return;
    this.#timer = setTimeout(() => this.#look(), lookMs);
    this.#timer.unref();
  }

  #announce(
    kind: string,
    severity: 'warning' | 'critical',
    message: (volume: string) => string,
  ): void {
    const { table } = this.#options;
    for (const volume of table.entries.keys()) {
      if (this.#mayConcern(volume)) table.announce(volume, kind, severity, message(volume));
    }
  }
}

const atWork = ({ run, step, pid }: OrphanTool): string =>
  `The record of run ${run} is lost, and its tool (${step}, process ${pid}) is still at work on the drive that is away.`;

const forgotten = (id: string, path: string): string =>
  `The record of run ${id} cannot be read (${path}): what it did to its drive is not known, and its window is not closed by itself.`;
