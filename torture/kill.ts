/**
 * `kill -9` at random under verified load, with windows, failures, rebuilds and everything an operator may do going on,
 * on the built server and over its sockets; in the end a Linux kernel judges what was left on the members.
 *
 * A slice is a row of lives (kill-life.ts), each with a level, a shape and a kind of I/O of its own. Seeds decide what is
 * done; the instant of a kill is the machine's, so that a seed repeats the play and not the moment. That is why a life
 * that fails keeps its images.
 */

import { join } from 'node:path';
import { Stream } from '../sim/streams.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';
import { Bench } from './judge.ts';
import { Life } from './kill-life.ts';
import type { Io, Shape } from './kill-scene.ts';
import { Tally } from './tally.ts';

const MEBI = 2 ** 20;
const levels = [1, 3, 4, 5] as const;
/** A cycle takes one to three seconds; a life of this many meets most states. */
const cyclesOfLife = 10;

export const killPart: Part = { name: 'kill', weight: 4, run: killUnderLoad };

export function shapeFor(random: Stream, level: number, io: Io): Shape {
  const least = level === 1 ? 2 : 3;
  return {
    level,
    members: least + random.below(level === 1 ? 2 : 3),
    memberBytes: (4 + random.below(6)) * MEBI,
    chunkBytes: level >= 4 ? random.pick([4, 16, 64, 64]) * 1024 : null,
    // The small one is full within seconds.
    logBytes: random.pick([16, 64, 64, 64]) * MEBI,
    io,
  };
}

export interface KillLimits {
  readonly livesMax: number;
  readonly cyclesOfLife: number;
}

/** At most so many lives, none begun after the time is over; the levels in turn, the kinds of I/O alternating. */
export async function killUnderLoad(
  options: PartOptions,
  limits: KillLimits = { livesMax: Number.POSITIVE_INFINITY, cyclesOfLife },
): Promise<PartResult> {
  const tally = new Tally();
  const untilMs = performance.now() + options.seconds * 1000;
  const bench = new Bench(tally);
  const random = new Stream(options.seed, 'lives');
  const firstLevel = random.below(levels.length);
  for (let life = 0; life < limits.livesMax && performance.now() < untilMs; life++) {
    const level = levels[(firstLevel + life) % levels.length] as number;
    // Every level meets both kinds of I/O.
    const io: Io =
      (life + Math.floor(life / levels.length) + options.seed) % 2 === 0 ? 'uring' : 'node';
    const shape = shapeFor(random, level, io);
    const seed = random.u32();
    const folder = join(options.directory, `life${life}`);
    const end = await new Life({
      seed,
      shape,
      folder,
      cycles: limits.cyclesOfLife,
      untilMs,
      tally,
    }).run();
    tally.count('lives of a volume');
    const words = `RAID ${level} of ${shape.members}, ${io}`;
    options.say(
      `life ${life}, ${words}: ${end === null ? 'FAILED' : 'passed'}; ${tally.of('kill cycles')} kills so far`,
    );
    if (end === null) continue;
    await bench.add({ name: `${words}, seed ${seed}`, ...end, folder });
  }
  await bench.sentence();
  return tally.result('kill');
}
