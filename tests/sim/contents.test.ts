/** The word for what drives hold: the same for the same contents, another one for any other. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Contents } from '../../sim/contents.ts';
import { SimMedium } from '../../sim/medium.ts';

const SIZE_BYTES = 64 * 1024;
const sectorOf = (fill: number): Uint8Array => new Uint8Array(512).fill(fill);

function wordOf(medium: SimMedium, contents = new Contents()): string {
  const { bytes, stable } = contents.of(medium);
  return `${bytes.a},${bytes.b} ${stable.a},${stable.b}`;
}

test('the same contents have the same word, whichever way they came there', () => {
  const one = new SimMedium('d0', 0, SIZE_BYTES);
  one.applyWrite(512, sectorOf(1));
  one.applyWrite(8192, sectorOf(2));
  one.applyFlush(2);
  const word = wordOf(one);
  const other = new SimMedium('d0', 0, SIZE_BYTES);
  const contents = new Contents();
  assert.notEqual(wordOf(other, contents), word);
  for (const [offset, fill] of [
    [8192, 7],
    [8192, 2],
    [512, 1],
    [1024, 3],
    [1024, 0],
  ] as const) {
    other.applyWrite(offset, sectorOf(fill));
    assert.notEqual(wordOf(other, contents), word, `after ${fill} at ${offset}`);
  }
  other.applyFlush(5);
  assert.equal(wordOf(other, contents), word);
});

test('the same sectors at another place, on another drive or only in a cache are other contents', () => {
  const words = new Set<string>();
  for (const [index, offset, flushed] of [
    [0, 512, true],
    [0, 1024, true],
    [1, 512, true],
    [0, 512, false],
  ] as const) {
    const medium = new SimMedium('d', index, SIZE_BYTES);
    medium.applyWrite(offset, sectorOf(1));
    if (flushed) medium.applyFlush(1);
    words.add(wordOf(medium));
  }
  assert.equal(words.size, 4);
});

test('what a fork changes and takes back leaves the word as it was', () => {
  const medium = new SimMedium('d0', 0, SIZE_BYTES);
  const contents = new Contents();
  medium.applyWrite(512, sectorOf(1));
  const before = wordOf(medium, contents);
  medium.mark();
  medium.applyWrite(512, sectorOf(9));
  medium.applyFlush(2);
  medium.rollback();
  assert.equal(wordOf(medium, contents), before);
  medium.applyWrite(512, sectorOf(9));
  assert.notEqual(wordOf(medium, contents), before);
});
