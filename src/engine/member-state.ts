/**
 * The one place where the state of a member changes while its volume runs. core/machines/drive.ts says what follows from
 * an event; an event that cannot happen in a state is a bug and stops the process before it can do harm.
 */

import { doubts } from '../core/assembly-slots.ts';
import type { MemberReason } from '../core/format/label.ts';
import { type DriveEvent, nextDriveState } from '../core/machines/drive.ts';
import type { Member, Members } from './members.ts';
import type { WindowFacts } from './volume-core.ts';

/** A member that comes on-line has its drive open before this is called. */
export function setMemberState(members: Members, member: Member, event: DriveEvent): void {
  member.state = nextDriveState(member.state, event);
  if (member.state === 'online' || member.state === 'rebuilding') {
    member.reason = '';
    if (member.state === 'online' || !isDoubted(member)) member.reasonCode = 'none';
  }
  members.refresh();
}

/**
 * What it holds besides what it missed is not known to be right: it left for a window and was not compared since, or was
 * and is wrong. On record until it is on-line again or was compared: in the middle of a rebuild the drive itself may know
 * nothing of that yet, and would look as if it had missed only what is marked.
 */
export const isDoubted = ({ reasonCode }: Member): boolean => doubts.has(reasonCode);

export function failureEvent(code: MemberReason): DriveEvent {
  switch (code) {
    case 'operator':
    case 'replaced':
      return 'failed-by-hand';
    case 'vanished':
      return 'vanished';
    default:
      return 'io-failed';
  }
}

/** Nothing that it misses has been written since it went: in a frozen volume it may come back as it is. */
export const isOfFrozenImage = (window: WindowFacts, member: Member): boolean =>
  member.path !== '' && member.eventsAtChange >= window.frozenEvents;
