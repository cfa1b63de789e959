/**
 * What a drive that was out is worth when it is here again: all of what is not marked in the bitmap, that after a
 * comparison, or nothing.
 *
 *   left by itself, complete, no older image      what is not marked: a short resync
 *   a volume went on without it from a window     the same, after a comparison (late-return.ts): its task was at work on it,
 *                                                 and the bitmap says what it missed, not what was done to it
 *   compared once, and wrong                      nothing: a complete rebuild
 */

import type { StripeIndex } from '../base/units.ts';
import { isAsItLeft, wasComplete } from '../core/assembly-slots.ts';
import type { Superblock } from '../core/format/superblock.ts';
import type { VerifyMode } from '../core/status.ts';
import { isDoubted } from './member-state.ts';
import type { Member } from './members.ts';
import type { Recovery } from './recovery-map.ts';
import { recoveryFor } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/** What a former member, whose superblock is as found on it now, has to be brought up to date with. */
export function recoveryOf(
  v: VolumeCore,
  member: Member,
  superblock: Superblock,
  verify: VerifyMode,
): Recovery {
  const isShort = hasMissedWhatIsMarked(v, member, superblock);
  if (isShort && !isDoubted(member)) return recoveryFor(v, 'bitmap', 0 as StripeIndex);
  const recovery = recoveryFor(v, 'full', 0 as StripeIndex);
  if (isShort) recovery.toCompare = verify;
  return recovery;
}

/** One that was not complete when it was lost, or was wrong when it was compared, misses more than the bitmap says. */
export const hasMissedWhatIsMarked = (
  v: VolumeCore,
  { eventsAtChange, reasonCode }: Member,
  superblock: Superblock,
): boolean =>
  reasonCode !== 'verify-mismatch' &&
  wasComplete(superblock) &&
  superblock.events >= v.intent.eventsCleared &&
  isAsItLeft(superblock, eventsAtChange);

/**
 * The drive of a window was compared and is wrong. Whatever becomes of the window: should the volume go on without it, the
 * bitmap says what it missed, not what is wrong on it. On record before whoever brought it is told.
 */
export async function distrust(v: VolumeCore, member: Member): Promise<void> {
  member.reason = DISAGREES;
  member.reasonCode = 'verify-mismatch';
  await v.metadata.commit();
  await v.members.settled();
}

/** A volume goes on without it, from the freeze on. */
export function leaveBehind(member: Member, frozenEvents: number): void {
  const isWrong = member.reasonCode === 'verify-mismatch';
  member.reason = isWrong ? DISAGREES : 'did not come back in time';
  if (!isWrong) member.reasonCode = 'expired';
  member.eventsAtChange = frozenEvents;
}

const DISAGREES = 'it does not agree with the volume';
