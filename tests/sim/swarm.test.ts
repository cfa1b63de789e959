/**
 * The everyday share of the simulator: some seeds of the swarm, each with its own volume, hosts, operators and faults, and
 * the plans of failures that were found before.
 *
 * `LOCUM_SEED=n` runs one seed, `LOCUM_SEEDS=n` so many from 1 on. To follow one: npm run sim -- --seed n
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generate } from '../../sim/generate.ts';
import type { Plan } from '../../sim/plan.ts';
import { type RunResult, runPlan, usualOptions } from '../../sim/run.ts';

const only = process.env['LOCUM_SEED'];
const from = Number(only ?? 1);
const count = Number(process.env['LOCUM_SEEDS'] ?? (only === undefined ? 5 : 1));
/** A probe costs as much as a hundred host operations: fewer of them leave time for more seeds. */
const options = only === undefined ? { ...usualOptions, eventsPerProbe: 4000 } : usualOptions;
/** Beside the sources: plans are data. */
const folder = join(import.meta.dirname, '../../../tests/sim/plans');

const failureOf = ({ failure }: RunResult): string | null =>
  failure === null ? null : `step ${failure.step}: ${failure.checker}: ${failure.message}`;

for (const promise of ['covered', 'beyond'] as const) {
  test(`the swarm, seeds ${from} to ${from + count - 1}, faults ${promise}`, async (t) => {
    let probes = 0;
    let hostOperations = 0;
    for (let seed = from; seed < from + count; seed++) {
      const result = await runPlan(generate(seed, { promise }), options);
      assert.equal(failureOf(result), null, `npm run sim -- --seed ${seed} --promise ${promise}`);
      probes += result.coverage.get('crash states');
      hostOperations += result.coverage.get('host operations');
    }
    t.diagnostic(`${hostOperations} host operations, ${probes} crash states`);
    assert.ok(hostOperations > 0, 'hosts have asked for something');
  });
}

test('the same seed is the same run', async () => {
  for (const seed of [from, from + 1, from + 2]) {
    const once = await runPlan(generate(seed), options);
    const twice = await runPlan(generate(seed), options);
    assert.equal(once.digest, twice.digest, `seed ${seed}`);
  }
});

for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
  test(`a plan that has failed once: ${name}`, async () => {
    const plan = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Plan;
    assert.equal(
      failureOf(await runPlan(plan)),
      null,
      `npm run sim -- --plan tests/sim/plans/${name}`,
    );
  });
}

test('a drive that fails while a start completes its freeze is not called a second failure', async () => {
  const name = 'the-drive-of-a-window-that-a-start-could-not-use-comes-back.json';
  const plan = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Plan;
  const { lines } = await runPlan(plan, { ...usualOptions, keepLines: 100_000 });
  assert.ok(lines.some((line) => line.includes('drive-failed')));
  assert.deepEqual(
    lines.filter((line) => line.includes('second-failure')),
    [],
  );
});
