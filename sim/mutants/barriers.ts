/** The ordered barriers of the design, beyond the twenty traps: one skipped or swapped in each mutant. */

import type { Mutant } from './mutant.ts';

export const barriers: readonly Mutant[] = [];
