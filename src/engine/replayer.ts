/**
 * Replay: the log is applied to the members, stripe by stripe in ascending order, while the host goes on.
 *
 *        0 ───────── cursor ────────── zone end ─────────────────── stripe count
 *        direct      │ being replayed  │ still in the log
 *        (members)   │ host writes: log, and replayed again before the cursor passes
 *
 * First of all (0) the legs are told, when all members that are there have it in their labels: were those lost, a drive that
 * has the image of the freeze and the log would be a volume once more, without what hosts have written to the members.
 *
 * The cursor is durable in the labels. It passes a zone in this order, each step resting on the one before:
 *
 *   1  every overlay extent of the zone is written to its stripe (reconstruct-write; never read-modify-write)
 *   2  new host writes below the zone's end wait; those on their way to the log arrive
 *   3  what they left in the zone is written too
 *   4  the members are flushed
 *   5  the labels say cursor = zone's end, or how far 3 came when the volume is being stopped
 *   6  the cursor moves; the writes that waited go on, to the members. What the log may have of the zone, or not, because it
 *      failed in a write, is settled: as it is on the members
 *
 * A crash before 5 finds the old cursor and does the zone again: the same bytes go to the same places (idempotent). A crash
 * after 5 ignores log records below the cursor: what is on the members there is as new or newer. The
 * after-image of every stripe with parity is durable in the stripe journal before its first in-place write
 * (stripe-write.ts), so a zone that is done again starts from stripes that add up, also when a member is lost with the
 * crash.
 */

import { EIO, ENOMEM, type Errno, OK } from '../base/errno.ts';
import { type Address, SECTOR_BYTES, type StripeIndex, type VolumeOffset } from '../base/units.ts';
import { DATA, GAP, type PieceKind } from '../core/overlay.ts';
import { type DataPiece, writeStripe } from './stripe-write.ts';
import type { VolumeCore } from './volume-core.ts';

export type ReplayResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'stopped'; readonly reason: string };

/** Runs in mode `replaying` from `v.cursor` to the end. On `stopped` the log is kept and the mode stays. */
export async function replay(v: VolumeCore): Promise<ReplayResult> {
  const { clock } = v.environment;
  if (!v.halted) await v.log?.beginReplay(); // 0
  while (v.cursor < v.geometry.stripeCount) {
    if (v.stopping) return { kind: 'stopped', reason: 'the volume is being stopped' };
    const zoneStartMs = clock.nowMs();
    const zone = await replayZone(
      v,
      v.cursor,
      v.limits.replayZoneBytes,
      zoneStartMs + v.limits.replayZoneMs,
    ); // 1
    if (zone.failed !== null) return stopped(v, zone.failed);
    const end = zone.end;
    v.holdBelow = end; // 2
    try {
      while (v.logWritesInFlight > 0) await v.logWritesDone.wait(clock, v.limits.tickMs);
      const rest = await replayZone(
        v,
        v.cursor,
        Number.POSITIVE_INFINITY,
        Number.POSITIVE_INFINITY,
        end,
      ); // 3
      if (rest.failed !== null) return stopped(v, rest.failed);
      if ((await v.flushMembers()) !== OK) return halted(v); // 4
      const before = v.cursor;
      v.cursor = rest.end; // Short of the zone's end when the volume is being stopped.
      try {
        await v.metadata.commit(); // 5
        await v.members.settled();
      } finally {
        if (v.halted) v.cursor = before;
        else v.log?.window?.settledBelow(v.geometry.stripeStart(v.cursor) / SECTOR_BYTES);
      }
    } finally {
      v.holdBelow = 0 as StripeIndex; // 6
      v.changed.raise();
    }
    if (v.halted) return halted(v);
    // What was in its way, when this is not the first try, is behind it.
    v.replayStopped = '';
  }
  return { kind: 'done' };
}

const halted = (v: VolumeCore): ReplayResult => ({ kind: 'stopped', reason: v.haltReason });

/** With the place, so that somebody can write it anew. */
function stopped(v: VolumeCore, { stripe, errno, lost }: Failed): ReplayResult {
  if (v.halted) return halted(v);
  v.logUnreadable = lost !== null;
  const at = lost === null ? v.geometry.stripeStart(stripe) : lost.start * SECTOR_BYTES;
  const reason =
    lost === null
      ? `the stripe at byte ${at} of the volume could not be replayed (errno ${errno})`
      : `${lost.sectors * SECTOR_BYTES} bytes at byte ${at} of the volume can be read on no leg of the log`;
  return { kind: 'stopped', reason };
}

interface Failed {
  readonly stripe: StripeIndex;
  readonly errno: Errno;
  /** What of the stripe no leg can be read for, or the first of it; null when it failed for something else. */
  readonly lost: { readonly start: number; readonly sectors: number } | null;
}

interface Zone {
  readonly failed: Failed | null;
  /** Every stripe below has nothing left in the overlay (at the time it was looked at). */
  readonly end: StripeIndex;
}

