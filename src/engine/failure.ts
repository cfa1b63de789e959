/**
 * A member fails: what follows depends on the mode.
 *
 *   direct, replaying   the member misses writes from now on: it is on record as out on every other member before any of
 *                       those writes is acknowledged (rule 8). More gone than the level tolerates: halted, and nothing is
 *                       written, so that the members can be put together again.
 *   frozen              it misses nothing: it stays a member of the frozen generation and may come back as it is. Reads
 *                       that need it and the drive that is away wait. No rebuild, no thaw (rule 2).
 */

import type { MemberReason } from '../core/format/label.ts';
import { startRebuildOfSpare } from './jobs.ts';
import { bit, bitCount, type Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';

export async function memberFailed(
  v: VolumeCore,
  member: Member,
  reason: string,
  code: MemberReason,
): Promise<void> {
  const drive = member.drive;
  const wasCounted = member.state === 'online';
  if (member.slot < 0) {
    v.members.spares.splice(v.members.spares.indexOf(member), 1);
  } else if (v.mode !== 'frozen' && wasCounted && wouldLose(v, member)) {
    halt(v, `drive ${member.path} failed (${reason}) and no redundancy is left`);
    return;
  }
  member.state = 'failed';
  member.reason = reason;
  member.reasonCode = code;
  member.eventsAtChange = v.metadata.events;
  member.changedWallMs = v.environment.clock.wallMs();
  member.recovery = null;
  member.drive = null;
  v.members.refresh();
  if (drive !== null) v.own(drive.close());
  v.emit(
    'drive-failed',
    'critical',
    `Drive ${member.path} (slot ${member.slot}) failed: ${reason}`,
    {
      slot: member.slot,
      path: member.path,
      reason,
    },
  );
  if (v.mode === 'frozen') secondFailure(v, member, reason);
  else v.metadata.newGeneration();
  v.changed.raise();
  await v.metadata.commit();
  if (v.mode === 'direct') v.own(startRebuildOfSpare(v));
}

function wouldLose(v: VolumeCore, member: Member): boolean {
  return bitCount(v.members.absentMask | bit(member.slot)) > v.tolerated;
}

function secondFailure(v: VolumeCore, member: Member, reason: string): void {
  const window = v.window;
  if (window === null) return;
  const at = new Date(v.environment.clock.wallMs()).toISOString();
  window.secondFailures.push({ slot: member.slot, path: member.path, at, reason });
  window.recall = true;
  v.emit(
    'second-failure',
    'critical',
    `Drive ${member.path} failed while ${window.path} is away: nothing is lost, bring ${window.path} back`,
    { slot: member.slot, path: member.path, away: window.path, window: window.id },
  );
}

/** Host I/O is refused from here on. Members are left as they are: they can be assembled again. */
export function halt(v: VolumeCore, reason: string): void {
  if (v.mode === 'halted') return;
  v.mode = 'halted';
  v.haltReason = reason;
  v.emit('volume-halted', 'critical', `Volume ${v.name} is halted: ${reason}`, { reason });
  v.changed.raise();
}
