/**
 * The transmission phase of one connection: requests in, replies out, over any Stream and any BlockDevice.
 *
 *    Stream ──► Incoming ──► check ──► buffers ──► BlockDevice ──► encode ──► Outgoing ──► Stream
 *                  ▲                                                             │
 *                  └──────────── room again when a reply was sent ◄──────────────┘
 *
 * Invariants:
 *   1. A request is in flight from its header to the last byte of its reply; there are at most
 *      `limits.requestsInFlight`, and what they hold of the pool is bounded (`hasRoom`).
 *   2. A write that was handed to the device runs to its end, whatever becomes of the connection.
 *   3. Nothing is keyed by cookie: clients may use one twice.
 *   4. An exception here, or a rejection of the device, ends this connection and nothing else.
 *   5. `onClosed` is called once, when no request runs and the stream touches no buffer; all buffers are back then.
 *
 *    open ──DISC, end of stream──► draining ─┐ last reply sent
 *      └──shutdown──► refusing ──────────────┴──► lingering ──end of stream, time──► closed
 *    any ──violation, broken stream, time limit──► closed
 */

import { assert } from '../base/assert.ts';
import type { Errno } from '../base/errno.ts';
import { EIO, ENOTSUP, EOVERFLOW, ESHUTDOWN, OK } from '../base/errno.ts';
import type { Address, VolumeOffset } from '../base/units.ts';
import type { BlockDevice, Extent } from '../io/block-device.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Stream, StreamHandler } from '../io/stream.ts';
import type { BufferTaker } from './buffer-taker.ts';
import { checkRequest } from './check-request.ts';
import type { Acceptance, IncomingOwner } from './incoming.ts';
import { Incoming } from './incoming.ts';
import type { NbdLimits } from './limits.ts';
import { PIECE_BYTES } from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import { Outgoing } from './outgoing.ts';
import * as protocol from './protocol.ts';
import { encodeData, encodeError, encodeSimple, encodeStatus, wireErrno } from './reply-encoder.ts';
import type { RequestOwner } from './request.ts';
import { HEADER_BYTES, Request } from './request.ts';
import { Watch } from './watch.ts';

export interface SessionOptions {
  readonly stream: Stream;
  readonly device: BlockDevice;
  readonly buffers: Buffers;
  readonly taker: BufferTaker;
  readonly negotiated: Negotiated;
  readonly limits: NbdLimits;
  /** Called once, last. `reason` is empty after an orderly end. */
  readonly onClosed: (reason: string) => void;
  /** A bug showed: an exception in this session or a rejection of the device. */
  readonly onFault: (error: unknown) => void;
}

type State = 'open' | 'refusing' | 'draining' | 'lingering' | 'closed';

/** How many pieces of one long write the device gets at a time. */
const WRITE_PIECES_AT_ONCE = 4;
/** Both halves of a double buffer: one piece is read while the other is sent. */
const READ_PIECES_HELD = 2;
const STATUS_BUFFER_BYTES = 4096;
const STATUS_LONG_EXTENTS = 16;

