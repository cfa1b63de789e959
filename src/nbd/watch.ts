/**
 * The time limits of one connection. Looked at about once a second from counters that the way of a
 * request keeps anyway.
 */

import type { NbdLimits } from './limits.ts';

export interface Observed {
  readonly halfSent: boolean;
  readonly receivedBytes: number;
  readonly unread: boolean;
  readonly sentBytes: number;
  readonly lingering: boolean;
}

export class Watch {
  readonly #limits: NbdLimits;
  /** Since when there was no progress; −1 while there is nothing to wait for. */
  #halfSentSinceMs = -1;
  #halfSentFromBytes = 0;
  #unreadSinceMs = -1;
  #unreadFromBytes = 0;
  #lingeringSinceMs = -1;

  constructor(limits: NbdLimits) {
    this.#limits = limits;
  }

  /** Why the connection has to end now, or null. */
  check(nowMs: number, observed: Observed): string | null {
    const { halfSentMs, progressBytes, unreadMs, lingerMs } = this.#limits;
    if (!observed.halfSent || observed.receivedBytes - this.#halfSentFromBytes >= progressBytes) {
      this.#halfSentSinceMs = -1;
    }
    if (observed.halfSent && this.#halfSentSinceMs < 0) {
      this.#halfSentSinceMs = nowMs;
      this.#halfSentFromBytes = observed.receivedBytes;
    }
    if (!observed.unread || observed.sentBytes !== this.#unreadFromBytes) this.#unreadSinceMs = -1;
    if (observed.unread && this.#unreadSinceMs < 0) {
      this.#unreadSinceMs = nowMs;
      this.#unreadFromBytes = observed.sentBytes;
    }
    if (observed.lingering && this.#lingeringSinceMs < 0) this.#lingeringSinceMs = nowMs;
    if (passed(nowMs, this.#halfSentSinceMs, halfSentMs)) return 'half-sent request';
    if (passed(nowMs, this.#unreadSinceMs, unreadMs)) return 'replies are not taken';
    if (passed(nowMs, this.#lingeringSinceMs, lingerMs)) return 'lingered';
    return null;
  }
}

const passed = (nowMs: number, sinceMs: number, limitMs: number): boolean =>
  sinceMs >= 0 && nowMs - sinceMs >= limitMs;
