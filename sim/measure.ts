/**
 * `npm run sim -- --measure`: how fast the simulator is, in CPU seconds of this process, so that other work on the machine
 * counts little. Two figures: host operations of the swarm with all checkers, and crash states of the exhaustive mode.
 * The laps before the last only warm up the compiler, as the first seconds of any long run do.
 */

import { Coverage } from './coverage.ts';
import { exhaustive } from './exhaustive.ts';
import { generate } from './generate.ts';
import { runPlan } from './run.ts';

const LAPS = 8;
const SEEDS = 6;
/** What a run looks at by itself, at rest and after every operation, and no crash states between two events. */
const CHECKERS_ONLY = {
  eventsPerProbe: 0,
  probesAtRest: false,
  recoveryDeaths: 0,
  keepLines: 0,
} as const;

function cpuSecondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

export interface Speed {
  readonly hostOperationsPerSecond: number;
  readonly crashStatesPerSecond: number;
}

export async function measure(): Promise<Speed> {
  let hosts = 0;
  let states = 0;
  for (let lap = 0; lap < LAPS; lap++) {
    const coverage = new Coverage();
    const swarm = process.cpuUsage();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plan = generate(seed, { promise: 'covered', hostSteps: 400 });
      const result = await runPlan(plan, CHECKERS_ONLY);
      coverage.add(result.coverage);
    }
    const swarmSeconds = cpuSecondsSince(swarm);
    hosts = coverage.get('host operations') / swarmSeconds;
    const small = process.cpuUsage();
    const result = await exhaustive({
      level: 5,
      alphabet: 'usual',
      commands: 1,
      seconds: Number.POSITIVE_INFINITY,
    });
    states = result.states / cpuSecondsSince(small);
  }
  return {
    hostOperationsPerSecond: Math.round(hosts),
    crashStatesPerSecond: Math.round(states),
  };
}
