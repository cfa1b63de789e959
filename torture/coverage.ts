/**
 * Branch coverage of core/ for RELIABILITY.md: what `npm run coverage -- --json FILE` left behind. The figures are
 * measured by the everyday tests of core alone; the simulator and the torture run only ever reach more.
 */

import { existsSync, readFileSync } from 'node:fs';

export interface Share {
  readonly covered: number;
  readonly total: number;
}

export interface CoreCoverage {
  readonly lines: Share;
  readonly functions: Share;
  readonly branches: Share;
  /** Each with its own shares. What a branch is: scripts/coverage/decisions.ts. */
  readonly files: readonly {
    readonly path: string;
    readonly lines: Share;
    readonly functions: Share;
    readonly branches: Share;
  }[];
}

/** Null when the run made none. */
export function coreCoverage(file: string): CoreCoverage | null {
  if (!existsSync(file)) return null;
  const { of, lines, functions, branches, files } = JSON.parse(readFileSync(file, 'utf8'));
  return of === 'core' ? { lines, functions, branches, files } : null;
}
