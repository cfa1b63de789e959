/**
 * The oracle of one connection in transmission. It is given the bytes of the client and knows from them, before the
 * server has seen anything, every request, which answers are right, and where the connection must end. While the server
 * runs it is told what the device is asked; at the end it reads the whole output.
 *
 * It holds the server to this:
 *   1. Nothing reaches the device but a sound request, once, in whole, with its very bytes, and not before its last byte
 *      was delivered.
 *   2. Every request is answered exactly once (at most once when the connection breaks), with its cookie, not before the
 *      device was done, with an error that the specification gives to this mistake, or with the data that the device gave.
 *   3. Replies are well formed: simple ones, or chunks inside the request, without overlap, complete, the last one marked.
 *   4. FUA reaches the device.
 *   5. A write reaches it after every earlier one that it overlaps is done.
 */

import { command, flag, payloadBytesMax, unfragmentedBytesMax, wire } from './fuzz-wire.ts';

export const EIO = 5;
export const EINVAL = 22;
export const ENOSPC = 28;
export const EOVERFLOW = 75;
export const ENOTSUP = 95;
export const ESHUTDOWN = 108;

export interface Extent {
  readonly lengthBytes: number;
  readonly hole: boolean;
  readonly zero: boolean;
}

export interface Terms {
  readonly structured: boolean;
  readonly allocation: boolean;
  readonly aligned: boolean;
  readonly sizeBytes: number;
  readonly poolBytes: number;
  /** A real server: what its device is asked and answers is not seen. */
  readonly blind?: boolean;
}

export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** How much had been put out when the device gave it. */
  readonly settledAtBytes: number;
}

export interface BookedRequest {
  readonly index: number;
  readonly type: number;
  readonly flags: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Inexact above 2^53, where it is beyond every volume. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly payloadAt: number;
  /** The first byte behind it in the wire. */
  readonly endAt: number;
  /** Each a right answer; empty: it must be run. */
  readonly errors: readonly number[];
  begunBytes: number;
  doneBytes: number;
  /** Operations of the device that have begun, and those that have come back. */
  begun: number;
  done: number;
  flushed: boolean;
  /** The device has all of it behind it. */
  finished: boolean;
  errno: number;
  /** What the device gave, piece by piece. */
  readonly pieces: Piece[];
  extents: readonly Extent[];
  /** How much had been put out when the device was last done with it. */
  settledAtBytes: number;
  answered: boolean;
  /** What a reply without data answered it with; −1: none did. */
  givenErrno: number;
  /** Where in the output the block status is that answered it; −1: none did. */
  givenStatusAt: number;
  /** Of its chunks so far. */
  gotBytes: number;
  partial: boolean;
}

export type End = 'open' | 'half-sent' | 'disconnect' | 'violation';

export class Book {
  readonly terms: Terms;
  readonly requests: BookedRequest[] = [];
  /** How the client's bytes end the connection. */
  readonly end: End;
  readonly endAt: number;
  readonly #wire: Uint8Array;
  #delivered = 0;
  /** All before it were begun, or must not be. */
  #firstUnbegun = 0;
  /** All before it change nothing, or have done it. */
  #firstUndone = 0;
  readonly #long: BookedRequest[] = [];
  /** A flush of the device may belong to a FLUSH or to a long FUA write: when both are there, it does not tell which. */
  readonly vagueFlushes: boolean;
  outputBytes = 0;
  problem: string | null = null;
  /** The volume is being shut down: refusing is right from here on. */
  shutDown = false;

