/**
 * What surrounds a session in the fuzzer: the client's end of its stream, and the device behind it. Both do nothing by
 * themselves; the round (fuzz-round.ts) makes them take one step after the other, so that a plan always runs the same way.
 */

import { Stream as Draw, mix } from '../sim/streams.ts';
import type { Address, VolumeOffset } from '../src/base/units.ts';
import type { BlockDevice, ZeroOptions } from '../src/io/block-device.ts';
import type { BufferPool } from '../src/io/buffer-pool.ts';
import type { Stream, StreamHandler } from '../src/io/stream.ts';
import type { Book, BookedRequest, Extent } from './fuzz-book.ts';
import type { ConnectionPlan } from './fuzz-plan.ts';
import { command } from './fuzz-wire.ts';

/** Bytes that grow at the end. */
export class Output {
  #bytes = new Uint8Array(4096);
  length = 0;

  add(bytes: Uint8Array): void {
    const needed = this.length + bytes.length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(needed)));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.length);
    this.length = needed;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

interface Part {
  address: Address;
  lengthBytes: number;
}

/** The rules of io/stream.ts, with every freedom they leave: fragments of any size, partial sends, late ends. */
export class FuzzStream implements Stream {
  readonly #pool: BufferPool;
  readonly #output: Output;
  readonly #fail: (problem: string) => void;
  #handler: StreamHandler | null = null;
  #receive: Part | null = null;
  readonly #queue: Part[] = [];
  finished = false;
  isClosing = false;
  isClosed = false;
  endReported = false;

  constructor(pool: BufferPool, output: Output, fail: (problem: string) => void) {
    this.#pool = pool;
    this.#output = output;
    this.#fail = fail;
  }

  get receiving(): boolean {
    return this.#receive !== null && !this.isClosing;
  }

  get unsent(): boolean {
    return this.#queue.length > 0;
  }

  start(handler: StreamHandler): void {
    this.#handler = handler;
  }

