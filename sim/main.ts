/**
 * `npm run sim`: the real engine in a world of its own, from a seed or from a plan.
 *
 *   npm run sim -- --seed 7                 one seed; if it fails, made small and told as a story
 *   npm run sim -- --seeds 1-1000           many; one in twenty runs twice, and both must be the same
 *   npm run sim -- --plan FILE              a plan that was kept
 *   npm run sim -- --exhaustive [--level 5] [--commands 3] [--alphabet whole] [--seconds 60]
 *   npm run sim -- --exhaustive --level 5 --sequence 'open window 0, write b'
 *   npm run sim -- --fail-at [--level 5] [--from N --to M] [--seconds 60]
 *   npm run sim -- --measure                how fast the simulator is
 *
 *   --promise covered|beyond   only faults that the promises cover, or any
 *   --keep FILE                where the small plan of a failure goes
 *   --lines N                  the last lines of the trace of a single run
 *   --no-shrink
 *
 * Exit code 1: something failed.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { choiceOf, flagsOf, misused, numberOf, rangeOf } from '../scripts/flags/flags.ts';
import { Coverage } from './coverage.ts';
import { generate, type Taste } from './generate.ts';
import { mainModes, modeFlags } from './main-modes.ts';
import type { Plan } from './plan.ts';
import { type RunResult, runPlan, usualOptions } from './run.ts';
import { shrink } from './shrink.ts';
import { storyOf } from './story.ts';

const SHRINK_MS = 60_000;
const TWICE_EVERY = 20;

const { values } = flagsOf(import.meta.url, {
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    plan: { type: 'string' },
    promise: { type: 'string' },
    keep: { type: 'string' },
    lines: { type: 'string', default: '0' },
    'no-shrink': { type: 'boolean', default: false },
    ...modeFlags,
  },
});
if (values.exhaustive || values['fail-at'] || values.measure) process.exit(await mainModes(values));
const options = { ...usualOptions, keepLines: numberOf('--lines', values.lines) };

const taste: Partial<Taste> =
  values.promise === undefined
    ? {}
    : { promise: choiceOf('--promise', values.promise, ['covered', 'beyond']) };

function planIn(path: string): Plan {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Plan;
  } catch (error) {
    return misused(`${path} is no plan: ${(error as Error).message}`);
  }
}

function* plans(): Generator<Plan> {
  if (values.plan !== undefined) {
    yield planIn(values.plan);
    return;
  }
  const { from, to } = rangeOf('--seeds', values.seeds ?? values.seed ?? '1');
  for (let seed = from; seed <= to; seed++) yield generate(seed, taste);
}

async function tell(plan: Plan, result: RunResult): Promise<void> {
  const { failure } = result;
  if (failure === null) return;
  console.log(`seed ${plan.seed}: ${failure.checker}: ${failure.message}`);
  if (values['no-shrink'] || values.seeds !== undefined) return;
  const endMs = performance.now() + SHRINK_MS;
  const small = await shrink(plan, failure, usualOptions, () => performance.now() > endMs);
  console.log(`\nmade smaller in ${small.runs} runs: ${small.plan.steps.length} steps\n`);
  console.log(storyOf(small.plan, small.failure));
  if (values.keep !== undefined)
    writeFileSync(values.keep, `${JSON.stringify(small.plan, null, 1)}\n`);
}

const total = new Coverage();
let failed = 0;
let runs = 0;
let virtualUs = 0;
const startedMs = performance.now();
for (const plan of plans()) {
  const result = await runPlan(plan, options);
  runs++;
  total.add(result.coverage);
  virtualUs += result.virtualUs;
  for (const line of result.lines) console.log(line);
  if (result.failure !== null) {
    failed++;
    await tell(plan, result);
  }
  if (runs % TWICE_EVERY === 0) {
    const again = await runPlan(plan, options);
    if (again.digest !== result.digest) {
      failed++;
      console.log(`seed ${plan.seed}: bug: two runs differ: ${result.digest} and ${again.digest}`);
    }
  }
}
const seconds = (performance.now() - startedMs) / 1000;
for (const [name, by] of total.counts) console.log(`${String(by).padStart(9)}  ${name}`);
const ratio = virtualUs / 1e6 / seconds;
console.log(
  `${runs} plans in ${seconds.toFixed(1)} s, ${(virtualUs / 1e6).toFixed(0)} s of virtual time ` +
    `(${ratio.toFixed(0)} : 1), ${failed === 0 ? 'nothing failed' : `${failed} failed`}`,
);
if (failed > 0) process.exitCode = 1;
