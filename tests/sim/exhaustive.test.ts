/**
 * Every short sequence of commands, and every crash state at every operation of its last one. The everyday share: all
 * sequences of up to three commands for a mirror and for rotating parity, of up to two for the levels that share all their
 * code with the latter, from the usual alphabet (sim/small-scope.ts). LOCUM_EVERY=1: three of the whole alphabet, for all.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { again, exhaustive } from '../../sim/exhaustive.ts';

const everything = process.env.LOCUM_EVERY === '1';

const commandsOf = { 1: 3, 3: 2, 4: 2, 5: 3 } as const;

for (const level of [1, 3, 4, 5] as const) {
  test(`level ${level}: nothing acknowledged is lost in any crash state of short lives`, async (t) => {
    const share = everything
      ? { commands: 3 }
      : { commands: commandsOf[level], alphabet: 'usual' as const };
    const { listed, states, moments, sequences, failures, complete, seconds } = await exhaustive({
      level,
      seconds: Number.POSITIVE_INFINITY,
      ...share,
    });
    t.diagnostic(
      `${listed} crash states at ${moments} moments of ${sequences} sequences, ${states} of them different, ${(states / seconds).toFixed(0)}/s`,
    );
    assert.deepEqual(failures, []);
    assert.ok(complete && states > 0);
  });
}

test('a drive is taken back, and power fails: its label of the freeze is still there', async () => {
  // Two starts wrote labels it did not get; the number of the next one led to the copy that it had.
  const { verdict, failure } = await again(1, 'open window 0, kill, close window');
  assert.equal(failure, null);
  assert.equal(verdict, 'checked');
});

test('a member fails in a window, and the drive that was away is taken back', async (t) => {
  for (const sequence of ['open window 0, lose member 1, write b']) {
    const { verdict, failure, states } = await again(5, sequence);
    t.diagnostic(`${sequence}: ${states} crash states`);
    assert.equal(failure, null);
    assert.equal(verdict, 'checked');
  }
});
