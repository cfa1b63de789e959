/**
 * The header of a segment, condition by condition, and segments of chance: what was encoded is decoded, and nothing
 * else is. A header taken for valid when it is not would replay what nobody wrote.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from '../../../../src/base/crc32.ts';
import { BLOCK_BYTES } from '../../../../src/base/units.ts';
import {
  AREA_RECORDS,
  AREA_STRIPES,
  claimedHeaderBlocks,
  decodeSegment,
  encodeAgain,
  HEADER_BLOCKS_MAX,
  headerBlocksFor,
  identityBytes,
  payloadBlocksOf,
  RECORD_FLAG_FUA,
  RECORD_IMAGE,
  RECORD_IMAGE_ZERO,
  RECORD_TRIM,
  RECORD_WRITE,
  RECORD_ZERO,
  SegmentEncoder,
  type SegmentFields,
  segmentLayout,
} from '../../../../src/core/format/segment.ts';
import { randomNumbers } from '../overlay/random-numbers.ts';
import { changed, everyBitFlipped, nonceOf, uuidOf } from './log-blocks.ts';

const identity = {
  area: AREA_RECORDS,
  logUuid: uuidOf('a'),
  volumeUuid: uuidOf('b'),
  epoch: 7,
  nonce: nonceOf(1),
};
const fields: SegmentFields = {
  run: 0x1122334455667788n,
  runStart: true,
  sequence: 2 ** 40 + 5,
  committedThrough: 2 ** 40,
  releasedThrough: 3,
  positionBlocks: 11,
  previousCrc: 0xdeadbeef,
};
const at = segmentLayout.fields;
const areaBlocks = 100;

type Made = readonly [type: number, start: number, sectors: number, slot?: number, flags?: number];

const hasPayload = (type: number): boolean => type === RECORD_WRITE || type === RECORD_IMAGE;

function built(records: readonly Made[], own: SegmentFields = fields): Uint8Array {
  const blocks = records.map(([type, , sectors]) =>
    hasPayload(type) ? payloadBlocksOf(sectors) : 0,
  );
  const headerBlocks = headerBlocksFor(
    records.length,
    blocks.reduce((sum, count) => sum + count, 0),
  );
  const bytes = new Uint8Array(headerBlocks * BLOCK_BYTES).fill(0xa5);
  const encoder = new SegmentEncoder(bytes, new DataView(bytes.buffer), identityBytes(identity));
  encoder.begin(0, headerBlocks);
  records.forEach(([type, start, sectors, slot = 0, flags = 0], index) => {
    const count = blocks[index] as number;
    encoder.record(type, flags, start, sectors, slot, count);
    for (let block = 0; block < count; block++) encoder.blockCrc(1000 * index + block);
  });
  encoder.finish(own);
  return bytes;
}

/** The CRC covers its own field as zero. */
function sealed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer);
  view.setUint32(at.crc.offset, 0, true);
  view.setUint32(at.crc.offset, crc32(bytes), true);
  return bytes;
}

const decoded = (bytes: Uint8Array, of = identity, position = fields.positionBlocks) =>
  decodeSegment(bytes, 0, identityBytes(of), position, areaBlocks);

/** A record's field of one 4-byte word, counted from the start of the only record. */
function word(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(segmentLayout.sizeBytes + offset, value, true);
  return copy;
}

