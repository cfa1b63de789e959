/**
 * The one place where the state of a member changes while its volume runs. core/machines/drive.ts says what follows from
 * an event; an event that cannot happen in a state is a bug and stops the process before it can do harm.
 */

import type { MemberReason } from '../core/format/label.ts';
import { type DriveEvent, nextDriveState } from '../core/machines/drive.ts';
import type { Member, Members } from './members.ts';
import type { WindowFacts } from './volume-core.ts';

/** A member that comes on-line has its drive open before this is called. */
export function setMemberState(members: Members, member: Member, event: DriveEvent): void {
  member.state = nextDriveState(member.state, event);
  if (member.state === 'online' || member.state === 'rebuilding') {
    member.reason = '';
    member.reasonCode = 'none';
  }
  members.refresh();
}

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
