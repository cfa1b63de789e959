/** Resync and scrub: the two jobs that go over all members at once. */

import { OK } from '../base/errno.ts';
import type { StripeIndex } from '../base/units.ts';
import { agree } from './agree.ts';
import type { Recovery } from './recovery-map.ts';
import type { Sweep } from './sweep.ts';
import { sweepOver } from './sweep-job.ts';
import type { VolumeCore } from './volume-core.ts';

/**
 * After an unclean stop: parity, or the copies, of the marked regions are made to agree with the data. Copies also while one
 * is absent; parity needs every member, and does not need it in a degraded volume with a log (stripe images are redone).
 */
export function startResync(v: VolumeCore): void {
  const resync = v.resync;
  if (resync === null) return;
  const job = sweepOver(
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
      // Parity stays in doubt there, and so does the whole resync: what it could not see it does not vouch for.
      if (result.unreadableBytes > 0)
        return { failed: `two drives cannot be read at stripe ${first}` };
      resync.cursor = (first + count) as StripeIndex;
      return 'done';
    },
  );
  v.resyncJob = job;
  v.own(finishResync(v, resync, job));
}

async function finishResync(v: VolumeCore, resync: Recovery, job: Sweep): Promise<void> {
  if ((await job.finished) !== 'done') return;
  // Flushed before parity is believed, and on record: from here on a crash leaves nothing in doubt.
  if ((await v.flushMembers()) !== OK || v.resync !== resync) return;
  v.resync = null;
  v.changed.raise();
  v.emit('resync-done', 'info', `Volume ${v.name} is in sync again after an unclean stop`);
  if (v.logsStripes && v.mode === 'direct') await v.metadata.commit();
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
