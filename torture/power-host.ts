/**
 * The host of a recorded life: writes, zeroes, FUA and flushes from several workers at once, each request and answer put
 * into the recording. Sectors identify themselves: each carries its number and the number of the request that
 * wrote it, so a sector read back names where it came from.
 *
 * No two requests in flight touch the same sector, so for one sector the requests have an order: their numbers.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../sim/streams.ts';
import { commandFlags, type NbdClient, NbdDisconnected } from '../tests/support/nbd-client.ts';
import type { Recording } from './power-record.ts';

export const sectorBytes = 512;
const sectorWords = sectorBytes / 4;
const magic = 0x50634375;

export interface HostRequest {
  readonly kind: 'write' | 'zero' | 'flush';
  readonly firstSector: number;
  readonly sectors: number;
  readonly isFua: boolean;
}

/** What one sector holds after request number `host` has written it. */
export function fillSector(words: Uint32Array, at: number, sector: number, host: number): void {
  words[at] = magic;
  words[at + 1] = sector;
  words[at + 2] = host;
  let x = (Math.imul(sector + 1, 0x9e3779b1) ^ Math.imul(host, 0x85ebca6b)) | 1;
  for (let index = 3; index < sectorWords; index++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[at + index] = x;
  }
}

const expected = new Uint32Array(sectorWords);

/** The number of the request that wrote these 512 bytes there; 0 for zeroes; null for anything else. */
export function writerOf(words: Uint32Array, at: number, sector: number): number | null {
  const host = words[at] === magic ? words[at + 2]! : 0;
  if (host === 0) expected.fill(0);
  else fillSector(expected, 0, sector, host);
  for (let index = 0; index < sectorWords; index++) {
    if (words[at + index] !== expected[index]) return null;
  }
  return host;
}

export interface HostOptions {
  readonly recording: Recording;
  readonly random: Stream;
  readonly sizeBytes: number;
  readonly connect: () => Promise<NbdClient>;
  readonly workers: number;
  readonly pauseMs: number;
}

export class RecordedHost {
  /** By number; number 0 is "never written". */
  readonly requests: HostRequest[] = [{ kind: 'zero', firstSector: 0, sectors: 0, isFua: false }];
  /** Errors that the server answered with; a life that expects none looks here. */
  readonly errors: string[] = [];
  answered = 0;
  readonly #options: HostOptions;
  readonly #busy: Uint8Array;
  readonly #workers: Promise<void>[] = [];
  #client: NbdClient | null = null;
  #connecting: Promise<NbdClient> | null = null;
  #isEnding = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#busy = new Uint8Array(options.sizeBytes / sectorBytes);
  }

  start(): void {
    for (let index = 0; index < this.#options.workers; index++) {
      const worker = this.#work();
      worker.catch(() => undefined);
      this.#workers.push(worker);
    }
  }

  /** Resolves when nothing is in flight any more. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#workers);
    await this.#client?.close();
  }

  async flush(): Promise<void> {
    const client = await this.#connection();
    await this.#ask({ kind: 'flush', firstSector: 0, sectors: 0, isFua: false }, () =>
      client.flush(),
    );
  }

  #connection(): Promise<NbdClient> {
    if (this.#client?.connected) return Promise.resolve(this.#client);
    this.#connecting ??= this.#reconnect().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #reconnect(): Promise<NbdClient> {
    const limitMs = performance.now() + 60_000;
    for (;;) {
      try {
        this.#client = await this.#options.connect();
        return this.#client;
      } catch (error) {
        if (performance.now() > limitMs) throw error;
        await sleep(20);
      }
    }
  }

  async #work(): Promise<void> {
    const { random, pauseMs } = this.#options;
    while (!this.#isEnding) {
      const request = this.#choose();
      if (request !== null) await this.#serve(request);
      await sleep(random.below(2 * pauseMs + 1));
    }
  }

  /** Null when a sector of it is in flight already. */
  #choose(): HostRequest | null {
    const { random } = this.#options;
    const dice = random.below(100);
    if (dice < 10) return { kind: 'flush', firstSector: 0, sectors: 0, isFua: false };
    const kind = dice < 18 ? 'zero' : 'write';
    const isFua = random.chance(0.15);
    const isLong = random.chance(0.15);
    const isAligned = random.chance(0.5);
    const unit = isAligned ? 8 : 1;
    const sectors = (1 + random.below(isLong ? 12 : 3)) * (isLong ? 8 : unit);
    const total = this.#busy.length;
    // Half of it in one eighth of the volume, so that the same stripes are written again and again.
    const within = random.chance(0.5) ? Math.ceil(total / 8) : total;
    const last = Math.max(within - sectors, 1);
    const firstSector = Math.floor(random.below(last) / unit) * unit;
    if (firstSector + sectors > total) return null;
    if (this.#busy.subarray(firstSector, firstSector + sectors).some((it) => it !== 0)) return null;
    return { kind, firstSector, sectors, isFua };
  }

  async #serve(request: HostRequest): Promise<void> {
    const { kind, firstSector, sectors, isFua } = request;
    const end = firstSector + sectors;
    this.#busy.fill(1, firstSector, end);
    try {
      const client = await this.#connection();
      const flags = isFua ? commandFlags.fua : 0;
      const offset = firstSector * sectorBytes;
      await this.#ask(request, (host) => {
        if (kind === 'flush') return client.flush();
        if (kind === 'zero') return client.zero(offset, sectors * sectorBytes, flags);
        const words = new Uint32Array(sectors * sectorWords);
        for (let index = 0; index < sectors; index++) {
          fillSector(words, index * sectorWords, firstSector + index, host);
        }
        return client.write(offset, new Uint8Array(words.buffer), flags);
      });
    } catch (error) {
      // Without an answer it may have happened or not; that is all the recording needs to know.
      if (!(error instanceof NbdDisconnected)) {
        this.errors.push(error instanceof Error ? error.message : String(error));
      }
    } finally {
      this.#busy.fill(0, firstSector, end);
    }
  }

  async #ask(request: HostRequest, send: (host: number) => Promise<void>): Promise<void> {
    const { recording } = this.#options;
    const host = this.requests.push(request) - 1;
    recording.add({ kind: 'asked', host });
    await send(host);
    recording.add({ kind: 'answered', host });
    this.answered++;
  }
}
