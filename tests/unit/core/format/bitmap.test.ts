/** The intent bitmap: its header against mdadm's, its bits against a plain array. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type BitmapHeader,
  decodeBitmapHeader,
  encodeBitmapHeader,
} from '../../../../src/core/format/bitmap.ts';
import { IntentBits } from '../../../../src/core/format/intent-bits.ts';
import { bitmapBytes, bitmapOf, fixture, superblockOf } from './fixtures.ts';

const header: BitmapHeader = {
  uuid: '3c01e01a-e860-a32f-61e5-4a96484674af',
  events: 77,
  eventsCleared: 70,
  syncBytes: 10_000 * 65536,
  stale: false,
  chunkBytes: 65536,
  daemonSleepSeconds: 5,
  reservedBytes: 4096,
};

test('a header made by mdadm: read, and given back byte for byte', () => {
  const bytes = bitmapBytes(fixture('raid5-clean-0'));
  const read = bitmapOf('raid5-clean-0');
  assert.ok(read !== null);
  assert.deepEqual(encodeBitmapHeader(read), bytes.slice(0, 256));
  const superblock = superblockOf('raid5-clean-0');
  assert.equal(read.uuid, superblock.setUuid);
  assert.equal(read.events, superblock.events);
  assert.equal(read.syncBytes, superblock.memberDataBytes);
  assert.equal(bitmapOf('raid4-rebuilding-0'), null, 'an array without a bitmap');
});

test('bits of a dirty member; ones behind the last bit do not count', () => {
  const read = bitmapOf('raid5-dirty-0')!;
  const bits = new IntentBits(read.chunkBytes, read.syncBytes);
  bits.load(bitmapBytes(fixture('raid5-dirty-0')));
  assert.deepEqual([bits.count, bits.setCount], [1, 1]);
  bits.load(bitmapBytes(fixture('raid5-clean-0')));
  assert.equal(bits.any, false);
});

test('headers that cannot be', () => {
  const bytes = encodeBitmapHeader(header);
  const forged = (offset: number, word: number): string => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(offset, word, true);
    return decodeBitmapHeader(copy).kind;
  };
  assert.equal(forged(0, 0), 'none');
  assert.equal(forged(4, 5), 'unsupported');
  assert.equal(forged(4, 9), 'unsupported');
  assert.equal(forged(0x44, 2), 'unsupported');
  assert.equal(forged(0x34, 65537), 'corrupt');
  assert.equal(forged(0x34, 256), 'corrupt');
  assert.equal(forged(0x2c, 0x0100_0000), 'corrupt');
  assert.equal(forged(0x30, 1), 'bitmap');
  assert.deepEqual(decodeBitmapHeader(bytes), { kind: 'bitmap', value: header });
});

test('bits behave as an array of booleans does', () => {
  const bits = new IntentBits(65536, header.syncBytes - 4096);
  const model = new Array<boolean>(10_000).fill(false);
  assert.equal(bits.count, model.length);
  let random = 12345;
  const next = (below: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return Math.floor((random / 2 ** 32) * below);
  };
  for (let round = 0; round < 20_000; round++) {
    const index = next(model.length);
    const value = next(3) > 0;
    const changed = model[index] !== value;
    assert.equal(value ? bits.set(index) : bits.clear(index), changed);
    model[index] = value;
  }
  assert.equal(bits.setCount, model.filter(Boolean).length);
  const seen = new Array<boolean>(model.length).fill(false);
  let last = -1;
  bits.forEachRun((first, length) => {
    assert.ok(first > last, 'runs are ascending and apart');
    last = first + length;
    seen.fill(true, first, first + length);
  });
  assert.deepEqual(seen, model);

  // Pages, written one by one into a region, are the region.
  for (const pageBytes of [512, 4096]) {
    const region = new Uint8Array(bits.pageCount(pageBytes) * pageBytes);
    for (let page = 0; page < bits.pageCount(pageBytes); page++) {
      bits.encodePage(page, region.subarray(page * pageBytes, (page + 1) * pageBytes), header);
    }
    assert.deepEqual(decodeBitmapHeader(region), { kind: 'bitmap', value: header });
    const loaded = new IntentBits(65536, header.syncBytes);
    loaded.load(region);
    assert.equal(loaded.setCount, bits.setCount);
    for (const index of [0, 1, 7, 8, 2047, 2048, 9999]) {
      assert.equal(loaded.get(index), model[index]);
      const byteAt = 256 + (index >> 3);
      assert.equal(bits.pageOf(index, pageBytes), Math.floor(byteAt / pageBytes));
      assert.equal(((region[byteAt] ?? 0) >> (index & 7)) & 1, model[index] ? 1 : 0);
    }
  }
});

test('merge, setAll, clearAll, indexOf', () => {
  const a = new IntentBits(65536, 65536 * 13);
  const b = new IntentBits(65536, 65536 * 13);
  a.set(3);
  b.set(3);
  b.set(12);
  a.merge(b);
  assert.equal(a.setCount, 2);
  assert.ok(a.get(12));
  a.setAll();
  assert.equal(a.setCount, 13);
  a.clearAll();
  assert.equal(a.any, false);
  assert.equal(a.indexOf(65536 * 2 - 1), 1);
  assert.equal(a.indexOf(65536 * 2), 2);
  assert.throws(() => a.get(13));
  assert.throws(() => a.set(-1));
});

test('a header says stale, and says it again when read', () => {
  const header = bitmapOf('raid5-clean-0');
  assert.ok(header);
  for (const stale of [true, false]) {
    const result = decodeBitmapHeader(encodeBitmapHeader({ ...header, stale }));
    assert.deepEqual(result, { kind: 'bitmap', value: { ...header, stale } });
  }
});

test('numbers that no bitmap has are refused, not believed', () => {
  const good = bitmapBytes(fixture('raid5-clean-0')).slice(0, 256);
  const ask = (offset: number, low: number, high = 0) => {
    const bytes = good.slice();
    const view = new DataView(bytes.buffer);
    view.setUint32(offset, low, true);
    if (high !== 0) view.setUint32(offset + 4, high, true);
    return decodeBitmapHeader(bytes);
  };
  for (const version of [0, 2, 6]) {
    const reason = `bitmap version ${version}`;
    assert.deepEqual(ask(0x04, version), { kind: 'unsupported', reason });
  }
  for (const version of [3, 4]) assert.equal(ask(0x04, version).kind, 'bitmap');
  const large = { kind: 'corrupt', reason: 'a counter is impossibly large' };
  for (const offset of [0x18, 0x20, 0x28]) assert.deepEqual(ask(offset, 0, 2 ** 13), large);
  assert.deepEqual(ask(0x28, 2 ** 32 - 1, 2 ** 32 - 1), large, 'without limit');
  for (const chunk of [0, 256, 12288]) {
    assert.deepEqual(ask(0x34, chunk), {
      kind: 'corrupt',
      reason: 'its chunk is no power of two',
    });
  }
});

test('a run of bits that goes up to the last one ends there', () => {
  for (const count of [1, 7, 8, 9, 24, 25]) {
    const bits = new IntentBits(65536, 65536 * count);
    bits.setAll();
    const runs: [number, number][] = [];
    bits.forEachRun((first, length) => runs.push([first, length]));
    assert.deepEqual(runs, [[0, count]]);
  }
});
