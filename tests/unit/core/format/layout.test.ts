/** The field tables: what they refuse to define, and both directions of every kind. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionError } from '../../../../src/base/assert.ts';
import { field, Layout } from '../../../../src/base/layout.ts';
import { isUuid, mdadmUuid, uuidFromBytes, writeUuid } from '../../../../src/base/uuid.ts';

const sample = new Layout('sample', 80, {
  a: field(0, 'u8', 'a'),
  b: field(1, 'u16', 'b'),
  c: field(3, 'u24', 'c'),
  d: field(6, 'u32', 'd'),
  e: field(10, 'u40', 'e'),
  f: field(15, 'u64', 'f'),
  g: field(23, 'i32', 'g'),
  id: field(27, 'uuid', 'id'),
  name: field(43, 'ascii', 'name', 8),
  raw: field(51, 'bytes', 'raw', 3),
  zero: field(54, 'zero', 'reserved', 6),
  pad: field(60, 'pad', 'theirs', 10),
  table: field(70, 'region', 'elsewhere', 10),
});

const values = {
  a: 0xab,
  b: 0xabcd,
  c: 0xabcdef,
  d: 0xdeadbeef,
  e: 0xff_0000_0001,
  f: Number.MAX_SAFE_INTEGER,
  g: -2,
  id: '00112233-4455-6677-8899-aabbccddeeff',
  name: 'eight ch',
  raw: Uint8Array.of(1, 2, 3),
};

test('a layout gives back what it was given, little-endian', () => {
  const bytes = new Uint8Array(90).fill(0x55);
  sample.encode(values, bytes, 5);
  assert.deepEqual(sample.decode(bytes, 5), values);
  const hex = Buffer.from(bytes.subarray(5, 5 + 27)).toString('hex');
  assert.equal(hex, `abcdabefcdabefbeadde01000000ff${'ffffffffffff1f00'}feffffff`);
  assert.equal(sample.check(bytes, 5), null);
  assert.ok(bytes.subarray(5 + 54, 5 + 70).every((byte) => byte === 0));
  assert.ok(
    bytes.subarray(5 + 70, 5 + 80).every((byte) => byte === 0x55),
    'regions are left alone',
  );
  assert.ok(bytes.subarray(0, 5).every((byte) => byte === 0x55));
});

test('all ones is Infinity, in both directions', () => {
  const bytes = new Uint8Array(80);
  sample.encode({ ...values, f: Number.POSITIVE_INFINITY }, bytes);
  assert.ok(bytes.subarray(15, 23).every((byte) => byte === 0xff));
  assert.equal(sample.check(bytes), null);
  assert.equal(sample.decode(bytes).f, Number.POSITIVE_INFINITY);
});

test('check finds what could not have been written', () => {
  const good = new Uint8Array(80);
  sample.encode(values, good);
  const findingAt = (offset: number, byte: number): string | null => {
    const bytes = good.slice();
    bytes[offset] = byte;
    return sample.check(bytes);
  };
  assert.equal(findingAt(21, 0x20), 'f is impossibly large');
  assert.equal(findingAt(54, 1), 'zero is not zero');
  assert.equal(findingAt(59, 1), 'zero is not zero');
  assert.equal(findingAt(44, 7), 'name is not text');
  assert.equal(findingAt(44, 0), 'name is not text', 'text behind the end');
  assert.equal(findingAt(60, 1), null, 'padding of others is theirs');
  const bytes = good.slice();
  bytes[21] = 0x20;
  assert.throws(() => sample.decode(bytes), AssertionError);
});

test('values out of range do not get onto a drive', () => {
  const bytes = new Uint8Array(80);
  for (const wrong of [
    { a: 256 },
    { a: -1 },
    { a: 1.5 },
    { c: 2 ** 24 },
    { f: 2 ** 53 },
    { f: Number.NaN },
    { g: 2 ** 31 },
    { name: 'nine char' },
    { name: 'tab\t' },
    { raw: new Uint8Array(4) },
    { id: '00112233445566778899aabbccddeeff' },
  ]) {
    assert.throws(() => sample.encode({ ...values, ...wrong }, bytes), AssertionError);
  }
});

test('holes, overlaps and a wrong size do not survive the definition', () => {
  const define = (secondAt: number, size: number): unknown =>
    new Layout('wrong', size, { a: field(0, 'u32', ''), b: field(secondAt, 'u32', '') });
  assert.throws(() => define(3, 7), /wrong.b leaves a hole or overlaps/);
  assert.throws(() => define(5, 9), /wrong.b leaves a hole or overlaps/);
  assert.throws(() => define(4, 12), /wrong does not fill its size/);
  assert.ok(define(4, 8));
});

test('the table for the docs has a line for each field', () => {
  assert.equal(sample.table().split('\n').length, 2 + 13);
  assert.match(sample.table(), /\| 0x02b \| name \| ascii 8 \| name \|/);
});

test('uuids', () => {
  const uuid = '3c01e01a-e860-a32f-61e5-4a96484674af';
  const bytes = new Uint8Array(20);
  writeUuid(uuid, bytes, 4);
  assert.equal(uuidFromBytes(bytes, 4), uuid);
  assert.equal(mdadmUuid(uuid), '3c01e01a:e860a32f:61e54a96:484674af');
  assert.ok(isUuid(uuid));
  for (const wrong of ['', uuid.toUpperCase(), uuid.slice(1), uuid.replaceAll('-', '')]) {
    assert.equal(isUuid(wrong), false);
  }
});
