/**
 * strace, attached to a running server: the N-th system call of a kind that touches one of some files fails, or kills the
 * server. strace counts for each thread by itself, so the server must do its file I/O on one: UV_THREADPOOL_SIZE=1.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../tests/support/processes.ts';

export interface Injection {
  readonly calls: readonly string[];
  /** `error=EIO` or `signal=KILL`. */
  readonly effect: string;
  readonly nth: number;
  /** Every call from the N-th on. */
  readonly isSticky: boolean;
  /** Only calls on these; empty: all. */
  readonly paths: readonly string[];
}

const tracers = new Set<ChildProcess>();
process.on('exit', () => {
  // A tracer that is killed leaves what it traces alone; the server has an end of its own.
  for (const tracer of tracers) tracer.kill('SIGKILL');
});

export function noStraceBecause(): string | null {
  if (findProgram('strace') === null) return 'strace is not installed';
  const scope = '/proc/sys/kernel/yama/ptrace_scope';
  const isForbidden = existsSync(scope) && Number(readFileSync(scope, 'utf8')) > 1;
  if (process.getuid?.() !== 0 && isForbidden) return 'this user may not trace processes';
  return null;
}

export class Tracer {
  readonly #child: ChildProcess;
  readonly #outputPath: string;
  #said = '';

  /** Resolves when every thread of the process is traced. */
  static async attach(pid: number, injection: Injection, outputPath: string): Promise<Tracer> {
    const tracer = new Tracer(pid, injection, outputPath);
    const limitMs = performance.now() + 20_000;
    while (!/attached/.test(tracer.#said)) {
      if (tracer.#child.exitCode !== null || performance.now() > limitMs) {
        await tracer.detach();
        throw new Error(`strace did not attach: ${tracer.#said.trim()}`);
      }
      await sleep(5);
    }
    return tracer;
  }

  private constructor(pid: number, injection: Injection, outputPath: string) {
    const { calls, effect, nth, isSticky, paths } = injection;
    const set = calls.join(',');
    const when = `${nth}${isSticky ? '+' : ''}`;
    const args = [
      ...['-f', '-y', '-s', '0', '-o', outputPath, '-p', String(pid)],
      ...paths.flatMap((path) => ['-P', path]),
      ...['-e', `trace=${set}`, '-e', `inject=${set}:${effect}:when=${when}`],
    ];
    this.#outputPath = outputPath;
    this.#child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    tracers.add(this.#child);
    this.#child.stderr?.on('data', (piece: Buffer) => {
      this.#said = (this.#said + piece.toString()).slice(-4096);
    });
    this.#child.on('error', (error) => {
      this.#said += error.message;
    });
  }

  /** The calls that were made to fail so far, as strace tells them. */
  get injected(): string[] {
    if (!existsSync(this.#outputPath)) return [];
    return readFileSync(this.#outputPath, 'utf8')
      .split('\n')
      .filter((line) => line.includes('(INJECTED)') || line.includes('+++ killed by SIGKILL'));
  }

  /** The traced server runs on without it. */
  async detach(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
      this.#child.kill('SIGTERM');
      await Promise.race([ended, sleep(5_000)]);
    }
    tracers.delete(this.#child);
  }
}
