/**
 * Writes pieces of one stripe. The plan (core/stripe-plan.ts) says what is read and what is written; this file carries it
 * out: read, XOR, after-image if the plan calls it a hazard, write.
 *
 *   scratch   | parity hull | chunk a hull | chunk b hull | …     one buffer, taken once, so that no two writers can
 *               each hull = columns [from, to) of the plan         hold part of what the other waits for
 *
 * The caller holds the stripe's lock, has the intent bit durable, and owns the pieces' buffers until this resolves.
 * Failed members are taken out here; the caller waits for the record (`members.settled()`) before it acknowledges.
 */

import { assert } from '../base/assert.ts';
import { EIO, ENOMEM, type Errno, isDriveGone, OK } from '../base/errno.ts';
import {
  type Address,
  roundDown,
  SECTOR_BYTES,
  type Slot,
  type StripeIndex,
} from '../base/units.ts';
import { NONE } from '../core/levels/descriptor.ts';
import type { SlotSet } from '../core/slot-set.ts';
import { type NewPiece, planWrite, type Transfer, type WritePlanned } from '../core/stripe-plan.ts';
import { inPlace } from './in-place.ts';
import type { StripeImage } from './log/stripe-image.ts';
import { noteReadError, repairRange } from './member-errors.ts';
import { bit, type Member } from './members.ts';
import { reconstruct } from './reconstruct.ts';
import type { VolumeCore } from './volume-core.ts';

export interface DataPiece extends NewPiece {
  readonly address: Address;
}

export async function writeStripe(
  v: VolumeCore,
  stripe: StripeIndex,
  pieces: readonly DataPiece[],
  rmwAllowed = true,
): Promise<Errno> {
  let narrow = false;
  let isFirst = true;
  // A member that turns out to be gone while the stripe is read changes the plan; each turn has one member fewer, but for
  // those two in which the same is looked at again.
  for (let turn = 0; turn <= v.geometry.members + 2; turn++) {
    // An image that leaves a member out must not be in the journal of a volume that does not know it is gone.
    for (let record = v.members.settled(); record !== null; record = v.members.settled())
      await record;
    // Halted by the writer before: what it left of the stripe must not be mended with, let alone built upon.
    if (v.halted) return EIO;
    const absent = v.members.unusable(stripe) as SlotSet;
    const plan = planWrite(v.geometry, stripe, pieces, {
      absent,
      parityTrusted: v.parityTrusted(stripe),
      rmwAllowed,
      narrow,
    });
    if (plan.kind === 'impossible') return EIO;
    const errno = await carryOut(v, stripe, pieces, plan);
    // What is lost may lie beside what is written: of a stripe that is one unit, only where it is written then.
    if (errno === UNREADABLE && v.geometry.level.lockstep && !narrow) narrow = true;
    // As a read does (read.ts, 7): a drive that could not read once may be able to now, and nothing was written.
    else if (errno === UNREADABLE && isFirst) isFirst = false;
    else if (errno === UNREADABLE) return EIO;
    else if (errno !== REPLAN) return errno;
  }
  return EIO;
}

/** Not an errno of any system: a member went away before anything was written. */
const REPLAN = -1;
/** Nor this: two members of the stripe cannot be read in one place, and nothing was written. */
const UNREADABLE = -2;

async function carryOut(
  v: VolumeCore,
  stripe: StripeIndex,
  pieces: readonly DataPiece[],
  plan: WritePlanned,
): Promise<Errno> {
  if (plan.kind === 'copies') {
    const writes = memberWrites(plan, (transfer) => pieceAddress(pieces, transfer));
    return writeImages(v, imagesOf(v, stripe, writes));
  }
  if (plan.kind === 'data-only') {
    return writeLogged(v, stripe, plan, (transfer) => pieceAddress(pieces, transfer));
  }
  const scratch = new Scratch(v, plan, pieces);
  if (!(await scratch.take())) return ENOMEM;
  try {
    const errno = await readOld(v, stripe, plan, scratch);
    if (errno !== OK) return errno;
    computeParity(v, plan, pieces, scratch);
    const addressOf = (transfer: Transfer): Address =>
      transfer.index === NONE ? scratch.parity : pieceAddress(pieces, transfer);
    const written = await writeLogged(v, stripe, plan, addressOf);
    // The labels of a degraded volume say what is in doubt (doubt.ts): they know of the end before the host does.
    if (written === OK && endsDoubt(v, stripe, plan) && v.degraded) await v.metadata.commit();
    return written;
  } finally {
    scratch.give();
  }
}

