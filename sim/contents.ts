/**
 * What the drives hold, as a short word that is the same for the same contents, whichever way they came there. A sum over
 * all sectors of a hash of place and contents: what a few sectors change is added and taken away, and only pages that
 * were written to are read again. Sixty-four bits in two lanes; a sector of zeroes counts nothing.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import type { SimMedium } from './medium.ts';
import { mix } from './streams.ts';

/** One pair of numbers for each of some sectors: what it adds to the word of the drives. */
export interface SectorSums {
  readonly a: Int32Array;
  readonly b: Int32Array;
}

const WORDS = SECTOR_BYTES / 4;
const PAGE_BYTES = 4096;
const PAGE_SECTORS = PAGE_BYTES / SECTOR_BYTES;

/** Of the sectors in `data`, which lie on the drive number `index` from `firstSector` on. */
export function sumsOf(index: number, firstSector: number, data: Uint8Array): SectorSums {
  const count = data.length / SECTOR_BYTES;
  const words = new Int32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const a = new Int32Array(count);
  const b = new Int32Array(count);
  for (let sector = 0; sector < count; sector++) {
    let first = 0x811c9dc5;
    let second = 0;
    let any = 0;
    const end = (sector + 1) * WORDS;
    for (let i = sector * WORDS; i < end; i++) {
      const word = words[i] as number;
      any |= word;
      first = Math.imul(first ^ word, 0x01000193);
      first ^= first >>> 15;
      second = Math.imul(second + word, 0x9e3779b1);
      second ^= second >>> 13;
    }
    if (any === 0) continue;
    a[sector] = mix(first, index, firstSector + sector);
    b[sector] = mix(second, index, firstSector + sector);
  }
  return { a, b };
}

/** The two lanes of one drive, or of many. */
export interface Lanes {
  a: number;
  b: number;
}

class SideSums {
  readonly lanes: Lanes = { a: 0, b: 0 };
  readonly #a: Int32Array;
  readonly #b: Int32Array;

  constructor(pages: number) {
    this.#a = new Int32Array(pages);
    this.#b = new Int32Array(pages);
  }

  read(index: number, page: number, bytes: Uint8Array): void {
    const from = page * PAGE_BYTES;
    const sums = sumsOf(index, page * PAGE_SECTORS, bytes.subarray(from, from + PAGE_BYTES));
    const a = sums.a.reduce((sum, each) => (sum + each) | 0, 0);
    const b = sums.b.reduce((sum, each) => (sum + each) | 0, 0);
    this.lanes.a = (this.lanes.a + a - (this.#a[page] as number)) | 0;
    this.lanes.b = (this.lanes.b + b - (this.#b[page] as number)) | 0;
    this.#a[page] = a;
    this.#b[page] = b;
  }
}

/** The contents of one drive: as they are read, and as they are after a power cut. It reads the pages that changed. */
class DriveContents {
  readonly #medium: SimMedium;
  readonly #bytes: SideSums;
  readonly #stable: SideSums;

  constructor(medium: SimMedium) {
    this.#medium = medium;
    const pages = medium.changedForContents.length;
    this.#bytes = new SideSums(pages);
    this.#stable = new SideSums(pages);
  }

  now(): { readonly bytes: Lanes; readonly stable: Lanes } {
    const { index, bytes, stable, changedForContents } = this.#medium;
    let page = changedForContents.indexOf(1);
    while (page >= 0) {
      changedForContents[page] = 0;
      this.#bytes.read(index, page, bytes);
      this.#stable.read(index, page, stable);
      page = changedForContents.indexOf(1, page + 1);
    }
    return { bytes: this.#bytes.lanes, stable: this.#stable.lanes };
  }
}

/** The contents of all drives of a machine. One for each machine: it takes note of which pages have changed. */
export class Contents {
  readonly #drives = new Map<SimMedium, DriveContents>();

  /** What nobody can read, of a drive that is gone, is no contents. */
  of(medium: SimMedium): { readonly bytes: Lanes; readonly stable: Lanes } {
    const known = this.#drives.get(medium) ?? new DriveContents(medium);
    this.#drives.set(medium, known);
    return known.now();
  }
}
