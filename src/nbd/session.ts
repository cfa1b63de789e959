/**
 * The transmission phase of one connection: requests in, replies out, over any Stream and any
 * BlockDevice.
 *
 *    Stream ──► Incoming ──► check ──► buffers ──► BlockDevice ──► encode ──► Outgoing ──► Stream
 *                  ▲                                                             │
 *                  └──────────── room again when a reply was sent ◄──────────────┘
 *
 * Invariants:
 *   1. A request is in flight from its header to the last byte of its reply; there are at most
 *      `limits.requestsInFlight`, and what they hold of the pool is bounded (`hasRoom`).
 *   2. A write that was handed to the device runs to its end, whatever becomes of the connection;
 *      writes of overlapping ranges are handed to it in the order of arrival, each after the last.
 *   3. Nothing is keyed by cookie: clients may use one twice.
 *   4. An exception here, or a rejection of the device, ends this connection and nothing else.
 *   5. `onClosed` is called once, when no request runs and the stream touches no buffer; all
 *      buffers are back then.
 *
 *    open ──DISC, end of stream──► draining ─┐ last reply sent
 *      └──shutdown──► refusing ──────────────┴──► lingering ──end of stream, time──► closed
 *    any ──violation, broken stream, time limit──► closed
 */

import { assert } from '../base/assert.ts';
import type { Errno } from '../base/errno.ts';
import { ESHUTDOWN, OK } from '../base/errno.ts';
import type { Address } from '../base/units.ts';
import type { BlockDevice } from '../io/block-device.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Stream, StreamHandler } from '../io/stream.ts';
import type { BufferTaker } from './buffer-taker.ts';
import { checkRequest } from './check-request.ts';
import type { ExecutorOwner } from './executor.ts';
import { Executor } from './executor.ts';
import type { Acceptance, IncomingOwner } from './incoming.ts';
import { Incoming } from './incoming.ts';
import type { NbdLimits } from './limits.ts';
import { PIECE_BYTES, READ_PIECES_HELD } from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import { Outgoing } from './outgoing.ts';
import * as protocol from './protocol.ts';
import { HEADER_BYTES, Request } from './request.ts';
import { Watch } from './watch.ts';
import type { WriteOrder } from './write-order.ts';

export interface SessionOptions {
  readonly stream: Stream;
  readonly device: BlockDevice;
  readonly buffers: Buffers;
  readonly taker: BufferTaker;
  readonly order: WriteOrder;
  readonly negotiated: Negotiated;
  readonly limits: NbdLimits;
  /** Called once, last. `reason` is empty after an orderly end. */
  readonly onClosed: (reason: string) => void;
  /** A bug showed: an exception in this session or a rejection of the device. */
  readonly onFault: (error: unknown) => void;
}

type State = 'open' | 'refusing' | 'draining' | 'lingering' | 'closed';

export class Session implements StreamHandler, IncomingOwner, ExecutorOwner {
  readonly #stream: Stream;
  readonly #device: BlockDevice;
  readonly #buffers: Buffers;
  readonly #taker: BufferTaker;
  readonly #negotiated: Negotiated;
  readonly #limits: NbdLimits;
  readonly #onClosed: (reason: string) => void;
  readonly #onFault: (error: unknown) => void;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #executor: Executor;
  readonly #watch: Watch;
  readonly #headers: Address;
  /** Requests that are not in flight. */
  readonly #idle: Request[] = [];
  #state: State = 'open';
  #reason = '';
  #inFlight = 0;
  #heldBytes = 0;
  #starved = false;
  #ended = false;
  #streamClosed = false;

