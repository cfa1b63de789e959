/**
 * Rebuild: a member's content made from the others, completely or where the intent bitmap says that it missed writes; by
 * a spare, a replacement, a former member, or a blank drive in a window.
 */

import { type Errno, isDriveGone, OK } from '../base/errno.ts';
import type { Address, MemberOffset, StripeIndex } from '../base/units.ts';
import { emptyStripeLog } from './in-place.ts';
import { judge, startComparing } from './late-return.ts';
import { noteReadError } from './member-errors.ts';
import { setMemberState } from './member-state.ts';
import { bit, type Member } from './members.ts';
import { reconstruct } from './reconstruct.ts';
import type { Recovery } from './recovery-map.ts';
import { startResync } from './resync.ts';
import type { StepResult, Sweep } from './sweep.ts';
import { recoveryFor, sweepOver } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/** A free slot and a spare: the spare takes the slot and is rebuilt. Nothing happens in a window. */
export async function startRebuildOfSpare(v: VolumeCore): Promise<void> {
  const wanted = (): boolean =>
    v.mode === 'direct' &&
    v.window === null &&
    !v.stopping &&
    v.rebuildJob?.running !== true &&
    !v.assembling &&
    v.members.spares.length > 0 &&
    v.members.slots.some(({ state }) => state === 'failed' || state === 'missing');
  if (!wanted()) return;
  await emptyStripeLog(v);
  if (!wanted()) return;
  const { spares, meantFor } = v.members;
  const free = v.members.slots.filter(
    (member) => member.state === 'failed' || member.state === 'missing',
  );
  // A replacement waits for the slot it was named for, and takes no other.
  const takes = (spare: Member): Member | undefined => {
    const slot = meantFor.get(spare);
    return slot === undefined ? free[0] : free.find((member) => member.slot === slot);
  };
  const ready = spares.filter((one) => takes(one) !== undefined);
  const spare = ready.find((one) => meantFor.has(one)) ?? ready[0];
  const failed = spare && takes(spare);
  if (failed === undefined || spare === undefined) return;
  spares.splice(spares.indexOf(spare), 1);
  meantFor.delete(spare);
  spare.slot = failed.slot;
  v.members.slots[failed.slot] = spare;
  await startRebuild(v, spare, recoveryFor(v, 'full', 0 as StripeIndex));
}

/** The member's slot is its own, its drive open and its metadata in place; from here on it counts stripe by stripe. */
export async function startRebuild(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
): Promise<void> {
  v.metadata.renumber(member);
  member.recovery = recovery;
  member.eventsAtChange = v.metadata.events;
  setMemberState(
    v.members,
    member,
    member.state === 'spare' ? 'taken-from-spares' : 'rebuild-started',
  );
  await v.intent.writeAll();
  // The others first: they know that it is back before it looks as if it had gone on without them.
  await v.metadata.commit(member);
  const what = recovery.toCompare === null ? 'Rebuilding' : 'Comparing, then rebuilding,';
  v.emit('rebuild-started', 'info', `${what} drive ${member.path} (slot ${member.slot})`, {
    slot: member.slot,
    path: member.path,
    kind: recovery.kind,
  });
  resumeRebuild(v, member);
}

/** One at a time: the others wait for their turn. */
export function resumeRebuild(v: VolumeCore, member: Member): void {
  const recovery = member.recovery;
  if (recovery === null || recovery.isRunning || v.stopping) return;
  recovery.isWaiting = v.rebuildJob?.running === true;
  if (recovery.isWaiting) return;
  recovery.isRunning = true;
  if (recovery.toCompare !== null) {
    const comparison = startComparing(v, member, recovery.toCompare);
    v.rebuildJob = comparison;
    v.ownBeside(afterComparison(v, member, recovery, comparison));
    return;
  }
  const job = sweepOver(
    v,
    {
      kind: 'rebuild',
      slot: member.slot,
      fromStripe: recovery.cursor,
      wanted: (stripe) => recovery.marked(stripe),
      checkpoint: async (cursor) => {
        // Flushed first: a label that is ahead of the data would make a power cut a loss.
        if (!(await flushRebuilt(v, member))) return;
        recovery.saved = recovery.completeTo(cursor);
        await v.metadata.commit();
      },
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      let result = isInDoubt(v, member, first, count)
        ? UNREADABLE
        : await rebuildRange(v, member, offset, bytes, buffer);
      if (result === UNREADABLE)
        result = await rebuildEach(v, member, recovery, first, count, buffer);
      if (result !== 'done') return result;
      recovery.cursor = (first + count) as StripeIndex;
      recovery.stopped = '';
      return result;
    },
  );
  v.rebuildJob = job;
  v.ownBeside(finishRebuild(v, member, recovery, job));
}

/** Its rebuild goes on at once, short or complete; or it is compared anew once that may be. */
async function afterComparison(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
  job: Sweep,
): Promise<void> {
  const compared = await judge(v, member, recovery, job);
  recovery.isRunning = false;
  if (member.recovery !== null) member.recovery.isRunning = false;
  if (compared === 'later') recovery.isWaiting = true;
  else if (compared !== 'gone' && mayRebuild(v)) resumeRebuild(v, member);
  nextInLine(v, member);
}

