/**
 * One request of a connection, from its header to the last byte of its reply. A session owns as
 * many of these as it may have in flight and uses them again and again, callbacks included, so that
 * a request allocates nothing of its own.
 *
 * A request owns its buffers (`addresses`) until it is released. Its place for reply headers
 * (`headerAddress`, twice HEADER_BYTES: a long read has two parts on their way) belongs to it for
 * ever.
 */

import type { Errno } from '../base/errno.ts';
import type { Address } from '../base/units.ts';
import type { Extent } from '../io/block-device.ts';
import type { Ordered } from './write-order.ts';

/**
 * Room for the longest header: an error chunk with its text, or a block status with a few extents.
 */
export const HEADER_BYTES = 128;

export interface RequestOwner {
  settled(request: Request, errno: Errno): void;
  extentsSettled(request: Request, extents: readonly Extent[]): void;
  broken(request: Request, error: unknown): void;
  turn(request: Request): void;
}

export class Request implements Ordered {
  readonly headerAddress: Address;
  type = 0;
  flags = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offsetBytes = 0;
  lengthBytes = 0;
  /** Payload of a write, data of a read; every one but the last is PIECE_BYTES long. */
  readonly addresses: Address[] = [];
  heldBytes = 0;
  /** See write-order.ts. */
  waiting = false;

  /** Calls of the device: one, or one for each piece. */
  begunPieces = 0;
  donePieces = 0;
  /** Parts of the reply; a long read has one for each piece. */
  queuedParts = 0;
  sentParts = 0;
  errno: Errno = 0;

  /** The part of the reply that goes out next. */
  partHeaderAddress: Address;
  partHeaderBytes = 0;
  partDataAddress = 0 as Address;
  partDataBytes = 0;
  lastPart = false;

  /** Made once, for the promises of the block device. */
  readonly onSettled: (errno: Errno) => void;
  readonly onExtents: (extents: readonly Extent[]) => void;
  readonly onBroken: (error: unknown) => void;
  readonly onTurn: () => void;

  constructor(owner: RequestOwner, headerAddress: Address) {
    this.headerAddress = headerAddress;
    this.partHeaderAddress = headerAddress;
    this.onSettled = (errno) => owner.settled(this, errno);
    this.onExtents = (extents) => owner.extentsSettled(this, extents);
    this.onBroken = (error) => owner.broken(this, error);
    this.onTurn = () => owner.turn(this);
  }

  /** The fields that the last use may have left; the rest is set with the header. */
  reset(): void {
    this.heldBytes = 0;
    this.begunPieces = 0;
    this.donePieces = 0;
    this.queuedParts = 0;
    this.sentParts = 0;
    this.errno = 0;
    this.lastPart = false;
  }
}
