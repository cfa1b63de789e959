/** The time of this machine: monotonic from performance.now, which no NTP step moves. */

import { performance } from 'node:perf_hooks';
import type { Clock } from './clock.ts';

/** setTimeout takes 31 bits of milliseconds (24 days); longer delays are waited for in pieces. */
const LONGEST_MS = 2 ** 31 - 1;

export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, run: () => void): () => void {
    let leftMs = delayMs;
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const pieceMs = Math.min(leftMs, LONGEST_MS);
      leftMs -= pieceMs;
      timer = setTimeout(leftMs > 0 ? wait : run, pieceMs);
    };
    wait();
    return () => clearTimeout(timer);
  }
}
