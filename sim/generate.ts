/**
 * From a seed to a plan. Every seed draws its own configuration and its own taste for each kind of trouble (a swarm), so
 * that most runs know only some kinds and those many times over.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { Acts } from './generate-acts.ts';
import { crashAction, faultAction } from './generate-faults.ts';
import { type Action, type Config, type Plan, type Step, smallLog } from './plan.ts';
import { Stream } from './streams.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface Taste {
  readonly promise: 'covered' | 'beyond';
  /** Moments at which hosts ask for something, one or several requests at once; operators and faults come on top. */
  readonly hostSteps: number;
  /** Also stories of several steps (generate-acts.ts), such as a drive that goes and is back. */
  readonly acts: boolean;
}

export function generate(seed: number, taste: Partial<Taste> = {}): Plan {
  const config = taste.acts === false ? configFrom(seed) : variedConfig(configFrom(seed), seed);
  const draw = new Stream(seed, 'plan');
  const promise = taste.promise ?? (draw.chance(0.2) ? 'beyond' : 'covered');
  const hostSteps = taste.hostSteps ?? 60 + draw.below(340);
  const isLong = config.memberBytes > LONG_MIRROR_FROM;
  const mood = { ...moodFrom(new Stream(seed, 'mood')), hotFrom: isLong ? SECOND_TURN_LBA : 0 };
  const acts = taste.acts === false ? null : new Acts(seed, config);
  const steps: Step[] = [];
  for (let i = 0; i < hostSteps; i++) {
    if (acts !== null) steps.push(...acts.at(i));
    steps.push({ waitUs: waitOf(draw, mood), ...hostAction(draw, mood) });
    for (let others = draw.below(mood.atOnce); others > 0; others--)
      steps.push({ waitUs: 0, ...hostAction(draw, mood) });
    if (draw.chance(mood.operator)) steps.push({ waitUs: 0, ...operatorAction(draw, config) });
    if (draw.chance(mood.faults)) steps.push({ waitUs: 0, ...faultAction(draw, config) });
    if (draw.chance(mood.crashes)) steps.push({ waitUs: 0, ...crashAction(draw) });
    if (draw.chance(mood.pauses))
      steps.push({ waitUs: draw.below(20_000_000), do: 'read', lba: 0, sectors: 1 });
    if (draw.chance(0.01)) steps.push({ waitUs: 0, do: 'check' });
  }
  return { seed, promise, config, steps };
}

function configFrom(seed: number): Config {
  const draw = new Stream(seed, 'config');
  const level = draw.pick([1, 3, 4, 5, 5]);
  const least = level === 1 ? 2 : 3;
  const chunkBytes = level === 4 || level === 5 ? draw.pick([4, 8, 16, 32]) * KIB : null;
  return {
    level,
    members: least + draw.pick([0, 0, 1, 2, 3]),
    chunkBytes,
    memberBytes: MIB + draw.pick([64, 64, 128, 192]) * KIB,
    legs: draw.chance(0.9) ? 2 : 1,
    legBytes: 16 * MIB,
    blockBytes: draw.chance(0.8) ? 512 : 4096,
    latency: draw.pick(['none', 'constant', 'uniform', 'uniform', 'heavy'] as const),
    latencyUs: draw.pick([50, 500, 5_000]),
    limits: {
      sweepBytesPerSecond: 0,
      sweepStepBytes: draw.pick([4, 16, 64]) * KIB,
      replayZoneBytes: draw.pick([8, 32, 256]) * KIB,
      replayStripesAtOnce: draw.pick([1, 4, 16]),
      ...(draw.chance(0.7) ? smallLog : {}),
    },
  };
}

/** What makes volumes stay longer in states that are usually over at once. */
function variedConfig(config: Config, seed: number): Config {
  const draw = new Stream(seed, 'variation');
  const sweepBytesPerSecond = draw.pick([0, 0, 64, 256, 1024]) * KIB;
  const limits = {
    ...config.limits,
    sweepBytesPerSecond,
    ...(draw.chance(0.15) ? { logDirect: 0 } : {}),
  };
  // Long enough that reads of its end take turns with another copy.
  const isLong = config.level === 1 && new Stream(seed, 'length').chance(0.3);
  const memberBytes = config.memberBytes + (isLong ? SECOND_TURN_LBA * SECTOR_BYTES : 0);
  return { ...config, memberBytes, limits };
}

