/**
 * What an error of a member means: the drive is gone, or a sector is unreadable; and the repair of such a sector.
 *
 * One unreadable sector is no reason to lose a member: it is served from the others, written back, counted. Only
 * many within an hour are. A drive that does not answer, or says that it is not there, is failed at once.
 */

import { type Errno, ETIMEDOUT, isDriveGone, OK } from '../base/errno.ts';
import type { Address, MemberOffset } from '../base/units.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';

export function noteReadError(v: VolumeCore, member: Member, errno: Errno): void {
  if (member.state !== 'online' && member.state !== 'rebuilding') return;
  member.errors.read++;
  if (isDriveGone(errno)) {
    const why =
      errno === ETIMEDOUT ? 'did not answer within the deadline' : `is gone (errno ${errno})`;
    v.members.fail(member, why, errno === ETIMEDOUT ? 'timeout' : 'vanished');
    return;
  }
  const now = v.environment.clock.nowMs();
  const since = now - v.limits.errorWindowMs;
  // No more of them than decide anything: while none of them may fail the drive there is no end to them.
  const earlier = member.readErrorsAtMs.filter((at) => at >= since);
  member.readErrorsAtMs = [...earlier, now].slice(-(v.limits.readErrorsAllowed + 1));
  v.emit('read-error', 'warning', `Drive ${member.path} could not read a sector`, {
    slot: member.slot,
    path: member.path,
    errno,
    errorsInTheLastHour: member.readErrorsAtMs.length,
  });
  if (member.readErrorsAtMs.length <= v.limits.readErrorsAllowed) return;
  // A drive with many bad sectors still holds the rest: it is failed only while another copy of everything exists,
  // and never in a frozen volume, where its good sectors may be all there is, nor before parity can be believed.
  if (v.mode === 'direct' && v.resync === null && v.absentCount < v.tolerated) {
    v.members.fail(
      member,
      `${member.readErrorsAtMs.length} read errors within an hour`,
      'read-errors',
    );
  }
}

/** Of a drive that is looked at before it is taken back: none of its data is in use, so nothing is failed for it. */
export function noteReturnErrors(
  v: VolumeCore,
  member: Member,
  path: string,
  errors: number,
): void {
  member.errors.read += errors;
  const what = errors === 1 ? 'One read' : `${errors} reads`;
  const { slot } = member;
  const message = `${what} of superblock, bitmap or labels failed on drive ${path}, which is back; each is tried twice`;
  v.emit('read-error', 'warning', message, { slot, path, errors });
}

/** Writes back what could not be read. In a frozen volume nothing is written; the sector waits for the replay. */
export async function repairRange(
  v: VolumeCore,
  member: Member,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
): Promise<void> {
  if (v.members.frozen || member.drive === null) return;
  const errno = await v.members.writeData(member.slot, offset, address, lengthBytes);
  if (errno === OK) {
    v.emit(
      'sector-repaired',
      'info',
      `A sector of drive ${member.path} was rewritten from the other drives`,
      {
        slot: member.slot,
        offsetBytes: offset,
        lengthBytes,
      },
    );
  } else {
    v.members.fail(member, `a repair write failed (errno ${errno})`, 'write-error');
  }
}
