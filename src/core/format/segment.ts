/**
 * A segment: the records written to the log in one go. The window's records and the stripes'
 * after-images have the same format in two areas of the leg.
 *
 *     ┌ header: 1…8 blocks ┬ payload of record 1 ─┬ payload of record 3 ──────┬ … ┐   blocks of 4 KiB
 *     └ fixed │ rec│crc crc│rec│rec│crc…          └ last block zero-padded    ┘
 *
 * The fixed part is `segmentLayout`, followed by the records:
 *
 *   0 u64 first sector (of the volume; IMAGE: of the member)    14 u8  type
 *   8 u32 sectors                                               15 u8  flags: 1 FUA
 *  12 u16 slot (IMAGE), else 0                                  16 u32 payload blocks
 *  20 u32 × payload blocks: CRC-32 of each, padding included
 *
 * A header is valid if and only if: 1. magic, version, area, log, volume, epoch and nonce are the
 * expected ones; 2. it lies where it says; 3. its CRC matches; 4. its counts add up. It continues a
 * chain if and only if: 5. its sequence is one more than the previous; 6. it carries the previous
 * header's CRC; 7. its run is the previous one's, or it is the first of its run.
 *
 * So a segment of an older window, another log, another place on the leg, or one that was dropped
 * at an earlier recovery, never validates: the first four differ in identity, and the last follows
 * a header that is no longer there.
 *
 * `committedThrough` is the highest sequence known to be flushed on every live leg when the header
 * was built. It is what tells a torn tail (beyond it) from damage (up to it).
 */

import { assert } from '../../base/assert.ts';
import { crc32 } from '../../base/crc32.ts';
import { field, Layout } from '../../base/layout.ts';
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';
import { getU64, putU64, sameBytes } from './segment-fields.ts';

export const AREA_RECORDS = 1;
export const AREA_STRIPES = 2;
export const HEADER_BLOCKS_MAX = 8;
const SEGMENT_MAGIC = 'LOCUMSEG';
const VERSION = 1;
const FIXED_BYTES = 128;
const RECORD_BYTES = 20;
const NONCE_BYTES = 8;
const FLAG_RUN_START = 1;

export const segmentLayout = new Layout('segment header', FIXED_BYTES, {
  magic: field(0, 'ascii', '`LOCUMSEG`', 8),
  version: field(8, 'u16', '1'),
  area: field(10, 'u8', '1 record area, 2 stripe area'),
  headerBlocks: field(11, 'u8', 'blocks of 4 KiB the header takes'),
  recordCount: field(12, 'u16', 'records'),
  flags: field(14, 'u16', '1: first segment of its run'),
  logUuid: field(16, 'uuid', 'the log'),
  volumeUuid: field(32, 'uuid', 'the volume'),
  epoch: field(48, 'u32', 'of the window; 0 in the stripe area'),
  totalBlocks: field(52, 'u32', 'blocks, header included'),
  reserved0: field(56, 'zero', '', 8),
  nonce: field(
    64,
    'bytes',
    'of the epoch, or of the stripe area; from the leg header',
    NONCE_BYTES,
  ),
  run: field(72, 'bytes', 'random for each start of the server', 8),
  sequence: field(80, 'u64', 'one more than that of the previous segment of the area'),
  committedThrough: field(88, 'u64', 'known to be flushed on every live leg'),
  releasedThrough: field(96, 'u64', 'stripe area: segments up to here need no redo'),
  position: field(104, 'u32', 'own place, in blocks from the start of the area'),
  previousCrc: field(108, 'u32', 'CRC of the previous header; 0 for the first of an epoch'),
  crc: field(112, 'u32', 'CRC-32 of all header blocks, taken with this field as zero'),
  reserved1: field(116, 'zero', '', 12),
});
const AT = segmentLayout.fields;

export const RECORD_WRITE = 1;
export const RECORD_ZERO = 2;
export const RECORD_TRIM = 3;
/** After-image of a piece of a member, in the stripe area. */
export const RECORD_IMAGE = 4;
/** The same where the piece becomes zeroes: no payload. */
export const RECORD_IMAGE_ZERO = 5;
export const RECORD_FLAG_FUA = 1;

export interface SegmentIdentity {
  readonly area: number;
  readonly logUuid: Uuid;
  readonly volumeUuid: Uuid;
  readonly epoch: number;
  readonly nonce: Uint8Array;
}

