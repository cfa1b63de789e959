/**
 * What is lost, and what restores it: against the arithmetic of each level and against a count by
 * hand.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LevelDescriptor } from '../../../../src/core/levels/descriptor.ts';
import { levelByNumber, levels } from '../../../../src/core/levels/index.ts';
import { canLose, exposureOf, readableShare, restoredBy } from '../../../../src/core/redundancy.ts';
import type { DriveState } from '../../../../src/core/status.ts';

const level = (number: number): LevelDescriptor => levelByNumber(number) as LevelDescriptor;
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-9, `${a} and ${b}`);

test('the share that can be read with two members absent', () => {
  for (let n = 3; n <= 8; n += 1) {
    for (let a = 0; a < n; a += 1) {
      for (let b = a + 1; b < n; b += 1) {
        close(readableShare(level(5), n, [a, b]), (n - 2) / n);
        const expected = b === n - 1 ? 1 - 1 / (n - 1) : 1 - 2 / (n - 1);
        close(readableShare(level(4), n, [a, b]), expected);
        assert.equal(readableShare(level(1), n, [a, b]), 1);
      }
    }
  }
  assert.equal(readableShare(level(1), 2, [0, 1]), 0);
  for (const one of levels) assert.equal(readableShare(one, 3, [1]), 1);
});

test('which returns restore full access', () => {
  assert.deepEqual(restoredBy(level(5), 4, []), []);
  assert.deepEqual(restoredBy(level(5), 4, [2]), []);
  assert.deepEqual(restoredBy(level(5), 4, [3, 1]), [[1], [3]]);
  assert.deepEqual(restoredBy(level(5), 4, [0, 1, 3]), [
    [0, 1],
    [0, 3],
    [1, 3],
  ]);
  assert.deepEqual(restoredBy(level(1), 2, [0, 1]), [[0], [1]]);
  assert.deepEqual(restoredBy(level(1), 3, [0, 2]), []);
});

test('each set that restores is enough, and no smaller one is', () => {
  for (const one of levels) {
    for (let members = 3; members <= 6; members += 1) {
      for (let mask = 0; mask < 2 ** members; mask += 1) {
        const absent = [...Array(members).keys()].filter((slot) => (mask >> slot) & 1);
        const sets = restoredBy(one, members, absent);
        if (absent.length <= one.tolerates(members)) assert.deepEqual(sets, []);
        for (const set of sets) {
          const left = (kept: number): number[] =>
            absent.filter((slot) => !set.slice(kept).includes(slot));
          assert.equal(readableShare(one, members, left(0)), 1);
          if (set.length > 0) assert.ok(readableShare(one, members, left(1)) < 1);
        }
      }
    }
  }
});

test('how many more may be lost', () => {
  const states = (...list: DriveState[]): DriveState[] => list;
  assert.equal(canLose(level(5), 3, states('online', 'online', 'online')), 1);
  assert.equal(canLose(level(5), 3, states('online', 'rebuilding', 'online')), 0);
  assert.equal(canLose(level(5), 3, states('online', 'away', 'online')), 0);
  assert.equal(canLose(level(5), 3, states('online', 'away', 'online'), true), 1);
  assert.equal(canLose(level(5), 3, states('failed', 'away', 'online'), true), 0);
  assert.equal(canLose(level(5), 3, states('failed', 'missing', 'online')), 0);
  assert.equal(canLose(level(1), 3, states('online', 'failed', 'online')), 1);
  assert.throws(() => canLose(level(1), 3, states('online')), /one state a slot/);
});

test('what the next failure would mean', () => {
  const three = (away: DriveState): DriveState[] => ['online', away, 'online'];
  assert.equal(exposureOf(level(5), three('online'), false).nextFailure, 'harmless');
  assert.equal(exposureOf(level(5), three('failed'), false).nextFailure, 'data-lost');
  const open = exposureOf(level(5), three('away'), true);
  assert.equal(open.nextFailure, 'reads-wait');
  close(open.readableAfter, 1 / 3);
  assert.equal(exposureOf(level(5), ['failed', 'away', 'online'], true).nextFailure, 'data-lost');
  assert.equal(exposureOf(level(1), three('away'), true).nextFailure, 'harmless');
});
