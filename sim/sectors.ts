/**
 * Sectors that say what they are: which sector of the volume, which write put it there, of which run, with a checksum. So
 * any sector that is read tells where it came from, and a stale, misplaced or mixed one cannot pass for a good one.
 *
 *   0  'LOC1'   4  lba   8  write   12  seed   16  words made of these, to 508   508  sum of all words
 *
 * Each word is the one before plus a step, and both are made of sector and write: filling and looking at sectors is a
 * good part of what a run costs, and a sum takes less time than a product.
 *
 * Write 0 stands for zeroes: what a new volume holds, and what trim and write-zeroes leave.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';

const WORDS = SECTOR_BYTES / 4;
const MAGIC = 0x4c4f4331;

export interface SectorIdentity {
  readonly lba: number;
  readonly write: number;
}

export function fillSector(
  words: Int32Array,
  at: number,
  lba: number,
  write: number,
  seed: number,
): void {
  words[at] = MAGIC;
  words[at + 1] = lba;
  words[at + 2] = write;
  words[at + 3] = seed;
  const step = stepOf(lba, write);
  let word = firstOf(lba, write);
  let sum = (MAGIC + lba + write + seed) | 0;
  for (let i = 4; i < WORDS - 1; i++) {
    word = (word + step) | 0;
    words[at + i] = word;
    sum = (sum + word) | 0;
  }
  words[at + WORDS - 1] = sum;
}

const firstOf = (lba: number, write: number): number =>
  Math.imul(write, 0x9e3779b1) ^ Math.imul(lba, 0x85ebca6b);

/** Odd, so that no word comes twice. */
const stepOf = (lba: number, write: number): number =>
  (Math.imul(write, 0x85ebca6b) + Math.imul(lba, 0xc2b2ae35)) | 1;

export type Seen =
  | { readonly kind: 'zeroes' }
  | { readonly kind: 'write'; readonly lba: number; readonly write: number; readonly seed: number }
  /** Not one sector that was ever written: torn, mixed, or never ours. */
  | { readonly kind: 'garbage' };

const ZEROES: Seen = { kind: 'zeroes' };
const GARBAGE: Seen = { kind: 'garbage' };

export function lookAt(words: Int32Array, at: number): Seen {
  if (isZeroes(words, at)) return ZEROES;
  const lba = words[at + 1] as number;
  const write = words[at + 2] as number;
  const seed = words[at + 3] as number;
  return isSector(words, at, lba, write, seed) ? { kind: 'write', lba, write, seed } : GARBAGE;
}

export function isZeroes(words: Int32Array, at: number): boolean {
  for (let i = at; i < at + WORDS; i++) if (words[i] !== 0) return false;
  return true;
}

/** Exactly what `fillSector` stores. */
export function isSector(
  words: Int32Array,
  at: number,
  lba: number,
  write: number,
  seed: number,
): boolean {
  if (words[at] !== MAGIC || words[at + 1] !== lba) return false;
  if (words[at + 2] !== write || words[at + 3] !== seed) return false;
  const step = stepOf(lba, write);
  let word = firstOf(lba, write);
  let sum = (MAGIC + lba + write + seed) | 0;
  for (let i = 4; i < WORDS - 1; i++) {
    word = (word + step) | 0;
    if (words[at + i] !== word) return false;
    sum = (sum + word) | 0;
  }
  return words[at + WORDS - 1] === sum;
}

export const wordsOf = (bytes: Uint8Array): Int32Array =>
  new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
