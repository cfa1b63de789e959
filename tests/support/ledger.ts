/**
 * What a volume must hold, block by block, and a writer that keeps it busy.
 *
 * Each block carries its own number, the version of its contents and a pattern made from both, so a block read back
 * names the write that it came from: a stale, misplaced or mixed block cannot pass for a good one. The ledger keeps,
 * for each block, the version last acknowledged and the versions sent after it that never got an answer (the server was
 * killed meanwhile). Legal is the acknowledged version or one of the unanswered ones after it; nothing else.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type NbdClient, NbdDisconnected } from './nbd-client.ts';

export const ledgerBlockBytes = 4096;
const wordCount = ledgerBlockBytes / 4;
const magic = 0x4c6f6375;

/** A block's contents for a version; version 0 is a block never written, all zeroes. */
export function blockContents(block: number, version: number): Buffer {
  const words = new Uint32Array(wordCount);
  if (version > 0) {
    words[0] = magic;
    words[1] = block;
    words[2] = version;
    let x = (Math.imul(block + 1, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b)) | 1;
    for (let index = 3; index < wordCount; index++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[index] = x;
    }
  }
  return Buffer.from(words.buffer);
}

export class Ledger {
  readonly blockCount: number;
  readonly #acknowledged: Uint32Array;
  readonly #unanswered = new Map<number, number[]>();
  readonly #writing = new Set<number>();
  #lastVersion = 0;

  constructor(blockCount: number) {
    this.blockCount = blockCount;
    this.#acknowledged = new Uint32Array(blockCount);
  }

  isFree(first: number, count: number): boolean {
    for (let block = first; block < first + count; block++) {
      if (this.#writing.has(block)) return false;
    }
    return true;
  }

  /** Takes the blocks for one write; they are not free until `acknowledge` or `giveUp`. */
  begin(first: number, count: number): { version: number; bytes: Buffer } {
    const version = ++this.#lastVersion;
    const parts: Buffer[] = [];
    for (let block = first; block < first + count; block++) {
      this.#writing.add(block);
      parts.push(blockContents(block, version));
    }
    return { version, bytes: Buffer.concat(parts) };
  }

  acknowledge(first: number, count: number, version: number): void {
    for (let block = first; block < first + count; block++) {
      this.#writing.delete(block);
      this.#unanswered.delete(block);
      this.#acknowledged[block] = version;
    }
  }

  /** No answer came: the write may have happened or not. */
  giveUp(first: number, count: number, version: number): void {
    for (let block = first; block < first + count; block++) {
      this.#writing.delete(block);
      this.#unanswered.set(block, [...(this.#unanswered.get(block) ?? []), version]);
    }
  }

  get blocksAcknowledged(): number {
    return this.#acknowledged.reduce((count, version) => count + (version > 0 ? 1 : 0), 0);
  }

  /** Null when the block may read as `bytes`, else what is wrong with it. */
  check(block: number, bytes: Uint8Array): string | null {
    const acknowledged = this.#acknowledged[block] ?? 0;
    for (const version of [acknowledged, ...(this.#unanswered.get(block) ?? [])]) {
      if (Buffer.compare(blockContents(block, version), bytes) === 0) return null;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const found =
      view.getUint32(0, true) === magic
        ? `block ${view.getUint32(4, true)} version ${view.getUint32(8, true)}, or a mix`
        : 'something that was never written';
    return `block ${block} should hold version ${acknowledged} but holds ${found}`;
  }

  /** Reads every block back and returns what is wrong; an empty list is a pass. */
  async verify(client: NbdClient, tell?: (doneBlocks: number) => void): Promise<string[]> {
    const wrong: string[] = [];
    const stepBlocks = 64;
    for (let first = 0; first < this.blockCount; first += stepBlocks) {
      const count = Math.min(stepBlocks, this.blockCount - first);
      const bytes = await client.read(first * ledgerBlockBytes, count * ledgerBlockBytes);
      for (let index = 0; index < count; index++) {
        const start = index * ledgerBlockBytes;
        const problem = this.check(first + index, bytes.subarray(start, start + ledgerBlockBytes));
        if (problem) wrong.push(problem);
      }
      tell?.(first + count);
    }
    return wrong;
  }
}

export interface WriterOptions {
  readonly connect: () => Promise<NbdClient>;
  readonly ledger: Ledger;
  /** Writes in flight at a time. */
  readonly inFlight: number;
  /** Pause of each of them after an answer, so that the log is not flooded. */
  readonly pauseMs: number;
  /** Blocks of the longest write. */
  readonly blocksMax: number;
}

/** Writes to random places until told to stop. A lost connection is made anew, as a host would do it. */
export class BackgroundWriter {
  readonly #options: WriterOptions;
  #client: NbdClient | null = null;
  #connecting: Promise<NbdClient> | null = null;
  #stopping = false;
  #workers: Promise<void>[] = [];
  #lastAnswerMs = 0;
  acknowledgedWrites = 0;
  acknowledgedBytes = 0;
  unansweredWrites = 0;
  connections = 0;
  longestGapMs = 0;
  /** Errors that the server answered with: none is expected, ever. */
  readonly errors: string[] = [];

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#connection();
    this.#lastAnswerMs = performance.now();
    for (let index = 0; index < this.#options.inFlight; index++) {
      const worker = this.#work();
      // Its failure is told by `stop`, which awaits it; until then nobody does.
      worker.catch(() => undefined);
      this.#workers.push(worker);
    }
  }

  /** Resolves when the last write in flight was answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
    await this.#client?.close();
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
        this.connections++;
        return this.#client;
      } catch (error) {
        if (performance.now() > limitMs) throw error;
        await sleep(50);
      }
    }
  }

  async #work(): Promise<void> {
    const { ledger, blocksMax, pauseMs } = this.#options;
    while (!this.#stopping) {
      const count = 1 + Math.floor(Math.random() * blocksMax);
      const first = Math.floor(Math.random() * (ledger.blockCount - count + 1));
      if (!ledger.isFree(first, count)) {
        await sleep(0);
        continue;
      }
      const client = await this.#connection();
      if (!ledger.isFree(first, count)) continue;
      const { version, bytes } = ledger.begin(first, count);
      try {
        await client.write(first * ledgerBlockBytes, bytes);
        ledger.acknowledge(first, count, version);
        this.#answered(bytes.length);
      } catch (error) {
        ledger.giveUp(first, count, version);
        this.unansweredWrites++;
        if (!(error instanceof NbdDisconnected)) {
          this.errors.push(error instanceof Error ? error.message : String(error));
          await sleep(100);
        }
      }
      if (pauseMs > 0) await sleep(pauseMs);
    }
  }

  #answered(lengthBytes: number): void {
    const nowMs = performance.now();
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastAnswerMs);
    this.#lastAnswerMs = nowMs;
    this.acknowledgedWrites++;
    this.acknowledgedBytes += lengthBytes;
  }

  /** Starts a new measurement of the longest time without an answer. */
  resetGap(): void {
    this.#lastAnswerMs = performance.now();
    this.longestGapMs = 0;
  }
}
