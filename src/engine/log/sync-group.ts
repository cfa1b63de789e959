/**
 * Flushes that coalesce. A flush covers what was acknowledged when it began; whoever asks for more
 * while it runs shares the next one. What is committed rises only with a flush that has succeeded
 * on all legs that are online.
 */

import { EIO, type Errno, OK } from '../../base/errno.ts';
import type { Legs } from './legs.ts';
import type { LogPosition } from './log-position.ts';

export class SyncGroup {
  /** Segments up to here are flushed; and where the last of them ends. */
  committedThrough: number;
  committedBlocks: number;
  readonly #legs: Legs;
  readonly #acknowledged: () => LogPosition;
  readonly #onFailure: () => void;
  #running: Promise<Errno> | null = null;
  #covers = 0;
  #next: Promise<Errno> | null = null;

  constructor(
    legs: Legs,
    from: LogPosition,
    acknowledged: () => LogPosition,
    onFailure: () => void,
  ) {
    this.#legs = legs;
    this.committedThrough = from.committedThrough;
    this.committedBlocks = from.endBlocks;
    this.#acknowledged = acknowledged;
    this.#onFailure = onFailure;
  }

  sync(): Promise<Errno> {
    if (this.#next !== null) return this.#next;
    const { sequence } = this.#acknowledged();
    if (this.#running !== null) {
      if (this.#covers >= sequence) return this.#running;
      this.#next = this.#running.then(() => this.#start());
      return this.#next;
    }
    return sequence === this.committedThrough ? Promise.resolve(OK) : this.#start();
  }

  async finished(): Promise<void> {
    await this.#next;
    await this.#running;
  }

  #start(): Promise<Errno> {
    this.#next = null;
    const position = this.#acknowledged();
    this.#covers = position.sequence;
    this.#running = this.#flush(position);
    return this.#running;
  }

  async #flush({ sequence, endBlocks }: LogPosition): Promise<Errno> {
    const done = await this.#legs.flush();
    this.#running = null;
    if (!done) {
      this.#onFailure();
      return EIO;
    }
    this.committedThrough = Math.max(this.committedThrough, sequence);
    this.committedBlocks = Math.max(this.committedBlocks, endBlocks);
    return OK;
  }
}
