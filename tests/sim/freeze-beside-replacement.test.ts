/**
 * A drive is replaced while a window opens: the freeze puts its labels on the new drive, a spare still. In a mirror the
 * server may end before it has told the drive that was to leave, which alone has the data (simulator, seed 1773). And the
 * replacement is refused in the end, the new drive given back: in the middle of that it must not look damaged.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '../../sim/plan.ts';
import { runPlan } from '../../sim/run.ts';
import { openWindow, smallPlan, withoutProbes } from './small-plan.ts';

const mirror = { level: 1, members: 2, chunkBytes: null, memberBytes: 1_245_184 };

function planOf(seed: number, shape: Partial<Plan['config']>): Plan {
  const plan = smallPlan(
    [
      { waitUs: 1_000, do: 'write', lba: 0, sectors: 8, fua: false },
      { waitUs: 1_000, do: 'replace', slot: 1 },
      openWindow,
    ],
    { latency: 'heavy', latencyUs: 500 },
  );
  return { ...plan, seed, config: { ...plan.config, ...shape } };
}

test('a crash while a freeze has reached only a spare: it starts, with everything', async () => {
  const plan = planOf(7, mirror);
  const { failure, coverage } = await runPlan(plan, { ...withoutProbes, eventsPerProbe: 3 });
  assert.equal(failure, null);
  assert.ok(coverage.get('crash states') > 40, 'at many moments');
});

// Without the order of the wipe each of these is refused: 2 after a power cut, 12 after a kill.
for (const seed of [2, 12])
  test(`a crash while the new drive of a replacement is given back: it starts, seed ${seed}`, async () => {
    for (const shape of [mirror, {}]) {
      const plan = planOf(seed, shape);
      const { failure, coverage } = await runPlan(plan, { ...withoutProbes, eventsPerProbe: 1 });
      assert.equal(failure, null);
      assert.ok(coverage.get('commands refused') > 0, 'it was given back');
    }
  });
