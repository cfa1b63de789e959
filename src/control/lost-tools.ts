/**
 * Tools that a server before this one left at work, and whose records are lost: nobody knows on which drive. Runs and
 * firmware updates have them alike.
 *
 * They are looked for once, among all processes if need be; from then on the kernel is asked each time whether they
 * still run. None comes up later: nobody is left who would begin it.
 */

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { LostRecord } from './kept-records.ts';
import type { FormerCommand, RunTools } from './runs/run-tools.ts';

export interface LostTool {
  readonly id: string;
  /** Whose it was, for a sentence: "run 7". */
  readonly work: string;
  readonly step: string;
  readonly pid: number;
  readonly outputPath: string;
  /** The record as it was set aside. Once it has been removed, somebody has looked. */
  readonly file: string;
}

interface Found {
  readonly tool: LostTool;
  readonly process: NonNullable<FormerCommand['process']>;
}

export class LostTools {
  readonly #found: readonly Found[];
  readonly #isRunning: RunTools['isRunning'];

  constructor(
    lost: readonly LostRecord[],
    kind: string,
    { findCommand, isRunning }: Pick<RunTools, 'findCommand' | 'isRunning'>,
  ) {
    this.#isRunning = isRunning;
    this.#found = lost.flatMap(({ id, path, outputs }) =>
      outputs.flatMap((outputPath): Found[] => {
        const process = findCommand(outputPath);
        if (process === null) return [];
        const { pid } = process;
        const step = basename(outputPath, '.log');
        return [
          { process, tool: { id, work: `${kind} ${id}`, step, pid, outputPath, file: path } },
        ];
      }),
    );
  }

  /** At this moment. */
  atWork(): LostTool[] {
    return this.#found.filter(({ process }) => this.#isRunning(process)).map(({ tool }) => tool);
  }

  of(id: string): LostTool | null {
    return this.atWork().find((tool) => tool.id === id) ?? null;
  }

  /** The one for which no drive is given to anybody: it is at work, and nobody has looked at what it may have. */
  unseen(): LostTool | null {
    return this.atWork().find(({ file }) => existsSync(file)) ?? null;
  }
}
