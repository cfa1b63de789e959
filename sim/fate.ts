/**
 * What a crash leaves of the writes that were not yet safe. For each of them (in flight, or answered and still in the
 * volatile cache of its drive) a fate says which of its sectors are on the medium afterwards.
 *
 *   killed      answered writes stay (the cache is the system's, and that lives on); those in flight: done or not
 *   power cut   answered and not flushed: kept, lost or torn at 512 bytes; in flight: the same
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import type { SimMedium } from './medium.ts';
import type { CrashFate } from './plan.ts';

export interface Unflushed {
  readonly sequence: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Is sector `sector` of the `write`-th unsafe write of this crash stored? Writes are counted over all drives, in order. */
export type Fate = (write: number, sector: number, sectors: number) => boolean;

export const nothingKept: Fate = () => false;
export const everythingKept: Fate = () => true;
/** Only this one, all of it; or (`torn`) its first half. */
export const onlyOne =
  (which: number, torn = false): Fate =>
  (write, sector, sectors) =>
    write === which && (!torn || sector < Math.ceil(sectors / 2));
/** All but this one. */
export const allBut =
  (which: number): Fate =>
  (write) =>
    write !== which;
/** Whatever chance leaves: whole, none, or some of the sectors, a third each. */
export function byChance(next: () => number): Fate {
  const third = new Map<number, number>();
  return (write) => {
    let kind = third.get(write);
    if (kind === undefined) {
      kind = Math.floor(next() * 3);
      third.set(write, kind);
    }
    return kind === 1 || (kind === 2 && next() < 0.5);
  };
}

/** What the word of a plan means. */
export function fateOf(word: CrashFate, next: () => number): Fate {
  if (word === 'nothing') return nothingKept;
  return word === 'everything' ? everythingKept : byChance(next);
}

/** The process is gone, and with `power` all that only a cache held; returns how many writes were unsafe. */
export function crash(media: Iterable<SimMedium>, power: boolean, fate: Fate): number {
  let write = 0;
  for (const medium of media) {
    const unsafe = medium.inFlightWrites();
    medium.abandon();
    if (power) {
      unsafe.unshift(...medium.unflushed);
      medium.dropCache();
    }
    for (const { offset, data } of unsafe) store(medium, power, offset, data, fate, write++);
  }
  return write;
}

function store(
  medium: SimMedium,
  power: boolean,
  offset: number,
  data: Uint8Array,
  fate: Fate,
  write: number,
): void {
  const sectors = data.length / SECTOR_BYTES;
  for (let sector = 0; sector < sectors; sector++) {
    if (!fate(write, sector, sectors)) continue;
    const at = sector * SECTOR_BYTES;
    const part = data.subarray(at, at + SECTOR_BYTES);
    // After a kill it is in the system's cache like every answered write, and a power cut may still lose it.
    if (power) medium.storeStable(offset + at, part);
    else medium.applyWrite(offset + at, part);
  }
}
