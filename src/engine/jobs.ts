/**
 * The background jobs that bring members and parity up to date: rebuild, re-add by bitmap, resync, scrub.
 *
 * Each is a Sweep whose step locks its stripes, works on one contiguous range of every member, moves the cursor that reads
 * and writes believe in, and unlocks. So a host request sees a stripe either before or after, never in between.
 */

import { type Errno, OK } from '../base/errno.ts';
import type { Address, MemberOffset, StripeIndex } from '../base/units.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import type { VerifyMode } from '../core/status.ts';
import { noteReadError } from './member-errors.ts';
import { setMemberState } from './member-state.ts';
import { bit, type Member } from './members.ts';
import { consistent, reconstruct } from './reconstruct.ts';
import { Recovery } from './recovery-map.ts';
import { type StepResult, Sweep, type SweepPlan } from './sweep.ts';
import type { VolumeCore } from './volume-core.ts';

type Step = (
  first: StripeIndex,
  count: number,
  offset: MemberOffset,
  bytes: number,
  buffer: Address,
) => Promise<StepResult>;

/** The common part of every job: pace, size of a step, locks and one buffer for the range. */
function sweep(
  v: VolumeCore,
  what: Pick<SweepPlan, 'kind' | 'slot' | 'fromStripe' | 'wanted' | 'checkpoint'>,
  locked: boolean,
  step: Step,
): Sweep {
  const g = v.geometry;
  const run = async (first: StripeIndex, count: number): Promise<StepResult> => {
    const last = (first + count - 1) as StripeIndex;
    if (locked) await v.locks.lockRange(first, last);
    const offset = g.memberOffset(first, 0);
    const bytes = g.memberOffset(last, 0) + g.columnsOf(last) - offset;
    const buffer = await v.environment.buffers.takeLater(bytes, 'engine');
    try {
      if (buffer === 0) return { failed: 'no memory for a step' };
      return await step(first, count, offset, bytes, buffer);
    } finally {
      if (buffer !== 0) v.environment.buffers.give(buffer);
      if (locked) v.locks.unlockRange(first, last);
    }
  };
  return new Sweep(v.environment.clock, {
    ...what,
    stripeCount: g.stripeCount,
    stripesPerStep: Math.max(1, Math.floor(v.limits.sweepStepBytes / g.chunkBytes)),
    stripeBytes: g.chunkBytes,
    bytesPerSecond: v.limits.sweepBytesPerSecond,
    checkpointMs: v.limits.checkpointMs,
    step: run,
  });
}

export function recoveryFor(v: VolumeCore, kind: 'full' | 'bitmap', cursor: StripeIndex): Recovery {
  let regions: IntentBits | null = null;
  if (kind === 'bitmap') {
    regions = new IntentBits(v.intent.bits.chunkBytes, v.geometry.memberDataBytes);
    regions.merge(v.intent.bits);
  }
  return new Recovery(kind, cursor, regions, (stripe) => ({
    first: v.intent.firstRegion(stripe),
    last: v.intent.lastRegion(stripe),
  }));
}

/** A free slot and a spare: the spare takes the slot and is rebuilt. Nothing happens in a window. */
export async function startRebuildOfSpare(v: VolumeCore): Promise<void> {
  if (v.mode !== 'direct' || v.window !== null || v.rebuildJob?.running === true) return;
  const failed = v.members.slots.find(
    (member) => member.state === 'failed' || member.state === 'missing',
  );
  const spare = v.members.spares[0];
  if (failed === undefined || spare === undefined) return;
  v.members.spares.shift();
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
  member.recovery = recovery;
  member.eventsAtChange = v.metadata.events;
  setMemberState(
    v.members,
    member,
    member.state === 'spare' ? 'taken-from-spares' : 'rebuild-started',
  );
  await v.intent.writeAll();
  await v.metadata.commit();
  v.emit('rebuild-started', 'info', `Rebuilding drive ${member.path} (slot ${member.slot})`, {
    slot: member.slot,
    path: member.path,
    kind: recovery.kind,
  });
  resumeRebuild(v, member);
}

