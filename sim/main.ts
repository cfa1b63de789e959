/**
 * `npm run sim`: runs plans, one after the other, in this process and thread.
 *
 *   npm run sim -- --seed 7                one seed, with its story
 *   npm run sim -- --seeds 1-1000          many
 */

import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { generate } from './generate.ts';
import { runPlan, usualOptions } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    lines: { type: 'string', default: '60' },
    promise: { type: 'string' },
    probes: { type: 'string', default: '400' },
    deaths: { type: 'string', default: '3' },
  },
});
const [from, to] = (values.seeds ?? `${values.seed ?? 1}-${values.seed ?? 1}`)
  .split('-')
  .map(Number) as [number, number];
process.on('unhandledRejection', (error) => {
  console.log('unhandled', error);
});
const total = new Coverage();
let failed = 0;
let virtualUs = 0;
let events = 0;
const started = performance.now();
for (let seed = from; seed <= to; seed++) {
  const one = from === to;
  const result = await runPlan(
    generate(seed, values.promise ? { promise: values.promise as 'covered' } : {}),
    {
      ...usualOptions,
      keepLines: one ? Number(values.lines) : 0,
    },
  );
  total.add(result.coverage);
  virtualUs += result.virtualUs;
  events += result.events;
  if (one) for (const line of result.lines) console.log(line);
  if (one) console.log(result.digest);
  if (result.failure) {
    failed++;
    console.log(
      `seed ${seed}: step ${result.failure.step}: ${result.failure.checker}: ${result.failure.message}`,
    );
  }
}
const seconds = (performance.now() - started) / 1000;
console.log(
  `${failed} failed of ${to - from + 1}; ${seconds.toFixed(1)} s, ${(virtualUs / 1e6).toFixed(0)} virtual s, ${events} events`,
);
for (const [name, by] of total.counts)
  console.log(`  ${name}: ${by} (${(by / seconds).toFixed(0)}/s)`);
