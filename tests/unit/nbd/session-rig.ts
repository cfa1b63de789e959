/**
 * A session with nothing real around it: bytes are fed to it, what it sends is taken apart, time is
 * moved by hand. The pool is in its debugging mode, and at the end everything must be back in it.
 */

import assert from 'node:assert/strict';
import type { Address } from '../../../src/base/units.ts';
import { MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Clock } from '../../../src/io/clock.ts';
import type { Stream, StreamHandler } from '../../../src/io/stream.ts';
import type { NbdLimits } from '../../../src/nbd/limits.ts';
import type { Negotiated } from '../../../src/nbd/negotiated.ts';
import { SessionGroup } from '../../../src/nbd/session-group.ts';
import { MemoryDevice } from '../../clients/memory-device.ts';
import { bytes, u16, u32, u64 } from './handshake-wire.ts';

export const READ = 0;
export const WRITE = 1;
export const DISC = 2;
export const FLUSH = 3;
export const TRIM = 4;
export const CACHE = 5;
export const ZEROES = 6;
export const STATUS = 7;

export class FakeClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      this.#timers.sort((one, other) => one.atMs - other.atMs);
      const next = this.#timers[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#timers.shift();
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = untilMs;
  }
}

/** The other end of the session's stream. */
export class MemoryStream implements Stream {
  readonly #pool: BufferPool;
  #handler: StreamHandler | null = null;
  #receive: { address: Address; lengthBytes: number } | null = null;
  #input: Uint8Array = bytes();
  #inputEnded = false;
  #endReported = false;
  #queue: { address: Address; lengthBytes: number }[] = [];
  /** While false, nothing leaves. */
  takesReplies = true;
  readonly output: Buffer[] = [];
  finished = false;
  isClosed = false;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get receiving(): boolean {
    return this.#receive !== null;
  }

  start(handler: StreamHandler): void {
    this.#handler = handler;
  }

