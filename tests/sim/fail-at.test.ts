/**
 * Operation N of all drives goes wrong, for every N of a life with a window, a second failure, crashes, a return, a replay
 * and a replacement. The everyday share is some of the N; LOCUM_EVERY=1 takes all.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failAt } from '../../sim/fail-at.ts';

const every = process.env.LOCUM_EVERY === '1' ? 1 : 41;

for (const level of [1, 3, 4, 5]) {
  test(`level ${level}: an operation fails once, for good, hangs, or its flush is a lie`, async (t) => {
    const { lives, notCovered, operations, failures } = await failAt({
      level,
      from: 1 + level,
      to: Number.POSITIVE_INFINITY,
      every,
      seconds: Number.POSITIVE_INFINITY,
    });
    t.diagnostic(`${lives} lives of ${operations} operations; ${notCovered} beyond the promises`);
    assert.deepEqual(failures, []);
    assert.ok(lives > notCovered);
  });
}
