/**
 * How one stripe is written, and which copy of a mirror is read: pure choices, returned as plain data
 * that the engine executes and tests can read. No plan touches an absent member, and none guesses:
 * what cannot be known is `impossible`.
 *
 * The write plan works on the *hull*: the columns [from, to) from the first to the last byte that
 * is written in any chunk of the stripe. Parity is recomputed over the hull and nowhere else.
 *
 *            column  0 . . from . . . . to . . chunk
 *   index 0          . . . |new·new·old| . .            piece of index 0
 *   index 1          . . . |old·new·new| . .            piece of index 1
 *   index 2          . . . |old·old·old| . .            untouched
 *   parity           . . . |P . . . . P| . .
 *
 *   kind         when                                    new parity over the hull
 *   copies       mirrored level                          —
 *   data-only    the parity member is absent             —
 *   full         pieces cover the hull of every chunk    XOR of all new
 *   reconstruct  otherwise, no old absent data needed    XOR of all, uncovered parts read
 *   modify       fewer bytes to read than reconstruct    old parity ⊕ old ⊕ new, where written
 *   rebuild      old data of an absent chunk is needed   the absent chunk is the XOR of all that is
 *                                                        present; new pieces over it; XOR of all
 *   impossible   two absent, or old parity needed and not trusted
 *
 * Invariants
 *   1. `modify` and `rebuild` believe the old parity: only with `parityTrusted`. `modify` also
 *      needs `rmwAllowed` (never in replay) and a level that is not lockstep.
 *   2. A lockstep level has the whole chunk as its hull, unless `narrow`: then it is like any other.
 *   3. `hazard`: a data member of the stripe is absent and more than one member is written. A crash
 *      between those writes would change what the absent chunk reads as, so the after-image has to
 *      be durable in the log first. With one member written there is no between: each sector is old
 *      or new.
 */

import { assert } from '../base/assert.ts';
import type { Slot, StripeIndex } from '../base/units.ts';
import type { Geometry } from './geometry.ts';
import { NONE } from './levels/descriptor.ts';
import { lengthOf, type Range, uncoveredIn } from './ranges.ts';
import { hasSlot, NO_SLOTS, type SlotSet, slotCountOf, withSlot } from './slot-set.ts';

