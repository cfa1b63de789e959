/**
 * The fuzzer in this process: rounds from a seed until enough messages were sent or the time is over; a round that fails is
 * made small and written to a file.
 */

import { join } from 'node:path';
import { writeEntry } from './fuzz-corpus.ts';
import type { Hit } from './fuzz-hits.ts';
import { planRound, type RoundPlan } from './fuzz-plan.ts';
import { RoundRunner } from './fuzz-round.ts';
import { shrinkRound } from './fuzz-shrink.ts';
import { hexDump } from './fuzz-wire.ts';

export interface InsideOptions {
  readonly seed: number;
  /** The first round; a run may go on where another one ended. */
  readonly firstRound?: number;
  readonly messages: number;
  readonly seconds: number;
  /** Where failing rounds go. */
  readonly directory: string;
  /** The run ends after so many failures: they are seldom of different kinds. */
  readonly failuresMax?: number;
}

export interface InsideResult {
  readonly messages: number;
  readonly rounds: number;
  readonly connections: number;
  readonly hits: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
}

const SHRINK = { runs: 3000, seconds: 60 };

export const keyOf = ([fault, state]: Hit): string => `${fault}\n${state}`;

export async function fuzzInside(options: InsideOptions): Promise<InsideResult> {
  const runner = new RoundRunner();
  const untilMs = performance.now() + options.seconds * 1000;
  const hits = new Map<string, number>();
  const failures: string[] = [];
  const first = options.firstRound ?? 0;
  let messages = 0;
  let connections = 0;
  let round = first;
  while (messages < options.messages && performance.now() < untilMs) {
    const plan = planRound(options.seed, round);
    const result = await runner.run(plan);
    messages += result.messages;
    connections += plan.connections.length;
    for (const hit of result.hits) hits.set(keyOf(hit), (hits.get(keyOf(hit)) ?? 0) + 1);
    if (result.failure !== null) {
      failures.push(await explain(options, round, result.failure));
      if (failures.length >= (options.failuresMax ?? 3)) break;
    }
    round += 1;
  }
  return { messages, rounds: round - first, connections, hits, failures };
}

async function explain(options: InsideOptions, round: number, failure: string): Promise<string> {
  const { seed, directory } = options;
  const runner = new RoundRunner();
  const fails = async (plan: RoundPlan): Promise<boolean> =>
    (await runner.run(plan)).failure !== null;
  const small = await shrinkRound(planRound(seed, round), fails, SHRINK);
  const { failure: last } = await new RoundRunner().run(small);
  const file = join(directory, `fuzz-${seed}-${round}.json`);
  writeEntry(file, { title: last ?? failure, plan: small });
  const dumps = small.connections.map(({ wire }) => hexDump(wire.subarray(0, 512))).join('\n\n');
  return `seed ${seed} round ${round}: ${failure}\nmade smaller (${file}): ${last}\n${dumps}`;
}
