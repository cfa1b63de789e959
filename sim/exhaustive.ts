/**
 * Exhaustive small scope: every sequence of a few commands, and every crash state at every operation of its last command.
 * Most crash bugs that anybody ever found need no more than three operations and a small file system; the same holds for
 * volumes, and this finds them without luck.
 */

import { Coverage } from './coverage.ts';
import { Pools } from './pools.ts';
import { SeenStates } from './seen-states.ts';
import {
  type Alphabet,
  commandsFor,
  runSequence,
  type ScopeCommand,
  type SequenceResult,
  titleOf,
} from './small-scope.ts';

export interface ExhaustiveOptions {
  readonly level: number;
  readonly alphabet?: Alphabet;
  /** The longest sequence. */
  readonly commands: number;
  /** Ends soon after this long; Infinity: when all has been seen. */
  readonly seconds: number;
  /** Of the longest sequences only each `every`-th, from the `from`-th on. 1 and 0: all. */
  readonly every?: number;
  readonly from?: number;
  readonly coverage?: Coverage;
  readonly onFailure?: (failure: string) => void;
}

export interface ExhaustiveResult {
  /** Crash states of all moments, and those of them that were recovered and read: the others are the same again. */
  readonly listed: number;
  readonly states: number;
  readonly moments: number;
  readonly sequences: number;
  readonly failures: readonly string[];
  /** All was seen that was asked for. */
  readonly complete: boolean;
  readonly seconds: number;
}

/** No debug fill: it costs three passes over each buffer, and the random runs have it. */
const pools = new Pools(2 * 1024 * 1024, false);
const FAILURES_MAX = 20;
/** Mixtures by chance at each moment, with each alphabet. */
const MIXTURES = { usual: 2, whole: 8 } as const;

export async function exhaustive(options: ExhaustiveOptions): Promise<ExhaustiveResult> {
  const { level, alphabet = 'whole', commands, seconds, every = 1, from = 0 } = options;
  const mixtures = MIXTURES[alphabet];
  const coverage = options.coverage ?? new Coverage();
  const startMs = performance.now();
  const isOver = (): boolean => performance.now() - startMs > seconds * 1000;
  const all = commandsFor(level, alphabet);
  const failures: string[] = [];
  const seen = new SeenStates();
  let listed = 0;
  let states = 0;
  let moments = 0;
  let sequences = 0;
  let complete = true;
  let shorter: (readonly ScopeCommand[])[] = [[]];
  for (let length = 1; length <= commands && complete; length++) {
    const valid: (readonly ScopeCommand[])[] = [];
    const candidates = shorter.flatMap((begin) => all.map((next) => [...begin, next]));
    const share =
      length === commands ? candidates.filter((_, at) => (at + from) % every === 0) : candidates;
    for (const sequence of share) {
      const result = await runSequence(sequence, {
        level,
        pools,
        coverage,
        mixtures,
        isOver,
        seen,
      });
      listed += result.listed;
      states += result.states;
      moments += result.moments;
      if (result.verdict === 'void') continue;
      sequences++;
      if (result.failure !== null) {
        failures.push(result.failure);
        options.onFailure?.(result.failure);
        if (failures.length >= FAILURES_MAX) complete = false;
      } else valid.push(sequence);
      if (result.verdict === 'out of time') complete = false;
      if (!complete) break;
    }
    shorter = valid;
  }
  const took = (performance.now() - startMs) / 1000;
  return { listed, states, moments, sequences, failures, complete, seconds: took };
}

/** One sequence again, by its title, as a failure prints it. */
export async function again(
  level: number,
  title: string,
  seconds = Number.POSITIVE_INFINITY,
): Promise<SequenceResult> {
  const all = new Map(commandsFor(level).map((each) => [titleOf([each]), each]));
  const sequence = title.split(', ').map((word) => {
    const command = all.get(word);
    if (command === undefined) throw new Error(`${word} is none of ${[...all.keys()].join(', ')}`);
    return command;
  });
  const endMs = performance.now() + seconds * 1000;
  const isOver = (): boolean => performance.now() > endMs;
  return runSequence(sequence, {
    level,
    pools,
    coverage: new Coverage(),
    mixtures: MIXTURES.whole,
    isOver,
    seen: new SeenStates(),
  });
}
