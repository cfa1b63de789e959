/**
 * Makes a failing plan small: leaves steps out, first in large pieces and then one by one (delta debugging, Zeller and
 * Hildebrandt 2002), then makes what is left simpler, for as long as the same checker objects. It is the plan that shrinks
 * and not the seed: with streams that count, the steps that stay do the same as before.
 */

import type { Config, Plan, Step } from './plan.ts';
import { type Failure, type RunOptions, runPlan } from './run.ts';

export interface Shrunk {
  readonly plan: Plan;
  readonly failure: Failure;
  readonly runs: number;
}

export async function shrink(
  plan: Plan,
  failure: Failure,
  options: RunOptions,
  stop: () => boolean,
): Promise<Shrunk> {
  let best: Shrunk = { plan, failure, runs: 0 };
  let runs = 0;
  const attempt = async (smaller: Plan): Promise<boolean> => {
    if (stop()) return false;
    runs++;
    const { failure: found } = await runPlan(smaller, options);
    if (found === null || found.checker !== failure.checker) return false;
    best = { plan: smaller, failure: found, runs };
    return true;
  };
  // What came after the failure cannot have caused it.
  await attempt({ ...plan, steps: plan.steps.slice(0, failure.step + 1) });
  for (let size = Math.ceil(best.plan.steps.length / 2); size >= 1; ) {
    let any = false;
    for (let at = 0; at < best.plan.steps.length && !stop(); ) {
      if (await attempt(without(best.plan, at, size))) any = true;
      else at += size;
    }
    if (!any || size > 1) size = size > 1 ? Math.ceil(size / 2) : 0;
  }
  for (const config of simplerConfigs(best.plan.config)) await attempt({ ...best.plan, config });
  for (let at = 0; at < best.plan.steps.length; at++) {
    for (const step of simplerSteps(best.plan.steps[at] as Step)) {
      const steps = best.plan.steps.with(at, step);
      await attempt({ ...best.plan, steps });
    }
  }
  return { ...best, runs };
}

/** The steps after keep their times: what is left out is waited for. */
function without(plan: Plan, from: number, count: number): Plan {
  const { steps } = plan;
  const gone = steps.slice(from, from + count);
  const waitUs = gone.reduce((sum, step) => sum + step.waitUs, 0);
  const rest = steps.slice(from + count);
  const [next, ...others] = rest;
  const after = next === undefined ? [] : [{ ...next, waitUs: next.waitUs + waitUs }, ...others];
  return { ...plan, steps: [...steps.slice(0, from), ...after] };
}

function simplerConfigs(config: Config): Config[] {
  const least = config.level === 1 ? 2 : 3;
  return [
    { ...config, latency: 'none' },
    { ...config, blockBytes: 512 },
    { ...config, limits: {} },
    { ...config, members: least },
  ];
}

function simplerSteps(step: Step): Step[] {
  if (step.do === 'write' || step.do === 'zero' || step.do === 'trim')
    return [
      { ...step, fua: false },
      { ...step, sectors: 1 },
    ];
  if (step.do === 'read') return [{ ...step, sectors: 1 }];
  if (step.do === 'power-cut') return [{ ...step, fate: 'nothing' }];
  return [];
}
