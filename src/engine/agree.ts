/**
 * Do all members agree, and making them: parity recomputed from the data, mirrors from the first copy, a sector that cannot
 * be read from the others. What resync and scrub are made of. Callers hold the locks of the stripes.
 */

import { type Errno, OK } from '../base/errno.ts';
import type { Address, MemberOffset, StripeIndex } from '../base/units.ts';
import { noteReadError } from './member-errors.ts';
import { bit } from './members.ts';
import { consistent, reconstruct } from './reconstruct.ts';
import type { VolumeCore } from './volume-core.ts';

/** Compares a range over all members, stripe by stripe where it differs, and mends it if asked. */
export async function agree(
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
  // Parity in doubt makes nothing but parity; a mirror's other copy is as good as the one that cannot be read.
  const believed = v.geometry.level.mirrored || v.parityTrusted(stripe);
  if (!believed && v.geometry.paritySlot(stripe) !== slot)
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
