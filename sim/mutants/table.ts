/** All mutants: the twenty traps in their order, then the barriers. */

import { barriers } from './barriers.ts';
import { orderBarriers } from './barriers-order.ts';
import { returnBarriers } from './barriers-return.ts';
import type { Mutant } from './mutant.ts';
import { dataTraps } from './traps-data.ts';
import { memberTraps } from './traps-members.ts';

const trapNumber = (mutant: Mutant): number => Number(mutant.trap.slice(1));

export const traps: readonly Mutant[] = [...memberTraps, ...dataTraps].sort(
  (a, b) => trapNumber(a) - trapNumber(b),
);

export const mutants: readonly Mutant[] = [
  ...traps,
  ...barriers,
  ...orderBarriers,
  ...returnBarriers,
];
