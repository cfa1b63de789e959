/** Resync and scrub: the two jobs that go over all members at once. */

import { OK } from '../base/errno.ts';
import type { Address, StripeIndex } from '../base/units.ts';
import type { Drive } from '../io/drive.ts';
import { type Agreement, agree } from './agree.ts';
import { consistent } from './reconstruct.ts';
import type { Recovery } from './recovery-map.ts';
import type { Sweep } from './sweep.ts';
import { sweepOver } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/**
 * After an unclean stop: parity, or the copies, of the marked regions are made to agree with the data. Copies also while one
 * is absent, and on one whose rebuild has passed them; parity needs every member in the stripe, and has no need of it where
 * one is absent.
 *
 * Stripes in which two drives cannot read the same place, or one cannot where parity is in doubt, are left out: they stay
 * in doubt until a host has written them anew, and so does the volume, but for all the rest.
 */
export function startResync(v: VolumeCore): void {
  const resync = v.resync;
  // One that meets the absence of a drive, and a drive that is back: the job ends, and the next is the ticker's.
  if (resync === null || resync.isRunning || v.stopping) return;
  resync.isRunning = true;
  const before = { drives: drivesOf(v), cursor: resync.cursor };
  const job = sweepOver(
    v,
    {
      kind: 'resync',
      slot: null,
      fromStripe: resync.cursor,
      wanted: (stripe) => resync.marked(stripe),
      // The bits themselves are the record of what is left, and are cleared behind it; a restart goes over the others.
      checkpoint: async () => {},
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      for (let i = 0; i < count; i++)
        if (isAbsent(v, (first + i) as StripeIndex)) return { failed: ABSENT };
      const result = await agree(v, first, count, offset, bytes, buffer, true);
      if ('failed' in result) return result;
      if (result.unreadableBytes > 0) {
        const failed = await leaveOut(v, resync, first, count, buffer);
        if (failed !== null) return { failed };
      }
      resync.cursor = (first + count) as StripeIndex;
      resync.stopped = '';
      return 'done';
    },
  );
  v.resyncJob = job;
  v.ownBeside(finishResync(v, resync, job, before));
}

const drivesOf = (v: VolumeCore): (Drive | null)[] => v.members.slots.map(({ drive }) => drive);

const ABSENT = 'a drive is absent';

/** From the stripe, whose parity can wait then. A member that is being rebuilt has its part of what that has passed. */
const isAbsent = (v: VolumeCore, stripe: StripeIndex): boolean =>
  !v.geometry.level.mirrored && v.members.unusable(stripe) !== 0;

/** Where the job would go on. */
function isNextAbsent(v: VolumeCore, resync: Recovery): boolean {
  if (!v.degraded || v.geometry.level.mirrored) return false;
  for (let stripe = resync.cursor; stripe < v.geometry.stripeCount; stripe++)
    if (resync.marked(stripe)) return isAbsent(v, stripe);
  return false;
}

/** Stripe by stripe, to find those that stay in doubt. */
async function leaveOut(
  v: VolumeCore,
  resync: Recovery,
  first: StripeIndex,
  count: number,
  buffer: Address,
): Promise<string | null> {
  for (let index: number = first; index < first + count; index++) {
    const stripe = index as StripeIndex;
    const result = await agreeOne(v, stripe, buffer);
    if ('failed' in result) return result.failed;
    if (result.unreadableBytes === 0) continue;
    const most = v.limits.unmadeStripesMax;
    if (resync.unmade.size >= most) return `drives cannot be read in more than ${most} stripes`;
    resync.unmade.add(stripe);
  }
  return null;
}

const agreeOne = (v: VolumeCore, stripe: StripeIndex, buffer: Address): Promise<Agreement> =>
  agree(
    v,
    stripe,
    1,
    v.geometry.memberOffset(stripe, 0),
    v.geometry.columnsOf(stripe),
    buffer,
    true,
  );

