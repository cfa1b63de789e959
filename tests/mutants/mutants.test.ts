/** The tests are tested: each trap has a mutant, each mutant still applies to the build, and each is killed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyPatches } from '../../sim/mutants/build.ts';
import { hunt } from '../../sim/mutants/hunt.ts';
import { mutants, traps } from '../../sim/mutants/table.ts';

test('there is one mutant for each of the twenty traps, and every name is used once', () => {
  assert.deepEqual(
    traps.map(({ trap }) => trap),
    Array.from({ length: 20 }, (_, i) => `T${i + 1}`),
  );
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  for (const { name, killers } of mutants) assert.ok(killers.length > 0, `${name} has its killers`);
});

test('every mutant applies: its text is found once in the file that was built', () => {
  for (const mutant of mutants) assert.ok(applyPatches(mutant).length > 0);
});

test('every mutant is killed by the test that is there for it', async (t) => {
  const verdicts = await hunt(mutants, {
    atOnce: 2,
    whole: false,
    onVerdict: ({ mutant, kill, seconds }) =>
      t.diagnostic(
        `${mutant.trap} ${mutant.name}: ${kill?.by ?? 'SURVIVED'} (${seconds.toFixed(1)} s)`,
      ),
  });
  const survivors = verdicts.filter(({ kill }) => kill === null).map(({ mutant }) => mutant.name);
  assert.deepEqual(survivors, []);
  assert.equal(verdicts.length, mutants.length);
});

test('the simulator runs in a copy of the build, and a seed of it notices a mutant', async () => {
  const chosen = mutants.filter(({ name }) => name === 'no-redo');
  const [verdict] = await hunt(chosen, {
    atOnce: 1,
    whole: false,
    seeds: { from: 1, to: 8 },
    onVerdict: () => {},
  });
  assert.notEqual(verdict?.bySeed ?? null, null);
});
