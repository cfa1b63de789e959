/**
 * Half-open ranges [from, to) of whatever unit the caller works in: the few operations that plans
 * need.
 */

import { assert } from '../base/assert.ts';

export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * What is left of [from, to), which is not empty, after taking away `covered`, which is sorted and
 * does not overlap. Ascending; no empty range among them.
 */
export function uncoveredIn(from: number, to: number, covered: readonly Range[]): Range[] {
  assert(from < to, 'ranges: nothing to take away from');
  const rest: Range[] = [];
  let at = from;
  for (const range of covered) {
    if (range.from > at) rest.push({ from: at, to: Math.min(range.from, to) });
    at = Math.max(at, range.to);
    if (at >= to) return rest;
  }
  rest.push({ from: at, to });
  return rest;
}

export function lengthOf(ranges: readonly Range[]): number {
  let length = 0;
  for (const range of ranges) length += range.to - range.from;
  return length;
}