function nextInLine(v: VolumeCore, besides: Member | null): void {
  const next = v.members.slots.find(
    (one) => one !== besides && one.recovery?.isWaiting === true && !one.recovery.isRunning,
  );
  if (next !== undefined && mayRebuild(v)) resumeRebuild(v, next);
}

/** A flush that fails is final: the next one would succeed, and say nothing of what was lost. */
async function flushRebuilt(v: VolumeCore, member: Member): Promise<boolean> {
  const { drive } = member;
  if (drive === null) return false;
  const errno = await drive.flush();
  if (member.drive !== drive) return false;
  if (errno === OK) return true;
  v.members.fail(member, `flush failed while it was rebuilt (errno ${errno})`, 'flush-error');
  return false;
}

/** A sector of another member cannot be read; that member is there. Or parity is in doubt. */
const UNREADABLE = { failed: 'a sector of another drive cannot be read' } as const;

const BELIEVED_BY_FORCE =
  'since parity is in doubt after an unclean stop; a start of the volume by force believes it';

/** Parity that a resync has not reached, or had to leave out, makes nothing: only itself can be made, from the data. */
function isInDoubt(v: VolumeCore, member: Member, first: StripeIndex, count: number): boolean {
  if (v.resync === null || v.geometry.level.mirrored) return false;
  for (let index: number = first; index < first + count; index++) {
    const stripe = index as StripeIndex;
    if (!v.parityTrusted(stripe) && v.geometry.paritySlot(stripe) !== member.slot) return true;
  }
  return false;
}

/** Stripe by stripe, around those that cannot be made. */
async function rebuildEach(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
  first: StripeIndex,
  count: number,
  buffer: Address,
): Promise<StepResult> {
  for (let stripe: number = first; stripe < first + count; stripe++) {
    const one = stripe as StripeIndex;
    const offset = v.geometry.memberOffset(one, 0);
    const result = isInDoubt(v, member, one, 1)
      ? UNREADABLE
      : await rebuildRange(v, member, offset, v.geometry.columnsOf(one), buffer);
    if (result === 'done') continue;
    if (result !== UNREADABLE) return result;
    const most = v.limits.unmadeStripesMax;
    if (recovery.unmade.size >= most) {
      const what = `more than ${most} stripes cannot be made from the other drives`;
      return { failed: isInDoubt(v, member, one, 1) ? `${what}, ${BELIEVED_BY_FORCE}` : what };
    }
    recovery.unmade.add(one);
  }
  return 'done';
}

async function rebuildRange(
  v: VolumeCore,
  member: Member,
  offset: MemberOffset,
  bytes: number,
  buffer: Address,
  permit = false,
): Promise<StepResult> {
  if (member.drive === null) return { failed: `drive ${member.path} is gone` };
  const unusable = v.members.absentMask | bit(member.slot);
  const made = await reconstruct(v.sources, member.slot, unusable, offset, buffer, bytes);
  if (made.errno !== OK) {
    const other = made.member;
    if (other === null) return { failed: 'too few drives' };
    noteReadError(v, other, made.errno);
    if (other.state === 'online' && !isDriveGone(made.errno)) return UNREADABLE;
    return { failed: `drive ${other.path} cannot be read` };
  }
  const errno: Errno = await v.members.writeData(member.slot, offset, buffer, bytes, permit);
  if (errno === OK) return 'done';
  v.members.fail(member, `write failed while it was rebuilt (errno ${errno})`, 'rebuild-failed');
  return { failed: `drive ${member.path} cannot be written` };
}

async function finishRebuild(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
  job: Sweep,
): Promise<void> {
  const state = await job.finished;
  recovery.isRunning = false;
  nextInLine(v, null);
  if (state !== 'done' || member.recovery !== recovery || member.drive === null) {
    if (state === 'failed') rebuildStopped(v, member, recovery, job.status().reason);
    return;
  }
  if (recovery.unmade.size > 0) return leaveUnmade(v, member, recovery);
  await join(v, member, recovery);
}

/**
 * What the member has is kept, and used; the rest is tried again now and then (ticker.ts), in a volume that has halted by
 * the next start. Said once, and for as long as it is so.
 */
function rebuildStopped(v: VolumeCore, member: Member, recovery: Recovery, reason: string): void {
  const isNews = recovery.stopped === '';
  recovery.stopped = reason;
  v.changed.raise();
  if (isNews) v.emit('rebuild-failed', 'critical', `Rebuild of ${member.path}: ${reason}`);
}

/** No window is open, nor opened, nor ended. */
const mayRebuild = (v: VolumeCore): boolean => v.mode === 'direct' && v.window === null;

