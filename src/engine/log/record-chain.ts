/**
 * The head of the window's chain of segments: gives each new one its place, its sequence and its
 * link, and builds header and parts. Plain and synchronous; order and writing are WindowLog's.
 */

import { assert } from '../../base/assert.ts';
import { type Address, BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import type { SegmentEncoder } from '../../core/format/segment.ts';
import type { OverlayKind } from '../../core/overlay.ts';
import type { Part } from '../../io/drive.ts';
import type { CrcTable } from './crc-table.ts';
import type { LogEnvironment } from './legs.ts';
import type { LogPosition } from './log-position.ts';
import { addPayload } from './payload-parts.ts';

export interface ChainRecord {
  readonly kind: OverlayKind;
  readonly flags: number;
  readonly start: number;
  readonly sectors: number;
  /** Of the payload; ignored when there is none. */
  readonly address: Address;
  /** Payload blocks. */
  readonly blocks: number;
}

export interface BuiltSegment {
  readonly sequence: number;
  readonly positionBlocks: number;
  readonly endBlocks: number;
  readonly headerCrc: number;
  /** What goes to the legs, in one gathered write. */
  readonly parts: readonly Part[];
}

export class RecordChain {
  readonly run: bigint;
  readonly #environment: LogEnvironment;
  readonly #encoder: SegmentEncoder;
  readonly #crcs: CrcTable;
  readonly #zeroes: Address;
  readonly #areaBlocks: number;
  #sequence: number;
  #endBlocks: number;
  #headerCrc: number;
  #runStarted = false;
  /** Newest segment that holds records; and what the newest header says is committed. */
  #lastWithRecords = 0;
  #carried = 0;

  constructor(
    environment: LogEnvironment,
    encoder: SegmentEncoder,
    crcs: CrcTable,
    zeroes: Address,
    areaBlocks: number,
    from: LogPosition,
  ) {
    this.#environment = environment;
    this.#encoder = encoder;
    this.#crcs = crcs;
    this.#zeroes = zeroes;
    this.#areaBlocks = areaBlocks;
    this.#sequence = from.sequence;
    this.#endBlocks = from.endBlocks;
    this.#headerCrc = from.headerCrc;
    const random = environment.random(8);
    this.run = new DataView(random.buffer, random.byteOffset, 8).getBigUint64(0, true);
  }

  get endBlocks(): number {
    return this.#endBlocks;
  }

  get isFull(): boolean {
    return this.#endBlocks >= this.#areaBlocks;
  }

  /** Were records flushed that no header on the legs calls committed? */
  owesMark(committedThrough: number): boolean {
    return this.#lastWithRecords > this.#carried && this.#lastWithRecords <= committedThrough;
  }

  /** `header` is a buffer of one block, in use until the segment is written. */
  build(records: readonly ChainRecord[], header: Address, committedThrough: number): BuiltSegment {
    const positionBlocks = this.#endBlocks;
    const parts: Part[] = [{ address: header, lengthBytes: BLOCK_BYTES }];
    this.#encoder.begin(header, 1);
    let block = positionBlocks + 1;
    const setCrc = (crc: number): void => this.#crcs.set(block++, crc);
    const { bytes } = this.#environment.buffers;
    for (const { kind, flags, start, sectors, address, blocks } of records) {
      this.#encoder.record(kind, flags, start, sectors, 0, blocks);
      if (blocks === 0) continue;
      addPayload(
        bytes,
        this.#zeroes,
        this.#encoder,
        parts,
        address,
        sectors * SECTOR_BYTES,
        setCrc,
      );
    }
    assert(block <= this.#areaBlocks, 'room was reserved');
    this.#endBlocks = block;
    this.#sequence++;
    if (records.length > 0) this.#lastWithRecords = this.#sequence;
    this.#carried = committedThrough;
    this.#headerCrc = this.#encoder.finish({
      run: this.run,
      runStart: !this.#runStarted,
      sequence: this.#sequence,
      committedThrough,
      releasedThrough: 0,
      positionBlocks,
      previousCrc: this.#headerCrc,
    });
    this.#runStarted = true;
    const link = { sequence: this.#sequence, headerCrc: this.#headerCrc };
    return { ...link, positionBlocks, endBlocks: block, parts };
  }
}
