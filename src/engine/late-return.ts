/**
 * The comparison of a drive that comes back to a volume which went on without it: of what the bitmap does not mark, before
 * any of it is believed. Rule 7 of the design, for a return that no window waits for.
 *
 *   rebuild-started ──► compare ──► no difference: what is marked is rebuilt     (recovery `bitmap`)
 *   labels: `full`, 0           └─► a difference, or no answer: all of it        (recovery `full`, as the labels say)
 *
 * Invariants
 *   1. Until it has passed the member is not used for any stripe, and its labels call for a complete rebuild: a server that
 *      dies in the middle leaves nothing that is believed.
 *   2. A stripe is compared under its lock, and counts only where no region of it is marked afterwards. No mark is cleared
 *      while a member is absent (intent.ts), so nothing was written there since the drive left.
 *   3. Nobody is inside while the marks are taken over: a write sees the member as it was, or as it is from then on.
 */

import { isDriveGone, OK } from '../base/errno.ts';
import { type Address, KIB, type MemberOffset, type StripeIndex } from '../base/units.ts';
import type { VerifyMode } from '../core/status.ts';
import { noteReadError } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { reconstruct } from './reconstruct.ts';
import type { Recovery } from './recovery-map.ts';
import type { Sweep } from './sweep.ts';
import { recoveryFor, sweepOver } from './sweep-job.ts';
import { distrust } from './trust.ts';
import type { VolumeCore } from './volume-core.ts';

/** `mode`: as much as the close of a window would compare, and of a small drive everything. */
export function startComparing(v: VolumeCore, member: Member, mode: VerifyMode): Sweep {
  const every = stride(v, mode);
  const seed = v.environment.random(4);
  const phase = new DataView(seed.buffer, seed.byteOffset).getUint32(0) % every;
  const together = Math.max(1, Math.floor(TOGETHER_BYTES / v.geometry.chunkBytes));
  const last = v.geometry.stripeCount - 1;
  const isDrawn = (stripe: number): boolean =>
    Math.floor(stripe / together) % every === phase || stripe === 0 || stripe === last;
  const job: Sweep = sweepOver(
    v,
    {
      kind: 'verify',
      slot: member.slot,
      fromStripe: 0 as StripeIndex,
      wanted: (stripe) => isDrawn(stripe) && isSame(v, stripe),
      checkpoint: async () => {},
    },
    true,
    async (first, count, offset, bytes, buffer) => {
      const { buffers } = v.environment;
      const own = await buffers.takeLater(bytes, 'scratch');
      if (own === 0) return { failed: 'no memory for a step' };
      try {
        const whole = await compare(v, member, offset, bytes, own, buffer);
        if (whole === 'equal' || typeof whole === 'object')
          return whole === 'equal' ? 'done' : whole;
        for (let index: number = first; index < first + count; index++) {
          const stripe = index as StripeIndex;
          const columns = v.geometry.columnsOf(stripe);
          const at = v.geometry.memberOffset(stripe, 0);
          const one = await compare(v, member, at, columns, own, buffer);
          if (typeof one === 'object') return one;
          if (one === 'unread') job.skippedBytes += columns;
          if (one === 'differs' && isSame(v, stripe)) job.mismatches++;
        }
        return 'done';
      } finally {
        buffers.give(own);
      }
    },
  );
  return job;
}

/** Stripes of small chunks are drawn in runs: a read of 4 KiB costs about as much. */
const TOGETHER_BYTES = 64 * KIB;

/** One run of stripes in so many. */
function stride({ limits, geometry }: VolumeCore, mode: VerifyMode): number {
  const share =
    mode === 'full' ? 1 : mode === 'sample' ? limits.verifySampleShare : limits.verifyRecentShare;
  const least = limits.verifyLateLeastBytes / geometry.memberDataBytes;
  return Math.max(1, Math.round(1 / Math.max(share, least)));
}

