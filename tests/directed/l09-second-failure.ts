/**
 * L9: what arrays document about firmware updates: "a second drive failure during the update is a volume failure". Here
 * every drive fails at every drive operation of the window, from the freeze to the end of the replay, in every way.
 */

import { EIO } from '../../src/base/errno.ts';
import type { MemoryMedium } from '../../src/io/memory-drive.ts';
import { DirectedLife, lengthsOf, levels, stateAt, telling } from './directed-life.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';

const ways: readonly [string, string, (medium: MemoryMedium) => void][] = [
  ['is pulled out', 'F-14 pulled out', (medium) => medium.vanish()],
  ['takes no writes', 'F-1 sticky', (medium) => medium.failWrites({ errno: EIO })],
  ['answers nothing but errors', 'F-1 everything', (medium) => void (medium.intercept = () => EIO)],
  ['hangs', 'F-10 hangs', (medium) => medium.hang()],
];

async function failAt(
  level: number,
  path: string,
  befall: (medium: MemoryMedium) => void,
  point: number,
): Promise<void> {
  const life = new DirectedLife(level, level);
  const medium = life.world.at(path);
  let chapter = '';
  life.mishap = {
    at: point,
    act: () => {
      chapter = life.chapter;
      befall(medium);
    },
  };
  await telling(
    life,
    () => chapter,
    async () => {
      await life.plainWindow(Number.POSITIVE_INFINITY);
      // One that failed at the very end is noticed by what comes next.
      await life.writes(1);
      await life.flush();
      if (life.mode === 'direct') await life.readAll('the drive is out');
      // The drive that is away has failed for good, and comes back repaired; any other one is replaced by a new one.
      if (path === 'd1') {
        medium.release();
        medium.reappear();
        medium.clearFaults();
        medium.intercept = null;
      }
      await life.recover();
      await life.readAll('recovered');
      await life.addsUp();
    },
  );
}

const enumerate = (level: number): Enumeration => ({
  title: `L9 E-Series, RAID ${level}: a second drive fails during a firmware update, each drive at every drive operation`,
  cases: async () => {
    const lengths = await lengthsOf(
      `window ${level}`,
      () => new DirectedLife(level, level),
      (life) => life.plainWindow(Number.POSITIVE_INFINITY),
    );
    const drives = level === 1 ? ['d0', 'd1'] : ['d0', 'd1', 'd2'];
    const cases: Case[] = [];
    for (let point = lengths.chapters.get('freeze') ?? 1; point <= lengths.operations; point++) {
      for (const [path, [what, fault, befall]] of pairs(drives, ways)) {
        const name = `RAID ${level}, ${path} ${what} at ${point}`;
        cases.push({
          name,
          hits: [[fault, stateAt(lengths, point)]],
          run: () => failAt(level, path, befall, point),
        });
      }
    }
    return cases;
  },
});

export const secondFailure: readonly Enumeration[] = levels.map(enumerate);
