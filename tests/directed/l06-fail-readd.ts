/** The seeds of L6: levels and numbers of members in turn. */

import type { Case, Enumeration } from './enumeration.ts';
import { runSeed } from './l06-machine.ts';

const COMMANDS = 30;
const SEEDS = 400;
const first = Number(process.env['LOCUM_SEED'] ?? 1);

const shapes = [
  [5, 4],
  [1, 3],
  [4, 3],
  [3, 4],
] as const;

export const failReadd: Enumeration = {
  title:
    'L6 mdadm fail-readd: fail, re-add, away, return and replace in any order, against a model',
  cases: async () => {
    const cases: Case[] = [];
    for (let seed = first; seed < first + SEEDS; seed++) {
      const [level, members] = shapes[seed % shapes.length] as (typeof shapes)[number];
      const name = `RAID ${level}, seed ${seed}`;
      cases.push({ name, hits: [], run: () => runSeed(level, members, seed, COMMANDS) });
    }
    return cases;
  },
};
