/**
 * `npm run sim -- --measure`: how fast the simulator is, in CPU seconds of this process, so that other work on the machine
 * counts little. Two figures: host operations of the swarm with all checkers, and crash states of the exhaustive mode.
 * Every lap has seeds of its own; the first ones only warm up the compiler and are not counted: in a long run it is at
 * work for the first minute, and takes a tenth of that time.
 */

import { Coverage } from './coverage.ts';
import { exhaustive } from './exhaustive.ts';
import { generate } from './generate.ts';
import { runPlan } from './run.ts';

const WARM_LAPS = 80;
/** Seeds differ by a factor of ten in what an operation costs: with starts and rebuilds, or with many clients. */
const LAPS = WARM_LAPS + 40;
const SEEDS_A_LAP = 6;
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

class Rate {
  #count = 0;
  #seconds = 0;

  add(count: number, seconds: number): void {
    this.#count += count;
    this.#seconds += seconds;
  }

  get perSecond(): number {
    return Math.round(this.#count / this.#seconds);
  }
}

export interface Speed {
  readonly hostOperationsPerSecond: number;
  readonly crashStatesPerSecond: number;
}

export async function measure(): Promise<Speed> {
  const hosts = new Rate();
  const states = new Rate();
  for (let lap = 0; lap < LAPS; lap++) {
    const coverage = new Coverage();
    const swarm = process.cpuUsage();
    for (let seed = 1; seed <= SEEDS_A_LAP; seed++) {
      // The plans of the first measurements: a story costs starts and rebuilds, and figures would not compare.
      const taste = { promise: 'covered', hostSteps: 400, acts: false } as const;
      const plan = generate(lap * SEEDS_A_LAP + seed, taste);
      const result = await runPlan(plan, CHECKERS_ONLY);
      coverage.add(result.coverage);
    }
    const swarmSeconds = cpuSecondsSince(swarm);
    const small = process.cpuUsage();
    const result = await exhaustive({
      level: 5,
      alphabet: 'usual',
      commands: 1,
      seconds: Number.POSITIVE_INFINITY,
    });
    if (lap < WARM_LAPS) continue;
    hosts.add(coverage.get('host operations'), swarmSeconds);
    states.add(result.states, cpuSecondsSince(small));
  }
  return {
    hostOperationsPerSecond: hosts.perSecond,
    crashStatesPerSecond: states.perSecond,
  };
}