/** Writes overlay extents from `from` on, until the budget of bytes or time is spent or `limit` is reached. */
async function replayZone(
  v: VolumeCore,
  from: StripeIndex,
  budgetBytes: number,
  untilMs: number,
  limit = v.geometry.stripeCount as StripeIndex,
): Promise<Zone> {
  const g = v.geometry;
  let next = from;
  let bytes = 0;
  while (next < limit) {
    const group: Promise<Replayed>[] = [];
    while (group.length < v.limits.replayStripesAtOnce && next < limit) {
      const stripe = nextStripe(v, next);
      if (stripe === null || stripe >= limit) {
        next = limit;
        break;
      }
      group.push(replayStripe(v, stripe));
      next = (stripe + 1) as StripeIndex;
    }
    for (const done of await Promise.all(group)) {
      if (done.failed !== null) return { failed: done.failed, end: from };
      bytes += done.bytes;
      if (v.window) v.window.replayedBytes += done.bytes;
    }
    // A stop does not wait for the whole zone; what was written so far becomes durable as usual.
    if (v.stopping || bytes >= budgetBytes || v.environment.clock.nowMs() >= untilMs) break;
  }
  return { failed: null, end: Math.min(next, g.stripeCount) as StripeIndex };
}

function nextStripe(v: VolumeCore, from: StripeIndex): StripeIndex | null {
  const sector = v.geometry.stripeStart(from) / SECTOR_BYTES;
  const extent = v.log?.overlay.firstFrom(sector) ?? null;
  if (extent === null) return null;
  const offset = Math.max(extent.start, sector) * SECTOR_BYTES;
  return v.geometry.stripeOf(offset as VolumeOffset);
}

interface Extent {
  readonly start: number;
  readonly sectors: number;
  readonly kind: PieceKind;
  readonly location: number;
}

interface Replayed {
  readonly failed: Failed | null;
  readonly bytes: number;
}

/** All that the log has for one stripe, written in one go. */
async function replayStripe(v: VolumeCore, stripe: StripeIndex): Promise<Replayed> {
  const failed = (errno: Errno, lost: Failed['lost'] = null): Replayed => ({
    failed: { stripe, errno, lost },
    bytes: 0,
  });
  const log = v.log;
  const window = log?.window ?? null;
  if (log === null || window === null) return failed(EIO);
  const g = v.geometry;
  const { buffers } = v.environment;
  const stripeStart = g.stripeStart(stripe);
  const stripeBytes = g.columnsOf(stripe) * g.dataChunks;
  const marked = v.intent.mark(stripe, stripe);
  if (marked !== null) await marked;
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  const buffer = await buffers.takeLater(stripeBytes, 'stripe');
  try {
    if (buffer === 0) return failed(ENOMEM);
    const extents: Extent[] = [];
    const start = stripeStart / SECTOR_BYTES;
    log.overlay.forEachPiece(start, stripeBytes / SECTOR_BYTES, (from, sectors, kind, location) => {
      if (kind !== GAP) extents.push({ start: from, sectors, kind, location });
    });
    const addressOf = (sector: number): Address =>
      (buffer + (sector - start) * SECTOR_BYTES) as Address;
    const loads = extents.map((extent) => {
      const address = addressOf(extent.start);
      if (extent.kind === DATA) return window.readPayload(extent.location, extent.sectors, address);
      buffers.bytes.fill(0, address, address + extent.sectors * SECTOR_BYTES);
      return Promise.resolve(OK);
    });
    const loaded = await Promise.all(loads);
    const [lost] = joined(extents.filter((_, i) => loaded[i] !== OK));
    if (lost !== undefined) return failed(EIO, lost);

    const pieces: DataPiece[] = [];
    let bytes = 0;
    for (const run of joined(extents)) {
      const offset = (run.start * SECTOR_BYTES) as VolumeOffset;
      const lengthBytes = run.sectors * SECTOR_BYTES;
      bytes += lengthBytes;
      for (const { index, from, to, bufferOffset } of g.piecesOf(stripe, offset, lengthBytes)) {
        pieces.push({ index, from, to, address: (addressOf(run.start) + bufferOffset) as Address });
      }
    }
    const errno = pieces.length > 0 ? await writeStripe(v, stripe, pieces, false) : OK;
    if (errno !== OK) return failed(errno);
    await v.members.settled();
    // Only what was written is forgotten: a host write that arrived meanwhile has another location and stays.
    for (const { start: from, sectors, kind, location } of extents) {
      if (kind !== GAP) log.overlay.removeIf(from, sectors, kind, location);
    }
    return { failed: null, bytes };
  } finally {
    if (buffer !== 0) buffers.give(buffer);
    v.locks.unlock(stripe);
    v.intent.release(stripe, stripe);
  }
}

/** Neighbouring extents as one run, so that a chunk written in many small records is one write. */
function* joined(extents: readonly Extent[]): Generator<{ start: number; sectors: number }> {
  let run: { start: number; sectors: number } | null = null;
  for (const { start, sectors } of extents) {
    if (run !== null && run.start + run.sectors === start) {
      run.sectors += sectors;
      continue;
    }
    if (run !== null) yield run;
    run = { start, sectors };
  }
  if (run !== null) yield run;
}