export function resumeRebuild(v: VolumeCore, member: Member): void {
  const recovery = member.recovery;
  if (recovery === null) return;
  const job = sweep(
    v,
    {
      kind: 'rebuild',
      slot: member.slot,
      fromStripe: recovery.cursor,
      wanted: (stripe) => recovery.marked(stripe),
      checkpoint: async (cursor) => {
        // Flushed first: a label that is ahead of the data would make a power cut a loss.
        if (member.drive === null || (await member.drive.flush()) !== OK) return;
        recovery.saved = cursor;
        await v.metadata.commit();
      },
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      const result = await rebuildRange(v, member, offset, bytes, buffer);
      if (result === 'done') recovery.cursor = (first + count) as StripeIndex;
      return result;
    },
  );
  v.rebuildJob = job;
  v.own(finishRebuild(v, member, recovery, job));
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
    if (made.slot >= 0) noteReadError(v, v.members.at(made.slot), made.errno);
    return {
      failed:
        made.slot >= 0 ? `drive ${v.members.at(made.slot).path} cannot be read` : 'too few drives',
    };
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
  if (state !== 'done' || member.recovery !== recovery || member.drive === null) {
    if (state === 'failed')
      v.emit('rebuild-failed', 'critical', `Rebuild of ${member.path}: ${job.status().reason}`);
    return;
  }
  const { drive } = member;
  // With nothing inside: from here on writes are not logged any more, so the journal must be empty before the next one.
  const joined = await v.gate.exclusively(async () => {
    const errno = await drive.flush();
    if (errno !== OK || (await v.flushMembers()) !== OK || member.drive !== drive) return false;
    member.recovery = null;
    member.eventsAtChange = v.metadata.events;
    setMemberState(v.members, member, 'rebuilt');
    v.metadata.newGeneration();
    await v.metadata.commit();
    await v.members.settled();
    if (!v.degraded && v.log) await v.log.stripes.releaseAll();
    return true;
  });
  if (!joined) {
    v.members.fail(member, 'it could not be flushed after its rebuild', 'flush-error');
    return;
  }
  v.changed.raise();
  v.emit('rebuild-done', 'info', `Drive ${member.path} (slot ${member.slot}) is rebuilt`, {
    slot: member.slot,
  });
  if (!v.degraded) v.emit('volume-optimal', 'info', `Volume ${v.name} is optimal`);
  await startRebuildOfSpare(v);
}

/**
 * After an unclean stop: parity, or the copies, of the marked regions are made to agree with the data. Copies also while one
 * is absent; parity needs every member, and does not need it in a degraded volume with a log (stripe images are redone).
 */
export function startResync(v: VolumeCore): void {
  const resync = v.resync;
  if (resync === null) return;
  const job = sweep(
    v,
    {
      kind: 'resync',
      slot: null,
      fromStripe: resync.cursor,
      wanted: (stripe) => resync.marked(stripe),
      // The bits themselves are the record of what is left; a restart goes over them again.
      checkpoint: async () => {},
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      if (v.degraded && !v.geometry.level.mirrored) return { failed: 'a drive is absent' };
      const result = await agree(v, first, count, offset, bytes, buffer, true);
      if ('failed' in result) return result;
      resync.cursor = (first + count) as StripeIndex;
      return 'done';
    },
  );
  v.resyncJob = job;
  v.own(
    job.finished.then((state) => {
      if (state !== 'done') return;
      v.resync = null;
      v.changed.raise();
      v.emit('resync-done', 'info', `Volume ${v.name} is in sync again after an unclean stop`);
    }),
  );
}

