/** Which way I/O is done: io_uring where it is allowed, node:fs and node:net everywhere else. */

import { Ring } from './uring.ts';

export type IoWish = 'auto' | 'uring' | 'node';

/**
 * `io` is null when io_uring was demanded and is not to be had. `reason` is one sentence for status
 * and log.
 */
export interface IoChoice {
  readonly io: 'uring' | 'node' | null;
  readonly reason: string;
}

export function chooseIo(wish: IoWish): IoChoice {
  if (wish === 'node') return { io: 'node', reason: 'node:fs was asked for' };
  const available = Ring.available();
  if (available.ok) {
    return {
      io: 'uring',
      reason: wish === 'uring' ? 'io_uring was asked for' : 'io_uring is available',
    };
  }
  return { io: wish === 'uring' ? null : 'node', reason: available.reason };
}