/** Everything is on it: it counts. */
async function join(v: VolumeCore, member: Member, recovery: Recovery): Promise<void> {
  const { drive } = member;
  if (drive === null || member.recovery !== recovery) return;
  // With nothing inside: from here on writes are not logged any more, so the journal must be empty before the next one.
  const joined = await v.gate.exclusively(async () => {
    const errno = await drive.flush();
    if (errno !== OK || (await v.flushMembers()) !== OK || member.drive !== drive) return false;
    member.recovery = null;
    member.eventsAtChange = v.metadata.events;
    setMemberState(v.members, member, 'rebuilt');
    v.metadata.newGeneration();
    await v.members.joins(member, v.metadata.commit(), 'rebuilding');
    await v.members.settled();
    if (!v.degraded && v.log) await v.log.stripes.releaseAll();
    return true;
  });
  if (!joined) {
    // Halted meanwhile: members are left as they are, this one too.
    if (v.halted) return;
    v.members.fail(member, 'it could not be flushed after its rebuild', 'flush-error');
    return;
  }
  v.changed.raise();
  v.emit('rebuild-done', 'info', `Drive ${member.path} (slot ${member.slot}) is rebuilt`, {
    slot: member.slot,
  });
  // A resync that the absence interrupted goes on.
  if (!v.degraded && v.resync !== null) startResync(v);
  if (!v.degraded) v.emit('volume-optimal', 'info', `Volume ${v.name} is optimal`);
  await startRebuildOfSpare(v);
}

/**
 * All but what cannot be made is rebuilt. The member serves all the rest, stays on record as being rebuilt, and the
 * stripes are tried again now and then: a host that writes them anew makes them whole.
 */
async function leaveUnmade(v: VolumeCore, member: Member, recovery: Recovery): Promise<void> {
  const stripes = recovery.unmade.size;
  recovery.cursor = v.geometry.stripeCount as StripeIndex;
  if (!(await flushRebuilt(v, member)) || member.recovery !== recovery) return;
  recovery.saved = recovery.completeTo(recovery.cursor);
  await v.metadata.commit();
  v.emit(
    'rebuild-incomplete',
    'critical',
    `Drive ${member.path} is rebuilt but for ${stripes} stripes: the other drives cannot make them`,
    { slot: member.slot, path: member.path, stripes },
  );
}

/** Of what is left out, as many stripes are tried in one turn: a sector that cannot be read may take seconds to say so. */
const RETRIED_AT_ONCE = 16;

/**
 * Called now and then (ticker.ts), while no job is at work on the member. What still cannot be made goes to the end of the
 * queue.
 */
export async function retryUnmade(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
): Promise<void> {
  for (const stripe of [...recovery.unmade].slice(0, RETRIED_AT_ONCE)) {
    const mayTry = (): boolean =>
      v.mode === 'direct' && !v.stopping && member.recovery === recovery;
    if (!mayTry()) return;
    await v.locks.lockRange(stripe, stripe);
    try {
      // Halted by the write that held the lock: the stripe does not add up.
      if (!mayTry()) return;
      await retryStripe(v, member, recovery, stripe);
    } finally {
      v.locks.unlockRange(stripe, stripe);
    }
  }
  if (member.recovery !== recovery || v.stopping || v.mode !== 'direct') return;
  if (recovery.cursor < v.geometry.stripeCount) resumeRebuild(v, member);
  else if (recovery.unmade.size === 0) await join(v, member, recovery);
}

/** The caller holds the lock of the stripe. */
async function retryStripe(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
  stripe: StripeIndex,
): Promise<void> {
  const { buffers } = v.environment;
  const bytes = v.geometry.columnsOf(stripe);
  const offset = v.geometry.memberOffset(stripe, 0);
  const buffer = await buffers.takeLater(bytes, 'stripe');
  if (buffer === 0) return;
  try {
    const unusable = v.members.absentMask | bit(member.slot);
    const made = isInDoubt(v, member, stripe, 1)
      ? null
      : await reconstruct(v.sources, member.slot, unusable, offset, buffer, bytes);
    if (member.recovery !== recovery) return;
    if (made?.errno !== OK) {
      recovery.unmade.delete(stripe);
      recovery.unmade.add(stripe);
      return;
    }
    const errno = await v.members.writeData(member.slot, offset, buffer, bytes);
    // Only now: reads of the member itself take no lock.
    if (errno === OK) recovery.unmade.delete(stripe);
    else v.members.fail(member, `write failed (errno ${errno})`, 'rebuild-failed');
  } finally {
    buffers.give(buffer);
  }
}

/** A blank drive in the slot of the one that was away: made from the frozen survivors, before replay. */
export function rebuildFrozen(v: VolumeCore, member: Member): Sweep {
  const job = sweepOver(
    v,
    {
      kind: 'rebuild',
      slot: member.slot,
      fromStripe: 0 as StripeIndex,
      wanted: () => true,
      checkpoint: async () => {},
    },
    false,
    async (first, count, offset, bytes, buffer) =>
      isInDoubt(v, member, first, count)
        ? UNREADABLE
        : rebuildRange(v, member, offset, bytes, buffer, true),
  );
  v.rebuildJob = job;
  return job;
}