/** Where the first 16 stripes of a mirror end (`copyFor`). */
const SECOND_TURN_LBA = (16 * 64 * KIB) / SECTOR_BYTES;
const LONG_MIRROR_FROM = 2 * MIB;

interface Mood {
  readonly operator: number;
  readonly faults: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly burst: number;
  readonly writes: number;
  readonly flushes: number;
  readonly fua: number;
  readonly zeroes: number;
  /** Requests of one moment are fewer than this many more. */
  readonly atOnce: number;
  /** Most requests lie in this many sectors from there on, so that they meet. */
  readonly hotSectors: number;
  readonly hotFrom: number;
  readonly maxSectors: number;
}

const moodFrom = (draw: Stream): Omit<Mood, 'hotFrom'> => ({
  operator: draw.pick([0.02, 0.05, 0.1]),
  faults: draw.pick([0, 0.01, 0.03, 0.06]),
  crashes: draw.pick([0, 0.01, 0.03, 0.05]),
  pauses: draw.pick([0, 0.01, 0.03]),
  burst: draw.pick([0.2, 0.6, 0.9]),
  writes: draw.pick([0.4, 0.7]),
  flushes: draw.pick([0.02, 0.1]),
  fua: draw.pick([0, 0.1, 0.3]),
  zeroes: draw.pick([0, 0.05, 0.2]),
  atOnce: draw.pick([1, 4, 16]),
  hotSectors: draw.pick([16, 64, 100_000]),
  maxSectors: draw.pick([1, 8, 24, 96]),
});

function waitOf(draw: Stream, mood: Mood): number {
  return draw.chance(mood.burst) ? draw.below(200) : draw.below(40_000);
}

function hostAction(draw: Stream, mood: Mood): Action {
  const roll = draw.next();
  if (roll < mood.flushes) return { do: 'flush' };
  const lba = draw.chance(0.8) ? mood.hotFrom + draw.below(mood.hotSectors) : draw.below(100_000);
  const sectors = 1 + draw.below(mood.maxSectors);
  const fua = draw.chance(mood.fua);
  if (roll < mood.flushes + mood.zeroes)
    return { do: draw.chance(0.5) ? 'zero' : 'trim', lba, sectors, fua };
  if (draw.chance(mood.writes)) return { do: 'write', lba, sectors, fua };
  return { do: 'read', lba, sectors };
}

function operatorAction(draw: Stream, config: Config): Action {
  const slot = draw.below(config.members);
  switch (draw.pick(operatorWords)) {
    case 'open-window':
      return {
        do: 'open-window',
        slot,
        purpose: draw.pick(['firmware', 'diagnostics', 'replacement', 'reset'] as const),
        maxMs: draw.pick([2_000, 30_000, 3_600_000]),
        onDoubleAbsence: draw.pick(['wait', 'error'] as const),
        waitMs: draw.pick([500, 10_000]),
      };
    case 'close-window':
      return {
        do: 'close-window',
        verify: draw.pick(['recent', 'sample', 'full'] as const),
        rebuild: draw.chance(0.1),
      };
    case 'abort-window':
      return { do: 'abort-window' };
    case 'extend-window':
      return { do: 'extend-window', byMs: 10_000 };
    case 'fail':
      return { do: 'fail', slot };
    case 'remove':
      return { do: 'remove', slot };
    case 'replace':
      return { do: 'replace', slot };
    case 'add-spare':
      return { do: 'add-spare' };
    case 'add-back':
      return { do: 'add-back', path: `d${slot}` };
    case 'replace-leg':
      return { do: 'replace-leg', leg: draw.below(config.legs) };
    case 'scrub':
      return { do: 'scrub', repair: draw.chance(0.5) };
    case 'check-log':
      return { do: 'check-log' };
    case 'restart':
      return { do: 'restart' };
    case 'check':
      return { do: 'check' };
  }
}

const operatorWords = [
  'open-window',
  'open-window',
  'open-window',
  'open-window',
  'close-window',
  'close-window',
  'close-window',
  'abort-window',
  'extend-window',
  'fail',
  'remove',
  'replace',
  'replace',
  'add-spare',
  'add-back',
  'replace-leg',
  'scrub',
  'check-log',
  'restart',
  'check',
] as const;
