/**
 * Asking for a path, with a deadline: looking at it and opening it may hang just as reading does (FUSE, NFS, a device
 * whose driver waits), and whoever asks is in the middle of something.
 *
 * Invariants:
 *   1. A path that has missed a deadline is asked nothing more until it answers: each question holds one of libuv's
 *      threads for as long as the file system pleases, and without a thread no other file is opened, read or written.
 *   2. A drive that opens after its deadline is closed at once; nobody asks for it any more.
 */

import type { Clock } from './clock.ts';
import type { Drive } from './drive.ts';
import { type IoOutcome, refused } from './io-outcome.ts';

export class InTime {
  readonly #clock: Clock;
  /** How many questions each path owes an answer to, beyond its deadline. */
  readonly #hanging = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(
    path: string,
    deadlineMs: number,
    open: () => Promise<IoOutcome<Drive>>,
  ): Promise<IoOutcome<Drive>> {
    const reason = this.#hanging.has(path)
      ? 'it still hangs'
      : `it has not answered for ${deadlineMs / 1000} s`;
    const late = (outcome: IoOutcome<Drive>): void => {
      if (outcome.ok) void outcome.value.close();
    };
    return this.ask(path, deadlineMs, open, refused('drive-open-failed', { path, reason }), late);
  }

  /** The answer, or `otherwise` when it does not come in time. What comes too late goes to `late`. */
  ask<T>(
    path: string,
    deadlineMs: number,
    question: () => Promise<T>,
    otherwise: T,
    late: (answer: T) => void = () => {},
  ): Promise<T> {
    if (this.#hanging.has(path)) return Promise.resolve(otherwise);
    return new Promise((resolve, reject) => {
      let isLate = false;
      const cancel = this.#clock.after(deadlineMs, () => {
        isLate = true;
        this.#count(path, 1);
        resolve(otherwise);
      });
      const settle = (tell: () => void, tellLate: () => void): void => {
        cancel();
        if (!isLate) return tell();
        this.#count(path, -1);
        tellLate();
      };
      question().then(
        (answer) =>
          settle(
            () => resolve(answer),
            () => late(answer),
          ),
        // Nobody waits for an error that comes too late, either.
        (error: unknown) =>
          settle(
            () => reject(error instanceof Error ? error : new Error(String(error))),
            () => {},
          ),
      );
    });
  }

  #count(path: string, by: number): void {
    const left = (this.#hanging.get(path) ?? 0) + by;
    if (left > 0) this.#hanging.set(path, left);
    else this.#hanging.delete(path);
  }
}
