/** What a torture run ran on, and which state of the sources it ran. */

import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
}

export const thisMachine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryBytes: totalmem(),
  kernel: release(),
  node: process.version,
});

function git(...args: readonly string[]): string {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    return execFileSync('git', args, { encoding: 'utf8', stdio: [...stdio] }).trim();
  } catch {
    return '';
  }
}

/** The commit, marked when what is built may differ from it. */
export function thisCommit(): string {
  const commit = git('rev-parse', '--short=10', 'HEAD') || 'unknown';
  const changed = git('status', '--porcelain', '--', 'src', 'sim', 'torture', 'package-lock.json');
  return changed === '' ? commit : `${commit}+changes`;
}
