/**
 * Takes all the buffers of a request, or none. One for all sessions of a worker.
 *
 * Requests that need several buffers wait for them one request after another: two that each held half of what they need
 * would wait for each other for ever. Everybody else who holds buffers gives them back without needing more.
 */

import type { Address } from '../base/units.ts';
import type { Buffers } from '../io/buffers.ts';

export class BufferTaker {
  readonly #buffers: Buffers;
  /** The end of the queue of those who collect. */
  #turn: Promise<void> = Promise.resolve();

  constructor(buffers: Buffers) {
    this.#buffers = buffers;
  }

  /** False: nothing was taken. */
  take(into: Address[], count: number, lengthBytes: number): boolean {
    for (let index = 0; index < count; index += 1) {
      const address = this.#buffers.take(lengthBytes, 'client');
      if (address === 0) {
        this.#giveAll(into);
        return false;
      }
      into.push(address);
    }
    return true;
  }

  /** False: nobody wants them any more. */
  takeLater(
    into: Address[],
    count: number,
    lengthBytes: number,
    isWanted: () => boolean,
  ): Promise<boolean> {
    const collect = () => this.#collect(into, count, lengthBytes, isWanted);
    if (count === 1) return collect();
    const collected = this.#turn.then(collect);
    this.#turn = collected.then(
      () => {},
      () => {},
    );
    return collected;
  }

  async #collect(
    into: Address[],
    count: number,
    lengthBytes: number,
    isWanted: () => boolean,
  ): Promise<boolean> {
    while (into.length < count && isWanted()) {
      into.push(await this.#buffers.takeLater(lengthBytes, 'client'));
    }
    if (isWanted()) return true;
    this.#giveAll(into);
    return false;
  }

  #giveAll(addresses: Address[]): void {
    while (addresses.length > 0) this.#buffers.give(addresses.pop() as Address);
  }
}
