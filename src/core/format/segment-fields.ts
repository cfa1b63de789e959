/**
 * 64-bit fields and comparisons for the hot formats of the log (segments, checkpoint blocks),
 * without the table walk of base/layout.ts: a window writes tens of thousands of headers a second.
 */

import { assert } from '../../base/assert.ts';

const TWO_32 = 2 ** 32;

export function putU64(view: DataView, at: number, value: number): void {
  assert(
    Number.isSafeInteger(value) && value >= 0,
    'a 64-bit field holds an integer from 0 to 2^53',
  );
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** NaN for what Locum cannot have written; no validity condition accepts it. */
export function getU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high < 2 ** 21 ? high * TWO_32 + view.getUint32(at, true) : Number.NaN;
}

export function sameBytes(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
