/**
 * A checkpoint: the overlay and the checksums of what it points to, in one of two slots of the leg,
 * so that recovery reads it and the few segments behind it instead of all of the log.
 *
 *     slot   ├─ header ─┬─ body block 0 ─┬─ body block 1 ─┬ …       blocks of 4 KiB
 *
 * The header (`checkpointLayout`) is written last, after the body *and* all segments the overlay
 * points to are flushed. The overlay is taken in slices while the log goes on, so it is fuzzy: it
 * has everything up to `sequence`, and perhaps some of what came later. Applying the segments
 * behind `sequence` once more makes it exact, in whatever state the slices caught it; and
 * `committedThrough` covers everything it can point to.
 *
 * Body block: 4092 bytes and their CRC-32, which starts from `bodySeed` (epoch, nonce, number of
 * the checkpoint and of the block), so a block of another checkpoint never fits in.
 *
 *      0 u32 number of entries, which follow one behind the other:
 *      0 u32 start, low half   4 u16 start, high   6 u16 kind (1 data, 2 zero, 3 trim)
 *      8 u32 sectors          12 u32 location: sector of the leg
 *     16 u32 × blocks the entry touches (data only): CRC-32 of each
 *
 * Entries ascend by start and do not overlap. An entry never spans two blocks of the body; long
 * extents are cut.
 *
 * A header is valid if and only if: 1. magic, version, identity and CRC match; 2. its body fits the
 * slot.
 */

import { assert } from '../../base/assert.ts';
import { crc32 } from '../../base/crc32.ts';
import { field, Layout } from '../../base/layout.ts';
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';

const MAGIC = 'LOCUMCKP';
const VERSION = 1;
const CRC_AT = BLOCK_BYTES - 4;
const ENTRY_BYTES = 16;
const BODY_HEAD_BYTES = 4;
const PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;
const KIND_DATA = 1;

/** Longest stretch of data in one entry: 256 blocks and a partial one at either end. */
export const ENTRY_SECTORS_MAX = 256 * PER_BLOCK;

export const checkpointLayout = new Layout('checkpoint header', BLOCK_BYTES, {
  magic: field(0, 'ascii', '`LOCUMCKP`', 8),
  version: field(8, 'u16', '1'),
  reserved0: field(10, 'zero', '', 6),
  logUuid: field(16, 'uuid', 'the log'),
  volumeUuid: field(32, 'uuid', 'the volume'),
  epoch: field(48, 'u32', 'of the window'),
  reserved1: field(52, 'zero', '', 4),
  nonce: field(56, 'bytes', 'of the epoch', 8),
  number: field(64, 'u64', 'rises by one with each checkpoint of the epoch'),
  sequence: field(72, 'u64', 'segments up to here are in the overlay'),
  headerCrc: field(80, 'u32', 'of the header of that segment'),
  endBlocks: field(84, 'u32', 'end of that segment, in blocks from the start of the record area'),
  run: field(88, 'bytes', 'its run', 8),
  committedThrough: field(96, 'u64', 'flushed on every live leg'),
  records: field(104, 'u64', 'records up to there'),
  entries: field(112, 'u64', 'entries of the body'),
  bodyBlocks: field(120, 'u32', 'blocks of the body'),
  reserved2: field(124, 'zero', '', CRC_AT - 124),
  crc: field(CRC_AT, 'u32', 'CRC-32 of all bytes before it'),
});

export interface CheckpointIdentity {
  readonly logUuid: Uuid;
  readonly volumeUuid: Uuid;
  readonly epoch: number;
  readonly nonce: Uint8Array;
}

export interface CheckpointHeader {
  readonly number: number;
  readonly sequence: number;
  readonly headerCrc: number;
  readonly endBlocks: number;
  readonly run: bigint;
  readonly committedThrough: number;
  readonly records: number;
  readonly entries: number;
  readonly bodyBlocks: number;
}

export function encodeCheckpoint(
  identity: CheckpointIdentity,
  header: CheckpointHeader,
  bytes: Uint8Array,
): void {
  const run = new Uint8Array(8);
  new DataView(run.buffer).setBigUint64(0, header.run, true);
  const { logUuid, volumeUuid, epoch, nonce } = identity;
  const values = {
    magic: MAGIC,
    version: VERSION,
    logUuid,
    volumeUuid,
    epoch,
    nonce,
    ...header,
    run,
    crc: 0,
  };
  checkpointLayout.encode(values, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK_BYTES);
  view.setUint32(CRC_AT, crc32(bytes.subarray(0, CRC_AT)), true);
}

