/**
 * A segment: the records written to the log in one go. The window's records and the stripes' after-images have the same
 * format in two areas of the leg.
 *
 *     ┌ header: 1…8 blocks ┬ payload of record 1 ─┬ payload of record 3 ──────┬ … ┐   blocks of 4 KiB
 *     └ fixed │ rec│crc crc│rec│rec│crc…          └ last block zero-padded    ┘
 *
 * Fixed part, little-endian:
 *
 *      0   8  magic "LOCUMSEG"            64   8  nonce (of the epoch, or of the stripe area)
 *      8   2  version (1)                 72   8  run: random for each start of the server
 *     10   1  area: 1 records, 2 stripes  80   8  sequence, +1 for each segment of the area
 *     11   1  header blocks               88   8  committedThrough
 *     12   2  number of records           96   8  releasedThrough (stripes)
 *     14   2  flags: 1 first of its run  104   4  position: own place in the area, in blocks
 *     16  16  log uuid                   108   4  CRC of the previous segment's header
 *     32  16  volume uuid                112   4  CRC-32 of the header blocks, this field as zero
 *     48   4  epoch (stripes: 0)         116  12  zero
 *     52   4  blocks in all              128   …  records
 *     56   8  zero
 *
 * Record: 0 8 first sector (of the volume; IMAGE: of the member) │ 8 4 sectors │ 12 2 slot (IMAGE) │ 14 1 type │
 * 15 1 flags (1 FUA) │ 16 4 payload blocks │ 20 … one CRC-32 for each payload block, padding included.
 *
 * A header is valid if and only if: 1. magic, version, area, log, volume, epoch and nonce are the expected ones; 2. it
 * lies where it says; 3. its CRC matches; 4. its counts add up. It continues a chain if and only if: 5. its sequence is
 * one more than the previous; 6. it carries the previous header's CRC; 7. its run is the previous one's, or it is the
 * first of its run.
 *
 * So a segment of an older window, another log, another place on the leg, or one that was dropped at an earlier
 * recovery, never validates: the first four differ in identity, and the last follows a header that is no longer there.
 *
 * `committedThrough` is the highest sequence known to be flushed on every live leg when the header was built. It is what
 * tells a torn tail (beyond it) from damage (up to it).
 */

import { assert } from '../../base/assert.ts';
import { crc32 } from '../../base/crc32.ts';
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import {
  getU64,
  NONCE_BYTES,
  putText,
  putU64,
  sameBytes,
  uuidFromText,
} from './leg-header-fields.ts';

export const AREA_RECORDS = 1;
export const AREA_STRIPES = 2;
export const HEADER_BLOCKS_MAX = 8;
const VERSION = 1;
const FIXED_BYTES = 128;
const RECORD_BYTES = 20;
const HEADER_CRC_AT = 112;
const FLAG_RUN_START = 1;

export const RECORD_WRITE = 1;
export const RECORD_ZERO = 2;
export const RECORD_TRIM = 3;
/** After-image of a piece of a member, in the stripe area. */
export const RECORD_IMAGE = 4;
/** The range is on the members now: the overlay forgets it. */
export const RECORD_RELEASE = 5;
export const RECORD_FLAG_FUA = 1;

export interface SegmentIdentity {
  readonly area: number;
  readonly logUuid: string;
  readonly volumeUuid: string;
  readonly epoch: number;
  readonly nonce: Uint8Array;
}

/** Everything of the identity as it lies in a header, made once. */
export function identityBytes(identity: SegmentIdentity): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  putText(bytes, 0, 8, 'LOCUMSEG');
  view.setUint16(8, VERSION, true);
  bytes[10] = identity.area;
  bytes.set(uuidFromText(identity.logUuid), 16);
  bytes.set(uuidFromText(identity.volumeUuid), 32);
  view.setUint32(48, identity.epoch, true);
  assert(identity.nonce.length === NONCE_BYTES, 'a nonce has eight bytes');
  bytes.set(identity.nonce, 64);
  return bytes;
}

export const payloadBlocksOf = (sectors: number): number =>
  Math.ceil((sectors * SECTOR_BYTES) / BLOCK_BYTES);

