/**
 * A member fails: what follows depends on the mode.
 *
 *   direct, replaying   the member misses writes from now on: it is on record as out on every other member before any of
 *                       those writes is acknowledged (rule 8). More gone than the level tolerates: halted, and nothing is
 *                       written, so that the members can be put together again.
 *   frozen              it misses nothing: it stays a member of the frozen generation and may come back as it is. Reads
 *                       that need it and the drive that is away wait. No rebuild, no thaw (rule 2).
 *
 * While a window is being opened (direct, window `freezing`) the drive that is about to leave still has everything: it
 * counts as there, the freeze is given up, and it comes back on-line. A drive that fails on its return is away again.
 */

import type { StripeIndex } from '../base/units.ts';
import type { MemberReason } from '../core/format/label.ts';
import { passedByAll } from './doubt.ts';
import { failureEvent, isDoubted, setMemberState } from './member-state.ts';
import { bit, bitCount, type Member } from './members.ts';
import { startRebuildOfSpare } from './rebuild.ts';
import type { Recovery } from './recovery-map.ts';
import { recoveryFor } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';
import { driveOf, tellWindow } from './window-state.ts';

export async function memberFailed(
  v: VolumeCore,
  member: Member,
  reason: string,
  code: MemberReason,
): Promise<void> {
  if (member.state === 'returning') {
    failedReturn(v, member, reason, code);
    return;
  }
  if (v.mode === 'frozen' && member.slot === v.window?.slot) {
    failedToFreeze(v, member, reason);
    return;
  }
  const drive = member.drive;
  const wasCounted = member.state === 'online' || member.state === 'away';
  if (member.slot < 0) {
    v.members.spares.splice(v.members.spares.indexOf(member), 1);
  } else if (v.mode !== 'frozen' && wasCounted && wouldLose(v, member)) {
    if (v.mode === 'replaying') tellWindow(v, 'redundancy-lost');
    else tellWindow(v, 'second-failed');
    halt(v, `drive ${member.path} failed (${reason}) and no redundancy is left`);
    return;
  }
  noteDoubt(v, member);
  member.reason = reason;
  if (member.state !== 'rebuilding' || !isDoubted(member)) member.reasonCode = code;
  member.eventsAtChange = v.metadata.events;
  member.changedWallMs = v.environment.clock.wallMs();
  member.recovery = null;
  member.drive = null;
  setMemberState(v.members, member, failureEvent(code));
  if (drive !== null) v.ownBeside(drive.close());
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
  if (v.mode !== 'frozen') v.metadata.newGeneration();
  else if (member.slot >= 0) secondFailure(v, member, reason);
  if (member.slot >= 0) tellWindow(v, 'second-failed');
  v.changed.raise();
  await v.metadata.commit();
  if (v.mode === 'direct') v.ownBeside(startRebuildOfSpare(v));
}

/** The drive that is on its way back is as absent as before, and the image is what it was. */
function failedReturn(v: VolumeCore, member: Member, reason: string, code: MemberReason): void {
  const drive = member.drive;
  member.drive = null;
  setMemberState(v.members, member, failureEvent(code));
  if (drive !== null) v.ownBeside(drive.close());
  v.emit('return-failed', 'critical', `Drive ${member.path} failed on its return: ${reason}`, {
    slot: member.slot,
    path: member.path,
    reason,
  });
  v.changed.raise();
}

/**
 * A start could not put the freeze on the drive of the window. It is no second failure, and no less away: its task may have
 * begun, and only its window takes it back, which asks it who it is, and compares.
 */
function failedToFreeze(v: VolumeCore, member: Member, reason: string): void {
  const { drive, slot, path } = member;
  member.drive = null;
  v.members.refresh();
  if (drive !== null) v.ownBeside(drive.close());
  const message = `Drive ${path} (slot ${slot}) is away, and failed at the start: ${reason}`;
  v.emit('drive-failed', 'critical', message, { slot, path, reason });
}

function wouldLose(v: VolumeCore, member: Member): boolean {
  const leaving = v.window?.state === 'freezing' ? bit(v.window.slot) : 0;
  return bitCount((v.members.absentMask & ~leaving) | bit(member.slot)) > v.tolerated;
}

function secondFailure(v: VolumeCore, member: Member, reason: string): void {
  const window = v.window;
  if (window === null) return;
  const at = new Date(v.environment.clock.wallMs()).toISOString();
  window.secondFailures.push({ slot: member.slot, path: member.path, at, reason });
  v.emit(
    'second-failure',
    'critical',
    `Drive ${member.path} failed while ${driveOf(window)} is away: nothing is lost, bring ${driveOf(window)} back`,
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

/**
 * Started by force, degraded, after an unclean stop that no log covers, or from copies or a log that may be `older` than
 * what is missing: never silently.
 */
export function startedInDoubt(v: VolumeCore, older: boolean): void {
  const absent = v.members.slots.find(({ state }) => state !== 'online');
  // Below the cursor of a rebuild every member has its part: what was cut short there is resynced, and loses nothing.
  const marked = recoveryFor(v, 'bitmap', older ? NOWHERE : passedByAll(v));
  const regions = regionsInDoubt(v, marked);
  if (absent === undefined || regions === 0) return;
  const path = absent.path || `of slot ${absent.slot}`;
  v.dataInDoubt = { path, regions, cause: older ? 'older' : 'forced' };
  v.emit(
    'data-in-doubt',
    'critical',
    `Volume ${v.name} was started by force without drive ${path}: data in ${regions} regions may be wrong`,
    { path, regions },
  );
}

/** Started again as it was left: a drive was lost before the resync, and it is on record where parity is in doubt. */
export function stillInDoubt(v: VolumeCore): void {
  const absent = v.members.slots.find(({ state }) => state !== 'online');
  if (v.resync === null || absent === undefined || v.geometry.level.parityChunks === 0) return;
  const path = absent.path || `of slot ${absent.slot}`;
  const regions = regionsInDoubt(v, v.resync);
  v.dataInDoubt = { path, regions, cause: 'lost' };
  v.emit(
    'data-in-doubt',
    'critical',
    `Drive ${path} failed before ${v.name} was in sync again: data in ${regions} regions may be wrong`,
    { path, regions },
  );
}

/**
 * Lost after an unclean stop and before the resync: the chunk of this member exists only through parity, and in regions
 * that were being written that parity may be old. Two faults, which one parity cannot cover; but never silently.
 */
function noteDoubt(v: VolumeCore, member: Member): void {
  if (v.resync === null || v.geometry.level.parityChunks === 0 || member.slot < 0) return;
  const regions = regionsInDoubt(v, v.resync);
  if (regions === 0) return;
  v.dataInDoubt = { path: member.path, regions, cause: 'lost' };
  v.emit(
    'data-in-doubt',
    'critical',
    `Drive ${member.path} failed before ${v.name} was in sync again: data in ${regions} regions may be wrong`,
    { path: member.path, regions },
  );
}

const NOWHERE = 0 as StripeIndex;

const regionsInDoubt = (v: VolumeCore, doubt: Recovery): number =>
  v.intent.regionsOf(doubt.left(v.geometry.stripeCount)).reduce((sum, one) => sum + one, 0);
