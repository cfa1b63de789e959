/**
 * What a client sends, cut into requests. Small things are read out of one receive buffer, many at
 * a time; the rest of a payload that is not there yet is received straight into the buffers of its
 * request.
 *
 *      ┌──────────────── receive buffer ────────────────┐
 *      │ done │ request │ payload │ request │ requ      │     received, parsed up to `#position`
 *      └──────────────────────────────────────────────────
 *
 * Invariants:
 *   1. Either a receive is under way and everything before it was parsed, or parsing waits for the
 *      session (`pump`).
 *   2. When a receive begins, less than one request header is left over: it moves to the front.
 *   3. A write is handed on only when its last byte is there.
 */

import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import { KIB } from '../base/units.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Stream } from '../io/stream.ts';
import { PAYLOAD_BYTES_MAX, PIECE_BYTES } from './limits.ts';
import { COMMAND_DISCONNECT, COMMAND_WRITE, REQUEST_BYTES, REQUEST_MAGIC } from './protocol.ts';
import type { Request } from './request.ts';

/**
 * An idle connection costs little; a busy one gets the large buffer when it first fills the small
 * one.
 */
export const RECEIVE_BYTES_SMALL = 8 * KIB;
const RECEIVE_BYTES_LARGE = 256 * KIB;

/**
 *   next      the request runs, or was answered
 *   payload   it has its buffers, its payload comes next
 *   discard   it was refused; its payload comes next and nobody wants it
 *   wait      it waits for buffers; the session calls `resume`
 */
export type Acceptance = 'next' | 'payload' | 'discard' | 'wait';

export interface IncomingOwner {
  /** False: ask again after `pump`. */
  hasRoom(type: number, lengthBytes: number): boolean;
  takeRequest(): Request;
  accept(request: Request): Acceptance;
  payloadComplete(request: Request): void;
  disconnectRequested(): void;
  violated(reason: string): void;
}

export class Incoming {
  readonly #stream: Stream;
  readonly #buffers: Buffers;
  readonly #owner: IncomingOwner;
  #address: Address;
  #capacityBytes: number;
  #position = 0;
  #filledBytes = 0;
  #receiving = false;
  #receivingPayload = false;
  #waiting = false;
  #stopped = false;
  #draining = false;
  #wantsLarge = false;
  #payload: Request | null = null;
  #payloadBytes = 0;
  #discardBytes = 0;
  #receivedBytes = 0;

