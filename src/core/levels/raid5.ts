/**
 * RAID 5, left-symmetric (md level 5, layout 2): parity moves one member to the left with each
 * stripe, and the data chunks start right behind it, wrapping round. Reading in order visits all
 * members in turn.
 *
 *     slot    0    1    2    3
 *   stripe 0  D0   D1   D2   P        p = (n−1) − (s mod n)
 *   stripe 1  D4   D5   P    D3       data chunk i on (p + 1 + i) mod n
 *   stripe 2  D8   P    D6   D7
 *   stripe 3  P    D9   D10  D11
 */

import type { Slot } from '../../base/units.ts';
import { type LevelDescriptor, NONE } from './descriptor.ts';
import { singleParity } from './parity.ts';

const parityOf = (stripe: number, members: number): number => members - 1 - (stripe % members);

export const raid5: LevelDescriptor = {
  ...singleParity,
  number: 5,
  title: 'RAID 5',
  mdLevel: 5,
  mdLayout: 2,
  dataSlot: (stripe, index, members) => {
    const slot = parityOf(stripe, members) + 1 + index;
    return (slot >= members ? slot - members : slot) as Slot;
  },
  paritySlot: (stripe, members) => parityOf(stripe, members) as Slot,
  indexOfSlot: (stripe, slot, members) => {
    const behind = slot - parityOf(stripe, members) - 1;
    if (behind === -1) return NONE;
    return behind < 0 ? behind + members : behind;
  },
};