/** Everything of the identity as it lies in a header, made once. */
export function identityBytes(identity: SegmentIdentity): Uint8Array {
  const { area, logUuid, volumeUuid, epoch, nonce } = identity;
  const own = { magic: SEGMENT_MAGIC, version: VERSION, area, logUuid, volumeUuid, epoch, nonce };
  const bytes = new Uint8Array(FIXED_BYTES);
  const unset = { headerBlocks: 0, recordCount: 0, flags: 0, totalBlocks: 0, position: 0, crc: 0 };
  const marks = { sequence: 0, committedThrough: 0, releasedThrough: 0, previousCrc: 0 };
  const run = new Uint8Array(8);
  segmentLayout.encode({ ...own, ...unset, ...marks, run }, bytes);
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
 * Builds a header in place: `begin`, then for each record `record` and as many `blockCrc` as it has
 * payload blocks, then `finish`. The header's bytes are cleared first, so nothing of an earlier use
 * can leak to the drive.
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
    view.setUint8(at + AT.headerBlocks.offset, this.#headerBlocks);
    view.setUint16(at + AT.recordCount.offset, this.#records, true);
    view.setUint16(at + AT.flags.offset, fields.runStart ? FLAG_RUN_START : 0, true);
    view.setUint32(at + AT.totalBlocks.offset, this.#headerBlocks + this.#payloadBlocks, true);
    view.setBigUint64(at + AT.run.offset, fields.run, true);
    putU64(view, at + AT.sequence.offset, fields.sequence);
    putU64(view, at + AT.committedThrough.offset, fields.committedThrough);
    putU64(view, at + AT.releasedThrough.offset, fields.releasedThrough);
    view.setUint32(at + AT.position.offset, fields.positionBlocks, true);
    view.setUint32(at + AT.previousCrc.offset, fields.previousCrc, true);
    const crc = crc32(this.#bytes.subarray(at, at + headerBytes));
    view.setUint32(at + AT.crc.offset, crc, true);
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

/** Builds the header of a segment once more, as it was; answers its CRC, which says whether that worked. */
export function encodeAgain(encoder: SegmentEncoder, at: number, segment: Segment): number {
  let crcs = 0;
  encoder.begin(at, segment.headerBlocks);
  for (const { type, flags, start, sectors, slot, payloadBlocks } of segment.records) {
    encoder.record(type, flags, start, sectors, slot, payloadBlocks);
    for (let block = 0; block < payloadBlocks; block++) {
      encoder.blockCrc(segment.blockCrcs[crcs++] as number);
    }
  }
  return encoder.finish(segment);
}

/**
 * How many blocks the header at `at` claims to have; 0 when there is no segment header. One block
 * must be readable.
 */
export function claimedHeaderBlocks(bytes: Uint8Array, at: number, identity: Uint8Array): number {
  if (!sameBytes(bytes, at, identity, 0, AT.headerBlocks.offset)) return 0;
  const uuids = AT.logUuid.offset;
  if (!sameBytes(bytes, at + uuids, identity, uuids, AT.totalBlocks.offset - uuids)) return 0;
  if (!sameBytes(bytes, at + AT.nonce.offset, identity, AT.nonce.offset, NONCE_BYTES)) return 0;
  const blocks = bytes[at + AT.headerBlocks.offset]!;
  return blocks >= 1 && blocks <= HEADER_BLOCKS_MAX ? blocks : 0;
}

/**
 * The segment whose header begins at `at`, or null unless conditions 1 to 4 hold and all header
 * blocks (claimedHeaderBlocks) are in `bytes`. The result shares no memory with `bytes`.
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
  // Bytes of a drive decide this, and a drive may answer otherwise than when it was asked how much to read.
  if (at + headerBytes > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, headerBytes);
  if (view.getUint32(AT.position.offset, true) !== positionBlocks) return null;
  const headerCrc = view.getUint32(AT.crc.offset, true);
  // The CRC covers its own field as zero: three pieces, chained.
  let crc = crc32(bytes.subarray(at, at + AT.crc.offset));
  crc = crc32(FOUR_ZEROES, crc);
  if (crc32(bytes.subarray(at + AT.crc.offset + 4, at + headerBytes), crc) !== headerCrc)
    return null;
  const totalBlocks = view.getUint32(AT.totalBlocks.offset, true);
  if (totalBlocks < headerBlocks || positionBlocks + totalBlocks > areaBlocks) return null;
  const body = decodeRecords(
    view,
    view.getUint16(AT.recordCount.offset, true),
    headerBlocks,
    totalBlocks,
  );
  const sequence = getU64(view, AT.sequence.offset);
  const committedThrough = getU64(view, AT.committedThrough.offset);
  const releasedThrough = getU64(view, AT.releasedThrough.offset);
  if (body === null || Number.isNaN(sequence + committedThrough + releasedThrough)) return null;
  return {
    run: view.getBigUint64(AT.run.offset, true),
    runStart: (view.getUint16(AT.flags.offset, true) & FLAG_RUN_START) !== 0,
    sequence,
    committedThrough,
    releasedThrough,
    positionBlocks,
    previousCrc: view.getUint32(AT.previousCrc.offset, true),
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
    if (record.type < RECORD_WRITE || record.type > RECORD_IMAGE_ZERO || record.sectors === 0)
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
