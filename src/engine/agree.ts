/**
 * Do all members agree, and making them: parity recomputed from the data, mirrors from the copy that counts (`copyFor`),
 * a sector that cannot be read from the others. What resync and scrub are made of, and reads of copies in doubt. Callers
 * hold the locks of the stripes.
 *
 * Who takes part in a stripe is who is used in it (`Members.unusable`), so also a copy whose rebuild has passed it: a write
 * that a crash cut short there is made good by nobody else.
 */

import { type Errno, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type MemberOffset, type StripeIndex } from '../base/units.ts';
import type { SlotSet } from '../core/slot-set.ts';
import { copyFor } from '../core/stripe-plan.ts';
import { noteReadError } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { consistent, reconstruct } from './reconstruct.ts';
import type { VolumeCore } from './volume-core.ts';

/** What was found in a range: stripes that differ, and bytes of a member that two drives cannot read. */
export type Agreement =
  | { readonly differing: number; readonly unreadableBytes: number }
  | { readonly failed: string };

/** Compares a range over all members, stripe by stripe where it differs, and mends it if asked. */
export async function agree(
  v: VolumeCore,
  first: StripeIndex,
  count: number,
  offset: MemberOffset,
  bytes: number,
  buffer: Address,
  mend: boolean,
): Promise<Agreement> {
  const unusable = unusableAlike(v, first, count);
  if (unusable !== null) {
    const whole = await consistent(v.sources, offset, buffer, bytes, unusable);
    if (whole.errno === OK && whole.equal) return { differing: 0, unreadableBytes: 0 };
  }
  let differing = 0;
  let unreadableBytes = 0;
  for (let index: number = first; index < first + count; index++) {
    const stripe = index as StripeIndex;
    const at = v.geometry.memberOffset(stripe, 0);
    const columns = v.geometry.columnsOf(stripe);
    const one = await consistent(v.sources, at, buffer, columns, v.members.unusable(stripe));
    if (one.errno !== OK) {
      const result = await agreeByBlocks(v, stripe, at, columns, buffer, mend);
      if ('failed' in result) return result;
      differing += result.differing;
      unreadableBytes += result.unreadableBytes;
      continue;
    }
    if (one.equal) continue;
    differing++;
    if (!mend) continue;
    const failed = await mendStripe(v, stripe, at, columns, buffer);
    if (failed !== null) return { failed };
  }
  return { differing, unreadableBytes };
}

/** null: not the same in all of the stripes; a rebuild has passed some of them. */
function unusableAlike(v: VolumeCore, first: StripeIndex, count: number): number | null {
  const unusable = v.members.unusable(first);
  for (let stripe = first + 1; stripe < first + count; stripe++)
    if (v.members.unusable(stripe as StripeIndex) !== unusable) return null;
  return unusable;
}

/**
 * A stripe with sectors that cannot be read, block by block: those are made from the others and written back, and what two
 * drives cannot read is left out and counted.
 */
export async function agreeByBlocks(
  v: VolumeCore,
  stripe: StripeIndex,
  at: MemberOffset,
  columns: number,
  buffer: Address,
  mend: boolean,
): Promise<Agreement> {
  const { mirrored } = v.geometry.level;
  let differs = false;
  let unreadableBytes = 0;
  for (let from = 0; from < columns; from += BLOCK_BYTES) {
    const place = (at + from) as MemberOffset;
    const length = Math.min(BLOCK_BYTES, columns - from);
    /** Copies of a mirror that cannot be read there although they have just been written anew: the others must agree. */
    let deaf = 0;
    let mended = 0;
    const compare = () =>
      consistent(v.sources, place, buffer, length, v.members.unusable(stripe) | deaf);
    let one = await compare();
    // Each turn mends one member, or does without it; of a mirror more than one may be unreadable in the same place.
    for (let turn = 1; one.errno !== OK && turn < 2 * v.geometry.members; turn++) {
      const slot = one.member === null ? 0 : bit(one.member.slot);
      if (mirrored && (mended & slot) !== 0) {
        deaf |= slot;
      } else {
        const failed = await mendSector(v, one.member, stripe, place, length, buffer, one.errno);
        if (failed === UNREADABLE) break;
        if (failed !== null) return { failed };
        mended |= slot;
      }
      one = await compare();
    }
    if (one.errno !== OK) unreadableBytes += length;
    else if (!one.equal) {
      differs = true;
      const failed = mend ? await mendStripe(v, stripe, place, length, buffer, deaf) : null;
      if (failed !== null) return { failed };
    }
  }
  return { differing: differs ? 1 : 0, unreadableBytes };
}

/** A second drive cannot read there either, or only parity could tell, and it is in doubt; all of them are there. */
const UNREADABLE = Symbol('unreadable');

async function mendSector(
  v: VolumeCore,
  member: Member | null,
  stripe: StripeIndex,
  at: MemberOffset,
  bytes: number,
  buffer: Address,
  errno: Errno,
): Promise<string | typeof UNREADABLE | null> {
  if (member === null) return 'no memory for a step';
  const { slot } = member;
  noteReadError(v, member, errno);
  if (member.drive === null) return `drive ${member.path} failed`;
  // Parity in doubt makes nothing but parity; a mirror's other copy is as good as the one that cannot be read.
  const believed = v.geometry.level.mirrored || v.parityTrusted(stripe);
  if (!believed && v.geometry.paritySlot(stripe) !== slot) return UNREADABLE;
  const made = await reconstruct(
    v.sources,
    slot,
    v.members.unusable(stripe) | bit(slot),
    at,
    buffer,
    bytes,
  );
  if (made.errno !== OK) {
    const other = made.member;
    if (other === null) return 'no memory for a step';
    noteReadError(v, other, made.errno);
    return other.drive === null ? `drive ${other.path} failed` : UNREADABLE;
  }
  if ((await v.members.writeData(slot, at, buffer, bytes)) === OK) return null;
  v.members.fail(member, 'a repair write failed', 'write-error');
  return `drive ${member.path} failed`;
}

/** Parity is recomputed from the data; mirrors take the copy that reads take, for those too that cannot be read. */
async function mendStripe(
  v: VolumeCore,
  stripe: StripeIndex,
  at: MemberOffset,
  bytes: number,
  buffer: Address,
  deaf = 0,
): Promise<string | null> {
  const { mirrored } = v.geometry.level;
  const parity = v.geometry.paritySlot(stripe);
  const unusable = v.members.unusable(stripe);
  const copies = v.members.slots.map(({ slot }) => slot).filter((slot) => !(unusable & bit(slot)));
  const absent = (unusable | deaf) as SlotSet;
  const one = copyFor(v.geometry, stripe, absent, v.members.absentMask as SlotSet);
  const targets = mirrored ? copies.filter((slot) => slot !== one) : [parity as number];
  const read = mirrored
    ? { errno: await v.members.readData(one, at, buffer, bytes) }
    : await reconstruct(v.sources, parity as number, unusable, at, buffer, bytes);
  if (read.errno !== OK) return `stripe ${stripe} cannot be read`;
  for (const slot of targets) {
    const errno = await v.members.writeData(slot, at, buffer, bytes);
    if (errno === OK) continue;
    v.members.fail(v.members.at(slot), `write failed (errno ${errno})`, 'write-error');
    return `drive ${v.members.at(slot).path} failed`;
  }
  return null;
}
