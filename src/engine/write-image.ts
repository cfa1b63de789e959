/**
 * One image to its member: when a crash left it half-written, or where a drive cannot punch. Zeroes are written, not
 * punched: not every drive can.
 */

import { type Errno, OK } from '../base/errno.ts';
import { BLOCK_BYTES, type MemberOffset } from '../base/units.ts';
import { isZeroes, type StripeImage } from './log/stripe-image.ts';
import type { VolumeCore } from './volume-core.ts';

const ZERO_BYTES = 16 * BLOCK_BYTES;

/** The caller fails the member if it does not take it. */
export async function writeImage(v: VolumeCore, image: StripeImage): Promise<Errno> {
  const { slot, memberOffset, address, lengthBytes } = image;
  if (!isZeroes(image)) return v.members.writeData(slot, memberOffset, address, lengthBytes);
  const { buffers } = v.environment;
  const zeroes = await buffers.takeLater(ZERO_BYTES, 'engine');
  buffers.slice(zeroes, ZERO_BYTES).fill(0);
  let errno: Errno = OK;
  for (let at = 0; at < lengthBytes && errno === OK; at += ZERO_BYTES) {
    const bytes = Math.min(ZERO_BYTES, lengthBytes - at);
    errno = await v.members.writeData(slot, (memberOffset + at) as MemberOffset, zeroes, bytes);
  }
  buffers.give(zeroes);
  return errno;
}
