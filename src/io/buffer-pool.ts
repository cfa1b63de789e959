/**
 * The buffer pool: one WebAssembly.Memory of fixed size, handed out in powers of two from 4 KiB.
 *
 * A buddy allocator (a block of order n is 4096 << n bytes, aligned to its size) with a short stack
 * of free blocks in front of each small order. A give puts the block on the stack without merging,
 * a take pops it: the hot path is a few array accesses and allocates nothing. The stacks are merged
 * back only when a take would otherwise fail.
 *
 * Invariants:
 *   1. Every page belongs to exactly one block, which is free, cached (free, on a stack), taken, or
 *      held.
 *   2. A held block was given back while pinned: it is not free until its last unpin.
 *   3. `freeBytes` counts free and cached blocks, less what is missing of those kept aside. A `client` never brings it below
 *      the reserve.
 *   4. Page 0 is never handed out, so that address 0 means "none".
 *   5. While a client waits, no later one overtakes him. Of the engine one that asks for less does, however often, when
 *      what is free lies in pieces too small for him: it may hold what he waits for, and a queue behind him would never
 *      move. He is asked first each time something is given back, so the first whole piece that there is is his.
 *   6. Blocks kept aside are never split, and given only when there is nothing else: to a taker while more are left than
 *      there are kinds after his (buffers.ts), each of which so finds one. However much of the reserve is in pieces, who
 *      holds a lock gets his whole buffer, and those who wait for the lock give back theirs.
 * Pages nobody has touched cost no memory; the stacks reuse the last buffer first to keep it so.
 */

import { assert } from '../base/assert.ts';
import { type Address, MIB } from '../base/units.ts';
import { WASM_PAGE_BYTES, type WasmMemory, webAssembly } from '../base/wasm-memory.ts';
import type { Buffers, Taker } from './buffers.ts';

const PAGE_BYTES = 4096;
const PAGE_SHIFT = 12;
/** 4096 << 14 = 64 MiB, the largest buffer. */
const MAX_ORDER = 14;
/**
 * Orders with a stack in front: 4 KiB to 64 KiB, and 128 KiB for a 64 KiB payload with its header
 * page.
 */
const CACHED_ORDERS = 6;
const CACHE_DEPTH = 256;
const NONE = -1;

/** How many of the blocks kept aside each kind leaves to those after it. A client gets none. */
const LEAVES = { request: 4, stripe: 3, scratch: 2, mend: 1, engine: 0 } as const;
const ASIDE_BLOCKS = 5;
/** Whom a buffer that was given back is offered to first. */
const SERVED: readonly Taker[] = ['engine', 'mend', 'scratch', 'stripe', 'request', 'client'];

const FREE = 0;
const CACHED = 1;
const TAKEN = 2;
const HELD = 3;
/** A page that is not the first of its block. */
const INNER = 4;

const GARBAGE = 0xa5;
const POISON = 0xdb;

export interface BufferPoolOptions {
  /** A multiple of 64 KiB; default 256 MiB. */
  readonly sizeBytes?: number;
  /** What clients leave alone; default an eighth of the size. */
  readonly reserveBytes?: number;
  /**
   * Fill taken buffers with garbage, poison free ones, and assert that nobody writes to those.
   * Costs three passes over a buffer for each use of it.
   */
  readonly debug?: boolean;
}

interface Waiter {
  readonly order: number;
  readonly resolve: (address: Address) => void;
}

export class BufferPool implements Buffers {
  readonly memory: WasmMemory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly sizeBytes: number;
  readonly reserveBytes: number;

