/**
 * The enumerating mode of the simulator as a part of the torture run: all short sequences of commands, with every crash
 * state of the last one. What a slice has no time for, another slice begins elsewhere with.
 */

import { Coverage } from '../sim/coverage.ts';
import { exhaustive } from '../sim/exhaustive.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';

const LEVELS = [5, 1, 4, 3];
const COMMANDS = 4;
/** Of the longest sequences each slice looks at another share of this many. */
const SHARES = 997;

async function run({ seconds, seed, say }: PartOptions): Promise<PartResult> {
  const coverage = new Coverage();
  const failures: string[] = [];
  const counts = { 'crash states': 0, 'crash moments': 0, 'command sequences': 0 };
  // One level a slice, so that a short one gets beyond the first command.
  const level = LEVELS[seed % LEVELS.length] as number;
  const result = await exhaustive({
    level,
    commands: COMMANDS,
    seconds,
    every: SHARES,
    from: seed,
    coverage,
    onFailure: (failure) => failures.push(`simulator, exhaustive: ${failure}`),
  });
  counts['crash states'] += result.states;
  counts['crash moments'] += result.moments;
  counts['command sequences'] += result.sequences;
  say(`level ${level}: ${result.states} crash states of ${result.sequences} sequences`);
  const { hits } = coverage.asJson();
  return { part: 'exhaustive', counts, coverage: hits, failures, notCovered: [] };
}

export const exhaustivePart: Part = { name: 'exhaustive', weight: 3, run };
