/**
 * The other half of a mirror is replaced while a window opens: the freeze puts its labels on the new drive, a spare still,
 * and the server ends before it has told the drive that was to leave. Only that one has the data (simulator, seed 1773).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '../../sim/plan.ts';
import { runPlan } from '../../sim/run.ts';
import { openWindow, smallPlan, withoutProbes } from './small-plan.ts';

function planOf(seed: number): Plan {
  const plan = smallPlan(
    [
      { waitUs: 1_000, do: 'write', lba: 0, sectors: 8, fua: false },
      { waitUs: 1_000, do: 'replace', slot: 1 },
      openWindow,
    ],
    { latency: 'heavy', latencyUs: 500 },
  );
  const mirror = { level: 1, members: 2, chunkBytes: null, memberBytes: 1_245_184 };
  return { ...plan, seed, config: { ...plan.config, ...mirror } };
}

test('a crash while a freeze has reached only a spare: it starts, with everything', async () => {
  const { failure, coverage } = await runPlan(planOf(7), { ...withoutProbes, eventsPerProbe: 3 });
  assert.equal(failure, null);
  assert.ok(coverage.get('crash states') > 40, 'at many moments');
});
