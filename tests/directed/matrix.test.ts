/** Every cell of the matrix, on every level. */

import { test } from 'node:test';
import { matrixCells, what } from './matrix-cells.ts';
import { matrixLevels } from './matrix-states.ts';

/** RAID 3 and 4 differ in their chunks only: the everyday run takes every other cell of each, and so all of them. */
const isTaken = (level: number, cellNumber: number): boolean =>
  process.env['LOCUM_EVERY'] !== undefined ||
  level === 1 ||
  level === 5 ||
  cellNumber % 2 === level % 2;

const all = matrixCells();
for (const level of matrixLevels) {
  const cells = all.filter((each) => each.level === level);
  for (const { state, fault, outcome, run } of cells.filter((_, number) => isTaken(level, number)))
    test(`matrix, RAID ${level}: ${state} × ${fault}: ${what[outcome]}`, run);
}