/** New data for columns from ≤ c < to of data chunk `index`. */
export interface NewPiece {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/**
 * One transfer between a member and the stripe's buffers; `index` is NONE (−1) for the parity
 * chunk.
 */
export interface Transfer {
  readonly slot: Slot;
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

export interface WritePlanned {
  readonly kind: 'copies' | 'data-only' | 'full' | 'reconstruct' | 'modify' | 'rebuild';
  /** The hull. */
  readonly from: number;
  readonly to: number;
  /** All to be done before any write. */
  readonly reads: readonly Transfer[];
  /** May be done at the same time, once the log has what `hazard` asks for. */
  readonly writes: readonly Transfer[];
  readonly readBytes: number;
  /** The absent data chunk of this stripe, or NONE; it gets no write, parity speaks for it. */
  readonly absentIndex: number;
  readonly hazard: boolean;
}

export type WritePlan =
  | WritePlanned
  | { readonly kind: 'impossible'; readonly reason: 'two-absent' | 'parity-untrusted' };

export interface WriteCircumstances {
  readonly absent: SlotSet;
  /**
   * Is the old parity of this stripe known to agree with its data? False while its region awaits a
   * resync.
   */
  readonly parityTrusted: boolean;
  readonly rmwAllowed: boolean;
  /** Of a lockstep level too nothing is touched but the columns that are written: others cannot be read. */
  readonly narrow?: boolean;
}

const twoAbsent = { kind: 'impossible', reason: 'two-absent' } as const;
const parityUntrusted = { kind: 'impossible', reason: 'parity-untrusted' } as const;

/** `pieces` is not empty, sorted by index and column, and does not overlap. */
export function planWrite(
  geometry: Geometry,
  stripe: StripeIndex,
  pieces: readonly NewPiece[],
  circumstances: WriteCircumstances,
): WritePlan {
  assertPieces(geometry, stripe, pieces);
  const { absent, parityTrusted } = circumstances;
  if (geometry.level.mirrored) return planCopies(geometry, pieces, absent);

  const lockstep = geometry.level.lockstep && circumstances.narrow !== true;
  const shape = shapeOf(geometry, stripe, pieces, absent, lockstep);
  if (slotCountOf(absent) > geometry.level.parityChunks) return twoAbsent;
  if (hasSlot(absent, shape.paritySlot)) return planned('data-only', shape, []);

  const { absentIndex } = shape;
  const rmw = parityTrusted && circumstances.rmwAllowed && !lockstep;
  const touched = absentIndex !== NONE && (shape.covered[absentIndex] as Range[]).length > 0;
  if (absentIndex !== NONE && !touched && rmw) return planned('modify', shape, modifyReads(shape));
  if (absentIndex !== NONE && lengthOf(shape.uncovered[absentIndex] as Range[]) > 0) {
    return parityTrusted ? planned('rebuild', shape, rebuildReads(shape)) : parityUntrusted;
  }

  const reconstruct = reconstructReads(shape);
  if (reconstruct.length === 0) return planned('full', shape, reconstruct);
  if (absentIndex === NONE && rmw) {
    const modify = modifyReads(shape);
    if (bytesOf(modify) < bytesOf(reconstruct)) return planned('modify', shape, modify);
  }
  return planned('reconstruct', shape, reconstruct);
}

/**
 * What all plans of a stripe are made from. `covered` and `uncovered` are by index, within the
 * hull.
 */
interface Shape {
  readonly from: number;
  readonly to: number;
  readonly slots: readonly Slot[];
  readonly paritySlot: Slot;
  readonly parityAbsent: boolean;
  readonly absentIndex: number;
  readonly covered: readonly Range[][];
  readonly uncovered: readonly Range[][];
}

function shapeOf(
  geometry: Geometry,
  stripe: StripeIndex,
  pieces: readonly NewPiece[],
  absent: SlotSet,
  lockstep: boolean,
): Shape {
  let from = lockstep ? 0 : geometry.chunkBytes;
  let to = lockstep ? geometry.chunkBytes : 0;
  for (const piece of pieces) {
    from = Math.min(from, piece.from);
    to = Math.max(to, piece.to);
  }
  const slots: Slot[] = [];
  const covered: Range[][] = [];
  const uncovered: Range[][] = [];
  let absentIndex: number = NONE;
  let next = 0;
  for (let index = 0; index < geometry.dataChunks; index += 1) {
    const slot = geometry.dataSlot(stripe, index);
    slots.push(slot);
    if (hasSlot(absent, slot)) absentIndex = index;
    const own: Range[] = [];
    for (; next < pieces.length && (pieces[next] as NewPiece).index === index; next += 1) {
      own.push(pieces[next] as NewPiece);
    }
    covered.push(own);
    uncovered.push(uncoveredIn(from, to, own));
  }
  const paritySlot = geometry.paritySlot(stripe) as Slot;
  return {
    from,
    to,
    slots,
    paritySlot,
    parityAbsent: hasSlot(absent, paritySlot),
    absentIndex,
    covered,
    uncovered,
  };
}

function planned(kind: WritePlanned['kind'], shape: Shape, reads: Transfer[]): WritePlanned {
  const writes: Transfer[] = [];
  let written = NO_SLOTS;
  for (let index = 0; index < shape.slots.length; index += 1) {
    if (index === shape.absentIndex) continue;
    const slot = shape.slots[index] as Slot;
    for (const { from, to } of shape.covered[index] as Range[]) {
      writes.push({ slot, index, from, to });
      written = withSlot(written, slot);
    }
  }
  if (!shape.parityAbsent) {
    writes.push({ slot: shape.paritySlot, index: NONE, from: shape.from, to: shape.to });
    written = withSlot(written, shape.paritySlot);
  }
  const { from, to, absentIndex } = shape;
  const hazard = absentIndex !== NONE && slotCountOf(written) > 1;
  return { kind, from, to, reads, writes, readBytes: bytesOf(reads), absentIndex, hazard };
}

/**
 * The uncovered parts of all data chunks; the absent one has none, or there would be another plan.
 */
function reconstructReads(shape: Shape): Transfer[] {
  const reads: Transfer[] = [];
  for (let index = 0; index < shape.slots.length; index += 1) {
    const slot = shape.slots[index] as Slot;
    for (const { from, to } of shape.uncovered[index] as Range[])
      reads.push({ slot, index, from, to });
  }
  return reads;
}

/** What is about to be overwritten, and the parity over the hull. */
function modifyReads(shape: Shape): Transfer[] {
  const reads: Transfer[] = [];
  for (let index = 0; index < shape.slots.length; index += 1) {
    const slot = shape.slots[index] as Slot;
    for (const { from, to } of shape.covered[index] as Range[])
      reads.push({ slot, index, from, to });
  }
  reads.push({ slot: shape.paritySlot, index: NONE, from: shape.from, to: shape.to });
  return reads;
}

/** All that is present, over the whole hull. */
function rebuildReads(shape: Shape): Transfer[] {
  const { from, to } = shape;
  const reads: Transfer[] = [];
  for (let index = 0; index < shape.slots.length; index += 1) {
    if (index !== shape.absentIndex)
      reads.push({ slot: shape.slots[index] as Slot, index, from, to });
  }
  reads.push({ slot: shape.paritySlot, index: NONE, from, to });
  return reads;
}

function planCopies(geometry: Geometry, pieces: readonly NewPiece[], absent: SlotSet): WritePlan {
  const writes: Transfer[] = [];
  for (let slot = 0; slot < geometry.members; slot += 1) {
    if (hasSlot(absent, slot)) continue;
    for (const { index, from, to } of pieces) writes.push({ slot: slot as Slot, index, from, to });
  }
  if (writes.length === 0) return twoAbsent;
  const from = (pieces[0] as NewPiece).from;
  const to = (pieces[pieces.length - 1] as NewPiece).to;
  return {
    kind: 'copies',
    from,
    to,
    reads: [],
    writes,
    readBytes: 0,
    absentIndex: NONE,
    hazard: false,
  };
}

function bytesOf(transfers: readonly Transfer[]): number {
  return lengthOf(transfers);
}

function assertPieces(geometry: Geometry, stripe: StripeIndex, pieces: readonly NewPiece[]): void {
  assert(pieces.length > 0, 'stripe-plan: nothing to write');
  assert(stripe >= 0 && stripe < geometry.stripeCount, 'stripe-plan: no such stripe');
  const columns = geometry.columnsOf(stripe);
  let index = 0;
  let column = 0;
  for (const piece of pieces) {
    assert(
      piece.index >= index && piece.index < geometry.dataChunks,
      'stripe-plan: pieces out of order',
    );
    if (piece.index > index) column = 0;
    assert(
      piece.from >= column && piece.from < piece.to && piece.to <= columns,
      'stripe-plan: bad piece',
    );
    index = piece.index;
    column = piece.to;
  }
}

/** Stripes in a row that a mirror reads from one copy (1 MiB at 64 KiB a stripe). */
const STRIPES_PER_TURN = 16;

/**
 * The copy of a mirror that counts in this stripe, or NONE: reads take it, and after a crash the others are made like it, so
 * that a write that a read has shown, and nobody has answered, is not gone. For that each stripe has its own order of all
 * copies and the first that is there is taken: which others are out changes nothing. `unproven` ones only when there is no
 * other: a start may find them not rebuilt yet. For hot paths, as it returns no object.
 */
export function copyFor(
  geometry: Geometry,
  stripe: StripeIndex,
  absent: SlotSet,
  unproven: SlotSet,
): Slot | typeof NONE {
  const present = ((1 << geometry.members) - 1) & ~absent;
  const proven = present & ~unproven;
  return inTurn(geometry.members, stripe, (proven === 0 ? present : proven) as SlotSet);
}

/** The order: one of those that are left is struck again and again, so that each comes next as often as any other. */
function inTurn(members: number, stripe: StripeIndex, wanted: SlotSet): Slot | typeof NONE {
  let left = (1 << members) - 1;
  let turn = Math.floor(stripe / STRIPES_PER_TURN);
  for (let count = members; count > 0; count -= 1) {
    let slot = 0;
    for (let skip = turn % count; (left & (1 << slot)) === 0 || skip > 0; slot += 1)
      if ((left & (1 << slot)) !== 0) skip -= 1;
    if (hasSlot(wanted, slot)) return slot as Slot;
    left &= ~(1 << slot);
    turn = Math.floor(turn / count);
  }
  return NONE;
}
