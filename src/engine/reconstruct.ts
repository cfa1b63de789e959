/**
 * The content of one member's range, made from the others.
 *
 * In every layout of Locum the same byte column of all members of a stripe is related in one of two ways, whatever the
 * rotation of parity:
 *
 *   mirrored   every member holds the same bytes        → copy any other
 *   parity     the XOR over all members is zero         → XOR all others
 *
 * so one function serves reads in degraded state, rebuild, scrub and the check of a returning drive, for ranges of any
 * number of stripes. Callers hold the locks of the stripes, or the volume is frozen.
 */

import { EIO, ENOMEM, type Errno, OK } from '../base/errno.ts';
import type { Address, MemberOffset } from '../base/units.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Kernels } from '../kernels/kernels.ts';
import { bit, type Member, type Members } from './members.ts';

export interface Sources {
  readonly members: Members;
  readonly buffers: Buffers;
  readonly kernels: Kernels;
  readonly mirrored: boolean;
}

export interface Reconstructed {
  readonly errno: Errno;
  /**
   * Who could not be read; null: nobody in particular, or too few members to begin with. The member that was asked, and not
   * its slot: by the time of the answer the slot may have got another drive.
   */
  readonly member: Member | null;
}

/**
 * Fills `address` with what `slot` holds (or should hold) at `offset`. `unusable`: slots that must not be used as a
 * source. `prefer`: for mirrors, the copy to take.
 */
export async function reconstruct(
  from: Sources,
  slot: number,
  unusable: number,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
): Promise<Reconstructed> {
  if (from.mirrored) return copyFromMirror(from, slot, unusable, offset, address, lengthBytes);
  if ((unusable & ~bit(slot)) !== 0) return { errno: EIO, member: null };
  return xorOfOthers(from, slot, offset, address, lengthBytes);
}

async function copyFromMirror(
  from: Sources,
  slot: number,
  unusable: number,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
): Promise<Reconstructed> {
  let failed: Reconstructed = { errno: EIO, member: null };
  const sources = from.members.slots.filter(
    (other) => other.slot !== slot && (unusable & bit(other.slot)) === 0,
  );
  for (const member of sources) {
    const errno = await from.members.readFrom(member, offset, address, lengthBytes);
    if (errno === OK) return { errno: OK, member: null };
    failed = { errno, member };
  }
  return failed;
}

async function xorOfOthers(
  from: Sources,
  slot: number,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
): Promise<Reconstructed> {
  const { members, buffers, kernels } = from;
  // Those who are the members now: while a buffer is waited for, a slot may get a drive that holds nothing yet.
  const others = members.slots.filter((other) => other.slot !== slot);
  // The first source is read straight into the result; the rest into one scratch buffer.
  const scratch = await buffers.takeLater(lengthBytes * Math.max(1, others.length - 1), 'mend');
  if (scratch === 0) return { errno: ENOMEM, member: null };
  try {
    const addresses = others.map((_, index) =>
      index === 0 ? address : ((scratch + (index - 1) * lengthBytes) as Address),
    );
    const results = await Promise.all(
      others.map((other, index) =>
        members.readFrom(other, offset, addresses[index] as Address, lengthBytes),
      ),
    );
    const bad = results.findIndex((errno) => errno !== OK);
    if (bad >= 0) return { errno: results[bad] as Errno, member: others[bad] as Member };
    kernels.xor(address, addresses, lengthBytes);
    return { errno: OK, member: null };
  } finally {
    buffers.give(scratch);
  }
}

/**
 * Whether all usable members agree over a range: mirrors equal, or XOR zero (which takes every member). `address` is
 * scratch of `lengthBytes` for the caller to look at: what is left there is the difference (parity) or the first copy.
 */
export async function consistent(
  from: Sources,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
  unusable: number,
): Promise<Reconstructed & { readonly equal: boolean }> {
  const { members, buffers, kernels, mirrored } = from;
  if (!mirrored && unusable !== 0) return { errno: EIO, member: null, equal: false };
  const asked = members.slots.filter(({ slot }) => (unusable & bit(slot)) === 0);
  const scratch = await buffers.takeLater(lengthBytes * Math.max(1, asked.length - 1), 'scratch');
  if (scratch === 0) return { errno: ENOMEM, member: null, equal: false };
  try {
    const addresses = asked.map((_, i) =>
      i === 0 ? address : ((scratch + (i - 1) * lengthBytes) as Address),
    );
    const results = await Promise.all(
      asked.map((member, i) =>
        members.readFrom(member, offset, addresses[i] as Address, lengthBytes),
      ),
    );
    const bad = results.findIndex((errno) => errno !== OK);
    if (bad >= 0)
      return { errno: results[bad] as Errno, member: asked[bad] as Member, equal: false };
    if (mirrored) {
      const equal = addresses.every(
        (copy) => copy === address || kernels.equal(address, copy, lengthBytes),
      );
      return { errno: OK, member: null, equal };
    }
    kernels.xor(address, addresses, lengthBytes);
    return { errno: OK, member: null, equal: kernels.isZero(address, lengthBytes) };
  } finally {
    buffers.give(scratch);
  }
}
