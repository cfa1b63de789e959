/**
 * Where a byte of the volume lies on the members. Pure arithmetic on numbers; one instance per
 * volume, never changed.
 *
 *   volume   | chunk 0 | chunk 1 | chunk 2 | chunk 3 | …    chunk c → stripe c / k, index c mod k
 *   stripe s   index 0   index 1   index 2  (k = 3)         MemberOffset s · chunkBytes everywhere
 *              └column┘                                         column = byte within the chunk
 *
 * Invariants
 *   1. Every byte of the volume has exactly one (stripe, index, column), and back.
 *   2. A member's data region is a whole number of chunks; only a mirrored level may end in a short
 *      stripe.
 *   3. All sizes are integers below 2^53. Chunk numbers are divided, not byte offsets, so no
 *      division ever rounds up.
 *
 * The single-number methods (`stripeOf`, `indexOf`, `columnOf`, `dataSlot` …) are for hot paths;
 * `piecesOf` and `locate` return objects and are for requests that cross a chunk, and for cold
 * paths.
 */

import { assert } from '../base/assert.ts';
import type { MemberOffset, Slot, StripeIndex, VolumeOffset } from '../base/units.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import type { LevelDescriptor, NONE } from './levels/descriptor.ts';

/** The part of one data chunk that a volume range touches: columns from ≤ c < to. */
export interface Piece {
  readonly index: number;
  readonly from: number;
  readonly to: number;
  /** Where the piece starts in the buffer of the whole range. */
  readonly bufferOffset: number;
}

export interface Location {
  readonly stripe: StripeIndex;
  readonly index: number;
  readonly column: number;
  /** The member with the byte; for mirrored levels the first copy. */
  readonly slot: Slot;
}

export class Geometry {
  readonly level: LevelDescriptor;
  readonly members: number;
  readonly chunkBytes: number;
  /** Data chunks in a stripe. */
  readonly dataChunks: number;
  /** The part of each member's data region that is used. */
  readonly memberDataBytes: number;
  readonly stripeCount: number;
  /** Volume bytes in a full stripe. */
  readonly stripeDataBytes: number;
  readonly volumeBytes: number;

  constructor(
    level: LevelDescriptor,
    members: number,
    chunkBytes: number,
    memberDataBytes: number,
  ) {
    assert(members >= level.minMembers && members <= level.maxMembers, 'geometry: member count');
    assert(level.chunkBytesAllowed(chunkBytes), 'geometry: chunk size');
    assert(memberDataBytes > 0 && memberDataBytes % SECTOR_BYTES === 0, 'geometry: member size');
    assert(
      level.mirrored || memberDataBytes % chunkBytes === 0,
      'geometry: member size is not whole chunks',
    );
    this.level = level;
    this.members = members;
    this.chunkBytes = chunkBytes;
    this.dataChunks = level.dataChunks(members);
    this.memberDataBytes = memberDataBytes;
    this.stripeCount = Math.ceil(memberDataBytes / chunkBytes);
    this.stripeDataBytes = chunkBytes * this.dataChunks;
    this.volumeBytes = memberDataBytes * this.dataChunks;
    assert(Number.isSafeInteger(this.volumeBytes), 'geometry: volume size');
  }

  /** How much of `availableBytes` per member a volume of this level can use. */
  static usableBytes(level: LevelDescriptor, chunkBytes: number, availableBytes: number): number {
    const unit = level.mirrored ? SECTOR_BYTES : chunkBytes;
    return Math.floor(availableBytes / unit) * unit;
  }

  stripeOf(offset: VolumeOffset): StripeIndex {
    return Math.floor(Math.floor(offset / this.chunkBytes) / this.dataChunks) as StripeIndex;
  }

  /** The data chunk within its stripe. */
  indexOf(offset: VolumeOffset): number {
    return Math.floor(offset / this.chunkBytes) % this.dataChunks;
  }

  /** The byte within its chunk. */
  columnOf(offset: VolumeOffset): number {
    return offset % this.chunkBytes;
  }

  isInOneChunk(offset: VolumeOffset, lengthBytes: number): boolean {
    return this.columnOf(offset) + lengthBytes <= this.chunkBytes;
  }

  stripeStart(stripe: StripeIndex): VolumeOffset {
    return (stripe * this.stripeDataBytes) as VolumeOffset;
  }

  /** Columns in this stripe: the chunk size, less only in the short last stripe of a mirror. */
  columnsOf(stripe: StripeIndex): number {
    return Math.min(this.chunkBytes, this.memberDataBytes - stripe * this.chunkBytes);
  }

  /** The same on every member. */
  memberOffset(stripe: StripeIndex, column: number): MemberOffset {
    return (stripe * this.chunkBytes + column) as MemberOffset;
  }

  stripeAtMember(offset: MemberOffset): StripeIndex {
    return Math.floor(offset / this.chunkBytes) as StripeIndex;
  }

  volumeOffsetOf(stripe: StripeIndex, index: number, column: number): VolumeOffset {
    return ((stripe * this.dataChunks + index) * this.chunkBytes + column) as VolumeOffset;
  }

  dataSlot(stripe: StripeIndex, index: number): Slot {
    return this.level.dataSlot(stripe, index, this.members);
  }

  paritySlot(stripe: StripeIndex): Slot | typeof NONE {
    return this.level.paritySlot(stripe, this.members);
  }

  /**
   * Which data chunk of the stripe the member holds; NONE (−1) for parity, 0 for every copy of a
   * mirror.
   */
  indexOfSlot(stripe: StripeIndex, slot: Slot): number {
    return this.level.indexOfSlot(stripe, slot, this.members);
  }

  locate(offset: VolumeOffset): Location {
    assert(offset >= 0 && offset < this.volumeBytes, 'geometry: offset outside the volume');
    const stripe = this.stripeOf(offset);
    const index = this.indexOf(offset);
    return { stripe, index, column: this.columnOf(offset), slot: this.dataSlot(stripe, index) };
  }

  /**
   * The pieces of the range [offset, offset + lengthBytes) that lie in `stripe`, in volume order;
   * the range touches it.
   */
  piecesOf(stripe: StripeIndex, offset: VolumeOffset, lengthBytes: number): Piece[] {
    const stripeStart = this.stripeStart(stripe);
    const stripeEnd = stripeStart + this.columnsOf(stripe) * this.dataChunks;
    const end = Math.min(offset + lengthBytes, stripeEnd);
    let at = Math.max(offset, stripeStart);
    assert(at < end, 'geometry: the range does not touch the stripe');
    const pieces: Piece[] = [];
    while (at < end) {
      const index = Math.floor((at - stripeStart) / this.chunkBytes);
      const chunkStart = stripeStart + index * this.chunkBytes;
      const to = Math.min(end - chunkStart, this.chunkBytes);
      pieces.push({ index, from: at - chunkStart, to, bufferOffset: at - offset });
      at = chunkStart + to;
    }
    return pieces;
  }
}
