/**
 * L10: PostgreSQL's fsyncgate. A flush fails once and the next one succeeds, while the kernel has given up on what the
 * first could not write. A system that tries again believes in data that a power cut takes. Each flush of a window's life
 * fails so in turn, on each member and each leg; then the power is cut, soon or late, and nothing unflushed is kept.
 */

import { EIO } from '../../src/base/errno.ts';
import { dies } from '../unit/engine/life.ts';
import { DirectedLife, lengthsOf, levels, stateIn, telling } from './directed-life.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';

/** Drive operations between the failed flush and the power cut. */
const cutAfter = [1, 6, 40, Number.POSITIVE_INFINITY];

async function flushFails(level: number, path: string, nth: number, after: number): Promise<void> {
  const life = new DirectedLife(level, level);
  const medium = life.world.at(path);
  let seen = 0;
  let chapter = '';
  medium.intercept = ({ kind }) => {
    if (life.chapter === '' || kind !== 'flush' || ++seen !== nth) return 0;
    chapter = life.chapter;
    medium.forgetUnflushed();
    life.target = life.operations + after;
    return EIO;
  };
  await telling(
    life,
    () => chapter,
    async () => {
      await dies(life, () => life.plainWindow(Number.POSITIVE_INFINITY));
      const nothing = (): number => 0;
      await life.reborn('power cut, nothing kept', nothing, Number.POSITIVE_INFINITY);
      if (life.mode === 'direct') await life.readAll('after the power cut');
      await life.recover();
      await life.readAll('recovered');
      await life.addsUp();
    },
  );
}

const flushes = new Map<string, Promise<string[]>>();

/** The chapters of that life in which this drive is flushed, one for each flush. */
function flushesOf(level: number, path: string): Promise<string[]> {
  const key = `${level} ${path}`;
  const known = flushes.get(key);
  if (known) return known;
  const count = async (): Promise<string[]> => {
    const seen: string[] = [];
    const make = (): DirectedLife => {
      const life = new DirectedLife(level, level);
      life.world.at(path).intercept = ({ kind }) => {
        if (life.chapter !== '' && kind === 'flush') seen.push(life.chapter);
        return 0;
      };
      return life;
    };
    await lengthsOf(`flushes ${key}`, make, (life) => life.plainWindow(Number.POSITIVE_INFINITY));
    return seen;
  };
  const counted = count();
  flushes.set(key, counted);
  return counted;
}

const enumerate = (level: number): Enumeration => ({
  title: `L10 fsyncgate, RAID ${level}: a flush fails once and then succeeds, on a member and on a log leg`,
  cases: async () => {
    const paths = [...(level === 1 ? ['d0', 'd1'] : ['d0', 'd1', 'd2']), 'leg0', 'leg1'];
    const cases: Case[] = [];
    for (const path of paths) {
      const all = [...(await flushesOf(level, path)).entries()];
      for (const [[at, chapter], after] of pairs(all, cutAfter)) {
        const nth = at + 1;
        const hits = [['F-11 once', stateIn(chapter)]] as const;
        const name = `RAID ${level}, flush ${nth} of ${path}, power cut after ${after}`;
        cases.push({ name, hits, run: () => flushFails(level, path, nth, after) });
      }
    }
    return cases;
  },
});

export const flushError: readonly Enumeration[] = levels.map(enumerate);
