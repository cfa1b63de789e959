/**
 * The enumerating modes of the simulator as parts of the torture run: all short sequences of commands, with every crash
 * state of the last one; and each operation of a life going wrong. What a slice has no time for, another slice begins
 * elsewhere with.
 */

import { Coverage } from '../sim/coverage.ts';
import { exhaustive } from '../sim/exhaustive.ts';
import { failAt } from '../sim/fail-at.ts';
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

/** Of all N a slice takes each so many-th of every level, from another one on. */
const FAIL_AT_SHARES = 5;

async function runFailAt({ seconds, seed, say }: PartOptions): Promise<PartResult> {
  const coverage = new Coverage();
  const failures: string[] = [];
  const counts = {
    'lives in which operation N goes wrong': 0,
    'of them with more than the promises cover': 0,
    'levels of which a fifth of all N was taken': 0,
  };
  const endMs = performance.now() + seconds * 1000;
  for (let turn = 0; turn < LEVELS.length && performance.now() < endMs; turn++) {
    const level = LEVELS[(seed + turn) % LEVELS.length] as number;
    const result = await failAt({
      level,
      from: 1 + (seed % FAIL_AT_SHARES),
      to: Number.POSITIVE_INFINITY,
      every: FAIL_AT_SHARES,
      seconds: (endMs - performance.now()) / 1000,
      coverage,
      onFailure: (failure) => failures.push(`simulator, fail-at: ${failure}`),
    });
    counts['lives in which operation N goes wrong'] += result.lives;
    counts['of them with more than the promises cover'] += result.notCovered;
    if (result.complete) counts['levels of which a fifth of all N was taken']++;
    say(`level ${level}: ${result.lives} lives of ${result.operations} operations`);
  }
  const { hits } = coverage.asJson();
  return { part: 'fail-at', counts, coverage: hits, failures, notCovered: [] };
}

export const failAtPart: Part = { name: 'fail-at', weight: 0.5, run: runFailAt };
