/**
 * A drive that can also call back instead of making a promise. The deadline guard makes the one
 * promise that the engine sees; two more for each transfer would cost it a third of its speed.
 */

import type { Errno } from '../base/errno.ts';
import type { Address, DriveOffset } from '../base/units.ts';
import type { Drive, Part } from './drive.ts';

export type Settle = (errno: Errno) => void;

/** As `read`, `write`, `writeParts` and `flush` of `Drive`; `settle` is called exactly once. */
export interface DirectDrive extends Drive {
  readDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void;
  writeDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void;
  writePartsDirect(offset: DriveOffset, parts: readonly Part[], settle: Settle): void;
  flushDirect(settle: Settle): void;
}

export const isDirect = (drive: Drive): drive is DirectDrive => 'readDirect' in drive;

/** Where `keepSettle` leaves the function that settles the promise just made. */
let settleOfLast: Settle;
const keepSettle = (settle: Settle): void => {
  settleOfLast = settle;
};

/** Makes a promise without a closure of its own; take its `settle` from `lastSettle` at once. */
export const newPromise = (): Promise<Errno> => new Promise<Errno>(keepSettle);
export const lastSettle = (): Settle => settleOfLast;