  /** The receive buffer at `address` is given away until `release`. */
  constructor(
    stream: Stream,
    buffers: Buffers,
    owner: IncomingOwner,
    address: Address,
    capacityBytes: number,
  ) {
    this.#stream = stream;
    this.#buffers = buffers;
    this.#owner = owner;
    this.#address = address;
    this.#capacityBytes = capacityBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Part of a request is there, and it is the client who has to go on. */
  get halfSent(): boolean {
    const begun = this.#payload !== null || this.#discardBytes > 0;
    return this.#receiving && !this.#draining && (begun || this.#filledBytes > this.#position);
  }

  /** What the client sent ahead of the handshake's end; then the stream. */
  start(leftover: Uint8Array): void {
    assert(leftover.length <= this.#capacityBytes, 'the leftover of a handshake fits');
    this.#buffers.bytes.set(leftover, this.#address);
    this.#filledBytes = leftover.length;
    this.pump();
  }

  received(lengthBytes: number): void {
    this.#receiving = false;
    this.#receivedBytes += lengthBytes;
    if (this.#draining) {
      this.#receive(this.#address, this.#capacityBytes);
      return;
    }
    if (this.#receivingPayload) {
      this.#receivingPayload = false;
      this.#payloadBytes += lengthBytes;
    } else {
      this.#filledBytes += lengthBytes;
      this.#wantsLarge = this.#filledBytes === this.#capacityBytes;
    }
    this.pump();
  }

  /** Parses what there is, for as long as the session has room, then receives more. */
  pump(): void {
    if (this.#receiving || this.#waiting) return;
    while (!this.#stopped) {
      if (this.#discardBytes > 0) {
        const takenBytes = Math.min(this.#discardBytes, this.#filledBytes - this.#position);
        this.#position += takenBytes;
        this.#discardBytes -= takenBytes;
        if (this.#discardBytes > 0) break;
      } else if (this.#payload !== null) {
        if (!this.#continuePayload(this.#payload)) return;
      } else if (this.#filledBytes - this.#position < REQUEST_BYTES) {
        break;
      } else if (!this.#parseRequest()) {
        return;
      }
    }
    if (!this.#stopped) this.#receiveMore();
  }

  /** The request that waited has its buffers, or was given up. */
  resume(acceptance: Acceptance, request: Request): void {
    this.#waiting = false;
    this.#proceed(acceptance, request);
    this.pump();
  }

  /** Nothing more is parsed; a receive that is under way stays. */
  stop(): void {
    this.#stopped = true;
  }

  /** Receives on and drops everything, to notice the end of the stream. Only after `stop`. */
  drain(): void {
    assert(this.#stopped, 'only a stopped stream is drained');
    this.#draining = true;
    if (!this.#receiving) this.#receive(this.#address, this.#capacityBytes);
  }

  /** The request whose payload is incomplete, if any: nobody will run it. */
  abandon(): Request | null {
    const request = this.#payload;
    this.#payload = null;
    return request;
  }

  release(): void {
    this.#buffers.give(this.#address);
  }

  /** False: parsing has to stop here. */
  #parseRequest(): boolean {
    const view = this.#buffers.view;
    const at = this.#address + this.#position;
    if (view.getUint32(at) !== REQUEST_MAGIC) {
      this.#owner.violated('wrong request magic');
      return false;
    }
    const type = view.getUint16(at + 6);
    const lengthBytes = view.getUint32(at + 24);
    if (type === COMMAND_DISCONNECT) {
      this.#owner.disconnectRequested();
      return false;
    }
    if (type === COMMAND_WRITE && lengthBytes > PAYLOAD_BYTES_MAX) {
      this.#owner.violated('payload too long');
      return false;
    }
    if (!this.#owner.hasRoom(type, lengthBytes)) return false;
    const request = this.#owner.takeRequest();
    request.flags = view.getUint16(at + 4);
    request.type = type;
    request.cookieHigh = view.getUint32(at + 8);
    request.cookieLow = view.getUint32(at + 12);
    // Exact below 2^53; above, rounding cannot bring it back into any volume.
    request.offsetBytes = view.getUint32(at + 16) * 2 ** 32 + view.getUint32(at + 20);
    request.lengthBytes = lengthBytes;
    this.#position += REQUEST_BYTES;
    return this.#proceed(this.#owner.accept(request), request);
  }

  #proceed(acceptance: Acceptance, request: Request): boolean {
    if (acceptance === 'payload') {
      this.#payload = request;
      this.#payloadBytes = 0;
    } else if (acceptance === 'discard') {
      this.#discardBytes = request.lengthBytes;
    } else if (acceptance === 'wait') {
      this.#waiting = true;
      return false;
    }
    return true;
  }

  /** False: the rest is being received. */
  #continuePayload(request: Request): boolean {
    while (this.#payloadBytes < request.lengthBytes) {
      const within = this.#payloadBytes % PIECE_BYTES;
      const piece = request.addresses[(this.#payloadBytes - within) / PIECE_BYTES] as Address;
      const wantedBytes = Math.min(request.lengthBytes - this.#payloadBytes, PIECE_BYTES - within);
      const hereBytes = Math.min(wantedBytes, this.#filledBytes - this.#position);
      if (hereBytes === 0) {
        this.#receivingPayload = true;
        this.#receive((piece + within) as Address, wantedBytes);
        return false;
      }
      const from = this.#address + this.#position;
      this.#buffers.bytes.copyWithin(piece + within, from, from + hereBytes);
      this.#position += hereBytes;
      this.#payloadBytes += hereBytes;
    }
    this.#payload = null;
    this.#owner.payloadComplete(request);
    return true;
  }

  #receiveMore(): void {
    const leftBytes = this.#filledBytes - this.#position;
    assert(leftBytes < REQUEST_BYTES, 'everything complete was parsed before more is received');
    if (this.#wantsLarge && this.#capacityBytes < RECEIVE_BYTES_LARGE) {
      this.#enlarge(leftBytes);
    } else if (this.#position > 0 && leftBytes > 0) {
      const from = this.#address + this.#position;
      this.#buffers.bytes.copyWithin(this.#address, from, from + leftBytes);
    }
    this.#position = 0;
    this.#filledBytes = leftBytes;
    const at = (this.#address + leftBytes) as Address;
    this.#receive(at, this.#capacityBytes - leftBytes);
  }

  #receive(address: Address, lengthBytes: number): void {
    this.#receiving = true;
    this.#stream.receive(address, lengthBytes);
  }

  /**
   * Stays small unless three quarters of what clients share stay free: what is given here does not come back before the
   * connection ends, hundreds that are busy for a moment must not eat the pool, and the longest request, a quarter, has
   * to find half of it free beside itself (BufferTaker).
   */
  #enlarge(leftBytes: number): void {
    const from = this.#address + this.#position;
    const { freeBytes, shareableBytes } = this.#buffers;
    const spare = freeBytes - RECEIVE_BYTES_LARGE >= (shareableBytes * 3) / 4;
    const address = spare ? this.#buffers.take(RECEIVE_BYTES_LARGE, 'client') : (0 as Address);
    const to = address === 0 ? this.#address : address;
    this.#buffers.bytes.copyWithin(to, from, from + leftBytes);
    if (address === 0) return;
    this.#buffers.give(this.#address);
    this.#address = address;
    this.#capacityBytes = RECEIVE_BYTES_LARGE;
  }
}
