/**
 * Opening a drive, with a deadline: looking at a path and opening it may hang just as reading does (FUSE, NFS, a device
 * whose driver waits), and whoever opens is in the middle of something. A path that has not answered is not tried again
 * until it has: each try would cost one of the few threads of node's pool for good.
 *
 * A drive that opens after its deadline is closed at once; nobody asks for it any more.
 */

import type { Clock } from './clock.ts';
import type { Drive } from './drive.ts';
import { type IoOutcome, refused } from './io-outcome.ts';

type Open = (path: string) => Promise<IoOutcome<Drive>>;

export function openInTime(open: Open, clock: Clock, deadlineMs: number): Open {
  const hanging = new Set<string>();
  return (path) => {
    if (hanging.has(path)) {
      return Promise.resolve(refused('drive-open-failed', { path, reason: 'it still hangs' }));
    }
    return new Promise((resolve, reject) => {
      let isLate = false;
      const cancel = clock.after(deadlineMs, () => {
        isLate = true;
        hanging.add(path);
        const reason = `it has not answered for ${deadlineMs / 1000} s`;
        resolve(refused('drive-open-failed', { path, reason }));
      });
      open(path).then(
        (outcome) => {
          cancel();
          hanging.delete(path);
          if (!isLate) resolve(outcome);
          else if (outcome.ok) void outcome.value.close();
        },
        (error: unknown) => {
          cancel();
          hanging.delete(path);
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  };
}

/** The same for a question about a path: `otherwise` when it has not answered in time. */
export function answerInTime<T>(
  answer: Promise<T>,
  clock: Clock,
  deadlineMs: number,
  otherwise: T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadlineMs, () => resolve(otherwise));
    void answer.then(resolve, reject).finally(cancel);
  });
}
