/**
 * Step 5 of a write (write.ts): in place. Intent bits first, then mirrors in one go or parity stripe by stripe, each
 * under the locks of its stripes.
 */

import { EIO, type Errno, OK } from '../base/errno.ts';
import type { Address, StripeIndex, VolumeOffset } from '../base/units.ts';
import { type DataPiece, writeStripe } from './stripe-write.ts';
import type { VolumeCore } from './volume-core.ts';

/** 5: in place. */
export async function writeMembers(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  const first = g.stripeOf(offset);
  const last = g.stripeOf((offset + lengthBytes - 1) as VolumeOffset);
  const marked = v.intent.mark(first, last);
  if (marked !== null) await marked;
  try {
    const errno = g.level.mirrored
      ? await writeMirrors(v, first, last, offset, address, lengthBytes)
      : await writeStripes(v, first, last, offset, address, lengthBytes);
    const settled = v.members.settled();
    if (settled !== null) await settled; // 6
    return v.halted ? EIO : errno;
  } finally {
    v.intent.release(first, last);
  }
}

/** Mirrors: every stripe of the range locked, then one write to each member. */
async function writeMirrors(
  v: VolumeCore,
  first: StripeIndex,
  last: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  if (first !== last) await v.locks.lockRange(first, last);
  else if (!v.locks.tryLock(first)) await v.locks.lock(first);
  try {
    const memberOffset = g.memberOffset(first, g.columnOf(offset));
    let written = 0;
    const writes: Promise<void>[] = [];
    for (let slot = 0; slot < g.members; slot++) {
      const member = v.members.at(slot);
      // A copy that is being rebuilt takes part everywhere (what it has not reached is redone), but counts for nothing.
      if (member.state !== 'online' && member.state !== 'rebuilding') continue;
      writes.push(
        v.members.writeData(slot, memberOffset, address, lengthBytes).then((errno) => {
          if (errno === OK) written += member.state === 'online' ? 1 : 0;
          else v.members.fail(member, `write failed (errno ${errno})`, 'write-error');
        }),
      );
    }
    await Promise.all(writes);
    return written > 0 ? OK : EIO;
  } finally {
    v.locks.unlockRange(first, last);
  }
}

/** Stripes of one request under way at a time: bounds the scratch buffers of a large write. */
const STRIPES_AT_ONCE = 16;

async function writeStripes(
  v: VolumeCore,
  first: StripeIndex,
  last: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  if (first === last) return writeOneStripe(v, first, offset, address, lengthBytes);
  let result: Errno = OK;
  for (let from: number = first; from <= last; from += STRIPES_AT_ONCE) {
    const group: Promise<Errno>[] = [];
    for (let stripe = from; stripe <= Math.min(last, from + STRIPES_AT_ONCE - 1); stripe++) {
      group.push(writeOneStripe(v, stripe as StripeIndex, offset, address, lengthBytes));
    }
    for (const errno of await Promise.all(group)) if (errno !== OK) result = errno;
  }
  return result;
}

async function writeOneStripe(
  v: VolumeCore,
  stripe: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const pieces: DataPiece[] = [];
  for (const { index, from, to, bufferOffset } of v.geometry.piecesOf(
    stripe,
    offset,
    lengthBytes,
  )) {
    pieces.push({ index, from, to, address: (address + bufferOffset) as Address });
  }
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    const head = pieces[0];
    const tail = pieces[1];
    // The tail of one chunk and the head of the next share no column: two narrow writes instead of a wide one.
    if (pieces.length === 2 && head && tail && tail.to < head.from) {
      const errno = await writeStripe(v, stripe, [head]);
      return errno === OK ? await writeStripe(v, stripe, [tail]) : errno;
    }
    return await writeStripe(v, stripe, pieces);
  } finally {
    v.locks.unlock(stripe);
  }
}
