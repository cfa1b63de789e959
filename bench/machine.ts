/** What the figures were measured on: a ratio travels between machines, a rate does not. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statfsSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
}

function git(...args: readonly string[]): string {
  try {
    return execFileSync('git', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

export function thisMachine(): Machine {
  const changed = git('status', '--porcelain', '--', 'src', 'package-lock.json') !== '';
  const commit = git('rev-parse', '--short', 'HEAD') || 'unknown';
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    commit: changed ? `${commit}+changes` : commit,
  };
}

/** What a full tmpfs takes is memory: some must be left for the servers, the page cache and everybody else. */
const memoryLeftBytes = 4 * 2 ** 30;

/** Bytes that images in /dev/shm may take, or 0 where there is no tmpfs. */
export function tmpfsRoomBytes(): number {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    const memoryBytes = Number(available?.[1] ?? 0) * 1024;
    return Math.max(0, Math.min(bavail * bsize, memoryBytes - memoryLeftBytes));
  } catch {
    return 0;
  }
}

/** A new folder for images of that size: on tmpfs, or where temporary files go when that lacks room. */
export function imageFolder(neededBytes: number, parent: string | undefined): string {
  const fitting = tmpfsRoomBytes() > neededBytes ? '/dev/shm' : tmpdir();
  return mkdtempSync(join(parent ?? fitting, 'locum-bench-'));
}