  /** `headers` holds the reply headers, `receive` what comes in; both are given away. */
  constructor(
    options: SessionOptions,
    headers: Address,
    receive: { readonly address: Address; readonly lengthBytes: number },
  ) {
    this.#stream = options.stream;
    this.#device = options.device;
    this.#buffers = options.buffers;
    this.#taker = options.taker;
    this.#negotiated = options.negotiated;
    this.#limits = options.limits;
    this.#onClosed = options.onClosed;
    this.#onFault = options.onFault;
    this.#headers = headers;
    this.#watch = new Watch(options.limits);
    const { address, lengthBytes } = receive;
    this.#incoming = new Incoming(this.#stream, this.#buffers, this, address, lengthBytes);
    const { device, buffers, order, negotiated } = options;
    this.#outgoing = new Outgoing(this.#stream, negotiated.structured, (request) =>
      this.#executor.partSent(request),
    );
    this.#executor = new Executor(device, buffers, order, negotiated, this.#outgoing, this);
    for (let index = 0; index < options.limits.requestsInFlight; index += 1) {
      const place = (headers + index * 2 * HEADER_BYTES) as Address;
      this.#idle.push(new Request(this.#executor, place));
    }
  }

  /** `firstBytes` end the handshake; `leftover`, which is borrowed, came before it had ended. */
  start(firstBytes: Address, firstLengthBytes: number, leftover: Uint8Array): void {
    this.#stream.start(this);
    if (firstLengthBytes > 0) {
      const request = this.takeRequest();
      request.type = -1;
      request.addresses.push(firstBytes);
      this.#executor.queue(request, 0, firstBytes, firstLengthBytes, true);
    } else {
      this.#buffers.give(firstBytes);
    }
    try {
      this.#incoming.start(leftover);
    } catch (error) {
      this.fault(error);
    }
  }

  /** From now on requests get ESHUTDOWN; the connection ends when those in flight are answered. */
  shutdown(): void {
    if (this.#state !== 'open') return;
    this.#state = 'refusing';
    this.#finishWhenIdle();
  }

  /** Ends the connection at once. Writes that the device has go on. */
  destroy(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#reason = reason;
    this.#incoming.stop();
    this.#stream.close();
    this.#taker.sweep();
  }

  /** Every second or so; time limits are counted here and nowhere on the way of a request. */
  tick(nowMs: number): void {
    if (this.#state === 'closed') return;
    const reason = this.#watch.check(nowMs, {
      halfSent: this.#incoming.halfSent,
      receivedBytes: this.#incoming.receivedBytes,
      unread: !this.#outgoing.empty,
      sentBytes: this.#outgoing.sentBytes,
      lingering: this.#state === 'lingering',
    });
    if (reason === 'lingered') this.destroy('');
    else if (reason !== null) this.destroy(reason);
  }

  // ---- StreamHandler

  received(lengthBytes: number): void {
    if (this.#state === 'closed') return;
    try {
      this.#incoming.received(lengthBytes);
    } catch (error) {
      this.fault(error);
    }
  }

  ended(): void {
    this.#ended = true;
    if (this.#state === 'lingering') {
      this.destroy('');
    } else if (this.#state === 'open' || this.#state === 'refusing') {
      this.disconnectRequested();
    }
  }

  sent(lengthBytes: number): void {
    try {
      this.#outgoing.sent(lengthBytes);
      if (this.#starved) this.#feed();
    } catch (error) {
      this.fault(error);
    }
  }

  failed(reason: string): void {
    this.destroy(reason);
  }

  closed(): void {
    this.#streamClosed = true;
    if (this.#state !== 'closed') {
      this.destroy(this.#state === 'lingering' ? '' : 'the stream closed');
    }
    const unsent = new Set<Request>();
    this.#outgoing.drop((request) => unsent.add(request));
    for (const request of unsent) {
      // A long read whose next piece is being read is released when that read has come back.
      const reading =
        request.type === protocol.COMMAND_READ && request.begunPieces > request.donePieces;
      if (!reading) this.release(request);
    }
    // Not before: until now the payload may still have been arriving in its buffers.
    this.#abandonPayload();
    this.#closeWhenIdle();
  }

  // ---- IncomingOwner

  /**
   * A connection that holds nothing always has room: its request waits for buffers like
   * everybody's.
   */
  hasRoom(type: number, lengthBytes: number): boolean {
    this.#starved = true;
    if (this.#idle.length === 0) return false;
    if (
      this.#heldBytes > 0 &&
      (type === protocol.COMMAND_READ || type === protocol.COMMAND_WRITE)
    ) {
      const wantedBytes = this.#heldBytes + bufferBytes(type, lengthBytes);
      if (wantedBytes > this.#limits.heldBytes || !this.#taker.allows(wantedBytes)) return false;
    }
    this.#starved = false;
    return true;
  }

  takeRequest(): Request {
    const request = this.#idle.pop();
    assert(request !== undefined, 'a session has room before it takes a request');
    this.#inFlight += 1;
    return request;
  }

  accept(request: Request): Acceptance {
    const { type, lengthBytes } = request;
    const errno = this.#refusal(request);
    if (errno !== OK) {
      this.#executor.answer(request, errno);
      return type === protocol.COMMAND_WRITE && lengthBytes > 0 ? 'discard' : 'next';
    }
    if (type !== protocol.COMMAND_READ && type !== protocol.COMMAND_WRITE) {
      this.#executor.run(request);
      return 'next';
    }
    request.heldBytes = bufferBytes(type, lengthBytes);
    this.#heldBytes += request.heldBytes;
    const count = bufferCount(type, lengthBytes);
    const pieceBytes = Math.min(lengthBytes, PIECE_BYTES);
    if (!this.#taker.take(request.addresses, count, pieceBytes)) {
      this.#acquire(request, count, pieceBytes);
      return 'wait';
    }
    return this.#equipped(request);
  }

  payloadComplete(request: Request): void {
    this.#executor.run(request);
  }

  disconnectRequested(): void {
    this.#incoming.stop();
    this.#state = 'draining';
    this.#abandonPayload();
    this.#finishWhenIdle();
  }

  violated(reason: string): void {
    this.destroy(reason);
  }

  // ---- ExecutorOwner

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get isStreamClosed(): boolean {
    return this.#streamClosed;
  }

  /** Its last part was sent, or nobody waits for it any more. */
  release(request: Request): void {
    while (request.addresses.length > 0) this.#buffers.give(request.addresses.pop() as Address);
    this.#heldBytes -= request.heldBytes;
    this.#inFlight -= 1;
    request.reset();
    this.#idle.push(request);
    this.#taker.released();
    if (this.#state !== 'open') {
      this.#finishWhenIdle();
      this.#closeWhenIdle();
    }
  }

  reportFault(error: unknown): void {
    this.#onFault(error);
  }

  fault(error: unknown): void {
    this.#onFault(error);
    this.destroy('an internal error');
  }

  #refusal(request: Request): Errno {
    if (this.#state === 'refusing') return ESHUTDOWN;
    const { shareableBytes } = this.#buffers;
    return checkRequest(request, this.#negotiated, this.#device.sizeBytes, shareableBytes);
  }

  #equipped(request: Request): Acceptance {
    if (request.type === protocol.COMMAND_WRITE) return 'payload';
    this.#executor.run(request);
    return 'next';
  }

  #acquire(request: Request, count: number, pieceBytes: number): void {
    this.#taker
      .takeLater(request.addresses, count, pieceBytes, () => this.#state !== 'closed')
      .then((taken) => {
        if (!taken || this.#state === 'closed') this.release(request);
        else this.#incoming.resume(this.#equipped(request), request);
      })
      .catch((error: unknown) => this.fault(error));
  }

  /** A write that will never be complete. No receive may be under way. */
  #abandonPayload(): void {
    const abandoned = this.#incoming.abandon();
    if (abandoned !== null) this.release(abandoned);
  }

  #feed(): void {
    this.#starved = false;
    this.#incoming.pump();
  }

  #finishWhenIdle(): void {
    if (this.#inFlight > 0 || (this.#state !== 'draining' && this.#state !== 'refusing')) return;
    if (this.#ended) return this.destroy('');
    this.#state = 'lingering';
    this.#incoming.stop();
    this.#stream.finish();
    this.#incoming.drain();
  }

  #closeWhenIdle(): void {
    if (!this.#streamClosed || this.#inFlight > 0 || this.#idle.length === 0) return;
    this.#idle.length = 0;
    this.#incoming.release();
    this.#buffers.give(this.#headers);
    this.#onClosed(this.#reason);
  }
}

const bufferCount = (type: number, lengthBytes: number): number => {
  const count = Math.ceil(lengthBytes / PIECE_BYTES);
  return type === protocol.COMMAND_READ ? Math.min(count, READ_PIECES_HELD) : count;
};

/** What the pool gives for it, nearly: powers of two from 4096. */
const bufferBytes = (type: number, lengthBytes: number): number => {
  if (lengthBytes > PIECE_BYTES) return bufferCount(type, lengthBytes) * PIECE_BYTES;
  return lengthBytes <= 4096 ? 4096 : 2 ** (32 - Math.clz32(lengthBytes - 1));
};
