/**
 * Parity in doubt, over restarts. A volume that loses a drive before the resync after an unclean stop has no drive to end it
 * with: what was to be resynced stays in doubt, and what could be made only from it is an error. The intent bitmap cannot
 * say where, since by and by it has all that the absent drive misses; so the labels do (`LabelDoubt`).
 *
 *   lost before the resync    the labels say where; with them the volume is started as often as it likes
 *   started by force          parity is believed as it is, and an alarm says what may be wrong; but for stripes that a
 *                             rebuild had passed: every member has its part of those, and they are resynced
 *   written whole by a host   in doubt no more (Recovery.writtenAnew)
 *   the drive is back         rebuilt but for those; what is left then is resynced
 *
 * Without a log of stripes such a volume is not started but by force (core/assembly.ts).
 */

import type { StripeIndex } from '../base/units.ts';
import type { AssemblyDecision } from '../core/assembly.ts';
import { LABEL_DOUBTS_MAX, type LabelDoubt } from '../core/format/label.ts';
import { type Marks, Recovery, type StripeRun } from './recovery-map.ts';
import { recoveryFor } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/** For a label that is made now. */
export function doubtOf(v: VolumeCore): LabelDoubt[] {
  if (v.resync === null || !v.degraded || v.geometry.level.mirrored) return [];
  return fewer(v.resync.left(v.geometry.stripeCount), LABEL_DOUBTS_MAX).map(({ first, end }) => ({
    firstStripe: first,
    stripes: end - first,
  }));
}

/** The narrowest gaps are closed until there are no more than that: rather too much in doubt than too little. */
function fewer(runs: readonly StripeRun[], most: number): StripeRun[] {
  if (runs.length <= most) return [...runs];
  const gaps = runs.slice(1).map(({ first }, i) => first - (runs[i] as StripeRun).end);
  const kept = new Set(
    gaps
      .map((_, i) => i)
      .sort((a, b) => (gaps[b] as number) - (gaps[a] as number))
      .slice(0, most - 1),
  );
  const merged: StripeRun[] = [];
  for (const [i, run] of runs.entries()) {
    const last = merged.at(-1);
    if (last === undefined || kept.has(i - 1)) merged.push(run);
    else merged.splice(-1, 1, { first: last.first, end: run.end });
  }
  return merged;
}

/** What a start goes on with; null where nothing is in doubt, or parity is to be believed. */
export function doubtFound({ geometry }: VolumeCore, decision: AssemblyDecision): Recovery | null {
  const doubt = decision.label?.doubt ?? [];
  if (doubt.length === 0 || decision.stripeLog !== 'kept' || decision.inDoubt) return null;
  const runs = doubt.map(({ firstStripe, stripes }) => ({
    first: firstStripe,
    end: Math.min(firstStripe + stripes, geometry.stripeCount),
  }));
  const marks: Marks = {
    get: (stripe) => runs.some(({ first, end }) => first <= stripe && stripe < end),
    forEachRun: (visit) => {
      for (const { first, end } of runs) visit(first, end - first);
    },
  };
  return new Recovery('bitmap', 0 as StripeIndex, {
    marks,
    ofStripe: (stripe) => ({ first: stripe, last: stripe }),
    stripesIn: (first, length) => ({ first, end: first + length }),
  });
}

/**
 * A start by force: what a crash left half-written where no member is missing is not made whole by any rebuild. null: there
 * is no such place.
 */
export function doubtBelow(v: VolumeCore): Recovery | null {
  const end = passedByAll(v);
  return end === 0 ? null : recoveryFor(v, 'bitmap', 0 as StripeIndex, end);
}

/** Stripes before this one are in use on every member. */
export const passedByAll = ({ members, geometry }: VolumeCore): StripeIndex => {
  const passed = members.slots.map(({ state, recovery }) =>
    state === 'online' ? geometry.stripeCount : (recovery?.saved ?? 0),
  );
  return Math.min(...passed) as StripeIndex;
};
