/**
 * The bytes: what is encoded is decoded, what is spoilt is refused, and the page in docs/format
 * says the same.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { crc32 } from '../../../src/base/crc32.ts';
import { BLOCK_BYTES, GIB, MIB } from '../../../src/base/units.ts';
import {
  bodyBlockIsValid,
  bodySeed,
  CheckpointBodyEncoder,
  checkpointLayout,
  decodeBodyBlock,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../../src/core/format/checkpoint.ts';
import {
  decodeLegHeader,
  encodeLegHeader,
  type LogHeader,
  legHeaderLayout,
  legRowLayout,
} from '../../../src/core/format/leg-header.ts';
import {
  LEG_BYTES_MIN,
  layoutFor,
  layoutIsSound,
} from '../../../src/core/format/leg-header-layout.ts';
import {
  AREA_RECORDS,
  AREA_STRIPES,
  decodeSegment,
  headerBlocksFor,
  identityBytes,
  RECORD_IMAGE,
  RECORD_TRIM,
  RECORD_WRITE,
  SegmentEncoder,
  segmentLayout,
} from '../../../src/core/format/segment.ts';

import { continuesChain, truthOf } from '../../../src/engine/log/recover-records.ts';

const uuid = (digit: string): string =>
  '00000000-0000-4000-8000-000000000000'.replaceAll('0', digit);
const nonce = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
const identity = { area: AREA_RECORDS, logUuid: uuid('a'), volumeUuid: uuid('b'), epoch: 7, nonce };
const fields = {
  run: 0x1122334455667788n,
  runStart: true,
  sequence: 2 ** 40 + 5,
  committedThrough: 2 ** 40,
  releasedThrough: 3,
  positionBlocks: 11,
  previousCrc: 0xdeadbeef,
};

test('the page has the tables of the code', () => {
  const page = fs.readFileSync(new URL('../../../../docs/format/log.md', import.meta.url), 'utf8');
  for (const layout of [legHeaderLayout, legRowLayout, segmentLayout, checkpointLayout]) {
    assert.ok(page.includes(layout.table()), layout.name);
  }
});

test('layouts are sound for every size, and waste little', () => {
  assert.equal(layoutFor(LEG_BYTES_MIN - 1), null);
  for (const size of [
    LEG_BYTES_MIN,
    16 * MIB + 4097,
    100 * MIB,
    3 * GIB + 512,
    1024 * GIB,
    4096 * GIB,
  ]) {
    const layout = layoutFor(size);
    assert.ok(layout !== null && layoutIsSound(layout) && layout.capacityBytes <= size);
    assert.ok(layout.recordsBytes > size * 0.49 * Math.min(1, (2048 * GIB) / size));
  }
  const layout = layoutFor(64 * MIB)!;
  assert.ok(!layoutIsSound({ ...layout, recordsOffset: layout.recordsOffset - 4096 }));
  assert.ok(!layoutIsSound({ ...layout, capacityBytes: layout.capacityBytes - 4096 }));
});

test('a leg header survives the trip, and no leg takes the header of another', () => {
  const header: LogHeader = {
    logUuid: uuid('a'),
    volumeUuid: uuid('b'),
    volumeName: 'archive',
    sequence: 12,
    layout: layoutFor(64 * MIB)!,
    epoch: 3,
    state: 'logging',
    nonce,
    stripeNonce: nonce.toReversed(),
    stripesReleasedThrough: 99,
    windowId: uuid('c'),
    legs: [
      { uuid: uuid('d'), state: 'online' },
      { uuid: uuid('e'), state: 'failed' },
    ],
  };
  const block = new Uint8Array(BLOCK_BYTES);
  encodeLegHeader(header, 1, block);
  assert.deepEqual(decodeLegHeader(block), { ...header, legIndex: 1 });
  for (let bit = 0; bit < BLOCK_BYTES * 8; bit += 61) {
    const spoilt = block.slice();
    spoilt[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(decodeLegHeader(spoilt), null, `bit ${bit}`);
  }
});

test('a segment of the record area survives the trip', () => {
  const bytes = new Uint8Array(4 * BLOCK_BYTES).fill(0xa5);
  const view = new DataView(bytes.buffer);
  const encoder = new SegmentEncoder(bytes, view, identityBytes(identity));
  encoder.begin(BLOCK_BYTES, 1);
  encoder.record(RECORD_WRITE, 1, 2 ** 45, 9, 0, 2);
  encoder.blockCrc(1);
  encoder.blockCrc(2);
  encoder.record(RECORD_TRIM, 0, 5, 100_000, 0, 0);
  const crc = encoder.finish(fields);
  const segment = decodeSegment(bytes, BLOCK_BYTES, identityBytes(identity), 11, 100);
  assert.ok(segment);
  assert.deepEqual(
    { ...segment, records: 0, blockCrcs: 0 },
    {
      ...fields,
      headerBlocks: 1,
      totalBlocks: 3,
      headerCrc: crc,
      records: 0,
      blockCrcs: 0,
    },
  );
  assert.deepEqual([...segment.blockCrcs], [1, 2]);
  assert.deepEqual(segment.records, [
    { type: 1, flags: 1, slot: 0, start: 2 ** 45, sectors: 9, payloadBlock: 1, payloadBlocks: 2 },
    { type: 3, flags: 0, slot: 0, start: 5, sectors: 100_000, payloadBlock: 3, payloadBlocks: 0 },
  ]);
  const ask = (changed: object, position = 11, area = 100): unknown =>
    decodeSegment(bytes, BLOCK_BYTES, identityBytes({ ...identity, ...changed }), position, area);
  assert.equal(ask({ epoch: 8 }), null);
  assert.equal(ask({ nonce: nonce.toReversed() }), null);
  assert.equal(ask({ logUuid: uuid('c') }), null);
  assert.equal(ask({ volumeUuid: uuid('c') }), null);
  assert.equal(ask({ area: AREA_STRIPES }), null);
  assert.equal(ask({}, 12), null);
  assert.equal(ask({}, 11, 13), null);
  for (let bit = 0; bit < BLOCK_BYTES * 8; bit += 7) {
    bytes[BLOCK_BYTES + (bit >> 3)]! ^= 1 << (bit & 7);
    assert.equal(ask({}), null, `bit ${bit}`);
    bytes[BLOCK_BYTES + (bit >> 3)]! ^= 1 << (bit & 7);
  }
  assert.ok(ask({}));
});

test('a stripe segment may have a header of several blocks', () => {
  const blocks = 2900;
  const headerBlocks = headerBlocksFor(10, blocks);
  assert.equal(headerBlocks, 3);
  const bytes = new Uint8Array(headerBlocks * BLOCK_BYTES);
  const stripes = identityBytes({ ...identity, area: AREA_STRIPES, epoch: 0 });
  const encoder = new SegmentEncoder(bytes, new DataView(bytes.buffer), stripes);
  encoder.begin(0, headerBlocks);
  for (let image = 0; image < 10; image++) {
    encoder.record(RECORD_IMAGE, 0, image, 2320, image, 290);
    for (let block = 0; block < 290; block++) encoder.blockCrc(image * 1000 + block);
  }
  encoder.finish({ ...fields, positionBlocks: 0 });
  const segment = decodeSegment(bytes, 0, stripes, 0, 4096);
  assert.equal(segment?.totalBlocks, 2903);
  assert.equal(segment?.blockCrcs[2899], 9289);
  assert.equal(segment?.records[9]?.slot, 9);
});

test('a chain continues only with the next sequence, the right link, and the same or a starting run', () => {
  const last = { sequence: 4, headerCrc: 99, run: 7n };
  const next = { ...fields, sequence: 5, previousCrc: 99, run: 7n, runStart: false };
  const segment = {
    ...next,
    headerBlocks: 1,
    totalBlocks: 1,
    headerCrc: 1,
    records: [],
    blockCrcs: new Uint32Array(),
  };
  assert.ok(continuesChain(last, segment));
  assert.ok(continuesChain(last, { ...segment, run: 8n, runStart: true }));
  assert.ok(!continuesChain(last, { ...segment, run: 8n }));
  assert.ok(!continuesChain(last, { ...segment, sequence: 6 }));
  assert.ok(!continuesChain(last, { ...segment, previousCrc: 98 }));
});

test('of two legs the one that starts a run counts, of two such the empty one; anything else is a conflict', () => {
  const one = {
    ...fields,
    headerBlocks: 1,
    totalBlocks: 1,
    headerCrc: 1,
    records: [],
    blockCrcs: new Uint32Array(),
  };
  const old = { ...one, runStart: false, headerCrc: 2 };
  assert.equal(truthOf([null, null]), null);
  assert.equal(truthOf([null, old]), old);
  assert.equal(truthOf([old, one]), one);
  assert.equal(truthOf([old, { ...old, headerCrc: 3 }]), 'conflict');
  assert.equal(truthOf([one, { ...one, headerCrc: 3 }]), 'conflict');
  const range = { start: 0, sectors: 8, payloadBlock: 1, payloadBlocks: 1 };
  const record = { type: RECORD_WRITE, flags: 0, slot: 0, ...range };
  const first = { ...one, headerCrc: 4, records: [record] };
  assert.equal(truthOf([first, one]), one, 'the mark is later than the first of a window');
  assert.equal(truthOf([old, first]), first);
  assert.equal(truthOf([first, { ...first, headerCrc: 5 }]), 'conflict');
});

test('the header holds what a segment of the record area may hold at most', () => {
  assert.equal(headerBlocksFor(64, 512), 1);
});

test('a checkpoint survives the trip', () => {
  const header = {
    number: 4,
    sequence: 1000,
    headerCrc: 0xfeedface,
    endBlocks: 5000,
    run: 77n,
    committedThrough: 1003,
    records: 20_000,
    entries: 12_345,
    bodyBlocks: 60,
  };
  const block = new Uint8Array(BLOCK_BYTES);
  encodeCheckpoint(identity, header, block);
  assert.deepEqual(decodeCheckpoint(identity, block, 61 * BLOCK_BYTES), header);
  assert.equal(decodeCheckpoint(identity, block, 60 * BLOCK_BYTES), null);
  assert.equal(decodeCheckpoint({ ...identity, epoch: 8 }, block, 61 * BLOCK_BYTES), null);
  assert.equal(
    decodeCheckpoint({ ...identity, nonce: nonce.toReversed() }, block, 61 * BLOCK_BYTES),
    null,
  );
  block[100]! ^= 1;
  assert.equal(decodeCheckpoint(identity, block, 61 * BLOCK_BYTES), null);
});

test('a body block takes entries until it is full and belongs to one place of one checkpoint', () => {
  const bytes = new Uint8Array(2 * BLOCK_BYTES).fill(0xa5);
  const view = new DataView(bytes.buffer);
  const encoder = new CheckpointBodyEncoder(bytes, view, (block) =>
    crc32(Uint8Array.of(block & 0xff)),
  );
  encoder.begin(BLOCK_BYTES);
  let count = 0;
  // Seven sectors from the middle of a block touch two blocks.
  while (encoder.add(count * 10 + 2 ** 33, 7, 1, 4 + count * 16)) count++;
  encoder.finish(bodySeed(identity, 4, 9));
  assert.equal(count, Math.floor((4092 - 4) / 24));
  assert.ok(bodyBlockIsValid(bytes, view, BLOCK_BYTES, bodySeed(identity, 4, 9)));
  for (const [number, index] of [
    [4, 8],
    [5, 9],
  ] as const) {
    assert.ok(!bodyBlockIsValid(bytes, view, BLOCK_BYTES, bodySeed(identity, number, index)));
  }
  const starts: number[] = [];
  const blocks: number[] = [];
  const decoded = decodeBodyBlock(
    view,
    BLOCK_BYTES,
    (start) => starts.push(start),
    (block) => blocks.push(block),
  );
  assert.equal(decoded, count);
  assert.deepEqual(starts.slice(0, 2), [2 ** 33, 2 ** 33 + 10]);
  assert.deepEqual(blocks.slice(0, 4), [0, 1, 2, 3]);
});
