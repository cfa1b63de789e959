/**
 * A volume that logs stripes only while it is degraded (`logDirect` 0) has a rebuilt drive in use again, and writes go on:
 * a crash at any moment may find the drive in its slot and on record, or still being rebuilt, and then the log has to say
 * what was half-written (simulator, seed 178).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan, Step } from '../../sim/plan.ts';
import { runPlan } from '../../sim/run.ts';
import { smallPlan, withoutProbes } from './small-plan.ts';

const write = (lba: number, waitUs: number): Step => ({
  waitUs,
  do: 'write',
  lba,
  sectors: 4,
  fua: false,
});

function planOf(seed: number): Plan {
  const plan = smallPlan(
    [
      { waitUs: 1_000, do: 'fail', slot: 1 },
      write(3, 100_000),
      { waitUs: 100_000, do: 'replace', slot: 1 },
      ...Array.from({ length: 20 }, (_, i) => write((i * 37) % 200, 700)),
    ],
    { latency: 'uniform', latencyUs: 500 },
  );
  const limits = { sweepBytesPerSecond: 0, logDirect: 0 };
  return { ...plan, seed, config: { ...plan.config, limits } };
}

test('a crash as a rebuilt drive goes on record, while hosts write without images', async () => {
  let states = 0;
  for (let seed = 1; seed <= 5; seed++) {
    const { failure, coverage } = await runPlan(planOf(seed), {
      ...withoutProbes,
      eventsPerProbe: 4,
    });
    assert.equal(failure, null, `seed ${seed}`);
    states += coverage.get('crash states');
  }
  assert.ok(states > 100, `${states} crash states`);
});