export class Session implements StreamHandler, IncomingOwner, RequestOwner {
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
    const mayInterleave = options.negotiated.structured;
    this.#outgoing = new Outgoing(this.#stream, mayInterleave, (request) => this.#partSent(request));
    for (let index = 0; index < options.limits.requestsInFlight; index += 1) {
      this.#idle.push(new Request(this, (headers + index * 2 * HEADER_BYTES) as Address));
    }
  }

  /** `firstBytes` end the handshake; `leftover`, which is borrowed, came before it had ended. */
  start(firstBytes: Address, firstLengthBytes: number, leftover: Uint8Array): void {
    this.#stream.start(this);
    if (firstLengthBytes > 0) {
      const request = this.takeRequest();
      request.type = -1;
      request.addresses.push(firstBytes);
      this.#queue(request, 0, firstBytes, firstLengthBytes, true);
    } else {
      this.#buffers.give(firstBytes);
    }
    try {
      this.#incoming.start(leftover);
    } catch (error) {
      this.#fault(error);
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
    const abandoned = this.#incoming.abandon();
    if (abandoned !== null) this.#release(abandoned);
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
      this.#fault(error);
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
      this.#fault(error);
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
      if (!reading) this.#release(request);
    }
    this.#closeWhenIdle();
  }

  // ---- IncomingOwner

  /** A connection that holds nothing always has room: its request waits for buffers like everybody's. */
  hasRoom(type: number, lengthBytes: number): boolean {
    this.#starved = true;
    if (this.#idle.length === 0) return false;
    if (this.#heldBytes > 0 && (type === protocol.COMMAND_READ || type === protocol.COMMAND_WRITE)) {
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
      this.#answer(request, errno);
      return type === protocol.COMMAND_WRITE && lengthBytes > 0 ? 'discard' : 'next';
    }
    if (type !== protocol.COMMAND_READ && type !== protocol.COMMAND_WRITE) {
      try {
        this.#runOther(request);
      } catch (error) {
        this.broken(request, error);
      }
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
    this.#writePieces(request);
  }

  disconnectRequested(): void {
    this.#incoming.stop();
    this.#state = 'draining';
    const abandoned = this.#incoming.abandon();
    if (abandoned !== null) this.#release(abandoned);
    this.#finishWhenIdle();
  }

  violated(reason: string): void {
    this.destroy(reason);
  }

  // ---- running

  #refusal(request: Request): Errno {
    if (this.#state === 'refusing') return ESHUTDOWN;
    const poolBytes = this.#buffers.bytes.length;
    return checkRequest(request, this.#negotiated, this.#device.sizeBytes, poolBytes);
  }

  #equipped(request: Request): Acceptance {
    if (request.type === protocol.COMMAND_WRITE) return 'payload';
    this.#readPiece(request);
    return 'next';
  }

  #acquire(request: Request, count: number, pieceBytes: number): void {
    this.#taker
      .takeLater(request.addresses, count, pieceBytes, () => this.#state !== 'closed')
      .then((taken) => {
        if (!taken || this.#state === 'closed') this.#release(request);
        else this.#incoming.resume(this.#equipped(request), request);
      })
      .catch((error: unknown) => this.#fault(error));
  }

  #run(request: Request, promise: Promise<Errno>): void {
    promise.then(request.onSettled, request.onBroken);
  }

  #runOther(request: Request): void {
    const offset = request.offsetBytes as VolumeOffset;
    const { type, flags, lengthBytes } = request;
    const fua = (flags & protocol.COMMAND_FLAG_FUA) !== 0;
    switch (type) {
      case protocol.COMMAND_FLUSH:
        return this.#run(request, this.#device.flush());
      case protocol.COMMAND_TRIM:
        return this.#run(request, this.#device.trim(offset, lengthBytes, fua));
      case protocol.COMMAND_CACHE:
        return this.#run(request, this.#device.cache(offset, lengthBytes));
      case protocol.COMMAND_WRITE_ZEROES: {
        const noHole = (flags & protocol.COMMAND_FLAG_NO_HOLE) !== 0;
        const fast = (flags & protocol.COMMAND_FLAG_FAST_ZERO) !== 0;
        return this.#run(request, this.#device.zero(offset, lengthBytes, { fua, noHole, fast }));
      }
      default: {
        assert(type === protocol.COMMAND_BLOCK_STATUS, 'only known commands pass the check');
        this.#device.extents(offset, lengthBytes).then(request.onExtents, request.onBroken);
      }
    }
  }

  /** One piece at a time, the next one while this one is being sent: the reply stays in order, with simple replies too. */
  #readPiece(request: Request): void {
    const doneBytes = request.begunPieces * PIECE_BYTES;
    const offset = (request.offsetBytes + doneBytes) as VolumeOffset;
    const lengthBytes = Math.min(request.lengthBytes - doneBytes, PIECE_BYTES);
    const address = request.addresses[request.begunPieces % READ_PIECES_HELD] as Address;
    request.begunPieces += 1;
    try {
      this.#run(request, this.#device.read(offset, address, lengthBytes));
    } catch (error) {
      this.broken(request, error);
    }
  }

  /**
   * All of the payload is here. A long one goes to the device a few pieces at a time; FUA is then one flush at the end
   * instead of one for each piece.
   */
  #writePieces(request: Request): void {
    const { offsetBytes, lengthBytes, addresses } = request;
    const fua = (request.flags & protocol.COMMAND_FLAG_FUA) !== 0 && addresses.length === 1;
    while (
      request.errno === OK &&
      request.begunPieces < addresses.length &&
      request.begunPieces - request.donePieces < WRITE_PIECES_AT_ONCE
    ) {
      const index = request.begunPieces;
      const offset = (offsetBytes + index * PIECE_BYTES) as VolumeOffset;
      const pieceBytes = Math.min(lengthBytes - index * PIECE_BYTES, PIECE_BYTES);
      request.begunPieces += 1;
      try {
        const address = addresses[index] as Address;
        this.#run(request, this.#device.write(offset, address, pieceBytes, fua));
      } catch (error) {
        this.broken(request, error);
      }
    }
  }

  // ---- RequestOwner

  settled(request: Request, errno: Errno): void {
    try {
      request.donePieces += 1;
      if (request.type === protocol.COMMAND_READ) this.#readSettled(request, errno);
      else if (request.type === protocol.COMMAND_WRITE) this.#writeSettled(request, errno);
      else this.#otherSettled(request, errno);
    } catch (error) {
      this.#fault(error);
    }
  }

  extentsSettled(request: Request, extents: readonly Extent[]): void {
    try {
      if (this.#state === 'closed') this.#release(request);
      else this.#answerStatus(request, extents);
    } catch (error) {
      this.#fault(error);
    }
  }

  /** The device never rejects; if it does, that is a bug there, and the client learns that the request failed. */
  broken(request: Request, error: unknown): void {
    this.#onFault(error);
    this.settled(request, EIO);
  }

  #readSettled(request: Request, errno: Errno): void {
    if (this.#state === 'closed') return this.#releaseUnlessQueued(request);
    const index = request.donePieces - 1;
    const doneBytes = index * PIECE_BYTES;
    const dataBytes = Math.min(request.lengthBytes - doneBytes, PIECE_BYTES);
    const last = doneBytes + dataBytes === request.lengthBytes;
    const { structured } = this.#negotiated;
    const { view } = this.#buffers;
    const slot = index % READ_PIECES_HELD;
    const at = (request.headerAddress + slot * HEADER_BYTES) as Address;
    const offsetBytes = request.offsetBytes + doneBytes;
    if (errno !== OK) {
      if (index > 0 && !structured) {
        this.destroy('an error after the reply had begun');
        return this.#releaseUnlessQueued(request);
      }
      const wire = readErrno(errno);
      const headerBytes = structured
        ? encodeError(view, at, request, wire, offsetBytes)
        : encodeSimple(view, at, request, wire);
      this.#queue(request, headerBytes, 0 as Address, 0, true, at);
      return;
    }
    let headerBytes = 0;
    if (structured) headerBytes = encodeData(view, at, request, offsetBytes, dataBytes, last);
    else if (index === 0) headerBytes = encodeSimple(view, at, request, OK);
    const address = request.addresses[slot] as Address;
    const queued = this.#queue(request, headerBytes, address, dataBytes, last, at);
    if (queued && !last) this.#continueRead(request);
  }

  /** Begins the next piece if there is one and a buffer is free. */
  #continueRead(request: Request): void {
    const more = request.begunPieces * PIECE_BYTES < request.lengthBytes;
    const idle = request.begunPieces === request.donePieces;
    const room = request.begunPieces - request.sentParts < READ_PIECES_HELD;
    if (more && idle && room) this.#readPiece(request);
  }

  #writeSettled(request: Request, errno: Errno): void {
    if (errno !== OK && request.errno === OK) request.errno = errno;
    const count = request.addresses.length;
    if (request.donePieces > count) return this.#answer(request, request.errno);
    if (request.errno === OK && request.begunPieces < count) return this.#writePieces(request);
    if (request.donePieces < request.begunPieces) return;
    const fua = (request.flags & protocol.COMMAND_FLAG_FUA) !== 0;
    if (fua && count > 1 && request.errno === OK) {
      return this.#run(request, this.#device.flush());
    }
    this.#answer(request, request.errno);
  }

  #otherSettled(request: Request, errno: Errno): void {
    const { type, flags } = request;
    const hint = type === protocol.COMMAND_TRIM || type === protocol.COMMAND_CACHE;
    if (errno === ENOTSUP && hint) return this.#answer(request, OK);
    const fast = (flags & protocol.COMMAND_FLAG_FAST_ZERO) !== 0;
    this.#answer(request, errno === ENOTSUP && !fast ? EIO : errno);
  }

  // ---- answering

  #answer(request: Request, errno: Errno): void {
    if (this.#state === 'closed') return this.#release(request);
    const { view } = this.#buffers;
    const at = request.headerAddress;
    const wire = wireErrno(errno);
    const asChunk = wire !== OK && this.#negotiated.structured;
    const headerBytes = asChunk
      ? encodeError(view, at, request, wire, -1)
      : encodeSimple(view, at, request, wire);
    this.#queue(request, headerBytes, 0 as Address, 0, true);
  }

  #answerStatus(request: Request, extents: readonly Extent[]): void {
    const one = (request.flags & protocol.COMMAND_FLAG_REQ_ONE) !== 0;
    const { view } = this.#buffers;
    let at = request.headerAddress;
    let roomBytes = HEADER_BYTES;
    if (!one && extents.length > STATUS_LONG_EXTENTS / 2) {
      // Without a buffer the answer is short; the client asks again for the rest.
      const address = this.#buffers.take(STATUS_BUFFER_BYTES, 'client');
      if (address !== 0) {
        request.addresses.push(address);
        at = address;
        roomBytes = STATUS_BUFFER_BYTES;
      }
    }
    const contextId = this.#negotiated.allocationContextId;
    const countMax = one ? 1 : Number.POSITIVE_INFINITY;
    const length = encodeStatus(view, at, roomBytes, request, contextId, extents, countMax);
    if (length === 0) this.#answer(request, EIO);
    else this.#queue(request, length, 0 as Address, 0, true, at);
  }

  /** False: it waits until another reply is out; until then the request may not queue another part. */
  #queue(
    request: Request,
    headerBytes: number,
    dataAddress: Address,
    dataBytes: number,
    last: boolean,
    headerAddress = request.headerAddress,
  ): boolean {
    request.partHeaderAddress = headerAddress;
    request.partHeaderBytes = headerBytes;
    request.partDataAddress = dataAddress;
    request.partDataBytes = dataBytes;
    request.lastPart = last;
    request.queuedParts += 1;
    return this.#outgoing.queue(request);
  }

  #partSent(request: Request): void {
    request.sentParts += 1;
    if (request.lastPart && request.sentParts === request.queuedParts) this.#release(request);
    else this.#continueRead(request);
  }

  #releaseUnlessQueued(request: Request): void {
    // Parts that were queued before are released by `closed`, unless it has passed already.
    const queued = request.queuedParts > request.sentParts;
    if (this.#streamClosed || !queued) this.#release(request);
  }

  #release(request: Request): void {
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

  // ---- ending

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

  #fault(error: unknown): void {
    this.#onFault(error);
    this.destroy('an internal error');
  }
}

/** EOVERFLOW from a device means nothing to a client that did not ask for DF. */
const readErrno = (errno: Errno): Errno => {
  const wire = wireErrno(errno);
  return wire === EOVERFLOW || wire === ENOTSUP ? EIO : wire;
};

const bufferCount = (type: number, lengthBytes: number): number => {
  const count = Math.ceil(lengthBytes / PIECE_BYTES);
  return type === protocol.COMMAND_READ ? Math.min(count, READ_PIECES_HELD) : count;
};

/** What the pool gives for it, nearly: powers of two from 4096. */
const bufferBytes = (type: number, lengthBytes: number): number => {
  if (lengthBytes > PIECE_BYTES) return bufferCount(type, lengthBytes) * PIECE_BYTES;
  return lengthBytes <= 4096 ? 4096 : 2 ** (32 - Math.clz32(lengthBytes - 1));
};
