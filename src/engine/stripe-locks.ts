/**
 * One lock for each stripe: whoever changes a stripe, or reads it by way of its parity, holds its lock. First come,
 * first served. Several stripes are locked in ascending order only, so no two holders can wait for each other.
 */

import { assert } from '../base/assert.ts';
import type { StripeIndex } from '../base/units.ts';

const NOBODY: readonly (() => void)[] = [];

export class StripeLocks {
  /** Present = locked. The value queues those who wait; the shared empty array stands for "nobody", so that an
   * uncontended lock allocates nothing. */
  readonly #held = new Map<number, (() => void)[] | readonly (() => void)[]>();

  get heldCount(): number {
    return this.#held.size;
  }

  tryLock(stripe: StripeIndex): boolean {
    if (this.#held.has(stripe)) return false;
    this.#held.set(stripe, NOBODY);
    return true;
  }

  lock(stripe: StripeIndex): Promise<void> {
    return new Promise((resolve) => {
      if (this.tryLock(stripe)) {
        resolve();
        return;
      }
      const queue = this.#held.get(stripe);
      if (queue === undefined || queue === NOBODY) this.#held.set(stripe, [resolve]);
      else (queue as (() => void)[]).push(resolve);
    });
  }

  unlock(stripe: StripeIndex): void {
    const queue = this.#held.get(stripe);
    assert(queue !== undefined, 'stripe lock: unlock of a stripe that is not locked');
    if (queue.length === 0) {
      this.#held.delete(stripe);
      return;
    }
    // The lock passes on: it stays held, by the next in line.
    const next = (queue as (() => void)[]).shift();
    if (next) next();
  }

  async lockRange(first: StripeIndex, last: StripeIndex): Promise<void> {
    for (let stripe: number = first; stripe <= last; stripe++) {
      if (!this.tryLock(stripe as StripeIndex)) await this.lock(stripe as StripeIndex);
    }
  }

  unlockRange(first: StripeIndex, last: StripeIndex): void {
    for (let stripe: number = first; stripe <= last; stripe++) this.unlock(stripe as StripeIndex);
  }
}
