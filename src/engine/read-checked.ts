/**
 * Lockstep levels (RAID 3): every read asks all members, and holds what they have against their parity. A drive that answers
 * with wrong data is noticed when that is read, not by the next scrub.
 *
 *   adds up          the data, from its member
 *   does not         said and counted; which member is wrong nobody can tell, and the caller takes what the data's own has
 *   cannot be read   the data's own member: the caller reads again, and mends it. Any other: mended here
 *
 * Only where all members are there and parity is trusted: an error here is not an answer, the caller goes the way of every
 * other level then (read.ts, 4 and 5). The stripe is locked meanwhile, so that data and parity are of one moment.
 */

import { EIO, ENOMEM, type Errno, isDriveGone, OK } from '../base/errno.ts';
import type { Address, MemberOffset, StripeIndex } from '../base/units.ts';
import { noteReadError, repairRange } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { consistent, reconstruct } from './reconstruct.ts';
import type { VolumeCore } from './volume-core.ts';

export interface Checked {
  readonly errno: Errno;
  /** What the member that holds the data answered to a read that nobody has noted yet. */
  readonly own: Errno;
}

export async function readChecked(
  v: VolumeCore,
  stripe: StripeIndex,
  index: number,
  column: number,
  address: Address,
  lengthBytes: number,
): Promise<Checked> {
  const { buffers } = v.environment;
  const g = v.geometry;
  const offset = g.memberOffset(stripe, column);
  const of = (errno: Errno, own: Errno = OK): Checked => ({ errno, own });
  // Lock first, buffer second, as everywhere: who holds a buffer never waits for a lock.
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  const scratch = await buffers.takeLater(lengthBytes, 'stripe');
  try {
    if (scratch === 0) return of(ENOMEM);
    // While lock and buffer were waited for a drive may have gone, and one that is still blank have its slot.
    if (v.members.absentMask !== 0 || v.mode !== 'direct' || !v.parityTrusted(stripe))
      return of(EIO);
    const own = v.members.at(g.dataSlot(stripe, index));
    const check = await consistent(v.sources, offset, scratch, lengthBytes, 0);
    if (check.errno !== OK) {
      // The member that holds the data is read again, and mended, by the caller; any other would go unnoticed.
      const { member } = check;
      const isOther = member !== null && member !== own;
      if (isOther) await mendOther(v, member, check.errno, offset, scratch, lengthBytes);
      return of(check.errno, member === own ? check.errno : OK);
    }
    if (!check.equal) {
      v.parityErrors++;
      v.emit('parity-mismatch', 'critical', `Stripe ${stripe} of ${v.name} does not add up`, {
        stripe,
      });
      return of(EIO);
    }
    const errno = await v.members.readFrom(own, offset, address, lengthBytes);
    return of(errno, errno);
  } finally {
    if (scratch !== 0) buffers.give(scratch);
    v.locks.unlock(stripe);
  }
}

/** A sector that was read only to check the others; the stripe is locked, and its parity is trusted. */
async function mendOther(
  v: VolumeCore,
  member: Member,
  errno: Errno,
  offset: MemberOffset,
  scratch: Address,
  lengthBytes: number,
): Promise<void> {
  const { slot } = member;
  noteReadError(v, member, errno);
  const isAlone = (v.members.absentMask & ~bit(slot)) === 0;
  if (isDriveGone(errno) || member.state !== 'online' || !isAlone) return;
  const made = await reconstruct(v.sources, slot, bit(slot), offset, scratch, lengthBytes);
  if (made.errno === OK) await repairRange(v, member, offset, scratch, lengthBytes);
}