export function startScrub(
  v: VolumeCore,
  repair: boolean,
  from: StripeIndex,
  mismatches: number,
): Sweep {
  const job: Sweep = sweep(
    v,
    {
      kind: 'scrub',
      slot: null,
      fromStripe: from,
      wanted: () => true,
      checkpoint: async (cursor) => {
        v.metadata.scrub = {
          active: true,
          repair,
          cursorStripe: cursor,
          mismatches: job.mismatches,
        };
        if (v.mode === 'direct') await v.metadata.commit();
      },
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      if (v.degraded) return { failed: 'a drive is absent' };
      const result = await agree(v, first, count, offset, bytes, buffer, repair);
      if ('failed' in result) return result;
      job.mismatches += result.differing;
      return 'done';
    },
  );
  job.mismatches = mismatches;
  v.scrubJob = job;
  v.scrubRepair = repair;
  v.own(finishScrub(v, job));
  return job;
}

async function finishScrub(v: VolumeCore, job: Sweep): Promise<void> {
  const state = await job.finished;
  if (state === 'stopped' && v.window !== null) return; // Goes on after the window.
  if (v.stopping) return;
  v.metadata.scrub = null;
  const severity = job.mismatches > 0 ? 'critical' : 'info';
  v.emit('scrub-ended', severity, `Scrub of ${v.name} ${state}: ${job.mismatches} mismatches`, {
    state,
    mismatches: job.mismatches,
  });
  if (v.mode === 'direct') await v.metadata.commit();
}

/** Compares a range over all members, stripe by stripe where it differs, and mends it if asked. */
async function agree(
  v: VolumeCore,
  first: StripeIndex,
  count: number,
  offset: MemberOffset,
  bytes: number,
  buffer: Address,
  mend: boolean,
): Promise<{ readonly differing: number } | { readonly failed: string }> {
  const whole = await consistent(v.sources, offset, buffer, bytes, v.members.absentMask);
  if (whole.errno === OK && whole.equal) return { differing: 0 };
  let differing = 0;
  for (let stripe: number = first; stripe < first + count; stripe++) {
    const at = v.geometry.memberOffset(stripe as StripeIndex, 0);
    const columns = v.geometry.columnsOf(stripe as StripeIndex);
    let one = await consistent(v.sources, at, buffer, columns, v.members.absentMask);
    if (one.errno !== OK) {
      // An unreadable sector, not a disagreement: made from the others and written back.
      const failed = await mendSector(
        v,
        one.slot,
        stripe as StripeIndex,
        at,
        columns,
        buffer,
        one.errno,
      );
      if (failed !== null) return { failed };
      one = await consistent(v.sources, at, buffer, columns, v.members.absentMask);
      if (one.errno !== OK)
        return { failed: `drive ${v.members.at(one.slot).path} cannot be read` };
    }
    if (one.equal) continue;
    differing++;
    if (!mend) continue;
    const failed = await mendStripe(v, stripe as StripeIndex, at, columns, buffer);
    if (failed !== null) return { failed };
  }
  return { differing };
}

async function mendSector(
  v: VolumeCore,
  slot: number,
  stripe: StripeIndex,
  at: MemberOffset,
  bytes: number,
  buffer: Address,
  errno: Errno,
): Promise<string | null> {
  if (slot < 0) return 'no memory for a step';
  const member = v.members.at(slot);
  noteReadError(v, member, errno);
  if (member.state !== 'online') return `drive ${member.path} failed`;
  if (!v.parityTrusted(stripe))
    return `drive ${member.path} cannot be read where parity is in doubt`;
  const made = await reconstruct(
    v.sources,
    slot,
    v.members.absentMask | bit(slot),
    at,
    buffer,
    bytes,
  );
  if (made.errno !== OK) return `two drives cannot be read at stripe ${stripe}`;
  if ((await v.members.writeData(slot, at, buffer, bytes)) === OK) return null;
  v.members.fail(member, 'a repair write failed', 'write-error');
  return `drive ${member.path} failed`;
}

