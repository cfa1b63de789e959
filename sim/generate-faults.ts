/** What may befall a volume at one step of a plan: the faults of drives, and ends of the process. Drawn for generate.ts. */

import { EIO } from '../src/base/errno.ts';
import type { DriveFault } from './faults.ts';
import type { Action, Config, Return } from './plan.ts';
import { asRole } from './roles.ts';
import type { Stream } from './streams.ts';

const MIB = 1024 * 1024;

export function crashAction(draw: Stream): Action {
  const afterOperations = draw.below(draw.pick([2, 20, 200]));
  const downUs = draw.below(3_000_000);
  if (draw.chance(0.5)) return { do: 'kill', afterOperations, downUs };
  const fate = draw.pick(['nothing', 'everything', 'chance', 'chance'] as const);
  return { do: 'power-cut', afterOperations, downUs, fate };
}

export function faultAction(draw: Stream, config: Config): Action {
  // Legs are numbered after the members, on the shelf that both come from.
  const leg = draw.chance(0.3);
  const index = draw.below(leg ? config.legs : config.members);
  const path = leg ? `leg${config.members + index}` : `d${index}`;
  switch (
    draw.pick([
      'fault',
      'fault',
      'fault',
      'vanish',
      'reappear',
      'reappear',
      'hang',
      'mend',
      'slow',
      'read-only',
      'snapshot',
      'rot',
    ] as const)
  ) {
    case 'vanish':
      return { do: 'vanish', path };
    case 'reappear':
      // Which one it is depends on what is gone by then.
      return { do: 'reappear', path: asRole('gone', index), as: draw.pick(returns) };
    case 'hang':
      return { do: 'hang', path };
    case 'mend':
      return { do: 'mend', path };
    case 'slow':
      return { do: 'slow', path, factor: draw.pick([10, 1000]) };
    case 'read-only':
      return { do: 'read-only', path };
    case 'snapshot':
      return { do: 'snapshot', path };
    case 'rot':
      return {
        do: 'rot',
        path,
        offset: draw.below((leg ? config.legBytes : config.memberBytes) / 512) * 512,
        lengthBytes: draw.pick([1, 512, 4096]),
        harm: 'silent',
      };
    case 'fault':
      return { do: 'fault', path, ...driveFault(draw, leg, config) };
  }
}

/** Each kind, and the plain one more often. */
export const returns: readonly Return[] = [
  'same',
  'same',
  'same',
  'snapshot',
  'snapshot',
  'blank',
  'cloned',
  'smaller',
  'larger',
];

type Struck = Pick<Extract<Action, { do: 'fault' }>, 'fault' | 'harm'>;

function driveFault(draw: Stream, leg: boolean, config: Config): Struck {
  const where = leg ? 'leg' : 'member';
  const skip = draw.below(draw.pick([1, 10, 40]));
  const count = 1;
  const errno = EIO;
  const bytes = leg ? config.legBytes : config.memberBytes;
  const from = leg ? 0 : MIB;
  const offset = from + draw.below((bytes - from) / 4096) * 4096;
  const fault = (title: string, rest: Omit<DriveFault, 'title'>): DriveFault => ({
    title: `${title}, ${where}`,
    ...rest,
  });
  switch (draw.below(12)) {
    case 0:
      return {
        harm: 'member',
        fault: fault('F-1 EIO on write, once', {
          effect: 'error',
          kinds: ['write'],
          errno,
          skip,
          count,
        }),
      };
    case 1:
      return {
        harm: 'member',
        fault: fault('F-1 EIO on write, always', {
          effect: 'error',
          kinds: ['write', 'punch'],
          errno,
          skip,
        }),
      };
    case 2:
      return {
        harm: 'sector',
        fault: fault('F-2 EIO on read, once', {
          effect: 'error',
          kinds: ['read'],
          errno,
          skip,
          count,
        }),
      };
    case 3:
      return {
        harm: 'member',
        fault: fault('F-2 EIO on read, always', { effect: 'error', kinds: ['read'], errno, skip }),
      };
    case 4:
    case 5:
      return {
        harm: 'sector',
        fault: fault('F-3 latent sector error', {
          effect: 'latent',
          kinds: ['read'],
          errno,
          offset,
          lengthBytes: draw.pick([512, 4096]),
        }),
      };
    case 6:
      return {
        harm: 'member',
        fault: fault('F-4 torn write with an error', {
          effect: 'torn',
          kinds: ['write'],
          errno,
          skip,
          count,
        }),
      };
    case 7:
      return {
        harm: 'silent',
        fault: fault('F-5 lost write', { effect: 'lost', kinds: ['write'], skip, count }),
      };
    case 8:
      return {
        harm: 'silent',
        fault: fault('F-6 misdirected write', {
          effect: 'misdirected',
          kinds: ['write'],
          skip,
          count,
          shiftBytes: -512,
        }),
      };
    case 9:
      return {
        harm: 'silent',
        fault: fault('F-7 misdirected read', {
          effect: 'misdirected',
          kinds: ['read'],
          skip,
          count,
          shiftBytes: -512,
        }),
      };
    case 10:
      return {
        harm: 'member',
        fault: fault('F-11 flush fails, once', {
          effect: 'error',
          kinds: ['flush'],
          errno,
          skip,
          count,
        }),
      };
    default:
      return {
        harm: 'silent',
        fault: fault('F-12 flush lies', { effect: 'lost', kinds: ['flush'], skip }),
      };
  }
}
