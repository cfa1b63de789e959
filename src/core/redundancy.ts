/**
 * What the loss or the return of members means for the data: how many more may go, how much can be
 * read with too many gone, and which returns make everything readable again. Asked of the level
 * descriptor, so it holds for every level.
 */

import { assert } from '../base/assert.ts';
import type { LevelDescriptor } from './levels/descriptor.ts';
import { hasSlot, slotSetOf } from './slot-set.ts';
import type { DriveState } from './status.ts';

/** Is a member in this state up to date for all of the volume, and there? */
export const isPresent = (state: DriveState): boolean => state === 'online';
const isExpectedBack = (state: DriveState): boolean => state === 'away' || state === 'returning';

/**
 * How many more members may be lost with nothing acknowledged lost. `states` is by slot. While the
 * volume is `frozen` the drive that is away is still current, so it does not count as lost; what
 * needs it waits until it is back.
 */
export function canLose(
  level: LevelDescriptor,
  members: number,
  states: readonly DriveState[],
  frozen = false,
): number {
  assert(states.length === members, 'redundancy: one state a slot');
  const lost = states.filter(
    (state) => !isPresent(state) && !(frozen && isExpectedBack(state)),
  ).length;
  return Math.max(0, level.tolerates(members) - lost);
}

/** The share (0 … 1) of the volume that can be read from the members alone. */
export function readableShare(
  level: LevelDescriptor,
  members: number,
  absentSlots: readonly number[],
): number {
  if (absentSlots.length <= level.tolerates(members)) return 1;
  if (level.mirrored) return 0;
  const absent = slotSetOf(absentSlots);
  const dataChunks = level.dataChunks(members);
  let readable = 0;
  // The layout repeats after as many stripes as there are members.
  for (let stripe = 0; stripe < members; stripe += 1) {
    for (let index = 0; index < dataChunks; index += 1) {
      if (!hasSlot(absent, level.dataSlot(stripe, index, members))) readable += 1;
    }
  }
  return readable / (members * dataChunks);
}

/**
 * Which returns restore full access: sets of slots, ascending, any one set is enough, none holds
 * more than is needed. Empty when nothing is missing for it. In a window every absent member is of
 * the frozen generation, so none is preferred.
 */
export function restoredBy(
  level: LevelDescriptor,
  members: number,
  absentSlots: readonly number[],
): number[][] {
  const needed = absentSlots.length - level.tolerates(members);
  if (needed <= 0) return [];
  return combinations(
    [...absentSlots].sort((a, b) => a - b),
    needed,
  );
}

function combinations(slots: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  const sets: number[][] = [];
  for (let i = 0; i + size <= slots.length; i += 1) {
    for (const rest of combinations(slots.slice(i + 1), size - 1))
      sets.push([slots[i] as number, ...rest]);
  }
  return sets;
}

export interface Exposure {
  readonly canLose: number;
  /**
   * What the loss of one more member would mean: nothing, reads that wait for a return, or lost
   * data.
   */
  readonly nextFailure: 'harmless' | 'reads-wait' | 'data-lost';
  /** The share of the volume that could still be read right after it, at worst. */
  readonly readableAfter: number;
}

/**
 * `frozen`: a window is open, so no member changes and every absent one is still good when it comes
 * back.
 */
export function exposureOf(
  level: LevelDescriptor,
  states: readonly DriveState[],
  frozen: boolean,
): Exposure {
  const members = states.length;
  const absent = [...states.keys()].filter((slot) => !isPresent(states[slot] as DriveState));
  let readableAfter = 1;
  for (let slot = 0; slot < members; slot += 1) {
    if (absent.includes(slot)) continue;
    readableAfter = Math.min(readableAfter, readableShare(level, members, [...absent, slot]));
  }
  const remaining = canLose(level, members, states, frozen);
  if (canLose(level, members, states) > 0)
    return { canLose: remaining, nextFailure: 'harmless', readableAfter };
  return {
    canLose: remaining,
    nextFailure: remaining > 0 ? 'reads-wait' : 'data-lost',
    readableAfter,
  };
}
