/**
 * L10: PostgreSQL's fsyncgate. A flush fails once and the next one succeeds, while the kernel has given up on what the
 * first could not write. A system that tries again believes in data that a power cut takes. Each flush of a window's life
 * fails so in turn, on each member and each leg; then the power is cut, soon or late, and nothing unflushed is kept.
 */

import { EIO } from '../../src/base/errno.ts';
import { dies } from '../unit/engine/life.ts';
import { DirectedLife, lengthsOf, levels, telling } from './directed-life.ts';
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

const flushes = new Map<string, Promise<number>>();

/** How often this drive is flushed in that life. */
function flushesOf(level: number, path: string): Promise<number> {
  const key = `${level} ${path}`;
  const known = flushes.get(key);
  if (known) return known;
  const count = async (): Promise<number> => {
    let seen = 0;
    const make = (): DirectedLife => {
      const life = new DirectedLife(level, level);
      life.world.at(path).intercept = ({ kind }) => {
        if (life.chapter !== '' && kind === 'flush') seen++;
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
  state: 'optimal, freezing, frozen, replaying',
  fault: 'F-11 flush error, C-2 power loss',
  cases: async () => {
    const paths = [...(level === 1 ? ['d0', 'd1'] : ['d0', 'd1', 'd2']), 'leg0', 'leg1'];
    const cases: Case[] = [];
    for (const path of paths) {
      const count = await flushesOf(level, path);
      const all = Array.from({ length: count }, (_, i) => i + 1);
      for (const [nth, after] of pairs(all, cutAfter)) {
        const name = `RAID ${level}, flush ${nth} of ${path}, power cut after ${after}`;
        cases.push({ name, run: () => flushFails(level, path, nth, after) });
      }
    }
    return cases;
  },
});

export const flushError: readonly Enumeration[] = levels.map(enumerate);
