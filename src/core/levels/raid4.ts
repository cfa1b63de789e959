/**
 * RAID 4: data chunk i on member i, parity on the last member (md level 4).
 *
 *     slot    0    1    2    3
 *   stripe 0  D0   D1   D2   P
 *   stripe 1  D3   D4   D5   P
 */

import type { Slot } from '../../base/units.ts';
import { type LevelDescriptor, NONE } from './descriptor.ts';
import { singleParity } from './parity.ts';

export const raid4: LevelDescriptor = {
  ...singleParity,
  number: 4,
  title: 'RAID 4',
  mdLevel: 4,
  mdLayout: 0,
  dataSlot: (_stripe, index) => index as Slot,
  paritySlot: (_stripe, members) => (members - 1) as Slot,
  indexOfSlot: (_stripe, slot, members) => (slot === members - 1 ? NONE : slot),
};
