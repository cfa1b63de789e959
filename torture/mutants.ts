/**
 * The test of the tests as a part of the torture run: every mutant (sim/mutants) against the tests that are there for it,
 * then, for as long as there is time, against the simulator with the seeds of this slice. Which test or seed noticed which
 * is in the result, and in killers.json beside it.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasSimulator } from '../sim/mutants/by-simulator.ts';
import { hunt, type Verdict } from '../sim/mutants/hunt.ts';
import { mutants } from '../sim/mutants/table.ts';
import type { MutantVerdict, Part, PartOptions, PartResult } from './evidence.ts';

/** Of the simulator, for one slice and mutant. */
const seedsMost = 400;
const seedRange = 2 ** 30;

export const mutantsPart: Part = {
  name: 'mutants',
  weight: 0.5,
  leastSeconds: 120,
  run: killMutants,
};

export async function killMutants(
  options: PartOptions,
  chosen: typeof mutants = mutants,
): Promise<PartResult> {
  const startedMs = performance.now();
  const from = options.seed % seedRange;
  const simulator = hasSimulator();
  let begun = 0;
  const verdicts = await hunt(chosen, {
    atOnce: 1,
    whole: false,
    seeds: simulator ? { from, to: from + seedsMost - 1 } : null,
    // Each mutant has its share of the time; what one does not need is left to those behind it.
    mayTrySeeds: () =>
      performance.now() - startedMs < (1000 * options.seconds * begun) / chosen.length,
    mayGoOn: () => {
      begun++;
      return true;
    },
    onVerdict: (verdict) => options.say(sentenceOf(verdict)),
  });
  const killers = verdicts.map(({ mutant, kill, bySeed }) => ({
    mutant: mutant.name,
    trap: mutant.trap,
    killedBy: kill?.by ?? null,
    seed: bySeed?.by ?? null,
  }));
  writeFileSync(join(options.directory, 'killers.json'), `${JSON.stringify(killers, null, 2)}\n`);
  const survivors = verdicts.filter(({ kill }) => kill === null);
  return {
    part: mutantsPart.name,
    counts: {
      'mutants tried': verdicts.length,
      'mutants killed': verdicts.length - survivors.length,
      'mutants noticed by the simulator': verdicts.filter(({ bySeed }) => bySeed !== null).length,
    },
    coverage: {},
    failures: survivors.map(
      ({ mutant }) => `mutant ${mutant.name} survived: npm run mutants -- ${mutant.name}`,
    ),
    notCovered: simulator ? [] : ['The simulator was not there to notice mutants.'],
    mutants: verdicts.map(verdictOf),
  };
}

const verdictOf = ({ mutant, kill, bySeed }: Verdict): MutantVerdict => ({
  name: `${mutant.trap} ${mutant.name}`,
  change: mutant.harm,
  killer: kill === null || bySeed === null ? (kill?.by ?? null) : `${kill.by}; ${bySeed.by}`,
});

const sentenceOf = ({ mutant, kill, bySeed, seconds }: Verdict): string =>
  `${mutant.trap} ${mutant.name}: ${kill?.by ?? 'SURVIVED'}${bySeed === null ? '' : `; ${bySeed.by}`} (${seconds.toFixed(1)} s)`;