/** Parity is recomputed from the data; mirrors take the first copy. */
async function mendStripe(
  v: VolumeCore,
  stripe: StripeIndex,
  at: MemberOffset,
  bytes: number,
  buffer: Address,
): Promise<string | null> {
  const { mirrored } = v.geometry.level;
  const parity = v.geometry.paritySlot(stripe);
  const copies = v.members.slots.filter(({ state }) => state === 'online').map(({ slot }) => slot);
  const targets = mirrored ? copies.slice(1) : [parity as number];
  const read = mirrored
    ? { errno: await v.members.readData(copies[0] as number, at, buffer, bytes) }
    : await reconstruct(v.sources, parity as number, v.members.absentMask, at, buffer, bytes);
  if (read.errno !== OK) return `stripe ${stripe} cannot be read`;
  for (const slot of targets) {
    const errno = await v.members.writeData(slot, at, buffer, bytes);
    if (errno === OK) continue;
    v.members.fail(v.members.at(slot), `write failed (errno ${errno})`, 'write-error');
    return `drive ${v.members.at(slot).path} failed`;
  }
  return null;
}

/**
 * The returning drive against the frozen survivors. `recent`: regions that were being written before the freeze and a
 * hundredth of the rest; `sample`: a tenth; `full`: everything.
 */
export function startVerify(v: VolumeCore, member: Member, mode: VerifyMode): Sweep {
  const share =
    mode === 'full'
      ? 1
      : mode === 'sample'
        ? v.limits.verifySampleShare
        : v.limits.verifyRecentShare;
  const every = Math.max(1, Math.round(1 / share));
  const seed = v.environment.random(4);
  const phase = new DataView(seed.buffer, seed.byteOffset).getUint32(0) % every;
  const recent = recoveryFor(v, 'bitmap', 0 as StripeIndex);
  const job: Sweep = sweep(
    v,
    {
      kind: 'verify',
      slot: member.slot,
      fromStripe: 0 as StripeIndex,
      wanted: (stripe) => stripe % every === phase || stripe === 0 || recent.marked(stripe),
      checkpoint: async () => {},
    },
    false,
    async (_first, _count, offset, bytes, buffer) => {
      const { buffers, kernels } = v.environment;
      const own = await buffers.takeLater(bytes, 'engine');
      try {
        if (own === 0) return { failed: 'no memory for a step' };
        const errno = await v.members.readData(member.slot, offset, own, bytes);
        if (errno !== OK) return { failed: `drive ${member.path} cannot be read (errno ${errno})` };
        const made = await reconstruct(
          v.sources,
          member.slot,
          v.members.absentMask | bit(member.slot),
          offset,
          buffer,
          bytes,
        );
        if (made.errno !== OK) {
          const other = made.slot >= 0 ? v.members.at(made.slot) : null;
          if (other !== null) noteReadError(v, other, made.errno);
          // One unreadable sector among the others leaves this range uncompared; the drive that is back can mend it.
          if (other?.state === 'online') return 'done';
          return { failed: 'the other drives cannot be read' };
        }
        if (!kernels.equal(own, buffer, bytes)) {
          for (let at = 0; at < bytes; at += v.geometry.chunkBytes) {
            const length = Math.min(v.geometry.chunkBytes, bytes - at);
            if (!kernels.equal((own + at) as Address, (buffer + at) as Address, length))
              job.mismatches++;
          }
        }
        return 'done';
      } finally {
        if (own !== 0) buffers.give(own);
      }
    },
  );
  v.verifyJob = job;
  return job;
}

/** A blank drive in the slot of the one that was away: made from the frozen survivors, before replay. */
export function rebuildFrozen(v: VolumeCore, member: Member): Sweep {
  const job = sweep(
    v,
    {
      kind: 'rebuild',
      slot: member.slot,
      fromStripe: 0 as StripeIndex,
      wanted: () => true,
      checkpoint: async () => {},
    },
    false,
    (_first, _count, offset, bytes, buffer) => rebuildRange(v, member, offset, bytes, buffer, true),
  );
  v.rebuildJob = job;
  return job;
}
