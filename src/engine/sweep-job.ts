/**
 * What every background job over a volume has in common: pace, the size of a step, the locks of its stripes and one buffer
 * for the range of one member that a step works on.
 *
 * A step locks its stripes, works, moves the cursor that reads and writes believe in, and unlocks. So a host request sees a
 * stripe either before or after, never in between.
 */

import type { Address, MemberOffset, StripeIndex } from '../base/units.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import { Recovery } from './recovery-map.ts';
import { type StepResult, Sweep, type SweepPlan } from './sweep.ts';
import type { VolumeCore } from './volume-core.ts';

export type Step = (
  first: StripeIndex,
  count: number,
  offset: MemberOffset,
  bytes: number,
  buffer: Address,
) => Promise<StepResult>;

/** The common part of every job: pace, size of a step, locks and one buffer for the range. */
export function sweepOver(
  v: VolumeCore,
  what: Pick<SweepPlan, 'kind' | 'slot' | 'fromStripe' | 'wanted' | 'checkpoint'>,
  locked: boolean,
  step: Step,
): Sweep {
  const g = v.geometry;
  const run = async (first: StripeIndex, count: number): Promise<StepResult> => {
    const last = (first + count - 1) as StripeIndex;
    if (locked) await v.locks.lockRange(first, last);
    const offset = g.memberOffset(first, 0);
    const bytes = g.memberOffset(last, 0) + g.columnsOf(last) - offset;
    const buffer = await v.environment.buffers.takeLater(bytes, 'stripe');
    try {
      if (buffer === 0) return { failed: 'no memory for a step' };
      // The write that held the lock may have halted the volume, and left stripes that do not add up, on no record.
      if (locked && v.halted) return { failed: 'the volume is halted' };
      return await step(first, count, offset, bytes, buffer);
    } finally {
      if (buffer !== 0) v.environment.buffers.give(buffer);
      if (locked) v.locks.unlockRange(first, last);
    }
  };
  return new Sweep(v.environment.clock, {
    ...what,
    stripeCount: g.stripeCount,
    stripesPerStep: Math.max(1, Math.floor(v.limits.sweepStepBytes / g.chunkBytes)),
    stripeBytes: g.chunkBytes,
    bytesPerSecond: v.limits.sweepBytesPerSecond,
    checkpointMs: v.limits.checkpointMs,
    step: run,
  });
}

/** What a member (or the volume) still has to be brought up to date with: all of it, or what is marked before `end`. */
export function recoveryFor(
  v: VolumeCore,
  kind: 'full' | 'bitmap',
  cursor: StripeIndex,
  end: number = v.geometry.stripeCount,
): Recovery {
  if (kind === 'full') return new Recovery(kind, cursor, null);
  const regionBytes = v.intent.bits.chunkBytes;
  const regions = new IntentBits(regionBytes, v.geometry.memberDataBytes);
  regions.merge(v.intent.bits);
  const { chunkBytes } = v.geometry;
  return new Recovery(kind, cursor, {
    marks: regions,
    ofStripe: (stripe) => ({
      first: v.intent.firstRegion(stripe),
      last: stripe < end ? v.intent.lastRegion(stripe) : -1,
    }),
    stripesIn: (first, length) => ({
      first: Math.floor((first * regionBytes) / chunkBytes),
      end: Math.min(Math.ceil(((first + length) * regionBytes) / chunkBytes), end),
    }),
  });
}
