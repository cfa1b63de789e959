/**
 * The simulator as a part of the torture run: seed after seed, in this process, for as long as the slice lasts. One seed
 * in twenty runs twice, and its two fingerprints must be equal.
 */

import { Coverage } from '../sim/coverage.ts';
import { generate } from '../sim/generate.ts';
import { runPlan } from '../sim/run.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';

const TWICE_EVERY = 20;
/** Slices begin at seeds of their own, far enough apart. */
const SEEDS_APART = 100_000;

async function run({ seconds, seed, say }: PartOptions): Promise<PartResult> {
  const total = new Coverage();
  const failures: string[] = [];
  const endMs = performance.now() + seconds * 1000;
  const first = (seed % 20_000) * SEEDS_APART + 1;
  let virtualUs = 0;
  let seeds = 0;
  for (let at = first; performance.now() < endMs; at++) {
    const result = await runPlan(generate(at));
    seeds++;
    total.add(result.coverage);
    virtualUs += result.virtualUs;
    const again = `npm run sim -- --seed ${at}`;
    if (result.failure !== null)
      failures.push(`${again}: ${result.failure.checker}: ${result.failure.message}`);
    if (seeds % TWICE_EVERY === 0) {
      total.count('seeds run twice');
      const second = await runPlan(generate(at));
      if (second.digest !== result.digest) failures.push(`${again}: two runs differ`);
    }
    if (seeds % 50 === 0) say(`${seeds} seeds, ${failures.length} failed`);
  }
  const { hits, counts } = total.asJson();
  const all = { seeds, 'virtual seconds': Math.round(virtualUs / 1_000_000), ...counts };
  return { part: 'simulator', counts: all, coverage: hits, failures, notCovered: [] };
}

export const simulatorPart: Part = { name: 'simulator', weight: 6, run };
