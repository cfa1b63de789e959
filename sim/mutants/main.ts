/**
 * `npm run mutants`: is the suite able to fail? Each mutant is built, the tests that should notice run against it, and a
 * table says which did.
 *
 *   npm run mutants                     all of them
 *   npm run mutants -- NAME TRAP …      only these, by name or by trap (T4)
 *   npm run mutants -- --whole          also against every test in memory: which one of all notices first (long)
 *   npm run mutants -- --at-once 1      how many are tried side by side (2)
 *
 * A mutant that survives fails the run.
 */

import { parseArgs } from 'node:util';
import { hunt, type Verdict } from './hunt.ts';
import { mutants } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    whole: { type: 'boolean', default: false },
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

const lineOf = ({ mutant, kill, firstOfAll, seconds }: Verdict): string => {
  const by = kill === null ? 'SURVIVED' : `${kill.by}  [${kill.why}]`;
  const first =
    firstOfAll === null
      ? ''
      : `\n${' '.repeat(42)}first of all: ${firstOfAll.file}: ${firstOfAll.by}`;
  return `${mutant.trap.padEnd(4)} ${mutant.name.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${by}${first}`;
};

console.log(`${chosen.length} mutants. Trap, name, seconds, killed by [because]:\n`);
const verdicts = await hunt(chosen, {
  atOnce: Number(values['at-once']),
  whole: values.whole,
  onVerdict: (verdict) => console.log(lineOf(verdict)),
});
const survivors = verdicts.filter(({ kill }) => kill === null);
console.log(`\n${verdicts.length - survivors.length} of ${verdicts.length} killed.`);
for (const { mutant } of survivors) console.error(`${mutant.name} survived: ${mutant.harm}`);
process.exitCode = survivors.length > 0 ? 1 : 0;
