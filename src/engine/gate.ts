/**
 * The gate between host requests and a volume that is about to change its mode.
 *
 * Requests enter and leave; a change of mode closes the gate (new requests wait in order, those inside finish), acts
 * while nothing is inside, and opens it again. That is the whole of "drain": a request never sees two modes.
 *
 * The number of waiting requests is bounded by NBD's limit on requests in flight, the time by the deadline of the
 * drives that the closer waits for.
 */

import { assert } from '../base/assert.ts';

export class Gate {
  #closed = false;
  #inside = 0;
  #waiting: (() => void)[] = [];
  #drained: (() => void) | null = null;

  get inside(): number {
    return this.#inside;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when entered at once; otherwise await `entered()`. Keeps the hot path free of promises. */
  tryEnter(): boolean {
    if (this.#closed) return false;
    this.#inside++;
    return true;
  }

  async entered(): Promise<void> {
    while (this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#inside++;
  }

  leave(): void {
    assert(this.#inside > 0, 'gate: leave without enter');
    this.#inside--;
    if (this.#inside === 0 && this.#drained) {
      const drained = this.#drained;
      this.#drained = null;
      drained();
    }
  }

  /** Resolves when nothing is inside. One closer at a time. */
  async close(): Promise<void> {
    while (this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#closed = true;
    if (this.#inside > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  open(): void {
    assert(this.#closed, 'gate: open without close');
    this.#closed = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Runs `act` while nothing is inside. */
  async exclusively<T>(act: () => Promise<T>): Promise<T> {
    await this.close();
    try {
      return await act();
    } finally {
      this.open();
    }
  }
}