  receive(address: Address, lengthBytes: number): void {
    if (this.#receive !== null) this.#fail('a second receive at the same time');
    if (lengthBytes <= 0) this.#fail('a receive of nothing');
    this.#receive = { address, lengthBytes };
  }

  send(address: Address, lengthBytes: number): void {
    if (lengthBytes <= 0) this.#fail('a send of nothing');
    if (this.finished) this.#fail('a send behind the end of the stream');
    if (this.#queue.length >= 512) this.#fail('more parts than a stream takes');
    this.#queue.push({ address, lengthBytes });
  }

  finish(): void {
    if (this.unsent) this.#fail('the stream is finished before everything is out');
    this.finished = true;
  }

  close(): void {
    this.isClosing = true;
  }

  /** Up to `lengthBytes` of `bytes` arrive; returns how many there was room for. */
  deliver(bytes: Uint8Array): number {
    const receive = this.#receive;
    if (receive === null || this.isClosing) return 0;
    const part = bytes.subarray(0, receive.lengthBytes);
    this.#receive = null;
    this.#pool.bytes.set(part, receive.address);
    return part.length;
  }

  /** After `deliver`, so that the book can be told in between. */
  report(lengthBytes: number): void {
    this.#handler?.received(lengthBytes);
  }

  /** The receive that is under way ends with it. */
  reportEnd(): void {
    this.#receive = null;
    this.endReported = true;
    this.#handler?.ended();
  }

  break(): void {
    if (!this.isClosing) this.#handler?.failed('broken');
  }

  /** Puts out at most so many bytes. */
  take(lengthBytes: number): boolean {
    if (this.isClosing || !this.unsent) return false;
    let left = lengthBytes;
    while (left > 0 && this.#queue.length > 0) {
      const part = this.#queue[0] as Part;
      const count = Math.min(left, part.lengthBytes);
      this.#output.add(this.#pool.bytes.subarray(part.address, part.address + count));
      left -= count;
      part.address = (part.address + count) as Address;
      part.lengthBytes -= count;
      if (part.lengthBytes === 0) this.#queue.shift();
    }
    this.#handler?.sent(lengthBytes - left);
    return true;
  }

  /** Until it says `closed`, the kernel may write to the buffer of a receive, and it does. */
  reportClosed(): void {
    const receive = this.#receive;
    if (receive !== null) {
      const { address, lengthBytes } = receive;
      this.#pool.bytes.fill(0xee, address, address + lengthBytes);
    }
    this.isClosed = true;
    this.#handler?.closed();
  }
}

interface Operation {
  readonly request: BookedRequest;
  readonly run: () => void;
}

/** Errors that a device may return; 0 stands for a thrown exception and −1 for a rejection, both bugs of the device. */
const TROUBLES = [5, 5, 28, 30, 13, 122, 27, 12, 95, 75, 116, 0, -1];

/**
 * A volume in memory. Every operation is booked when it begins and takes effect when it is completed, in any order. What a
 * write brings is compared with the client's bytes at both moments: its buffer must not change in between.
 */
export class FuzzDevice implements BlockDevice {
  readonly name: string;
  readonly description = '';
  readonly preferredBytes = 4096;
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;
  readonly #pool: BufferPool;
  readonly #book: Book;
  readonly #plan: ConnectionPlan;
  readonly #draw: Draw;
  readonly #pending: Operation[] = [];
  /** Exceptions and rejections that were made up here: the session has to report each. */
  faults = 0;

  constructor(name: string, pool: BufferPool, bytes: Uint8Array, book: Book, plan: ConnectionPlan) {
    this.name = name;
    this.sizeBytes = book.terms.sizeBytes;
    this.#bytes = bytes;
    this.#pool = pool;
    this.#book = book;
    this.#plan = plan;
    this.#draw = new Draw(plan.seed, 'device');
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** One step: none, some or all of what is pending takes effect. */
  step(): boolean {
    if (this.#pending.length === 0) return false;
    const { device } = this.#plan;
    if (device === 'late' && this.#draw.chance(0.6)) return false;
    let count = device === 'prompt' ? this.#pending.length : 1 + this.#draw.below(8);
    for (; count > 0 && this.#pending.length > 0; count--) {
      const index = device === 'reordered' ? this.#draw.below(this.#pending.length) : 0;
      this.#pending.splice(index, 1)[0]!.run();
    }
    return true;
  }

  read(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<number> {
    return this.#begin(command.read, offset, lengthBytes, false, null, (request) => {
      const bytes = this.#bytes.slice(offset, offset + lengthBytes);
      this.#pool.bytes.set(bytes, address);
      request.pieces.push({ offset, bytes, settledAtBytes: this.#book.outputBytes });
    });
  }

  write(
    offset: VolumeOffset,
    address: Address,
    lengthBytes: number,
    fua: boolean,
  ): Promise<number> {
    const buffer = this.#pool.bytes.subarray(address, address + lengthBytes);
    const before = buffer.slice();
    return this.#begin(command.write, offset, lengthBytes, fua, before, () => {
      if (Buffer.compare(before, buffer) !== 0) {
        this.#book.fail('the buffer of a write changed while the device had it');
      }
      this.#bytes.set(buffer, offset);
    });
  }

  zero(offset: VolumeOffset, lengthBytes: number, options: ZeroOptions): Promise<number> {
    return this.#begin(command.zeroes, offset, lengthBytes, options.fua, null, (request) => {
      const asked = (options.noHole ? 2 : 0) | (options.fast ? 16 : 0);
      if ((request.flags & 18) !== asked) this.#book.fail('a flag of WRITE_ZEROES got lost');
      this.#bytes.fill(0, offset, offset + lengthBytes);
    });
  }

  trim(offset: VolumeOffset, lengthBytes: number, fua: boolean): Promise<number> {
    return this.#begin(command.trim, offset, lengthBytes, fua, null, () => {});
  }

  flush(): Promise<number> {
    return this.#begin(command.flush, 0, 0, false, null, () => {});
  }

  cache(offset: VolumeOffset, lengthBytes: number): Promise<number> {
    return this.#begin(command.cache, offset, lengthBytes, false, null, () => {});
  }

  async extents(offset: VolumeOffset, lengthBytes: number): Promise<readonly Extent[]> {
    let extents: Extent[] = [];
    await this.#begin(command.status, offset, lengthBytes, false, null, (request) => {
      const seed = mix(this.#plan.seed, request.cookieLow, 1);
      extents = someExtents(lengthBytes, seed);
      request.extents = extents;
    });
    return extents;
  }

  #begin(
    type: number,
    offset: number,
    lengthBytes: number,
    fua: boolean,
    data: Uint8Array | null,
    effect: (request: BookedRequest) => void,
  ): Promise<number> {
    const request = this.#book.begin(type, offset, lengthBytes, fua, data);
    if (request === null) return Promise.resolve(5);
    const chance = mix(this.#plan.seed, request.cookieLow, request.begun);
    const troubled = chance % 1000 < this.#plan.troublePerMille && type !== command.status;
    const trouble = troubled ? TROUBLES[(chance >>> 10) % TROUBLES.length]! : 1;
    if (trouble === 0 && troubled) {
      this.faults += 1;
      this.#book.done(request, 0, 5);
      throw new Error('made up by the fuzzer');
    }
    return new Promise((resolve, reject) => {
      const run = (): void => {
        if (!troubled) effect(request);
        this.#book.done(request, troubled ? 0 : lengthBytes, troubled ? Math.max(trouble, 5) : 0);
        if (!troubled) resolve(0);
        else if (trouble > 0) resolve(trouble);
        else {
          this.faults += 1;
          reject(new Error('made up by the fuzzer'));
        }
      };
      this.#pending.push({ request, run });
    });
  }
}

/** From one to a few hundred, neighbours of a kind among them. */
function someExtents(lengthBytes: number, seed: number): Extent[] {
  const draw = new Draw(seed, 'extents');
  const extents: Extent[] = [];
  const longest = draw.pick([lengthBytes, Math.ceil(lengthBytes / 3), 4096, 16]);
  let left = draw.chance(0.8) ? lengthBytes : 1 + draw.below(lengthBytes);
  while (left > 0 && extents.length < 700) {
    const count = Math.min(left, 1 + draw.below(longest));
    const hole = draw.chance(0.5);
    extents.push({ lengthBytes: count, hole, zero: hole || draw.chance(0.2) });
    left -= count;
  }
  return extents;
}
