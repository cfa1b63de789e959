/**
 * A member that was known to be gone and is here again at a start comes back by itself with a short resync, if the bitmap
 * says what it missed. One that would have to be rebuilt completely is left alone until somebody adds it.
 *
 * While a window is open, or its log is replayed, no drive takes a slot: the member waits, and is taken back when that is
 * over, unless a spare is there, which takes the slot then. Nothing of this is on record: the next start finds the drive
 * again.
 */

import type { AssembledSlot } from '../core/assembly-slots.ts';
import type { Drive } from '../io/drive.ts';
import { isTooSmall, openMemberDrive } from './identify.ts';
import { emptyStripeLog } from './in-place.ts';
import { type MemberMetadata, readMemberMetadata } from './member-metadata.ts';
import type { Member } from './members.ts';
import { startRebuild } from './rebuild.ts';
import { hasMissedWhatIsMarked, recoveryOf } from './trust.ts';
import type { VolumeCore } from './volume-core.ts';

export function noteReAdds(v: VolumeCore, slots: readonly AssembledSlot[]): void {
  for (const { slot, verdict, path } of slots)
    if (verdict === 'stale-by-bitmap' && path !== null) v.waitingBack.set(v.members.at(slot), path);
}

/** Called at the start, and at every tick for as long as somebody waits. */
export async function reAddWaiting(v: VolumeCore): Promise<void> {
  if (v.reAdding) return;
  v.reAdding = true;
  try {
    for (const [member, path] of v.waitingBack) {
      if (!isOut(v, member)) v.waitingBack.delete(member);
      else if (isFree(v)) await reAdd(v, member, path);
      else if (v.window !== null) member.reason = waitsBecause(v, member);
    }
  } finally {
    v.reAdding = false;
  }
}

const isFree = (v: VolumeCore): boolean => v.mode === 'direct' && v.window === null && !v.stopping;

/** A spare that is free for the slot takes it at the end of the window, before the member is asked. */
function waitsBecause({ members }: VolumeCore, { slot }: Member): string {
  const isFor = (spare: Member): boolean => (members.meantFor.get(spare) ?? slot) === slot;
  return members.spares.some(isFor)
    ? 'out of date; when the window is over a spare takes its place, or it comes back by itself'
    : 'out of date; it comes back by itself when the window is over';
}

const isOut = (v: VolumeCore, member: Member): boolean =>
  v.members.slots[member.slot] === member &&
  (member.state === 'failed' || member.state === 'missing');

async function reAdd(v: VolumeCore, member: Member, path: string): Promise<void> {
  const opened = await openMemberDrive(v, path);
  if (!opened.ok) {
    v.waitingBack.delete(member);
    return;
  }
  const drive = opened.value;
  const found = await readMemberMetadata(v.environment.buffers, drive);
  if (isFree(v)) await emptyStripeLog(v);
  // All of it took its time: a window may be open by now, and the member goes on waiting; or another drive is in the slot.
  if (!isFree(v)) return drive.close();
  v.waitingBack.delete(member);
  if (!isOut(v, member) || !takeBack(v, member, drive, found)) return drive.close();
  const { superblock } = member;
  if (superblock !== null)
    await startRebuild(v, member, recoveryOf(v, member, superblock, 'sample'));
}

/** False: it is not the drive that was seen at the start any more, or it has missed more than is marked. */
function takeBack(v: VolumeCore, member: Member, drive: Drive, found: MemberMetadata): boolean {
  const { superblock, layout } = found;
  if (superblock.kind !== 'superblock' || layout?.kind !== 'layout') return false;
  if (isTooSmall(v, drive, layout.value) !== null) return false;
  const { setUuid, memberUuid } = superblock.value;
  if (setUuid !== v.uuid || memberUuid !== member.uuid) return false;
  if (!hasMissedWhatIsMarked(v, member, superblock.value)) return false;
  member.drive = drive;
  member.path = drive.path;
  member.layout = layout.value;
  member.superblock = superblock.value;
  return true;
}
