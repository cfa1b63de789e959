/**
 * L4: md's write-back journal does not work on a degraded array, because nobody could enumerate its corner cases. Log and
 * degraded at once is what Locum is for, so here they are enumerated: every drive operation, every death, and a second
 * death during the recovery.
 */

import { type Death, dies } from '../unit/engine/life.ts';
import {
  DirectedLife,
  deaths,
  faultOf,
  lengthsOf,
  levels,
  randomOf,
  stateAt,
  telling,
} from './directed-life.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';

async function crashAt(level: number, point: number, how: Death, twice: boolean): Promise<void> {
  const life = new DirectedLife(level, level);
  const random = randomOf(level, point, how);
  let where = '';
  await telling(
    life,
    () => where,
    async () => {
      if (!(await dies(life, () => life.alreadyDegraded(point)))) return;
      where = life.chapter;
      const first = twice ? 1 + random.below(120) : Number.POSITIVE_INFINITY;
      if (twice) where += `, again at ${first}`;
      if (await dies(life, () => life.restored(how, random.next, first)))
        await life.restored(how, random.next, Number.POSITIVE_INFINITY);
    },
  );
}

const enumerate = (level: number): Enumeration => ({
  title: `L4 md r5cache, RAID ${level}: the journal and a degraded array at once, a crash at every drive operation`,
  cases: async () => {
    const lengths = await lengthsOf(
      `degraded ${level}`,
      () => new DirectedLife(level, level),
      (life) => life.alreadyDegraded(Number.POSITIVE_INFINITY),
    );
    const cases: Case[] = [];
    for (let point = 1; point <= lengths.operations; point++) {
      for (const [how, twice] of pairs(deaths, [false, true])) {
        const name = `RAID ${level}, ${how}${twice ? ' twice' : ''} at ${point}`;
        const fault = twice ? 'C-3 twice' : faultOf(how);
        const hits = [[fault, stateAt(lengths, point)]] as const;
        cases.push({ name, hits, run: () => crashAt(level, point, how, twice) });
      }
    }
    return cases;
  },
});

export const logAndDegraded: readonly Enumeration[] = levels.map(enumerate);
