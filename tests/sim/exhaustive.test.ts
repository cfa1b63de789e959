/**
 * Every short sequence of commands, and every crash state at every operation of its last one. The everyday share is all
 * single commands and some of the pairs of each level; LOCUM_EVERY=1 runs all sequences of up to three.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { again, exhaustive } from '../../sim/exhaustive.ts';

const everything = process.env.LOCUM_EVERY === '1';

for (const level of [1, 3, 4, 5]) {
  test(`level ${level}: nothing acknowledged is lost in any crash state of short lives`, async (t) => {
    const share = everything ? { commands: 3 } : { commands: 2, every: 90, from: level };
    const { states, moments, sequences, failures, complete, seconds } = await exhaustive({
      level,
      seconds: Number.POSITIVE_INFINITY,
      ...share,
    });
    t.diagnostic(
      `${states} crash states at ${moments} moments of ${sequences} sequences, ${(states / seconds).toFixed(0)}/s`,
    );
    assert.deepEqual(failures, []);
    assert.ok(complete && states > 0);
  });
}

test('a member fails in a window, and the drive that was away is taken back', async (t) => {
  for (const sequence of ['open window 0, lose member 1, write b']) {
    const { verdict, failure, states } = await again(5, sequence);
    t.diagnostic(`${sequence}: ${states} crash states`);
    assert.equal(failure, null);
    assert.equal(verdict, 'checked');
  }
});
