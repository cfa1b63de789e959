/**
 * Locum as its users meet it: `bin/locum`, a server in a state directory, its control and NBD sockets. Used by the
 * end-to-end tests, the demo and the benchmark; none of them reaches around the command line, but for waiting: that asks
 * the control API, because a process for each look would be most of the load.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeStatus } from '../../src/core/status.ts';
import { NbdClient } from './nbd-client.ts';
import { type Finished, runProgram, ServerProcess } from './processes.ts';

export const repositoryRoot = resolve(import.meta.dirname, '../../..');
export const locumPath = join(repositoryRoot, 'bin', 'locum');

/** Exit codes of the command line. */
export const exitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  noServer: 5,
  timedOut: 6,
} as const;

export interface LocumOptions {
  readonly io?: 'auto' | 'uring' | 'node';
  /** More arguments of `locum serve`. */
  readonly serveArgs?: readonly string[];
  /** For one command; left out: what is usual for any program. */
  readonly commandLimitMs?: number;
  /** Where commands run: relative paths of drives and legs start there. */
  readonly folder?: string;
}

/** A directory with a short path (a unix socket's path has at most 107 bytes), removed by `remove`. */
export async function shortFolder(
  parent = '/tmp',
): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(parent, 'locum-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}

export class Locum {
  readonly state: string;
  readonly nbdPath: string;
  readonly controlPath: string;
  readonly folder: string;
  readonly #options: LocumOptions;
  #server: ServerProcess | null = null;

  constructor(state: string, options: LocumOptions = {}) {
    this.state = state;
    this.nbdPath = join(state, 'nbd.sock');
    this.controlPath = join(state, 'control.sock');
    this.folder = options.folder ?? process.cwd();
    this.#options = options;
  }

  get server(): ServerProcess {
    if (!this.#server) throw new Error('the server was not started');
    return this.#server;
  }

  /** Starts the server; resolves when its control socket answers. */
  async start(): Promise<void> {
    this.#server = await ServerProcess.start(locumPath, this.serveArgs(), this.controlPath);
  }

  serveArgs(): string[] {
    const { io, serveArgs } = this.#options;
    return [
      'serve',
      '--state',
      this.state,
      ...(io === undefined ? [] : ['--io', io]),
      ...(serveArgs ?? []),
    ];
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#server?.stop(signal);
  }

  /** Runs `locum ARGS` against this server and answers with whatever came of it. */
  run(...args: readonly string[]): Promise<Finished> {
    const { commandLimitMs } = this.#options;
    return runProgram(locumPath, args, {
      env: this.environment(),
      cwd: this.folder,
      ...(commandLimitMs === undefined ? {} : { timeoutMs: commandLimitMs }),
    });
  }

  environment(): NodeJS.ProcessEnv {
    return { ...process.env, LOCUM_STATE: this.state, NO_COLOR: '1' };
  }

  /** Runs `locum ARGS`; anything but exit code 0 is an error that shows what was said. */
  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code === 0) return stdout;
    const served = this.#server?.output.trim() ?? '';
    throw new Error(
      `locum ${args.join(' ')} ended with ${code}: ${`${stdout}${stderr}`.trim()}\n` +
        `The server's last words:\n${served}`,
    );
  }

  async statusOf(volume: string): Promise<VolumeStatus> {
    const text = await this.must('status', volume, '-o', 'json');
    const { volumes } = JSON.parse(text) as { volumes: VolumeStatus[] };
    const [status] = volumes;
    if (!status) throw new Error(`status tells nothing of ${volume}`);
    return status;
  }

  /** Waits until the status satisfies `is`; fails with the last status when it does not in time. */
  async until(
    volume: string,
    what: string,
    is: (status: VolumeStatus) => boolean,
    timeoutMs = 60_000,
  ): Promise<VolumeStatus> {
    const limitMs = performance.now() + timeoutMs;
    for (;;) {
      const { volumes } = (await this.ask(`/v1/volumes/${volume}`)) as { volumes: VolumeStatus[] };
      const [status] = volumes;
      if (!status) throw new Error(`the server tells nothing of ${volume}`);
      if (is(status)) return status;
      if (performance.now() > limitMs) {
        throw new Error(`${volume} is not ${what}: ${JSON.stringify(status, null, 2)}`);
      }
      await sleep(100);
    }
  }

  /** A GET of the control API. */
  ask(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.controlPath, path }, (reply) => {
        const pieces: Buffer[] = [];
        reply.on('data', (piece: Buffer) => pieces.push(piece));
        reply.on('end', () => {
          const text = Buffer.concat(pieces).toString();
          if (reply.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`${path}: ${reply.statusCode} ${text}`));
        });
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  connect(volume: string): Promise<NbdClient> {
    return NbdClient.connect({ path: this.nbdPath, exportName: volume });
  }
}