  receive(address: Address, lengthBytes: number): void {
    assert.equal(this.#receive, null);
    assert.ok(lengthBytes > 0);
    this.#receive = { address, lengthBytes };
    setImmediate(() => this.#deliver());
  }

  send(address: Address, lengthBytes: number): void {
    assert.ok(lengthBytes > 0);
    this.#queue.push({ address, lengthBytes });
    setImmediate(() => this.drain());
  }

  finish(): void {
    assert.equal(this.#queue.length, 0);
    this.finished = true;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    setImmediate(() => {
      // Until it says `closed`, the kernel may write to the buffer of a receive.
      const receive = this.#receive;
      if (receive !== null) this.#pool.slice(receive.address, receive.lengthBytes).fill(0xee);
      this.#handler?.closed();
    });
  }

  feed(...parts: readonly Uint8Array[]): void {
    this.#input = bytes(this.#input, ...parts);
    setImmediate(() => this.#deliver());
  }

  end(): void {
    this.#inputEnded = true;
    setImmediate(() => this.#deliver());
  }

  breakDown(): void {
    this.#handler?.failed('broken');
  }

  drain(): void {
    if (!this.takesReplies || this.isClosed || this.#queue.length === 0) return;
    let sentBytes = 0;
    for (const { address, lengthBytes } of this.#queue.splice(0)) {
      this.output.push(Buffer.from(this.#pool.slice(address, lengthBytes)));
      sentBytes += lengthBytes;
    }
    this.#handler?.sent(sentBytes);
  }

  #deliver(): void {
    if (this.isClosed || this.#receive === null) return;
    const { address, lengthBytes } = this.#receive;
    const part = this.#input.subarray(0, lengthBytes);
    if (part.length > 0) {
      this.#receive = null;
      this.#pool.bytes.set(part, address);
      this.#input = this.#input.subarray(part.length);
      this.#handler?.received(part.length);
    } else if (this.#inputEnded && !this.#endReported) {
      this.#endReported = true;
      this.#handler?.ended();
    }
  }
}

export interface RigOptions {
  readonly structured?: boolean;
  readonly allocation?: boolean;
  readonly aligned?: boolean;
  readonly poolBytes?: number;
  /** The largest buffer of a step of the engine, for which blocks are kept aside. */
  readonly stepBytes?: number;
  readonly sizeBytes?: number;
  readonly limits?: Partial<NbdLimits>;
}

export class Rig {
  readonly clock = new FakeClock();
  readonly pool: BufferPool;
  readonly device: MemoryDevice;
  readonly group: SessionGroup;
  readonly closings: string[] = [];
  readonly faults: unknown[] = [];
  readonly #negotiated: Negotiated;
  readonly #freeBytes: number;
  #nextId = 1;

  constructor(options: RigOptions = {}) {
    const poolBytes = options.poolBytes ?? 64 * MIB;
    // Debugging fills every buffer; where megabytes go through, that is too slow.
    this.pool = new BufferPool({ sizeBytes: poolBytes, debug: poolBytes <= 8 * MIB });
    if (options.stepBytes !== undefined) this.pool.keepAside(options.stepBytes);
    this.#freeBytes = this.pool.freeBytes;
    this.device = new MemoryDevice(this.pool, options.sizeBytes ?? 64 * MIB, 'v1');
    this.group = new SessionGroup({
      device: this.device,
      buffers: this.pool,
      clock: this.clock,
      ...(options.limits ? { limits: options.limits } : {}),
      onClosed: (_id, reason) => this.closings.push(reason),
      onFault: (error) => this.faults.push(error),
    });
    this.#negotiated = {
      exportName: 'v1',
      structured: options.structured ?? false,
      allocationContextId: options.allocation ? 1 : 0,
      aligned: options.aligned ?? false,
    };
  }

  connect(firstBytes = bytes(), leftover = bytes()): MemoryStream {
    const stream = new MemoryStream(this.pool);
    const connectionId = this.#nextId++;
    const negotiated = this.#negotiated;
    this.group.open({ connectionId, negotiated, firstBytes, leftover }, stream);
    return stream;
  }

  /** Every connection has ended, and left nothing behind. */
  async finish(): Promise<void> {
    const shut = this.group.shutdown(10_000);
    await settle();
    this.clock.advance(10_000);
    await shut;
    await settle();
    assert.deepEqual(this.faults, []);
    assert.equal(this.pool.freeBytes, this.#freeBytes);
  }
}

/** Lets everything that can happen without time passing happen. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

export const request = (
  type: number,
  cookie: number,
  offset: number,
  length: number,
  flags = 0,
  payload = bytes(),
): Uint8Array =>
  bytes(u32(0x25609513), u16(flags), u16(type), u64(cookie), u64(offset), u32(length), payload);

export const write = (cookie: number, offset: number, payload: Uint8Array, flags = 0): Uint8Array =>
  request(WRITE, cookie, offset, payload.length, flags, payload);

export interface SimpleReply {
  readonly errno: number;
  readonly data: Buffer;
}

/** `reads`: how many bytes follow the success of which cookie. */
export const simpleReplies = (
  output: readonly Buffer[],
  reads: ReadonlyMap<number, number> = new Map(),
): Map<number, SimpleReply> => {
  const wire = Buffer.concat(output);
  const replies = new Map<number, SimpleReply>();
  for (let at = 0; at < wire.length; ) {
    assert.equal(wire.readUInt32BE(at), 0x67446698, `a simple reply at ${at}`);
    const errno = wire.readUInt32BE(at + 4);
    const cookie = Number(wire.readBigUInt64BE(at + 8));
    assert.ok(!replies.has(cookie), 'one reply for each request');
    const length = errno === 0 ? (reads.get(cookie) ?? 0) : 0;
    replies.set(cookie, { errno, data: wire.subarray(at + 16, at + 16 + length) });
    assert.ok(at + 16 + length <= wire.length, 'a whole reply');
    at += 16 + length;
  }
  return replies;
};

export interface Chunk {
  readonly type: number;
  readonly done: boolean;
  readonly payload: Buffer;
}

/** By cookie, in order; simple replies appear as chunks of type −1 with their errno as payload. */
export const chunks = (output: readonly Buffer[]): Map<number, Chunk[]> => {
  const wire = Buffer.concat(output);
  const all = new Map<number, Chunk[]>();
  for (let at = 0; at < wire.length; ) {
    const magic = wire.readUInt32BE(at);
    const cookie = Number(wire.readBigUInt64BE(at + 8));
    const simple = magic === 0x67446698;
    assert.ok(simple || magic === 0x668e33ef, `a reply at ${at}`);
    const length = simple ? 0 : wire.readUInt32BE(at + 16);
    const header = simple ? 16 : 20;
    const chunk = {
      type: simple ? -1 : wire.readUInt16BE(at + 6),
      done: simple || (wire.readUInt16BE(at + 4) & 1) === 1,
      payload: simple ? wire.subarray(at + 4, at + 8) : wire.subarray(at + 20, at + 20 + length),
    };
    const earlier = all.get(cookie) ?? [];
    assert.ok(!earlier.some((other) => other.done), 'nothing follows the last chunk');
    all.set(cookie, [...earlier, chunk]);
    at += header + length;
    assert.ok(at <= wire.length, 'a whole chunk');
  }
  return all;
};

/** Bytes that tell where they belong. */
export const pattern = (lengthBytes: number, seed: number): Buffer => {
  const buffer = Buffer.alloc(lengthBytes);
  let state = seed | 1;
  for (let at = 0; at < lengthBytes; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    buffer[at] = state >>> 16;
  }
  return buffer;
};
