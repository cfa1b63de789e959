/**
 * All sessions of one volume, in the thread that serves it: opens them, ticks them, ends them. What
 * the daemon's worker talks to.
 */

import type { Address } from '../base/units.ts';
import type { BlockDevice } from '../io/block-device.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Clock } from '../io/clock.ts';
import type { Stream } from '../io/stream.ts';
import { BufferTaker } from './buffer-taker.ts';
import { RECEIVE_BYTES_SMALL } from './incoming.ts';
import type { NbdLimits } from './limits.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import { HEADER_BYTES } from './request.ts';
import { Session } from './session.ts';
import { WriteOrder } from './write-order.ts';

export interface SessionGroupOptions {
  readonly device: BlockDevice;
  readonly buffers: Buffers;
  readonly clock: Clock;
  readonly limits?: Partial<NbdLimits>;
  /**
   * Every connection that was given to `open` comes here once; `reason` is empty after an orderly
   * end.
   */
  readonly onClosed: (connectionId: number, reason: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** What the handshake hands over, besides the connection itself. */
export interface Opening {
  readonly connectionId: number;
  readonly negotiated: Negotiated;
  readonly firstBytes: Uint8Array;
  readonly leftover: Uint8Array;
}

const TICK_MS = 1000;

export class SessionGroup {
  readonly #options: SessionGroupOptions;
  readonly #limits: NbdLimits;
  readonly #taker: BufferTaker;
  readonly #order = new WriteOrder();
  readonly #sessions = new Map<number, Session>();
  /** Connections that wait for the memory to begin with. */
  #openingCount = 0;
  #stopTicking: () => void;
  #shuttingDown = false;
  #emptied: (() => void) | null = null;

  constructor(options: SessionGroupOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#taker = new BufferTaker(options.buffers);
    this.#stopTicking = options.clock.after(TICK_MS, () => this.#tick());
  }

  get connectionCount(): number {
    return this.#sessions.size + this.#openingCount;
  }

  /** The stream is given away and must not have been started. */
  open(opening: Opening, stream: Stream): void {
    this.#openingCount += 1;
    this.#open(opening, stream)
      .catch((error: unknown) => {
        this.#options.onFault(error);
        return false;
      })
      .then((opened) => {
        this.#openingCount -= 1;
        if (opened) return;
        stream.close();
        this.#ended(opening.connectionId, 'the volume is not served any more');
      })
      .catch((error: unknown) => this.#options.onFault(error));
  }

  /**
   * Answers what is in flight; resolves when every connection has ended, by force after
   * `deadlineMs`.
   */
  async shutdown(deadlineMs: number): Promise<void> {
    this.#shuttingDown = true;
    for (const session of this.#sessions.values()) session.shutdown();
    const cancel = this.#options.clock.after(deadlineMs, () => {
      for (const session of this.#sessions.values()) session.destroy('shut down');
    });
    if (this.connectionCount > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
    cancel();
    this.#stopTicking();
  }

  async #open(opening: Opening, stream: Stream): Promise<boolean> {
    const { negotiated, firstBytes, leftover, connectionId } = opening;
    const { buffers, device, onFault } = this.#options;
    const taken: Address[] = [];
    const take = async (lengthBytes: number): Promise<Address> => {
      const address = await buffers.takeLater(lengthBytes, 'client');
      taken.push(address);
      return address;
    };
    const headers = await take(this.#limits.requestsInFlight * 2 * HEADER_BYTES);
    const receiveBytes = Math.max(RECEIVE_BYTES_SMALL, leftover.length);
    const receive = { address: await take(receiveBytes), lengthBytes: receiveBytes };
    const first = await take(Math.max(firstBytes.length, 1));
    if (this.#shuttingDown) {
      for (const address of taken) buffers.give(address);
      return false;
    }
    buffers.bytes.set(firstBytes, first);
    const session = new Session(
      {
        stream,
        device,
        buffers,
        taker: this.#taker,
        order: this.#order,
        negotiated,
        limits: this.#limits,
        onClosed: (reason) => {
          this.#sessions.delete(connectionId);
          this.#ended(connectionId, reason);
        },
        onFault,
      },
      headers,
      receive,
    );
    this.#sessions.set(connectionId, session);
    session.start(first, firstBytes.length, leftover);
    return true;
  }

  #ended(connectionId: number, reason: string): void {
    this.#options.onClosed(connectionId, reason);
    if (this.connectionCount === 0) this.#emptied?.();
  }

  #tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const session of this.#sessions.values()) session.tick(nowMs);
    this.#taker.released();
    this.#stopTicking = this.#options.clock.after(TICK_MS, () => this.#tick());
  }
}