/** Null unless valid and of this epoch. */
export function decodeCheckpoint(
  identity: CheckpointIdentity,
  bytes: Uint8Array,
  slotBytes: number,
): CheckpointHeader | null {
  if (checkpointLayout.check(bytes) !== null) return null;
  const header = checkpointLayout.decode(bytes);
  if (header.magic !== MAGIC || header.version !== VERSION) return null;
  if (header.crc !== crc32(bytes.subarray(0, CRC_AT))) return null;
  const { logUuid, volumeUuid, epoch, nonce, number, sequence, headerCrc, endBlocks } = header;
  if (
    logUuid !== identity.logUuid ||
    volumeUuid !== identity.volumeUuid ||
    epoch !== identity.epoch
  )
    return null;
  if (!nonce.every((byte, i) => byte === identity.nonce[i])) return null;
  if ((header.bodyBlocks + 1) * BLOCK_BYTES > slotBytes) return null;
  const { committedThrough, records, entries, bodyBlocks } = header;
  const run = new DataView(header.run.buffer, header.run.byteOffset, 8).getBigUint64(0, true);
  return {
    number,
    sequence,
    headerCrc,
    endBlocks,
    run,
    committedThrough,
    records,
    entries,
    bodyBlocks,
  };
}

/** Where the CRC of body block `index` starts from. */
export function bodySeed(identity: CheckpointIdentity, number: number, index: number): number {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  bytes.set(identity.nonce);
  view.setUint32(8, identity.epoch, true);
  view.setUint32(12, number, true);
  view.setUint32(16, index, true);
  return crc32(bytes);
}

/** Blocks of the log that hold these sectors. */
export const blocksTouched = (location: number, sectors: number): number =>
  Math.floor((location + sectors - 1) / PER_BLOCK) - Math.floor(location / PER_BLOCK) + 1;

/** Fills one body block after the other in a buffer. */
export class CheckpointBodyEncoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #crcOf: (block: number) => number;
  #start = 0;
  #at = 0;
  #entries = 0;

  /** `crcOf` answers the CRC of a block of the leg, counted from the leg's start. */
  constructor(bytes: Uint8Array, view: DataView, crcOf: (block: number) => number) {
    this.#bytes = bytes;
    this.#view = view;
    this.#crcOf = crcOf;
  }

  begin(at: number): void {
    this.#start = at;
    this.#at = at + BODY_HEAD_BYTES;
    this.#entries = 0;
  }

  /** False when the block has no room for it: then `finish` this one. */
  add(start: number, sectors: number, kind: number, location: number): boolean {
    const blocks = kind === KIND_DATA ? blocksTouched(location, sectors) : 0;
    assert(kind !== KIND_DATA || sectors <= ENTRY_SECTORS_MAX, 'long extents are cut');
    if (this.#at + ENTRY_BYTES + 4 * blocks > this.#start + CRC_AT) return false;
    const view = this.#view;
    let at = this.#at;
    view.setUint32(at, start % 2 ** 32, true);
    view.setUint16(at + 4, Math.floor(start / 2 ** 32), true);
    view.setUint16(at + 6, kind, true);
    view.setUint32(at + 8, sectors, true);
    view.setUint32(at + 12, location, true);
    at += ENTRY_BYTES;
    const first = Math.floor(location / PER_BLOCK);
    for (let block = 0; block < blocks; block++, at += 4)
      view.setUint32(at, this.#crcOf(first + block), true);
    this.#at = at;
    this.#entries++;
    return true;
  }

  finish(seed: number): void {
    this.#view.setUint32(this.#start, this.#entries, true);
    this.#bytes.fill(0, this.#at, this.#start + CRC_AT);
    const crc = crc32(this.#bytes.subarray(this.#start, this.#start + CRC_AT), seed);
    this.#view.setUint32(this.#start + CRC_AT, crc, true);
  }
}

export const bodyBlockIsValid = (
  bytes: Uint8Array,
  view: DataView,
  at: number,
  seed: number,
): boolean => crc32(bytes.subarray(at, at + CRC_AT), seed) === view.getUint32(at + CRC_AT, true);

/** Visits the entries of a valid block; answers how many there were, −1 when they make no sense. */
export function decodeBodyBlock(
  view: DataView,
  at: number,
  entry: (start: number, sectors: number, kind: number, location: number) => void,
  blockCrc: (block: number, crc: number) => void,
): number {
  const count = view.getUint32(at, true);
  let from = at + BODY_HEAD_BYTES;
  for (let i = 0; i < count; i++) {
    if (from + ENTRY_BYTES > at + CRC_AT) return -1;
    const start = view.getUint32(from, true) + view.getUint16(from + 4, true) * 2 ** 32;
    const kind = view.getUint16(from + 6, true);
    const sectors = view.getUint32(from + 8, true);
    const location = view.getUint32(from + 12, true);
    if (kind < 1 || kind > 3 || sectors === 0) return -1;
    const blocks = kind === KIND_DATA ? blocksTouched(location, sectors) : 0;
    from += ENTRY_BYTES;
    if (from + 4 * blocks > at + CRC_AT) return -1;
    const first = Math.floor(location / PER_BLOCK);
    for (let block = 0; block < blocks; block++, from += 4)
      blockCrc(first + block, view.getUint32(from, true));
    entry(start, sectors, kind, location);
  }
  return count;
}
