/**
 * Runs requests on the block device and queues their replies. It holds no state of its own: what it
 * knows about a request is in the request.
 *
 *     run ──► device ──► settled ──► part of the reply ──► sent ──► released
 *                ▲                          │
 *                └── next piece of a long read, while this one is being sent
 *
 * Writes of overlapping ranges reach the device one after the other, in the order of their arrival (write-order.ts).
 * A request that comes back from the device after the connection has ended is released, and nothing
 * else happens.
 */

import { assert } from '../base/assert.ts';
import type { Errno } from '../base/errno.ts';
import { EIO, ENOTSUP, EOVERFLOW, OK } from '../base/errno.ts';
import type { Address, VolumeOffset } from '../base/units.ts';
import type { BlockDevice, Extent } from '../io/block-device.ts';
import type { Buffers } from '../io/buffers.ts';
import { PIECE_BYTES, READ_PIECES_HELD } from './limits.ts';
import type { Negotiated } from './negotiated.ts';
import type { Outgoing } from './outgoing.ts';
import * as protocol from './protocol.ts';
import { encodeData, encodeError, encodeSimple, encodeStatus, wireErrno } from './reply-encoder.ts';
import type { Request, RequestOwner } from './request.ts';
import { HEADER_BYTES } from './request.ts';
import type { WriteOrder } from './write-order.ts';

/** How many pieces of one long write the device gets at a time. */
const WRITE_PIECES_AT_ONCE = 4;
const STATUS_BUFFER_BYTES = 4096;
/** More extents than fit behind a header in the request's own place. */
const STATUS_LONG_EXTENTS = 8;

export interface ExecutorOwner {
  /** Nothing is queued any more; the stream may still be sending what was. */
  readonly isClosed: boolean;
  /** Nothing is being sent any more either. */
  readonly isStreamClosed: boolean;
  release(request: Request): void;
  destroy(reason: string): void;
  /** A bug of the device: the request has failed, the connection goes on. */
  reportFault(error: unknown): void;
  /** A bug here: the connection ends. */
  fault(error: unknown): void;
}

export class Executor implements RequestOwner {
  readonly #device: BlockDevice;
  readonly #buffers: Buffers;
  readonly #order: WriteOrder;
  readonly #negotiated: Negotiated;
  readonly #outgoing: Outgoing;
  readonly #owner: ExecutorOwner;

  constructor(
    device: BlockDevice,
    buffers: Buffers,
    order: WriteOrder,
    negotiated: Negotiated,
    outgoing: Outgoing,
    owner: ExecutorOwner,
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#order = order;
    this.#negotiated = negotiated;
    this.#outgoing = outgoing;
    this.#owner = owner;
  }

  /**
   * The request has passed the check, has its buffers and, if it is a write, all of its payload.
   */
  run(request: Request): void {
    if (request.type === protocol.COMMAND_READ) this.#readPiece(request);
    else if (!changes(request.type)) this.#runGuarded(request);
    else if (this.#order.enter(request)) this.#change(request);
  }

  /** The writes that it had to wait for are done. */
  turn(request: Request): void {
    try {
      if (this.#owner.isClosed) this.#finish(request, EIO);
      else this.#change(request);
    } catch (error) {
      this.#owner.fault(error);
    }
  }

  /** The whole reply of anything but a successful read. */
  answer(request: Request, errno: Errno): void {
    if (this.#owner.isClosed) return this.#owner.release(request);
    const { view } = this.#buffers;
    const at = request.headerAddress;
    const wire = wireErrno(errno);
    const asChunk = wire !== OK && this.#negotiated.structured;
    const headerBytes = asChunk
      ? encodeError(view, at, request, wire, -1)
      : encodeSimple(view, at, request, wire);
    this.queue(request, headerBytes, 0 as Address, 0, true);
  }

  /**
   * False: it waits until another reply is out; until then the request may not queue another part.
   */
  queue(
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

  partSent(request: Request): void {
    request.sentParts += 1;
    if (request.lastPart && request.sentParts === request.queuedParts) this.#owner.release(request);
    else this.#continueRead(request);
  }

  settled(request: Request, errno: Errno): void {
    try {
      request.donePieces += 1;
      if (request.type === protocol.COMMAND_READ) this.#readSettled(request, errno);
      else if (request.type === protocol.COMMAND_WRITE) this.#writeSettled(request, errno);
      else this.#otherSettled(request, errno);
    } catch (error) {
      this.#owner.fault(error);
    }
  }

  extentsSettled(request: Request, extents: readonly Extent[]): void {
    try {
      if (this.#owner.isClosed) this.#owner.release(request);
      else this.#answerStatus(request, extents);
    } catch (error) {
      this.#owner.fault(error);
    }
  }

  /**
   * The device never rejects; if it does, that is a bug there, and the client learns that the
   * request failed.
   */
  broken(request: Request, error: unknown): void {
    this.#owner.reportFault(error);
    this.settled(request, EIO);
  }

  #readSettled(request: Request, errno: Errno): void {
    if (this.#owner.isClosed) return this.#releaseUnlessQueued(request);
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
        this.#owner.destroy('an error after the reply had begun');
        return this.#releaseUnlessQueued(request);
      }
      const wire = deviceErrno(errno);
      const headerBytes = structured
        ? encodeError(view, at, request, wire, offsetBytes)
        : encodeSimple(view, at, request, wire);
      this.queue(request, headerBytes, 0 as Address, 0, true, at);
      return;
    }
    let headerBytes = 0;
    if (structured) headerBytes = encodeData(view, at, request, offsetBytes, dataBytes, last);
    else if (index === 0) headerBytes = encodeSimple(view, at, request, OK);
    const address = request.addresses[slot] as Address;
    const queued = this.queue(request, headerBytes, address, dataBytes, last, at);
    if (queued && !last) this.#continueRead(request);
  }

  /** Begins the next piece if there is one and a buffer is free. After an error there is none. */
  #continueRead(request: Request): void {
    if (request.lastPart) return;
    const more = request.begunPieces * PIECE_BYTES < request.lengthBytes;
    const idle = request.begunPieces === request.donePieces;
    const room = request.begunPieces - request.sentParts < READ_PIECES_HELD;
    if (more && idle && room) this.#readPiece(request);
  }

  #change(request: Request): void {
    if (request.type === protocol.COMMAND_WRITE) this.#writePieces(request);
    else this.#runGuarded(request);
  }

  /** The device is done with it, or never gets it. */
  #finish(request: Request, errno: Errno): void {
    if (changes(request.type)) this.#order.leave(request);
    this.answer(request, errno);
  }

