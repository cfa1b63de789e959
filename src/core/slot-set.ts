/**
 * A set of slots of one volume, as a bit mask: "which members are absent" is asked for every stripe
 * of every request, so it has to be one comparison and no object. Bit s is slot s; 31 members fit
 * into a number that V8 keeps unboxed.
 */

import { assert } from '../base/assert.ts';

declare const slotSet: unique symbol;
export type SlotSet = number & { readonly [slotSet]: true };

/** The most members any level takes: bit 31 would be the sign. */
export const SLOT_COUNT_MAX = 31;

export const NO_SLOTS = 0 as SlotSet;

export const hasSlot = (set: SlotSet, slot: number): boolean => ((set >>> slot) & 1) === 1;
export const withSlot = (set: SlotSet, slot: number): SlotSet => (set | (1 << slot)) as SlotSet;

export function slotCountOf(set: SlotSet): number {
  let count = 0;
  for (let rest: number = set; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

export function slotSetOf(slots: Iterable<number>): SlotSet {
  let set = NO_SLOTS;
  for (const slot of slots) {
    assert(slot >= 0 && slot < SLOT_COUNT_MAX, 'slot-set: slot out of range');
    set = withSlot(set, slot);
  }
  return set;
}
