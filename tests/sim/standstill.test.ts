/**
 * What the simulator calls a standstill, and what it does not: a drive of five seconds for a block keeps its deadline, so a
 * queue of requests before it takes as long as it takes (seeds 1940800524, 619700189 and 910015 were given ten minutes).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan, Step } from '../../sim/plan.ts';
import { type Failure, runPlan } from '../../sim/run.ts';
import type { StripeIndex } from '../../src/base/units.ts';
import { StripeLocks } from '../../src/engine/stripe-locks.ts';
import { smallPlan, withoutProbes } from './small-plan.ts';

const planOf = (steps: Step[], latency: Plan['config']['latency']): Plan =>
  smallPlan(steps, { latency, latencyUs: 5_000 });

const write = (lba: number, waitUs = 0): Step => ({
  waitUs,
  do: 'write',
  lba,
  sectors: 1,
  fua: false,
});

const queueBeforeSlowDrive: Step[] = [
  { waitUs: 0, do: 'slow', path: 'd1', factor: 1000 },
  ...Array.from({ length: 300 }, (_, i) => write(i % 16)),
  { waitUs: 0, do: 'check' },
];

const failureOf = async (plan: Plan): Promise<Failure | null> =>
  (await runPlan(plan, withoutProbes)).failure;

test('a queue that takes longer than ten minutes before a slow drive is no standstill', async () => {
  const plan = planOf(queueBeforeSlowDrive, 'constant');
  const { failure, virtualUs } = await runPlan(plan, withoutProbes);
  assert.equal(failure, null);
  assert.ok(virtualUs > 12 * 60 * 1_000_000, 'it did take longer');
});

test('with a slow drive as well a standstill is one', async (t) => {
  type Unlock = (this: StripeLocks, stripe: StripeIndex) => void;
  const unlock = Object.getOwnPropertyDescriptor(StripeLocks.prototype, 'unlock')?.value as Unlock;
  let unlocked = 0;
  t.mock.method(StripeLocks.prototype, 'unlock', function (this: StripeLocks, stripe: StripeIndex) {
    if (++unlocked < 200) unlock.call(this, stripe);
  });
  const failure = await failureOf(planOf(queueBeforeSlowDrive, 'constant'));
  assert.equal(failure?.checker, 'liveness');
});

test('with one drive out another is not made so slow that it misses its deadline (seed 619700340)', async () => {
  const steps: Step[] = [
    { waitUs: 0, do: 'read-only', path: 'd2' },
    write(0),
    { waitUs: 1_000_000, do: 'slow', path: 'd1', factor: 10 },
    ...Array.from({ length: 3_000 }, (_, i) => write(i % 16, 2_000_000)),
  ];
  assert.equal(await failureOf(planOf(steps, 'heavy')), null);
});
