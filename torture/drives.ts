/**
 * Single drives and legs that misbehave, one fault at a time in each state of a volume, on a real server: hung, failing on
 * demand, full, slow, zeroed while away, gone and back. Each drive is a file on a FUSE mount of its own with a drive in
 * this process behind it. The hosts write all the time; what they were promised is read back in the end.
 */

import { join } from 'node:path';
import { Stream } from '../sim/streams.ts';
import {
  type DriveCase,
  runFault,
  runFullLeg,
  runHungAtStart,
  runZeroedWhileAway,
} from './drives-case.ts';
import { driveFaults } from './drives-faults.ts';
import { noFuseBecause } from './drives-mount.ts';
import { type StageName, stageNames } from './drives-stage.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';
import { Bench } from './judge.ts';
import type { LifeEnd } from './kill-life.ts';
import { Tally } from './tally.ts';

const mebi = 2 ** 20;
const atOnce = 2;

export const drivesPart: Part = {
  name: 'drives',
  weight: 2,
  leastSeconds: 60,
  run: (options) => runDrives(options, Number.POSITIVE_INFINITY),
};

interface Plan {
  readonly name: string;
  readonly stage: StageName;
  readonly run: (it: DriveCase, folder: string, tally: Tally) => Promise<LifeEnd>;
}

/** Every fault in every state that it can meet. */
const plans: readonly Plan[] = [
  ...driveFaults.flatMap((fault) =>
    stageNames.map((stage) => ({
      name: fault.name,
      stage,
      run: (it: DriveCase, folder: string, tally: Tally) => runFault(fault, it, folder, tally),
    })),
  ),
  ...[true, false].map((isBlank) => ({
    name: isBlank ? 'O-6 blank after being away' : 'F-22 zeroed while away',
    stage: 'frozen' as const,
    run: (it: DriveCase, folder: string, tally: Tally) =>
      runZeroedWhileAway(isBlank, it, folder, tally),
  })),
  { name: 'F-10 hung at a start', stage: 'optimal', run: runHungAtStart },
  { name: 'F-13, R-1 leg on a full file system', stage: 'frozen', run: runFullLeg },
];

export async function runDrives(options: PartOptions, casesMax: number): Promise<PartResult> {
  const tally = new Tally();
  const reason = noFuseBecause();
  if (reason !== null) {
    tally.notCovered(`Drives that misbehave under a real server: ${reason}.`);
    return tally.result(drivesPart.name);
  }
  const until = performance.now() + options.seconds * 1000;
  const order = shuffled(options.seed);
  const bench = new Bench(tally);
  let number = 0;
  const work = async (): Promise<void> => {
    while (number < casesMax && performance.now() < until) {
      const plan = plans[order[number % plans.length]!]!;
      await onePlan(plan, number++, options, tally, bench);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  await bench.sentence();
  return tally.result(drivesPart.name);
}

function shuffled(seed: number): number[] {
  const random = new Stream(seed, 'order');
  const order = plans.map((_, index) => index);
  for (let index = order.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  // What nothing else shows comes first: looking at a path hangs.
  const first = plans.findIndex(({ run }) => run === runHungAtStart);
  return [first, ...order.filter((index) => index !== first)];
}

async function onePlan(
  plan: Plan,
  number: number,
  options: PartOptions,
  tally: Tally,
  bench: Bench,
): Promise<void> {
  const random = new Stream(options.seed, `case ${number}`);
  const level = random.pick([1, 3, 4, 5]);
  const it: DriveCase = {
    stage: plan.stage,
    seed: random.u32(),
    shape: {
      level,
      members: 3 + random.below(2),
      memberBytes: 6 * mebi,
      chunkBytes: level === 4 || level === 5 ? 16_384 : null,
      logBytes: 32 * mebi,
      io: random.pick(['uring', 'node'] as const),
    },
  };
  const { members, io } = it.shape;
  const what = `${plan.name}, ${plan.stage}: RAID ${level} of ${members}, --io ${io}`;
  const folder = join(options.directory, `drive${number}`);
  tally.count('drive faults');
  const startedMs = performance.now();
  try {
    const end = await plan.run(it, folder, tally);
    await bench.add({ name: `${what} (case ${number})`, ...end, folder });
    options.say(`${what}: passed (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
  } catch (error) {
    options.say(`${what}: FAILED`);
    const why = error instanceof Error ? error.message : String(error);
    tally.fail(`seed ${options.seed}, case ${number}: ${what}: ${why}`);
  }
}
