/**
 * One server that is given image after image: assembles the volume, takes the drive of an open window back, reads every
 * byte, stops the volume again. A process for each cut would be most of the time; a volume has a thread of its own with
 * nothing kept between two of them, so each cut meets a fresh engine.
 *
 * The images lie in memory (tmpfs). The server writes to them, so they are made anew for each cut.
 */

import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeStatus } from '../src/core/status.ts';
import { Locum } from '../tests/support/locum.ts';
import type { NbdClient } from '../tests/support/nbd-client.ts';
import { ControlApi } from './drives-api.ts';

const pieceBytes = 65_536;
const zeroes = Buffer.alloc(pieceBytes);

export interface Given {
  readonly drives: readonly Buffer[];
  readonly legs: readonly Buffer[];
  /** Not there at the start. */
  readonly withoutDrive: number | null;
  readonly withoutLeg: number | null;
}

export interface Started {
  readonly refusedWith: string | null;
  readonly said: string;
  /** As the volume was just after its start. */
  readonly status: VolumeStatus | null;
  /** The whole volume; null when it was refused. */
  readonly bytes: Buffer | null;
}

export class Checker {
  readonly #folder: string;
  readonly #volume: string;
  readonly #locum: Locum;
  readonly #api: ControlApi;

  static async start(folder: string, volume: string, io: 'uring' | 'node'): Promise<Checker> {
    const checker = new Checker(folder, volume, io);
    await checker.#locum.start();
    return checker;
  }

  private constructor(folder: string, volume: string, io: 'uring' | 'node') {
    this.#folder = folder;
    this.#volume = volume;
    const state = join(folder, 'state');
    mkdirSync(state, { recursive: true });
    this.#locum = new Locum(state, { io, serveArgs: ['--limit', 'tickMs=100'] });
    this.#api = new ControlApi(this.#locum.controlPath);
  }

  /** Starts the volume, brings it together and reads all of it. It runs on until `end`. */
  async begin(given: Given): Promise<Started> {
    const drives = this.#put('drive', given.drives, given.withoutDrive);
    const logs = this.#put('leg', given.legs, given.withoutLeg);
    const assembled = await this.#api.call('volumeAssemble', { body: { drives, logs } });
    if (!assembled.ok) {
      return { refusedWith: assembled.code, said: assembled.message, status: null, bytes: null };
    }
    const status = assembled.value.volumes[0]!;
    if (status.window?.state === 'open') {
      const closed = await this.#api.call('windowClose', { volume: this.#volume, body: {} });
      // A window that was overdue ends by itself at once, without its drive.
      if (!closed.ok && !['window-wrong-state', 'window-none'].includes(closed.code)) {
        throw new Error(`the drive was not taken back: ${closed.code}: ${closed.message}`);
      }
    }
    return { refusedWith: null, said: '', status, bytes: await this.read() };
  }

  /** Everything the volume holds. A read that waits for good is an error after a minute. */
  async read(): Promise<Buffer> {
    const client: NbdClient = await this.#locum.connect(this.#volume);
    const impatient = setTimeout(() => client.destroy(), 60_000);
    try {
      const parts: Promise<Buffer>[] = [];
      const stepBytes = 1024 * 1024;
      for (let at = 0; at < client.sizeBytes; at += stepBytes) {
        parts.push(client.read(at, Math.min(stepBytes, client.sizeBytes - at)));
      }
      const bytes = Buffer.concat(await Promise.all(parts));
      await client.close();
      return bytes;
    } finally {
      clearTimeout(impatient);
      client.destroy();
    }
  }

  /** Waits until nothing is under way, and then lets every stripe be checked: how many disagree. */
  async settle(): Promise<{ status: VolumeStatus; mismatches: number }> {
    const status = await this.#quiet();
    if (status.state !== 'optimal') return { status, mismatches: 0 };
    await this.#api.must('scrubStart', { volume: this.#volume, body: {} });
    for (;;) {
      const { job } = await this.#api.must('scrubStatus', { volume: this.#volume });
      if (job.state !== 'running' && job.state !== 'paused') {
        return { status, mismatches: job.mismatches };
      }
      await sleep(20);
    }
  }

  async #quiet(): Promise<VolumeStatus> {
    const limitMs = performance.now() + 60_000;
    for (;;) {
      const { volumes } = await this.#api.must('volumeStatus', { volume: this.#volume });
      const status = volumes[0]!;
      const isBusy = status.jobs.some(({ state }) => state === 'running');
      if (status.window === null && !isBusy && ['optimal', 'degraded'].includes(status.state)) {
        return status;
      }
      if (performance.now() > limitMs) {
        throw new Error(`it does not come to rest: ${JSON.stringify(status)}`);
      }
      await sleep(20);
    }
  }

  /** Takes the volume off again; nothing of it is left in the server. */
  async end(): Promise<void> {
    const body = { force: true, forget: true };
    await this.#api.must('volumeStop', { volume: this.#volume, body });
  }

  /** Whatever state it is in: the next cut gets a new server. */
  async restart(): Promise<void> {
    await this.#locum.stop('SIGKILL');
    rmSync(join(this.#folder, 'state'), { recursive: true, force: true });
    mkdirSync(join(this.#folder, 'state'));
    await this.#locum.start();
  }

  async stop(): Promise<void> {
    await this.#locum.stop('SIGKILL');
  }

  #put(stem: string, images: readonly Buffer[], without: number | null): string[] {
    return images.map((image, index) => {
      const path = join(this.#folder, `${stem}${index}.img`);
      rmSync(path, { force: true });
      if (index !== without) writeSparse(path, image);
      return path;
    });
  }
}

export function writeSparse(path: string, image: Buffer): void {
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, image.length);
    for (let at = 0; at < image.length; at += pieceBytes) {
      const end = Math.min(at + pieceBytes, image.length);
      if (image.compare(zeroes, 0, end - at, at, end) !== 0) writeSync(fd, image, at, end - at, at);
    }
  } finally {
    closeSync(fd);
  }
}
