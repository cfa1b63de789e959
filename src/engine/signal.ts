/**
 * "Something changed": whoever waits looks again. Used by reads that are held until a member comes back.
 */

import type { Clock } from '../io/clock.ts';

export class Signal {
  readonly #waiting = new Set<() => void>();

  get waiters(): number {
    return this.#waiting.size;
  }

  raise(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves true when raised, false after `timeoutMs`. */
  wait(clock: Clock, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        cancel();
        resolve(true);
      };
      const cancel = clock.after(timeoutMs, () => {
        this.#waiting.delete(wake);
        resolve(false);
      });
      this.#waiting.add(wake);
    });
  }
}