  constructor(bytes: Uint8Array, startAt: number, terms: Terms) {
    this.terms = terms;
    this.#wire = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = startAt;
    let end: End = 'open';
    while (at < bytes.length) {
      if (bytes.length - at < wire.requestBytes) {
        end = 'half-sent';
        break;
      }
      const type = view.getUint16(at + 6);
      const lengthBytes = view.getUint32(at + 24);
      if (view.getUint32(at) !== wire.requestMagic) end = 'violation';
      else if (type === command.disconnect) end = 'disconnect';
      else if (type === command.write && lengthBytes > payloadBytesMax) end = 'violation';
      if (end !== 'open') break;
      const payloadAt = at + wire.requestBytes;
      const endAt = payloadAt + (type === command.write ? lengthBytes : 0);
      const offset = view.getUint32(at + 16) * 2 ** 32 + view.getUint32(at + 20);
      const flags = view.getUint16(at + 4);
      this.requests.push({
        index: this.requests.length,
        type,
        flags,
        cookieHigh: view.getUint32(at + 8),
        cookieLow: view.getUint32(at + 12),
        offset,
        lengthBytes,
        payloadAt,
        endAt,
        errors: errorsOf(type, flags, offset, lengthBytes, terms),
        begunBytes: 0,
        doneBytes: 0,
        begun: 0,
        done: 0,
        flushed: false,
        finished: false,
        errno: 0,
        pieces: [],
        extents: [],
        settledAtBytes: 0,
        answered: false,
        givenErrno: -1,
        givenStatusAt: -1,
        gotBytes: 0,
        partial: false,
      });
      at = endAt;
      if (endAt > bytes.length) end = 'half-sent';
    }
    this.vagueFlushes = this.requests.some(isLongFua);
    this.end = end;
    this.endAt = Math.min(at, bytes.length);
  }

  /** So much of the wire was given to the server. */
  delivered(bytes: number): void {
    this.#delivered = bytes;
  }

  /** The device was asked: for which request? Null: for none that may be run, and `problem` says so. */
  begin(
    type: number,
    offset: number,
    lengthBytes: number,
    fua: boolean,
    data: Uint8Array | null,
  ): BookedRequest | null {
    const found = this.#next(type, offset, lengthBytes, data) ?? this.#flushBehindLong(type);
    if (found === null) {
      this.fail(`the device is asked for command ${type} at ${offset}+${lengthBytes}, by nobody`);
      return null;
    }
    this.#checkOrder(found);
    found.begun += 1;
    if (type === found.type) found.begunBytes += lengthBytes;
    const wantsFua = (found.flags & flag.fua) !== 0;
    const { write, trim, zeroes } = command;
    const changes = type === write || type === trim || type === zeroes;
    const whole = lengthBytes === found.lengthBytes;
    if (changes && whole && fua !== wantsFua) this.fail(`request ${found.index}: FUA got lost`);
    return found;
  }