  #writeSettled(request: Request, errno: Errno): void {
    if (errno !== OK && request.errno === OK) request.errno = errno;
    const count = request.addresses.length;
    if (request.donePieces > count) return this.#finish(request, deviceErrno(request.errno));
    if (request.errno === OK && request.begunPieces < count) return this.#writePieces(request);
    if (request.donePieces < request.begunPieces) return;
    const fua = (request.flags & protocol.COMMAND_FLAG_FUA) !== 0;
    if (fua && count > 1 && request.errno === OK) {
      return this.#flush(request);
    }
    this.#finish(request, deviceErrno(request.errno));
  }

  #otherSettled(request: Request, errno: Errno): void {
    const { type, flags } = request;
    const hint = type === protocol.COMMAND_TRIM || type === protocol.COMMAND_CACHE;
    if (errno === ENOTSUP && hint) return this.#finish(request, OK);
    const fast = (flags & protocol.COMMAND_FLAG_FAST_ZERO) !== 0;
    this.#finish(request, errno === ENOTSUP && fast ? ENOTSUP : deviceErrno(errno));
  }

  #flush(request: Request): void {
    try {
      this.#run(request, this.#device.flush());
    } catch (error) {
      this.broken(request, error);
    }
  }

  #run(request: Request, promise: Promise<Errno>): void {
    promise.then(request.onSettled, request.onBroken);
  }

  #runGuarded(request: Request): void {
    try {
      this.#runOther(request);
    } catch (error) {
      this.broken(request, error);
    }
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

  /**
   * One piece at a time, the next one while this one is being sent: the reply stays in order, with
   * simple replies too.
   */
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
   * All of the payload is here. A long one goes to the device a few pieces at a time; FUA is then
   * one flush at the end instead of one for each piece.
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

  #answerStatus(request: Request, extents: readonly Extent[]): void {
    const one = (request.flags & protocol.COMMAND_FLAG_REQ_ONE) !== 0;
    const { view } = this.#buffers;
    let at = request.headerAddress;
    let roomBytes = HEADER_BYTES;
    if (!one && extents.length > STATUS_LONG_EXTENTS) {
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
    if (length === 0) this.answer(request, EIO);
    else this.queue(request, length, 0 as Address, 0, true, at);
  }

  #releaseUnlessQueued(request: Request): void {
    // Parts that were queued before are released by `closed`, unless it has passed already.
    const queued = request.queuedParts > request.sentParts;
    if (this.#owner.isStreamClosed || !queued) this.#owner.release(request);
  }
}

const changes = (type: number): boolean =>
  type === protocol.COMMAND_WRITE ||
  type === protocol.COMMAND_TRIM ||
  type === protocol.COMMAND_WRITE_ZEROES;

/**
 * From a device EOVERFLOW and ENOTSUP mean nothing to a client: they belong to DF, which is answered before the device
 * is asked, and to FAST_ZERO.
 */
const deviceErrno = (errno: Errno): Errno => {
  const wire = wireErrno(errno);
  return wire === EOVERFLOW || wire === ENOTSUP ? EIO : wire;
};