  readonly #debug: boolean;
  readonly #pages: number;
  #freeBytes: number;
  /** Nothing from here on was taken since the last reset: all poison, in debug. */
  #usedEnd: number;
  /**
   * Per page: state and order of the block that begins there, its pins, its neighbours in a free
   * list.
   */
  readonly #state: Uint8Array;
  readonly #order: Uint8Array;
  readonly #pins: Uint16Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #firstFree = new Int32Array(MAX_ORDER + 1).fill(NONE);
  readonly #cache = new Int32Array(CACHED_ORDERS * CACHE_DEPTH);
  readonly #cached = new Int32Array(CACHED_ORDERS);
  readonly #waiting: Record<Taker, Waiter[]> = {
    client: [],
    request: [],
    stripe: [],
    scratch: [],
    mend: [],
    engine: [],
  };
  #waiters = 0;
  /** First pages of the blocks kept aside that are there, and the order of all of them; NONE: nothing is kept aside. */
  readonly #aside: number[] = [];
  #asideOrder = NONE;

  constructor(options: BufferPoolOptions = {}) {
    const sizeBytes = options.sizeBytes ?? 256 * MIB;
    assert(sizeBytes > 0 && sizeBytes % WASM_PAGE_BYTES === 0, 'a pool is a multiple of 64 KiB');
    this.sizeBytes = sizeBytes;
    this.reserveBytes = options.reserveBytes ?? sizeBytes / 8;
    this.#debug = options.debug ?? false;
    const wasmPages = sizeBytes / WASM_PAGE_BYTES;
    this.memory = new webAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);

    const pages = sizeBytes / PAGE_BYTES;
    this.#pages = pages;
    this.#state = new Uint8Array(pages);
    this.#order = new Uint8Array(pages);
    this.#pins = new Uint16Array(pages);
    this.#next = new Int32Array(pages);
    this.#previous = new Int32Array(pages);
    this.#freeBytes = 0;
    this.#usedEnd = sizeBytes;
    this.reset();
    assert(this.#freeBytes > this.reserveBytes, 'the reserve leaves something for clients');
  }

  /**
   * As it was when it was made: everything is free, nobody waits, nothing is pinned; who waited is never answered. For a
   * simulator whose process has died and begins a new life in the same memory; whoever still holds an address of the
   * old one must not use it.
   */
  reset(): void {
    this.#state.fill(INNER);
    this.#order.fill(0);
    this.#pins.fill(0);
    this.#next.fill(NONE);
    this.#previous.fill(NONE);
    this.#firstFree.fill(NONE);
    this.#cached.fill(0);
    for (const taker of SERVED) this.#waiting[taker].length = 0;
    this.#waiters = 0;
    this.#aside.length = 0;
    this.#asideOrder = NONE;
    this.#freeBytes = 0;
    this.#state[0] = TAKEN;
    this.#fillWithBlocks();
    if (this.#debug) this.bytes.fill(POISON, PAGE_BYTES, this.#usedEnd);
    this.#usedEnd = PAGE_BYTES;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get shareableBytes(): number {
    return this.sizeBytes - asideBytes(this.#asideOrder);
  }

  keepAside(lengthBytes: number): void {
    let order = Math.min(orderOf(lengthBytes), MAX_ORDER);
    while (order > 0 && asideBytes(order) > this.sizeBytes / 2) order -= 1;
    const before = this.#asideOrder;
    if (order <= before) return;
    // Those of before that are out come back as blocks like any other.
    for (const page of this.#aside.splice(0)) this.#giveBlock(page, before);
    this.#asideOrder = order;
    this.#freeBytes -= asideBytes(order) - asideBytes(before);
    this.#mergeCaches();
    // What is in use now may leave too few; the next of this size that is given back makes up for it.
    while (this.#aside.length < ASIDE_BLOCKS) {
      const page = this.#takeBlock(order);
      if (page === NONE) return;
      this.#state[page] = CACHED;
      this.#aside.push(page);
    }
  }

  take(lengthBytes: number, taker: Taker): Address {
    const order = orderOf(lengthBytes);
    if (order > MAX_ORDER || this.#waiting[taker].length > 0) return 0 as Address;
    return this.#take(order, taker);
  }

  takeLater(lengthBytes: number, taker: Taker): Promise<Address> {
    const order = orderOf(lengthBytes);
    const limitBytes = this.sizeBytes / 2 - (taker === 'client' ? this.reserveBytes : 0);
    assert(
      order <= MAX_ORDER && PAGE_BYTES << order <= limitBytes,
      'a buffer the pool can never give',
    );
    const address = this.#waiting[taker].length > 0 ? (0 as Address) : this.#take(order, taker);
    if (address !== 0) return Promise.resolve(address);
    return new Promise((resolve) => {
      const before = this.#waiting[taker].push({ order, resolve }) - 1;
      this.#waiters += 1;
      if (before > 0) this.#serve(taker);
    });
  }

  give(address: Address): void {
    const page = this.#headPage(address);
    assert(this.#state[page] === TAKEN, 'a buffer is given back once');
    if (this.#pins[page]! > 0) {
      this.#state[page] = HELD;
      return;
    }
    this.#release(page);
  }

  slice(address: Address, lengthBytes: number): Uint8Array {
    assert(address > 0 && address + lengthBytes <= this.sizeBytes, 'a slice lies in the pool');
    return new Uint8Array(this.memory.buffer, address, lengthBytes);
  }

  pin(address: Address): void {
    const page = this.#containingBlock(address);
    assert(this.#pins[page]! < 0xffff, 'a buffer has fewer than 65 536 pins');
    this.#pins[page]! += 1;
  }

  unpin(address: Address): void {
    const page = this.#containingBlock(address);
    assert(this.#pins[page]! > 0, 'an unpin has its pin');
    this.#pins[page]! -= 1;
    if (this.#pins[page] === 0 && this.#state[page] === HELD) this.#release(page);
  }

  #take(order: number, taker: Taker): Address {
    if (taker === 'client' && this.#freeBytes - (PAGE_BYTES << order) < this.reserveBytes)
      return 0 as Address;
    let page = NONE;
    if (order < CACHED_ORDERS && this.#cached[order]! > 0) {
      const depth = --this.#cached[order]!;
      page = this.#cache[order * CACHE_DEPTH + depth]!;
    } else {
      page = this.#takeBlock(order);
      if (page === NONE && this.#mergeCaches()) page = this.#takeBlock(order);
      if (page === NONE && taker !== 'client') page = this.#takeAside(order, LEAVES[taker]);
      if (page === NONE) return 0 as Address;
    }
    const sizeBytes = PAGE_BYTES << this.#order[page]!;
    this.#state[page] = TAKEN;
    this.#freeBytes -= sizeBytes;
    const address = (page * PAGE_BYTES) as Address;
    this.#usedEnd = Math.max(this.#usedEnd, address + sizeBytes);
    if (this.#debug) this.#fillWithGarbage(address, sizeBytes);
    return address;
  }

  #takeAside(order: number, leaves: number): number {
    if (order > this.#asideOrder || this.#aside.length <= leaves) return NONE;
    const page = this.#aside.pop()!;
    this.#order[page] = this.#asideOrder;
    return page;
  }

  #release(page: number): void {
    const order = this.#order[page]!;
    const sizeBytes = PAGE_BYTES << order;
    this.#freeBytes += sizeBytes;
    if (this.#debug) this.bytes.fill(POISON, page * PAGE_BYTES, page * PAGE_BYTES + sizeBytes);
    if (order === this.#asideOrder && this.#aside.length < ASIDE_BLOCKS) {
      this.#state[page] = CACHED;
      this.#aside.push(page);
    } else if (order < CACHED_ORDERS && this.#cached[order]! < CACHE_DEPTH) {
      this.#state[page] = CACHED;
      this.#cache[order * CACHE_DEPTH + this.#cached[order]!++] = page;
    } else {
      this.#giveBlock(page, order);
    }
    if (this.#waiters > 0) for (const taker of SERVED) this.#serve(taker);
  }

  #serve(taker: Taker): void {
    const waiting = this.#waiting[taker];
    /** The smallest order of which no block is left. */
    let none = MAX_ORDER + 1;
    for (let i = 0; i < waiting.length && none > 0; ) {
      const one = waiting[i]!;
      const address = one.order < none ? this.#take(one.order, taker) : 0;
      if (address !== 0) {
        waiting.splice(i, 1);
        this.#waiters -= 1;
        one.resolve(address as Address);
        continue;
      }
      if (taker === 'client') return;
      none = Math.min(none, one.order);
      i++;
    }
  }

  /** Splits the smallest free block that is large enough; NONE when there is none. */
  #takeBlock(order: number): number {
    let found = order;
    while (found <= MAX_ORDER && this.#firstFree[found] === NONE) found += 1;
    if (found > MAX_ORDER) return NONE;
    const page = this.#firstFree[found]!;
    this.#unlink(page, found);
    while (found > order) {
      found -= 1;
      this.#link(page + (1 << found), found);
    }
    this.#order[page] = order;
    return page;
  }

  /** Merges with free buddies for as long as there are any. */
  #giveBlock(page: number, order: number): void {
    let head = page;
    let merged = order;
    while (merged < MAX_ORDER) {
      const buddy = head ^ (1 << merged);
      if (buddy >= this.#pages || this.#state[buddy] !== FREE || this.#order[buddy] !== merged)
        break;
      this.#unlink(buddy, merged);
      this.#state[Math.max(head, buddy)] = INNER;
      head = Math.min(head, buddy);
      merged += 1;
    }
    this.#link(head, merged);
  }

  #mergeCaches(): boolean {
    let any = false;
    for (let order = 0; order < CACHED_ORDERS; order += 1) {
      for (let depth = this.#cached[order]! - 1; depth >= 0; depth -= 1) {
        this.#giveBlock(this.#cache[order * CACHE_DEPTH + depth]!, order);
        any = true;
      }
      this.#cached[order] = 0;
    }
    return any;
  }

  #link(page: number, order: number): void {
    const first = this.#firstFree[order]!;
    this.#state[page] = FREE;
    this.#order[page] = order;
    this.#next[page] = first;
    this.#previous[page] = NONE;
    if (first !== NONE) this.#previous[first] = page;
    this.#firstFree[order] = page;
  }

  #unlink(page: number, order: number): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    if (previous === NONE) this.#firstFree[order] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
  }

  /**
   * All pages but page 0, as the largest aligned blocks, linked so that the lowest are used first.
   */
  #fillWithBlocks(): void {
    const blocks: [page: number, order: number][] = [];
    let page = 1;
    while (page < this.#pages) {
      let order = 0;
      while (order < MAX_ORDER && page % (2 << order) === 0 && page + (2 << order) <= this.#pages)
        order += 1;
      blocks.push([page, order]);
      this.#freeBytes += PAGE_BYTES << order;
      page += 1 << order;
    }
    for (const [head, order] of blocks.reverse()) this.#link(head, order);
  }

  #headPage(address: Address): number {
    assert(
      address > 0 && address < this.sizeBytes && address % PAGE_BYTES === 0,
      'an address of a buffer is given back',
    );
    return address >>> PAGE_SHIFT;
  }

  #containingBlock(address: Address): number {
    assert(address >= PAGE_BYTES && address < this.sizeBytes, 'an address lies in the pool');
    const page = address >>> PAGE_SHIFT;
    for (let order = 0; order <= MAX_ORDER; order += 1) {
      const head = page & ~((1 << order) - 1);
      const state = this.#state[head];
      if (state !== INNER && this.#order[head]! >= order) {
        const inUse = state === TAKEN || state === HELD;
        assert(inUse && page < head + (1 << this.#order[head]!), 'only buffers in use are pinned');
        return head;
      }
    }
    assert(false, 'an address lies in a block');
    return NONE;
  }

  #fillWithGarbage(address: Address, sizeBytes: number): void {
    const end = address + sizeBytes;
    // Every byte equals its neighbour and the first is poison: one comparison of memory with itself, in native code.
    const same = Buffer.compare(
      this.bytes.subarray(address, end - 1),
      this.bytes.subarray(address + 1, end),
    );
    assert(
      this.bytes[address] === POISON && same === 0,
      'nobody writes to a buffer that was given back',
    );
    this.bytes.fill(GARBAGE, address, end);
  }
}

function asideBytes(order: number): number {
  return order === NONE ? 0 : ASIDE_BLOCKS * (PAGE_BYTES << order);
}

function orderOf(lengthBytes: number): number {
  assert(lengthBytes > 0, 'a buffer has a length');
  if (lengthBytes <= PAGE_BYTES) return 0;
  // The number of bits of the last page's index: pages 2 → 1, 3…4 → 2, 5…8 → 3.
  return 32 - Math.clz32((lengthBytes - 1) >>> PAGE_SHIFT);
}