  /** Writes of overlapping ranges reach the device one after the other, in the order in which they were sent. */
  #checkOrder(request: BookedRequest): void {
    if (!changes(request)) return;
    for (let index = request.index - 1; index >= this.#firstUndone; index--) {
      const earlier = this.requests[index]!;
      if (!changes(earlier) || earlier.errors.length > 0 || earlier.finished) continue;
      const apart =
        earlier.offset >= request.offset + request.lengthBytes ||
        request.offset >= earlier.offset + earlier.lengthBytes;
      if (!apart) this.fail(`request ${request.index} passes request ${index}, which it overlaps`);
    }
    while (this.requests[this.#firstUndone] !== undefined) {
      const first = this.requests[this.#firstUndone]!;
      if (changes(first) && first.errors.length === 0 && !first.finished) break;
      this.#firstUndone += 1;
    }
  }

  done(request: BookedRequest, lengthBytes: number, errno: number): void {
    request.done += 1;
    request.doneBytes += lengthBytes;
    if (errno !== 0 && request.errno === 0) request.errno = errno;
    request.settledAtBytes = this.outputBytes;
    const over = request.errno !== 0 || request.doneBytes >= request.lengthBytes;
    request.finished = over && request.done === request.begun;
  }

  fail(problem: string): void {
    this.problem ??= problem;
  }

  /** Which requests of the wire have been delivered in whole. */
  get deliveredCount(): number {
    let count = 0;
    while (count < this.requests.length && this.requests[count]!.endAt <= this.#delivered) count++;
    return count;
  }

  #next(
    type: number,
    offset: number,
    lengthBytes: number,
    data: Uint8Array | null,
  ): BookedRequest | null {
    for (let index = this.#firstUnbegun; index < this.requests.length; index++) {
      const request = this.requests[index]!;
      if (request.endAt > this.#delivered) break;
      const mustNotBegin = request.errors.length > 0 || request.begun > 0;
      if (mustNotBegin) {
        if (index === this.#firstUnbegun) this.#firstUnbegun += 1;
        continue;
      }
      if (request.type !== type || request.offset !== offset) continue;
      if (lengthBytes > request.lengthBytes || !this.#hasPayload(request, lengthBytes, data)) {
        continue;
      }
      if (lengthBytes < request.lengthBytes) this.#long.push(request);
      return request;
    }
    const isNextPiece = (request: BookedRequest): boolean =>
      request.type === type &&
      request.offset + request.begunBytes === offset &&
      request.begunBytes + lengthBytes <= request.lengthBytes &&
      this.#hasPayload(request, lengthBytes, data);
    return this.#long.find(isNextPiece) ?? null;
  }

  /** A long FUA write may be pieces without FUA and one flush behind them. */
  #flushBehindLong(type: number): BookedRequest | null {
    if (type !== command.flush) return null;
    const found = this.#long.find(
      (each) =>
        each.type === command.write &&
        (each.flags & flag.fua) !== 0 &&
        !each.flushed &&
        each.doneBytes === each.lengthBytes,
    );
    if (found === undefined) return null;
    found.flushed = true;
    return found;
  }

  #hasPayload(request: BookedRequest, lengthBytes: number, data: Uint8Array | null): boolean {
    if (data === null) return true;
    const at = request.payloadAt + request.begunBytes;
    return Buffer.compare(data, this.#wire.subarray(at, at + lengthBytes)) === 0;
  }
}

const changes = ({ type }: BookedRequest): boolean =>
  type === command.write || type === command.trim || type === command.zeroes;

export const isLongFua = ({ type, flags, lengthBytes }: BookedRequest): boolean =>
  type === command.write && (flags & flag.fua) !== 0 && lengthBytes > unfragmentedBytesMax;

/** Every answer that the specification and docs/protocol/nbd.md allow to a request that must not run. */
function errorsOf(
  type: number,
  flags: number,
  offset: number,
  lengthBytes: number,
  terms: Terms,
): readonly number[] {
  const c = command;
  const allowed = ALLOWED_FLAGS[type];
  if (allowed === undefined) return [EINVAL];
  const errors: number[] = [];
  if ((flags & ~allowed) !== 0) errors.push(EINVAL);
  if (type === c.flush) {
    if (offset !== 0 || lengthBytes !== 0) errors.push(EINVAL);
    return errors;
  }
  if (lengthBytes === 0) errors.push(EINVAL);
  if (offset + lengthBytes > terms.sizeBytes) {
    errors.push(type === c.write || type === c.zeroes ? ENOSPC : EINVAL);
  }
  const unaligned = offset % 512 !== 0 || lengthBytes % 512 !== 0;
  if (terms.aligned && unaligned) errors.push(EINVAL);
  if (type === c.write && lengthBytes > terms.poolBytes / 4) errors.push(EINVAL);
  if (type === c.status && !terms.allocation) errors.push(EINVAL);
  if (type === c.read && lengthBytes > payloadBytesMax) errors.push(EINVAL);
  if (type === c.read && (flags & flag.df) !== 0) {
    if (!terms.structured) errors.push(EINVAL);
    else if (lengthBytes > unfragmentedBytesMax) errors.push(EOVERFLOW);
  }
  return errors;
}

const ALLOWED_FLAGS: Readonly<Record<number, number>> = {
  [command.read]: flag.fua | flag.df,
  [command.write]: flag.fua,
  [command.flush]: flag.fua,
  [command.trim]: flag.fua,
  [command.cache]: flag.fua,
  [command.zeroes]: flag.fua | flag.noHole | flag.fast,
  [command.status]: flag.fua | flag.one,
};