/** Not written to since the drive left, and what the others make of it can be believed. */
function isSame(v: VolumeCore, stripe: StripeIndex): boolean {
  const { intent } = v;
  const last = intent.lastRegion(stripe);
  for (let region = intent.firstRegion(stripe); region <= last; region++)
    if (intent.bits.get(region)) return false;
  return v.geometry.level.mirrored || v.parityTrusted(stripe);
}

/**
 * The member's own content against what the others make of it. `unread`: a sector of one of them says that it cannot be
 * read, which deceives nobody.
 */
async function compare(
  v: VolumeCore,
  member: Member,
  offset: MemberOffset,
  bytes: number,
  own: Address,
  buffer: Address,
): Promise<'equal' | 'differs' | 'unread' | { readonly failed: string }> {
  const { slot } = member;
  const errno = await v.members.readFrom(member, offset, own, bytes);
  const unusable = v.members.absentMask | bit(slot);
  const made =
    errno === OK
      ? await reconstruct(v.sources, slot, unusable, offset, buffer, bytes)
      : { errno, member };
  if (made.errno === OK)
    return v.environment.kernels.equal(own, buffer, bytes) ? 'equal' : 'differs';
  const { member: from } = made;
  if (from === null) return { failed: 'nothing to compare it with' };
  noteReadError(v, from, made.errno);
  const isThere = from.drive !== null && !isDriveGone(made.errno);
  return isThere ? 'unread' : { failed: `drive ${from.path} cannot be read` };
}

/** `gone`: the member is, or nobody may go on now. */
export type Compared = 'trusted' | 'to-be-rebuilt' | 'later' | 'gone';

/** What follows from the job. When this resolves the member's recovery is the one to go on with. */
export async function judge(
  v: VolumeCore,
  member: Member,
  recovery: Recovery,
  job: Sweep,
): Promise<Compared> {
  const state = await job.finished;
  if (member.recovery !== recovery || v.halted || state === 'stopped') return 'gone';
  const { path, slot } = member;
  const checkedBytes = job.workedBytes - job.skippedBytes;
  if (state === 'failed') {
    const { reason } = job.status();
    recovery.toCompare = null;
    const why = `Drive ${path} cannot be compared with the others (${reason}): all of it is rebuilt`;
    v.emit('late-return-uncompared', 'warning', why, { path, slot, reason });
    return 'to-be-rebuilt';
  }
  if (job.mismatches > 0) {
    const stripes = job.mismatches;
    recovery.toCompare = null;
    v.differed = { path, stripes };
    v.emit(
      'late-return-differs',
      'critical',
      `Drive ${path} came back to ${v.name} with other contents than it left with: ${stripes} of the stripes compared differ; all of it is rebuilt`,
      { path, slot, stripes, checkedBytes },
    );
    await distrust(v, member);
    return member.recovery === recovery ? 'to-be-rebuilt' : 'gone';
  }
  const isTaken = await believe(v, member, recovery);
  if (!isTaken) return member.recovery === recovery ? 'later' : 'gone';
  const { skippedBytes: unreadBytes } = job;
  v.emit(
    'late-return-compared',
    'info',
    `Drive ${path} agrees with ${v.name} where it was compared`,
    {
      path,
      slot,
      checkedBytes,
      unreadBytes,
    },
  );
  return 'trusted';
}

/** From here on what is not marked counts. On record only afterwards: until then a restart rebuilds all of it. */
async function believe(v: VolumeCore, member: Member, recovery: Recovery): Promise<boolean> {
  const may = (): boolean =>
    member.recovery === recovery && v.mode === 'direct' && v.window === null && !v.stopping;
  if (!may()) return false;
  return v.gate.exclusively(async () => {
    if ((await v.flushMembers()) !== OK || !may()) return false;
    // An image of a stripe that leaves the member out must not be redone once it belongs to it (in-place.ts).
    await v.log?.stripes.releaseAll();
    if (!may()) return false;
    const short = recoveryFor(v, 'bitmap', 0 as StripeIndex);
    short.isRunning = true;
    member.recovery = short;
    member.reasonCode = 'none';
    v.members.refresh();
    await v.metadata.commit();
    await v.members.settled();
    return true;
  });
}
