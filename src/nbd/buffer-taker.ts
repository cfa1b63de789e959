/**
 * Decides who may take how much of the buffer pool, and takes it. One for all sessions of a worker.
 *
 * All shares are parts of what clients share (`Buffers.shareableBytes`: the pool less what the engine keeps aside), also the
 * length from which checkRequest refuses, so that what was admitted is served when the others have given back theirs.
 *
 *   1. The margin, three eighths of it, belongs to small holdings: whatever the others do, a
 *      connection may hold 64 KiB. (1536 connections, the limit of an export, hold 96 MiB of 256 then.)
 *      So clients that stop in the middle, or read nothing, keep nobody from going on.
 *   2. Beyond that, a connection may hold up to half of what is free above the margin. While the
 *      pool is empty that is plenty; as it fills, everybody's share shrinks. No fixed share needs
 *      tuning. A long request of a connection that holds nothing waits in line until the pool can
 *      give all of it and keep the margin.
 *   3. All buffers of a request are taken at once or none: two requests that each held half of what
 *      they need would wait for each other for ever. Whoever holds buffers gives them back without
 *      needing more.
 */

import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import { KIB } from '../base/units.ts';
import type { Buffers } from '../io/buffers.ts';

/** What a connection may hold of the margin. */
const SMALL_BYTES = 64 * KIB;

interface Waiter {
  readonly into: Address[];
  readonly count: number;
  readonly lengthBytes: number;
  readonly isWanted: () => boolean;
  readonly resolve: (taken: boolean) => void;
}

export class BufferTaker {
  readonly #buffers: Buffers;
  readonly #waiting: Waiter[] = [];

  constructor(buffers: Buffers) {
    this.#buffers = buffers;
  }

  /** May a connection hold this much now? */
  allows(heldBytes: number): boolean {
    if (heldBytes <= SMALL_BYTES) return true;
    return heldBytes <= (this.#buffers.freeBytes - this.#keptBytes) / 2;
  }

  /**
   * For a connection that holds nothing else if `allows` said no. False: nothing was taken,
   * `takeLater` is the way.
   */
  take(into: Address[], count: number, lengthBytes: number): boolean {
    if (count * lengthBytes > SMALL_BYTES && !this.allows(count * lengthBytes)) return false;
    return this.#takeAll(into, count, lengthBytes);
  }

  /** False: nobody wants them any more, and nothing was taken. */
  async takeLater(
    into: Address[],
    count: number,
    lengthBytes: number,
    isWanted: () => boolean,
  ): Promise<boolean> {
    if (count * lengthBytes > SMALL_BYTES) {
      return new Promise((resolve) => {
        this.#waiting.push({ into, count, lengthBytes, isWanted, resolve });
        this.released();
      });
    }
    assert(count === 1, 'a small request is one piece');
    const address = await this.#buffers.takeLater(lengthBytes, 'client');
    if (isWanted()) into.push(address);
    else this.#buffers.give(address);
    return isWanted();
  }

  /** Somebody has lost interest. */
  sweep(): void {
    for (let index = this.#waiting.length - 1; index >= 0; index -= 1) {
      const waiter = this.#waiting[index] as Waiter;
      if (waiter.isWanted()) continue;
      this.#waiting.splice(index, 1);
      waiter.resolve(false);
    }
    this.released();
  }

  /** Something came back. Cheap while nobody waits. */
  released(): void {
    while (this.#waiting.length > 0) {
      const { into, count, lengthBytes, resolve } = this.#waiting[0] as Waiter;
      if (this.#buffers.freeBytes - count * lengthBytes < this.#keptBytes) return;
      if (!this.#takeAll(into, count, lengthBytes)) return;
      this.#waiting.shift();
      resolve(true);
    }
  }

  /** An eighth, which the pool keeps for the engine, and the margin. */
  get #keptBytes(): number {
    return this.#buffers.shareableBytes / 2;
  }

  #takeAll(into: Address[], count: number, lengthBytes: number): boolean {
    for (let index = 0; index < count; index += 1) {
      const address = this.#buffers.take(lengthBytes, 'client');
      if (address === 0) {
        while (into.length > 0) this.#buffers.give(into.pop() as Address);
        return false;
      }
      into.push(address);
    }
    return true;
  }
}