/** Parity made from the data alone, over the whole of the stripe: is a doubt ended by it, that a resync was to end? */
function endsDoubt(
  { resync, geometry }: VolumeCore,
  stripe: StripeIndex,
  plan: WritePlanned,
): boolean {
  if (resync === null || (plan.kind !== 'full' && plan.kind !== 'reconstruct')) return false;
  const isWhole = plan.from === 0 && plan.to === geometry.columnsOf(stripe);
  return isWhole && resync.writtenAnew(stripe);
}

/**
 * By way of the journal, and then in place (in-place.ts). Not only where the plan sees a hazard: images are redone in
 * order after a crash, so while one of a stripe may still be in the journal every later write of that stripe must be
 * there too, or the redo would bring back what it replaced.
 *
 * Columns have nothing to do with each other, so what is too much for one call goes band by band.
 */
async function writeLogged(
  v: VolumeCore,
  stripe: StripeIndex,
  plan: WritePlanned,
  addressOf: (transfer: Transfer) => Address,
): Promise<Errno> {
  return writeBand(v, stripe, memberWrites(plan, addressOf), plan.from, plan.to);
}

/** Columns of one member, from memory. */
interface MemberWrite {
  readonly slot: Slot;
  readonly from: number;
  readonly to: number;
  readonly address: Address;
}

const memberWrites = (
  plan: WritePlanned,
  addressOf: (transfer: Transfer) => Address,
): MemberWrite[] =>
  plan.writes.map((transfer) => {
    const { slot, from, to } = transfer;
    return { slot, from, to, address: addressOf(transfer) };
  });

const imagesOf = (
  v: VolumeCore,
  stripe: StripeIndex,
  writes: readonly MemberWrite[],
): StripeImage[] =>
  writes.map(({ slot, from, to, address }) => ({
    slot,
    memberOffset: v.geometry.memberOffset(stripe, from),
    address,
    lengthBytes: to - from,
  }));

async function writeBand(
  v: VolumeCore,
  stripe: StripeIndex,
  writes: readonly MemberWrite[],
  from: number,
  to: number,
): Promise<Errno> {
  const images = imagesOf(v, stripe, writes);
  if (v.log === null || v.log.stripes.fits(images)) {
    return inPlace(v, images, () => writeImages(v, images));
  }
  const middle = roundDown(from + (to - from) / 2, SECTOR_BYTES);
  for (const [low, high] of [
    [from, middle],
    [middle, to],
  ] as const) {
    const errno = await writeBand(v, stripe, within(writes, low, high), low, high);
    if (errno !== OK) return errno;
  }
  return OK;
}

/** What lies in columns [low, high). */
function within(writes: readonly MemberWrite[], low: number, high: number): MemberWrite[] {
  return writes.flatMap(({ slot, from, to, address }) => {
    const start = Math.max(from, low);
    const end = Math.min(to, high);
    if (start >= end) return [];
    return [{ slot, from: start, to: end, address: (address + (start - from)) as Address }];
  });
}

/** The buffers of one stripe write: parity over the hull, and a hull for each chunk that cannot be used in place. */
class Scratch {
  readonly #v: VolumeCore;
  readonly #hullBytes: number;
  readonly #from: number;
  readonly #place = new Map<number, number>();
  #base = 0 as Address;

  constructor(v: VolumeCore, plan: WritePlanned, pieces: readonly DataPiece[]) {
    this.#v = v;
    this.#from = plan.from;
    this.#hullBytes = plan.to - plan.from;
    for (const { index } of plan.reads) this.#need(index);
    for (const { index, from, to } of pieces) {
      // A chunk whose one piece covers the hull is a source as it stands.
      if (plan.kind !== 'modify' && (from !== plan.from || to !== plan.to)) this.#need(index);
    }
    if (plan.kind === 'rebuild' && plan.absentIndex !== NONE) this.#need(plan.absentIndex);
  }

  #need(index: number): void {
    if (index !== NONE && !this.#place.has(index)) this.#place.set(index, this.#place.size + 1);
  }

