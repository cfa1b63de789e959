/** The parts of the torture run. A new one is one line here: what it exports, and nothing else is needed. */

import { directedPart } from './directed.ts';
import { drivesPart } from './drives.ts';
import type { Part } from './evidence.ts';
import { fuzzPart } from './fuzz.ts';
import { killPart } from './kill.ts';
import { mutantsPart } from './mutants.ts';
import { powerPart, prefixesPart } from './power.ts';
import { simulatorPart } from './simulator.ts';
import { exhaustivePart, failAtPart } from './simulator-modes.ts';
import { syscallsPart } from './syscalls.ts';

export const parts: readonly Part[] = [
  killPart,
  fuzzPart,
  mutantsPart,
  powerPart,
  prefixesPart,
  syscallsPart,
  drivesPart,
  directedPart,
  simulatorPart,
  exhaustivePart,
  failAtPart,
];
