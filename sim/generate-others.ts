/**
 * Stories of a drive that is back as no volume may take it (other-drives.ts): it was used by another server meanwhile, or
 * its blocks are of another size. Somebody brings it all the same, or a start finds it; and it may be back once more, right.
 */

import type { Part, Told } from './generate-acts.ts';
import type { Config } from './plan.ts';
import { asRole } from './roles.ts';
import type { Stream } from './streams.ts';

/** So long that the volume has noticed, and has gone on without it. */
const NOTICED_US = 3_000_000;

export function otherDrive(draw: Stream, config: Config): readonly Part[] {
  const slot = draw.below(config.members);
  const inWindow = draw.chance(0.5);
  const as = draw.pick(['blocks', 'elsewhere', 'elsewhere'] as const);
  const gone = asRole('gone', 0);
  const leaves: Part[] = inWindow
    ? [
        { after: 0, step: openFor(draw, slot) },
        { after: soon(draw), step: { do: 'vanish', path: asRole('away', 0) }, waitUs: NOTICED_US },
      ]
    : [{ after: 0, step: { do: 'vanish', path: asRole('member', slot) } }];
  const isBack: Part = {
    after: soon(draw),
    step: { do: 'reappear', path: gone, as },
    waitUs: NOTICED_US,
  };
  const met = brought(draw, config, inWindow);
  const again: Part[] = draw.chance(0.5)
    ? [
        {
          after: soon(draw),
          step: { do: 'vanish', path: asRole(inWindow ? 'away' : 'former', 0) },
        },
        { after: soon(draw), step: { do: 'reappear', path: gone, as: 'same' } },
        brought(draw, config, inWindow),
      ]
    : [];
  return [...leaves, isBack, met, ...again];
}

const soon = (draw: Stream): number => draw.below(draw.pick([2, 8]));

function openFor(draw: Stream, slot: number): Told {
  return {
    do: 'open-window',
    slot,
    purpose: draw.pick(['firmware', 'reset'] as const),
    maxMs: 3_600_000,
    onDoubleAbsence: draw.pick(['wait', 'error'] as const),
    waitMs: draw.pick([500, 10_000]),
  };
}

/** Somebody wants it back, or a start finds it. */
function brought(draw: Stream, config: Config, inWindow: boolean): Part {
  const after = soon(draw);
  const path = asRole('former', 0);
  const what = draw.pick(['asked', 'asked', 'restart', 'kill'] as const);
  if (what === 'restart') return { after, step: { do: 'restart' } };
  if (what === 'kill') return { after, step: { do: 'kill', afterOperations: 0, downUs: 1_000 } };
  if (!inWindow) {
    const slot = draw.below(config.members);
    const step: Told = draw.chance(0.7)
      ? { do: 'add-back', path }
      : { do: 'replace', slot, with: path };
    return { after, step };
  }
  const verify = draw.pick(['recent', 'full'] as const);
  return { after, step: { do: 'close-window', verify, rebuild: draw.chance(0.2) } };
}