async function finishResync(
  v: VolumeCore,
  resync: Recovery,
  job: Sweep,
  before: { readonly drives: ReturnType<typeof drivesOf>; readonly cursor: StripeIndex },
): Promise<void> {
  const state = await job.finished;
  resync.isRunning = false;
  if (v.resync !== resync) return;
  if (state === 'failed') {
    // That a drive is out is an alarm of its own.
    const { reason } = job.status();
    const drives = drivesOf(v);
    const isSameDrives = before.drives.every((drive, slot) => drive === drives[slot]);
    if (isSameDrives && reason !== ABSENT) resyncStopped(v, resync, reason);
    return;
  }
  if (state !== 'done') return;
  resync.stopped = '';
  resync.cursor = v.geometry.stripeCount as StripeIndex;
  if (resync.unmade.size === 0) return endResync(v, resync);
  v.changed.raise();
  // There was nothing left to go over: it has been said.
  if (before.cursor === resync.cursor) return;
  const stripes = resync.unmade.size;
  v.emit(
    'resync-incomplete',
    'critical',
    `Volume ${v.name} is in sync again but for ${stripes} stripes: drives cannot read there`,
    { stripes },
  );
}

/** What is in sync is kept, and the rest is tried again now and then (ticker.ts). Said once, and for as long as it is so. */
function resyncStopped(v: VolumeCore, resync: Recovery, reason: string): void {
  const isNews = resync.stopped === '';
  resync.stopped = reason;
  v.changed.raise();
  if (!isNews || v.mode !== 'direct') return;
  v.emit('resync-stopped', 'critical', `Resync of ${v.name} has stopped: ${reason}`, { reason });
}

async function endResync(v: VolumeCore, resync: Recovery): Promise<void> {
  // Flushed before parity is believed, and on record: from here on a crash leaves nothing in doubt.
  if ((await v.flushMembers()) !== OK || v.resync !== resync) return;
  v.resync = null;
  v.changed.raise();
  v.emit('resync-done', 'info', `Volume ${v.name} is in sync again after an unclean stop`);
  if (v.logsStripes && v.mode === 'direct') await v.metadata.commit();
}

/** Of what is left out, as many stripes are tried in one turn: a sector that cannot be read may take seconds to say so. */
const RETRIED_AT_ONCE = 16;

/** Called now and then (ticker.ts): what was left out, or a job that has ended before its end. */
export async function retryResync(v: VolumeCore, resync: Recovery): Promise<void> {
  const mayTry = (): boolean =>
    v.mode === 'direct' && v.resync === resync && v.resyncJob?.running !== true && !v.stopping;
  const unmade = [...resync.unmade].filter((stripe) => !isAbsent(v, stripe));
  for (const stripe of unmade.slice(0, RETRIED_AT_ONCE)) {
    if (!mayTry()) return;
    await v.locks.lockRange(stripe, stripe);
    try {
      // Halted by the write that held the lock: the stripe does not add up.
      if (!mayTry()) return;
      if (!isAbsent(v, stripe)) await retryStripe(v, resync, stripe);
    } finally {
      v.locks.unlockRange(stripe, stripe);
    }
  }
  if (!mayTry()) return;
  if (isNextAbsent(v, resync)) return;
  if (resync.cursor < v.geometry.stripeCount) startResync(v);
  else if (resync.unmade.size === 0) await endResync(v, resync);
}

/** The caller holds the lock of the stripe. What still cannot be read is known by now, and not counted again. */
async function retryStripe(v: VolumeCore, resync: Recovery, stripe: StripeIndex): Promise<void> {
  const { buffers } = v.environment;
  const bytes = v.geometry.columnsOf(stripe);
  const buffer = await buffers.takeLater(bytes, 'stripe');
  if (buffer === 0) return;
  try {
    const offset = v.geometry.memberOffset(stripe, 0);
    const one = await consistent(v.sources, offset, buffer, bytes, v.members.unusable(stripe));
    const result = one.errno === OK ? await agreeOne(v, stripe, buffer) : null;
    const isMade = result !== null && !('failed' in result) && result.unreadableBytes === 0;
    resync.unmade.delete(stripe);
    if (!isMade) resync.unmade.add(stripe);
  } finally {
    buffers.give(buffer);
  }
}

export function startScrub(
  v: VolumeCore,
  repair: boolean,
  from: StripeIndex,
  mismatches: number,
): Sweep {
  const job: Sweep = sweepOver(
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
      job.skippedBytes += result.unreadableBytes;
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
  const { mismatches, skippedBytes: unreadableBytes } = job;
  const severity = mismatches > 0 || unreadableBytes > 0 ? 'critical' : 'info';
  const unread = unreadableBytes > 0 ? `, ${unreadableBytes} bytes of each drive not compared` : '';
  v.emit(
    'scrub-ended',
    severity,
    `Scrub of ${v.name} ${state}: ${mismatches} mismatches${unread}`,
    {
      state,
      mismatches,
      unreadableBytes,
    },
  );
  if (v.mode === 'direct') await v.metadata.commit();
}
