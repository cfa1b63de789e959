/**
 * `npm run mutants`: is the suite able to fail? Each mutant is built, the tests that should notice run against it, and a
 * table says which did.
 *
 *   npm run mutants                     all of them
 *   npm run mutants -- NAME TRAP …      only these, by name or by trap (T4)
 *   npm run mutants -- --whole          also against every test in memory: which one of all notices first (long)
 *   npm run mutants -- --seeds 1-40     also against the simulator: which seed notices first
 *   npm run mutants -- --at-once 1      how many are tried side by side (2)
 *
 * A mutant that survives fails the run.
 */

import { flagsOf, numberOf, rangeOf } from '../../scripts/flags/flags.ts';
import { hasSimulator } from './by-simulator.ts';
import { hunt, type Verdict } from './hunt.ts';
import { mutants } from './table.ts';

const { values, positionals } = flagsOf(import.meta.url, {
  allowPositionals: true,
  options: {
    whole: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    'at-once': { type: 'string', default: '2' },
  },
});

const chosen = mutants.filter(
  ({ name, trap }) =>
    positionals.length === 0 || positionals.includes(name) || positionals.includes(trap),
);
if (chosen.length === 0) {
  console.error(
    `No mutant is called ${positionals.join(' or ')}. There are: ${mutants.map(({ name }) => name).join(' ')}`,
  );
  process.exit(1);
}

const indent = `\n${' '.repeat(44)}`;

const lineOf = ({ mutant, kill, firstOfAll, bySeed, seconds }: Verdict): string => {
  const by = kill === null ? 'SURVIVED' : `${kill.by}  [${kill.why}]`;
  const first =
    firstOfAll === null ? '' : `${indent}first of all: ${firstOfAll.file}: ${firstOfAll.by}`;
  const seed = bySeed === null ? '' : `${indent}${bySeed.by}  [${bySeed.why}]`;
  return `${mutant.trap.padEnd(4)} ${mutant.name.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${by}${first}${seed}`;
};

if (values.seeds !== undefined && !hasSimulator()) {
  console.error('There is no simulator in this build.');
  process.exit(1);
}

console.log(`${chosen.length} mutants. Trap, name, seconds, killed by [because]:\n`);
const verdicts = await hunt(chosen, {
  atOnce: numberOf('--at-once', values['at-once'], 1),
  whole: values.whole,
  seeds: values.seeds === undefined ? null : rangeOf('--seeds', values.seeds),
  onVerdict: (verdict) => console.log(lineOf(verdict)),
});
const bySeed = verdicts.filter((verdict) => verdict.bySeed !== null).length;
if (values.seeds !== undefined)
  console.log(`\nThe simulator noticed ${bySeed} of ${verdicts.length}.`);
const survivors = verdicts.filter(({ kill }) => kill === null);
console.log(`\n${verdicts.length - survivors.length} of ${verdicts.length} killed.`);
for (const { mutant } of survivors) console.error(`${mutant.name} survived: ${mutant.harm}`);
process.exitCode = survivors.length > 0 ? 1 : 0;
