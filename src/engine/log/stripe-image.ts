/** One piece of a stripe's after-image: what a range of a member is to hold. */

import type { Address, MemberOffset, Slot } from '../../base/units.ts';

export interface StripeImage {
  readonly slot: Slot;
  readonly memberOffset: MemberOffset;
  /** Borrowed until the answer. ZEROES: the piece becomes zeroes. */
  readonly address: Address;
  /** A multiple of 512. */
  readonly lengthBytes: number;
}

/** In place of an address: no buffer begins there. */
export const ZEROES = 0 as Address;
export const isZeroes = ({ address }: StripeImage): boolean => address === ZEROES;
