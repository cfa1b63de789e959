/**
 * Runs whose records are gone, and what they may have left behind: a window that nobody closes by itself, and a tool
 * that is still at work on the drive that is away. Whose drive that is only the record knew. So while such a tool
 * lives, no volume with a window that no other run owns takes its drive back: a drive that is being flashed must not
 * be written to. And no volume is given a drive that it has not had (claims.ts), which every volume says.
 *
 * The alarm stays until somebody has looked, and has removed the file that was set aside. From then on drives are given
 * again, tool or not. The window stays as it is until the tool has ended: whoever looked at one drive may have meant
 * another.
 */

import { existsSync } from 'node:fs';
import type { Concern } from '../concerns.ts';
import type { LostRecord } from '../kept-records.ts';
import { type LostTool, LostTools } from '../lost-tools.ts';
import type { VolumeTable } from '../volume-table.ts';
import type { RunTools } from './run-tools.ts';

export interface LostRunsOptions {
  readonly lost: readonly LostRecord[];
  readonly table: VolumeTable;
  readonly tools: Pick<RunTools, 'findCommand' | 'isRunning'>;
  readonly lookMs: number;
  /** The window is that of a run whose record is there. */
  readonly isOwned: (windowId: string) => boolean;
}

export class LostRuns {
  readonly #options: LostRunsOptions;
  readonly #tools: LostTools;
  /** Whose end has not been told yet. */
  #untold: readonly LostTool[];
  /** Windows that were open when the volumes had been started: a later one is no business of a lost run. */
  readonly #windows = new Set<string>();
  readonly #silent = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LostRunsOptions) {
    this.#options = options;
    this.#tools = new LostTools(options.lost, 'run', options.tools);
    this.#untold = this.#tools.atWork();
    options.table.claims.heedOrphan(() => this.#tools.unseen());
  }

  /** Once the volumes have been started. */
  resume(): void {
    for (const [volume, { handle }] of this.#options.table.entries) {
      const status = handle?.last?.status;
      if (status === undefined) this.#silent.add(volume);
      else if (status.window !== null) this.#windows.add(status.window.id);
    }
    for (const { id, path, isNews } of this.#options.lost) {
      const tool = this.#tools.of(id);
      if (tool)
        this.#announce('run-tool-lost', 'critical', (volume) => this.#atWork(tool, volume).message);
      else if (isNews)
        this.#announce('run-record-lost', 'warning', (volume) =>
          this.#mayConcern(volume) ? forgotten(id, path) : null,
        );
    }
    this.#look();
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  /** Why this volume may not take a drive back now; null: nothing speaks against it. */
  orphanAt(volume: string): LostTool | null {
    const [first] = this.#tools.atWork();
    return first !== undefined && this.#mayConcern(volume) ? first : null;
  }

  concerns(volume: string): Concern[] {
    return this.#options.lost.flatMap(({ id, path }): Concern[] => {
      const tool = this.#tools.of(id);
      const concerned = this.#mayConcern(volume);
      const isUnseen = existsSync(path);
      if (tool && (concerned || isUnseen)) {
        const { message, next } = this.#atWork(tool, volume);
        const alarm = { code: 'run-tool-lost', severity: 'critical' as const };
        const said = { alarm: { ...alarm, message: `${message} ${next}` }, next };
        if (!concerned) return [said];
        const insteadOfClose = `once process ${tool.pid} has ended, \`locum window close ${volume}\``;
        return [{ ...said, insteadOfClose }];
      }
      if (!concerned || !this.#wasOpen(volume) || !isUnseen) return [];
      const next = `Look at the drive that is away, then \`locum window close ${volume}\`, and remove ${path}.`;
      const message = `${forgotten(id, path)} ${next}`;
      return [{ alarm: { code: 'run-record-lost', severity: 'warning', message }, next }];
    });
  }

  /** To a volume that has a drive away, and to one that is only kept from being given another. */
  #atWork({ work, step, pid, file }: LostTool, volume: string): { message: string; next: string } {
    const concerned = this.#mayConcern(volume);
    const which = concerned ? 'the drive that is away' : 'a drive that nobody knows';
    const given = existsSync(file) ? ' Until then no volume is given a drive.' : '';
    const message = `The record of ${work} is lost, and its tool (${step}, process ${pid}) is still at work on ${which}.${given}`;
    const wait = `Wait until process ${pid} has ended (\`ps -p ${pid}\`)`;
    const next = concerned
      ? `${wait}, then \`locum window close ${volume}\`.`
      : `${wait}, or, when you know which drive it has, remove ${file}: drives are given again then.`;
    return { message, next };
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

  /** For the events only: everybody else asks when he wants to know. */
  #look(): void {
    const running = this.#tools.atWork();
    const ended = this.#untold.filter((tool) => !running.includes(tool));
    this.#untold = running;
    for (const { work, step, outputPath } of ended) {
      const said = `The tool of ${work} (${step}) has ended. What it printed is in ${outputPath}.`;
      this.#announce('run-tool-ended', 'warning', (volume) =>
        this.#mayConcern(volume)
          ? `${said} Look at the drive, then close the window: \`locum window close ${volume}\`.`
          : `${said} Drives are given to volumes again.`,
      );
    }
    if (running.length === 0) return;
    this.#timer = setTimeout(() => this.#look(), this.#options.lookMs);
    this.#timer.unref();
  }

  /** Null: nothing to this volume. */
  #announce(
    kind: string,
    severity: 'warning' | 'critical',
    messageTo: (volume: string) => string | null,
  ): void {
    const { table } = this.#options;
    for (const volume of table.entries.keys()) {
      const message = messageTo(volume);
      if (message !== null) table.announce(volume, kind, severity, message);
    }
  }
}

const forgotten = (id: string, path: string): string =>
  `The record of run ${id} cannot be read (${path}): what it did to its drive is not known, and its window is not closed by itself.`;