describe('segments', () => {
  test('of chance survive the trip', () => {
    const seed = Number(process.env['LOCUM_SEED'] ?? 20);
    console.log(`LOCUM_SEED=${seed}`);
    const below = randomNumbers(seed);
    for (let round = 0; round < 300; round++) {
      const records: Made[] = Array.from({ length: below(60) }, () => [
        1 + below(4),
        below(2 ** 30) * 2 ** below(23),
        1 + below(below(2) === 0 ? 8 : 600),
        below(3),
        below(2) * RECORD_FLAG_FUA,
      ]);
      const own: SegmentFields = {
        run: BigInt(below(2 ** 31)) << BigInt(below(33)),
        runStart: below(2) === 1,
        sequence: below(2 ** 30) * 2 ** below(23),
        committedThrough: below(2 ** 30),
        releasedThrough: below(2 ** 30),
        positionBlocks: below(50),
        previousCrc: below(2 ** 31),
      };
      const bytes = built(records, own);
      const segment = decodeSegment(bytes, 0, identityBytes(identity), own.positionBlocks, 1e6);
      assert.ok(segment !== null, `round ${round}`);
      const { headerBlocks, totalBlocks, headerCrc, records: got, blockCrcs, ...rest } = segment;
      assert.deepEqual(rest, own);
      assert.equal(headerBlocks * BLOCK_BYTES, bytes.length);
      assert.equal(totalBlocks, headerBlocks + blockCrcs.length);
      assert.equal(headerCrc, new DataView(bytes.buffer).getUint32(at.crc.offset, true));
      let payloadBlock = headerBlocks;
      const crcs: number[] = [];
      assert.equal(got.length, records.length);
      records.forEach(([type, start, sectors, slot, flags], index) => {
        const payloadBlocks = hasPayload(type) ? payloadBlocksOf(sectors) : 0;
        const record = { type, flags, slot, start, sectors, payloadBlock, payloadBlocks };
        assert.deepEqual(got[index], record);
        for (let block = 0; block < payloadBlocks; block++) crcs.push(1000 * index + block);
        payloadBlock += payloadBlocks;
      });
      assert.deepEqual([...blockCrcs], crcs);
    }
  });

  test('without records are valid: they carry committedThrough', () => {
    assert.equal(decoded(built([]))?.records.length, 0);
  });

  test('any single bit of a header that is wrong is noticed', () => {
    // A wrong bit may claim a longer header, and whoever asks has as much at hand as is claimed.
    const bytes = new Uint8Array(HEADER_BLOCKS_MAX * BLOCK_BYTES);
    bytes.set(
      built([
        [RECORD_WRITE, 800, 9],
        [RECORD_ZERO, 0, 100_000],
      ]),
    );
    const header = bytes.subarray(0, BLOCK_BYTES);
    for (const bit of everyBitFlipped(header)) assert.equal(decoded(bytes), null, `bit ${bit}`);
    assert.notEqual(decoded(bytes), null);
  });

  test('of anybody else are not ours', () => {
    const bytes = built([[RECORD_TRIM, 5, 10]]);
    assert.notEqual(decoded(bytes), null);
    const others = [
      { area: AREA_STRIPES },
      { logUuid: uuidOf('c') },
      { volumeUuid: uuidOf('c') },
      { epoch: 8 },
      { nonce: nonceOf(2) },
    ];
    for (const other of others) {
      const of = identityBytes({ ...identity, ...other });
      assert.equal(claimedHeaderBlocks(bytes, 0, of), 0, JSON.stringify(other));
      assert.equal(decoded(bytes, { ...identity, ...other }), null);
    }
  });

  test('lie where they say, and inside their area', () => {
    const bytes = built([[RECORD_WRITE, 5, 80]]);
    assert.equal(decoded(bytes, identity, 12), null);
    const within = (blocks: number) =>
      decodeSegment(bytes, 0, identityBytes(identity), fields.positionBlocks, blocks);
    assert.notEqual(within(11 + 11), null);
    assert.equal(within(11 + 10), null);
  });

  test('whose header claims more blocks than were read are refused', () => {
    const bytes = built(Array.from({ length: 300 }, (_, index) => [RECORD_ZERO, 8 * index, 8]));
    assert.equal(bytes.length, 2 * BLOCK_BYTES);
    assert.notEqual(decoded(bytes), null);
    assert.equal(decoded(bytes.slice(0, BLOCK_BYTES)), null);
  });

  test('are made again from what was decoded, byte by byte', () => {
    const bytes = built([
      [RECORD_WRITE, 800, 9, 0, RECORD_FLAG_FUA],
      [RECORD_TRIM, 2 ** 40, 100_000],
      [RECORD_IMAGE, 16, 8, 3],
    ]);
    const again = new Uint8Array(bytes.length).fill(0x5a);
    const view = new DataView(again.buffer);
    const encoder = new SegmentEncoder(again, view, identityBytes(identity));
    const segment = decoded(bytes);
    assert.ok(segment !== null);
    assert.equal(encodeAgain(encoder, 0, segment), segment.headerCrc);
    assert.deepEqual(again, bytes);
  });

  test('are found inside a larger buffer', () => {
    const bytes = new Uint8Array(3 * BLOCK_BYTES).fill(0xa5);
    bytes.set(built([[RECORD_ZERO, 5, 80]]), BLOCK_BYTES);
    const ask = (from: number) =>
      decodeSegment(bytes, from, identityBytes(identity), 11, areaBlocks);
    assert.equal(ask(BLOCK_BYTES)?.records[0]?.sectors, 80);
    assert.equal(ask(0), null);
  });
});

describe('a segment header with a right checksum is refused', () => {
  const one = built([[RECORD_WRITE, 800, 9]]);
  const cases: Record<string, Uint8Array> = {
    'when it claims no header block': changed(one, at.headerBlocks, 0),
    'when it claims too many header blocks': changed(one, at.headerBlocks, HEADER_BLOCKS_MAX + 1),
    'when it has fewer blocks than its header': changed(one, at.totalBlocks, 0),
    'when a counter is beyond 2^53': changed(one, at.committedThrough, 2 ** 60),
    'when the records do not fit its header': changed(one, at.recordCount, 500),
    'when it is full and claims one record more': changed(
      built(Array.from({ length: 198 }, (_, index) => [RECORD_ZERO, 8 * index, 8])),
      at.recordCount,
      199,
    ),
    'when it has more payload than its records': changed(one, at.totalBlocks, 4),
    'when it has less payload than its records': changed(one, at.totalBlocks, 2),
    'when a record has no type': word(one, 12, 0),
    'when a record has an unknown type': word(one, 12, (RECORD_IMAGE_ZERO + 1) << 16),
    'when a record is empty': word(one, 8, 0),
    'when a record has other payload than its length says': word(one, 16, 3),
    'when a record starts beyond 2^53': word(one, 4, 2 ** 21),
    // 1 200 payload blocks need 4 800 bytes of checksums; the header has one block.
    'when the checksums do not fit its header': word(
      word(changed(one, at.totalBlocks, 1201), 8, 1200 * 8),
      16,
      1200,
    ),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    test(name, () => {
      const ask = decodeSegment(sealed(bytes), 0, identityBytes(identity), 11, 1e6);
      assert.equal(ask, null);
    });
  }
});