/** Header blocks for so many records with so many payload blocks. */
export const headerBlocksFor = (records: number, payloadBlocks: number): number =>
  Math.ceil((FIXED_BYTES + records * RECORD_BYTES + payloadBlocks * 4) / BLOCK_BYTES);

export interface SegmentFields {
  readonly run: bigint;
  readonly runStart: boolean;
  readonly sequence: number;
  readonly committedThrough: number;
  readonly releasedThrough: number;
  readonly positionBlocks: number;
  readonly previousCrc: number;
}

/**
 * Builds a header in place: `begin`, then for each record `record` and as many `blockCrc` as it has payload blocks, then
 * `finish`. The header's bytes are cleared first, so nothing of an earlier use can leak to the drive.
 */
export class SegmentEncoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #identity: Uint8Array;
  #start = 0;
  #at = 0;
  #headerBlocks = 0;
  #records = 0;
  #payloadBlocks = 0;
  #crcsDue = 0;

  constructor(bytes: Uint8Array, view: DataView, identity: Uint8Array) {
    this.#bytes = bytes;
    this.#view = view;
    this.#identity = identity;
  }

  begin(at: number, headerBlocks: number): void {
    assert(
      headerBlocks >= 1 && headerBlocks <= HEADER_BLOCKS_MAX,
      'a segment header has 1 to 8 blocks',
    );
    this.#bytes.fill(0, at, at + headerBlocks * BLOCK_BYTES);
    this.#start = at;
    this.#at = at + FIXED_BYTES;
    this.#headerBlocks = headerBlocks;
    this.#records = 0;
    this.#payloadBlocks = 0;
    this.#crcsDue = 0;
  }

  record(
    type: number,
    flags: number,
    start: number,
    sectors: number,
    slot: number,
    blocks: number,
  ): void {
    assert(this.#crcsDue === 0, 'every payload block has its checksum');
    const view = this.#view;
    putU64(view, this.#at, start);
    view.setUint32(this.#at + 8, sectors, true);
    view.setUint16(this.#at + 12, slot, true);
    view.setUint8(this.#at + 14, type);
    view.setUint8(this.#at + 15, flags);
    view.setUint32(this.#at + 16, blocks, true);
    this.#at += RECORD_BYTES;
    this.#records++;
    this.#payloadBlocks += blocks;
    this.#crcsDue = blocks;
  }

  blockCrc(crc: number): void {
    this.#view.setUint32(this.#at, crc, true);
    this.#at += 4;
    this.#crcsDue--;
  }

  /** Answers the header's CRC, which the next segment carries. */
  finish(fields: SegmentFields): number {
    const at = this.#start;
    const view = this.#view;
    const headerBytes = this.#headerBlocks * BLOCK_BYTES;
    assert(this.#crcsDue === 0, 'every payload block has its checksum');
    assert(this.#at - at <= headerBytes, 'the records fit into the header');
    this.#bytes.set(this.#identity, at);
    view.setUint8(at + 11, this.#headerBlocks);
    view.setUint16(at + 12, this.#records, true);
    view.setUint16(at + 14, fields.runStart ? FLAG_RUN_START : 0, true);
    view.setUint32(at + 52, this.#headerBlocks + this.#payloadBlocks, true);
    view.setBigUint64(at + 72, fields.run, true);
    putU64(view, at + 80, fields.sequence);
    putU64(view, at + 88, fields.committedThrough);
    putU64(view, at + 96, fields.releasedThrough);
    view.setUint32(at + 104, fields.positionBlocks, true);
    view.setUint32(at + 108, fields.previousCrc, true);
    const crc = crc32(this.#bytes.subarray(at, at + headerBytes));
    view.setUint32(at + HEADER_CRC_AT, crc, true);
    return crc;
  }
}

export interface SegmentRecord {
  readonly type: number;
  readonly flags: number;
  readonly slot: number;
  readonly start: number;
  readonly sectors: number;
  /** In blocks from the segment's start; payloads follow one another. */
  readonly payloadBlock: number;
  readonly payloadBlocks: number;
}

export interface Segment extends SegmentFields {
  readonly headerBlocks: number;
  readonly totalBlocks: number;
  readonly headerCrc: number;
  readonly records: readonly SegmentRecord[];
  /** Of all payload blocks, in order. */
  readonly blockCrcs: Uint32Array;
}

/** How many blocks the header at `at` claims to have; 0 when there is no segment header. One block must be readable. */
export function claimedHeaderBlocks(bytes: Uint8Array, at: number, identity: Uint8Array): number {
  if (!sameBytes(bytes, at, identity, 0, 11) || !sameBytes(bytes, at + 16, identity, 16, 36))
    return 0;
  if (!sameBytes(bytes, at + 64, identity, 64, NONCE_BYTES)) return 0;
  const blocks = bytes[at + 11]!;
  return blocks >= 1 && blocks <= HEADER_BLOCKS_MAX ? blocks : 0;
}

/**
 * The segment whose header begins at `at`, or null unless conditions 1 to 4 hold. All header blocks must be readable
 * (claimedHeaderBlocks). The result shares no memory with `bytes`.
 */
export function decodeSegment(
  bytes: Uint8Array,
  at: number,
  identity: Uint8Array,
  positionBlocks: number,
  areaBlocks: number,
): Segment | null {
  const headerBlocks = claimedHeaderBlocks(bytes, at, identity);
  if (headerBlocks === 0) return null;
  const headerBytes = headerBlocks * BLOCK_BYTES;
  assert(at + headerBytes <= bytes.length, 'the whole header is readable');
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, headerBytes);
  if (view.getUint32(104, true) !== positionBlocks) return null;
  const headerCrc = view.getUint32(HEADER_CRC_AT, true);
  // The CRC covers its own field as zero: three pieces, chained.
  let crc = crc32(bytes.subarray(at, at + HEADER_CRC_AT));
  crc = crc32(FOUR_ZEROES, crc);
  if (crc32(bytes.subarray(at + HEADER_CRC_AT + 4, at + headerBytes), crc) !== headerCrc)
    return null;
  const totalBlocks = view.getUint32(52, true);
  if (totalBlocks < headerBlocks || positionBlocks + totalBlocks > areaBlocks) return null;
  const body = decodeRecords(view, view.getUint16(12, true), headerBlocks, totalBlocks);
  const sequence = getU64(view, 80);
  const committedThrough = getU64(view, 88);
  const releasedThrough = getU64(view, 96);
  if (body === null || Number.isNaN(sequence + committedThrough + releasedThrough)) return null;
  return {
    run: view.getBigUint64(72, true),
    runStart: (view.getUint16(14, true) & FLAG_RUN_START) !== 0,
    sequence,
    committedThrough,
    releasedThrough,
    positionBlocks,
    previousCrc: view.getUint32(108, true),
    headerBlocks,
    totalBlocks,
    headerCrc,
    ...body,
  };
}

const FOUR_ZEROES = new Uint8Array(4);

function decodeRecords(
  view: DataView,
  count: number,
  headerBlocks: number,
  totalBlocks: number,
): { records: SegmentRecord[]; blockCrcs: Uint32Array } | null {
  const records: SegmentRecord[] = [];
  const blockCrcs = new Uint32Array(totalBlocks - headerBlocks);
  let at = FIXED_BYTES;
  let crcs = 0;
  for (let i = 0; i < count; i++) {
    if (at + RECORD_BYTES > view.byteLength) return null;
    const record: SegmentRecord = {
      start: getU64(view, at),
      sectors: view.getUint32(at + 8, true),
      slot: view.getUint16(at + 12, true),
      type: view.getUint8(at + 14),
      flags: view.getUint8(at + 15),
      payloadBlock: headerBlocks + crcs,
      payloadBlocks: view.getUint32(at + 16, true),
    };
    at += RECORD_BYTES;
    const hasPayload = record.type === RECORD_WRITE || record.type === RECORD_IMAGE;
    const blocks = hasPayload ? payloadBlocksOf(record.sectors) : 0;
    if (record.type < RECORD_WRITE || record.type > RECORD_RELEASE || record.sectors === 0)
      return null;
    if (record.payloadBlocks !== blocks || crcs + blocks > blockCrcs.length) return null;
    if (Number.isNaN(record.start) || at + blocks * 4 > view.byteLength) return null;
    for (let block = 0; block < blocks; block++)
      blockCrcs[crcs++] = view.getUint32(at + block * 4, true);
    at += blocks * 4;
    records.push(record);
  }
  return crcs === blockCrcs.length ? { records, blockCrcs } : null;
}
