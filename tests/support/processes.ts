/**
 * Other programs, started and always stopped again: the server under test, its peers, and tools that run to their end.
 *
 * Whatever is started here is killed when this process exits, so that neither a failed assertion nor Ctrl-C leaves a
 * server behind.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly timeoutMs?: number;
  readonly input?: string;
}

/** Where a program is, sbin folders included, or null: for tests that need one. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** Runs a program to its end. It never rejects for an exit code; a program that cannot start does. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env ?? process.env,
      cwd: options.cwd,
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
    });
    running.add(child);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({
        code,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      });
    });
    // A program that ends before it has read its input is no error of ours.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Like runProgram, but anything but exit code 0 is an error that shows what the program said. */
export async function mustRun(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const finished = await runProgram(program, args, options);
  if (finished.code !== 0) {
    const said = `${finished.stdout}${finished.stderr}`.trim();
    throw new Error(`${program} ${args.join(' ')} ended with ${finished.code}: ${said}`);
  }
  return finished;
}

/** True when somebody listens on the unix socket. */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A server in the background, from its first answer to its end. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';
  #exitCode: number | null = null;

  /** Resolves as soon as `socketPath` accepts connections. */
  static async start(
    program: string,
    args: readonly string[],
    socketPath: string,
    options: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
  ): Promise<ServerProcess> {
    const server = new ServerProcess(program, args, options.env ?? process.env);
    const limitMs = performance.now() + (options.timeoutMs ?? 60_000);
    while (!(await answers(socketPath))) {
      if (!server.alive) throw new Error(`${program} did not start: ${server.output.trim()}`);
      if (performance.now() > limitMs) {
        await server.stop('SIGKILL');
        throw new Error(`${program} does not answer on ${socketPath}: ${server.output.trim()}`);
      }
      await sleep(10);
    }
    return server;
  }

  private constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    const keep = (piece: Buffer): void => {
      this.#output = (this.#output + piece.toString()).slice(-65_536);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.#ended = new Promise((resolve) => {
      const end = (code: number | null): void => {
        this.#exitCode = code;
        running.delete(child);
        resolve();
      };
      child.once('error', (error) => {
        this.#output += error.message;
        end(null);
      });
      child.once('exit', end);
    });
  }

  get alive(): boolean {
    return running.has(this.#child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last 64 KiB of what it printed. */
  get output(): string {
    return this.#output;
  }

  get exitCode(): number | null {
    return this.#exitCode;
  }

  /** Sends the signal and waits for the end; a server that ignores SIGTERM for 40 s is killed. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!this.alive) return;
    this.#child.kill(signal);
    const impatient = setTimeout(() => this.#child.kill('SIGKILL'), 40_000);
    await this.#ended;
    clearTimeout(impatient);
  }

  async ended(): Promise<void> {
    await this.#ended;
  }
}
