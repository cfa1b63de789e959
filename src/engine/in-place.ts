/**
 * The write hole, closed: a stripe with parity is changed in place only after its after-image is durable in the log, so
 * that a crash in between is made good by writing the image again, whoever is absent by then.
 *
 *   inPlace(images, act)     images ──► log, durable ──► act ──► applied
 *
 * When a volume does so (`VolumeCore.logsStripes`), and what the labels say of it (`VolumeCore.stripeLogWord`):
 *
 *   journal       log usable, and the limit `logDirect` is not 0, or degraded, or replaying
 *   no journal    the labels say `void` before the first stripe is changed without an image: whatever the log still holds
 *                 is older than the members from then on, and no start may write it again
 *
 * Invariants
 *   1. While a label says `kept` or `whole`, every change of a stripe is in the log. What was changed before it was
 *      first said is on the members, flushed (metadata.ts); a volume that halts meanwhile does not say it any more.
 *   2. A stripe is not changed without a member before that member's absence is on record: an image that leaves it out
 *      would be redone on a stripe to which it belongs again (stripe-write.ts).
 *   3. Before another drive takes a slot, or the same one again, the journal is emptied: an image of the slot may be of
 *      the time before (`emptyStripeLog`).
 */

import { EIO, type Errno, OK } from '../base/errno.ts';
import type { StripeImage } from './log/stripe-image.ts';
import type { VolumeCore } from './volume-core.ts';

/** Runs `act`, which brings what `images` say to the members; the caller holds the locks of the stripes. */
export async function inPlace(
  v: VolumeCore,
  images: readonly StripeImage[],
  act: () => Promise<Errno>,
): Promise<Errno> {
  for (;;) {
    if (v.halted) return EIO;
    const { log } = v;
    if (log !== null && v.logsStripes) {
      const logged = await log.stripes.logImages(images);
      if (logged.errno !== OK) continue; // No leg is left: that is on record, and the next turn goes without.
      try {
        return await act();
      } finally {
        log.stripes.applied(logged.ticket);
      }
    }
    if (v.metadata.stripeLogWritten === 'void') {
      v.beginUnlogged();
      try {
        return await act();
      } finally {
        v.endUnlogged();
      }
    }
    v.goesUnlogged = true;
    await v.metadata.commit();
  }
}

/**
 * Everything that was logged is on the members, flushed, and is not redone any more. Nobody writes meanwhile. Not in a
 * volume that stops, whose gate is closed for good: who calls looks at that afterwards.
 */
export async function emptyStripeLog(v: VolumeCore): Promise<void> {
  if (v.stopping) return;
  await v.gate.exclusively(async () => {
    if (v.log === null || v.mode !== 'direct') return;
    if ((await v.flushMembers()) === OK) await v.log.stripes.releaseAll();
  });
}
