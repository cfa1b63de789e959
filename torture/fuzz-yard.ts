/**
 * A real server with two volumes, for clients that behave badly: what it costs (memory, descriptors) can be read off. The
 * last part of `tank` is theirs; everything before it belongs to the verified load (fuzz-load.ts). `v1` takes the fuzzer.
 */

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Locum } from '../tests/support/locum.ts';
import { NbdClient } from '../tests/support/nbd-client.ts';

export type Io = 'uring' | 'node';

const MIB = 2 ** 20;
const MEMBER_BYTES = 32 * MIB;
export const volume = 'tank';
/** Takes the bytes of the fuzzer, which speak of `v1`. */
export const fuzzedVolume = 'v1';
/** At the end of the volume; nobody but rough clients writes there. */
export const ROUGH_BYTES = 16 * MIB;

export interface Census {
  readonly rssBytes: number;
  readonly descriptors: number;
}

export class Yard {
  readonly io: Io;
  readonly locum: Locum;
  port = 0;
  sizeBytes = 0;

  static async open(
    directory: string,
    io: Io,
    limits: Readonly<Record<string, number>> = {},
  ): Promise<Yard> {
    const yard = new Yard(directory, io, limits);
    await yard.#start(directory);
    return yard;
  }

  private constructor(directory: string, io: Io, limits: Readonly<Record<string, number>>) {
    this.io = io;
    const state = join(directory, 's');
    mkdirSync(state, { recursive: true });
    const serveArgs = ['--listen', `unix:${join(state, 'nbd.sock')}`, 'tcp:127.0.0.1:0'];
    for (const [name, value] of Object.entries(limits))
      serveArgs.push('--limit', `${name}=${value}`);
    this.locum = new Locum(state, { io, serveArgs });
  }

  get roughFrom(): number {
    return this.sizeBytes - ROUGH_BYTES;
  }

  connect(): Promise<NbdClient> {
    return this.locum.connect(volume);
  }

  connectTcp(): Promise<NbdClient> {
    return NbdClient.connect({ host: '127.0.0.1', port: this.port, exportName: volume });
  }

  census(): Census {
    const { pid } = this.locum.server;
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      rssBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
    };
  }

  /** Waits until no more descriptors are open than at the start; null when it comes to that. */
  async settled(descriptors: number): Promise<string | null> {
    const limitMs = performance.now() + 90_000;
    while (this.census().descriptors > descriptors) {
      if (performance.now() > limitMs) {
        return `${this.census().descriptors} descriptors are open, ${descriptors} were at the start`;
      }
      await sleep(50);
    }
    return null;
  }

  async close(): Promise<void> {
    await this.locum.stop('SIGKILL');
  }

  async #start(directory: string): Promise<void> {
    const { locum } = this;
    await locum.start();
    for (const name of [volume, fuzzedVolume]) {
      const paths = [0, 1, 2].map((index) => join(directory, `${name}${index}.img`));
      const drives = paths.flatMap((path) => ['--drive', path]);
      const size = ['--image-size', String(MEMBER_BYTES)];
      await locum.must('volume', 'create', name, '--level', '5', ...drives, ...size);
      await locum.until(name, 'optimal', ({ state }) => state === 'optimal');
    }
    const { listen } = (await locum.ask('/v1/server')) as { listen: readonly string[] };
    this.port = Number(/^tcp:127\.0\.0\.1:(\d+)$/.exec(listen[1] ?? '')?.[1]);
    const client = await this.connect();
    this.sizeBytes = client.sizeBytes;
    await client.close();
  }
}