  async take(): Promise<boolean> {
    const { buffers } = this.#v.environment;
    const bytes = this.#hullBytes * (this.#place.size + 1);
    this.#base = buffers.take(bytes, 'scratch');
    if (this.#base === 0) this.#base = await buffers.takeLater(bytes, 'scratch');
    return this.#base !== 0;
  }

  give(): void {
    this.#v.environment.buffers.give(this.#base);
  }

  get parity(): Address {
    return this.#base;
  }

  has(index: number): boolean {
    return this.#place.has(index);
  }

  /** Column `column` of the hull of chunk `index`, or of parity. */
  at(index: number, column: number): Address {
    const place = index === NONE ? 0 : this.#place.get(index);
    assert(place !== undefined, 'stripe write: no scratch for this chunk');
    return (this.#base + place * this.#hullBytes + (column - this.#from)) as Address;
  }
}

async function readOld(
  v: VolumeCore,
  stripe: StripeIndex,
  plan: WritePlanned,
  scratch: Scratch,
): Promise<Errno> {
  const { reads } = plan;
  if (reads.length === 0) return OK;
  const asked = reads.map(({ slot }) => v.members.at(slot));
  const answers = reads.map(({ slot, index, from, to }) =>
    v.members.readData(
      slot,
      v.geometry.memberOffset(stripe, from),
      scratch.at(index, from),
      to - from,
    ),
  );
  // One after the other, at half the cost of Promise.all: drives do not reject.
  const results: Errno[] = [];
  for (const answer of answers) results.push(await answer);
  for (let i = 0; i < results.length; i++) {
    const errno = results[i] as Errno;
    if (errno === OK) continue;
    const transfer = reads[i] as Transfer;
    const member = asked[i] as Member;
    noteReadError(v, member, errno);
    if (member.state !== 'online' && member.state !== 'rebuilding') return REPLAN;
    if (isDriveGone(errno)) return REPLAN;
    // A sector that cannot be read: made from the others, and written back where it was lost.
    if (!v.parityTrusted(stripe)) return UNREADABLE;
    const offset = v.geometry.memberOffset(stripe, transfer.from);
    const address = scratch.at(transfer.index, transfer.from);
    const lengthBytes = transfer.to - transfer.from;
    const unusable = v.members.unusable(stripe) | bit(transfer.slot);
    const made = await reconstruct(
      v.sources,
      transfer.slot,
      unusable,
      offset,
      address,
      lengthBytes,
    );
    if (made.errno !== OK) return UNREADABLE;
    await repairRange(v, member, offset, address, lengthBytes);
  }
  return OK;
}

function computeParity(
  v: VolumeCore,
  plan: WritePlanned,
  pieces: readonly DataPiece[],
  scratch: Scratch,
): void {
  const { kernels, buffers } = v.environment;
  const hullBytes = plan.to - plan.from;
  if (plan.kind === 'modify') {
    for (const { index, from, to, address } of pieces) {
      const parity = scratch.at(NONE, from);
      if (scratch.has(index))
        kernels.xor(parity, [parity, scratch.at(index, from), address], to - from);
      else kernels.xorInto(parity, address, to - from);
    }
    return;
  }
  const sources: Address[] = [];
  if (plan.kind === 'rebuild') {
    // The absent chunk as it was: XOR of all that was read, the old parity among it.
    for (const { index, from } of plan.reads) sources.push(scratch.at(index, from));
    kernels.xor(scratch.at(plan.absentIndex, plan.from), sources, hullBytes);
    sources.length = 0;
  }
  for (let index = 0; index < v.geometry.dataChunks; index++) {
    if (scratch.has(index)) {
      sources.push(scratch.at(index, plan.from));
      continue;
    }
    const whole = pieces.find((piece) => piece.index === index);
    assert(whole !== undefined, 'stripe write: a chunk is neither read nor written');
    sources.push(whole.address);
  }
  for (const { index, from, to, address } of pieces) {
    if (!scratch.has(index)) continue;
    buffers.bytes.copyWithin(scratch.at(index, from), address, address + (to - from));
  }
  kernels.xor(scratch.parity, sources, hullBytes);
}

function pieceAddress(pieces: readonly DataPiece[], transfer: Transfer): Address {
  for (const piece of pieces) {
    if (piece.index === transfer.index && piece.from === transfer.from) return piece.address;
  }
  assert(false, 'stripe write: a write without its piece');
}

async function writeImages(v: VolumeCore, images: readonly StripeImage[]): Promise<Errno> {
  // Who is asked now, and not who has the slot when the slowest has answered: a spare may have taken it by then.
  const asked = images.map(({ slot }) => v.members.at(slot));
  const answers = images.map(({ slot, memberOffset, address, lengthBytes }) =>
    v.members.writeData(slot, memberOffset, address, lengthBytes),
  );
  const results: Errno[] = [];
  for (const answer of answers) results.push(await answer);
  for (let i = 0; i < results.length; i++) {
    const errno = results[i] as Errno;
    if (errno === OK) continue;
    v.members.fail(asked[i] as Member, `write failed (errno ${errno})`, 'write-error');
  }
  return v.mode === 'halted' ? EIO : OK;
}
