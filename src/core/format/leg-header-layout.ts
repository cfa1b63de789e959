/**
 * Where things lie on a log leg. All legs of a log have the same layout, computed from the smallest
 * one, and the header of each leg states it, so that a later version may choose differently.
 *
 *     0            64 KiB        + stripes      + slot       + slot                           capacity
 *     ├─ header ×4 ─┼─ stripe area ─┼─ checkpoint A ─┼─ checkpoint B ─┼─ record area ─────────────────┤
 *                    first half │ second half
 *
 *   header       four copies of 4 KiB at 0, 4, 8 and 12 KiB; the rest is reserved
 *   stripe area  after-images of stripes (the write-hole closer), two halves used in turn
 *   checkpoints  snapshots of the overlay, A and B in turn
 *   record area  the window's segments, appended from its start; a new window begins at the start again
 *
 * A checkpoint slot is 1/64 of the record area. That holds the overlay of a log full of 4 KiB
 * records twice over; an overlay that is more fragmented than that is not checkpointed (recovery
 * then reads more segments), so the size is never a question of correctness.
 */

import { BLOCK_BYTES, KIB, MIB, roundDown } from '../../base/units.ts';

export const HEADER_COPIES = 4;
const HEADER_AREA_BYTES = 64 * KIB;
const STRIPE_BYTES_MIN = 4 * MIB;
const STRIPE_BYTES_MAX = 64 * MIB;
const SLOT_BYTES_MIN = 64 * KIB;

/** The smallest leg: 4 MiB of stripes and about 11 MiB of records. */
export const LEG_BYTES_MIN = 16 * MIB;
/** Record payloads are located by 512-byte sector in 32 bits. */
export const LEG_BYTES_MAX = 2 ** 32 * 512 - 64 * MIB;

export interface LegLayout {
  readonly capacityBytes: number;
  readonly stripesOffset: number;
  readonly stripesBytes: number;
  /** Slot A; slot B follows it. */
  readonly checkpointOffset: number;
  readonly slotBytes: number;
  readonly recordsOffset: number;
  readonly recordsBytes: number;
}

/**
 * The layout for legs of which the smallest has `smallestBytes`; null when that is below
 * LEG_BYTES_MIN.
 */
export function layoutFor(smallestBytes: number): LegLayout | null {
  if (smallestBytes < LEG_BYTES_MIN) return null;
  const capacityBytes = roundDown(Math.min(smallestBytes, LEG_BYTES_MAX), BLOCK_BYTES);
  const wanted = roundDown(capacityBytes / 16, 2 * MIB);
  const stripesBytes = Math.max(STRIPE_BYTES_MIN, Math.min(STRIPE_BYTES_MAX, wanted));
  const stripesOffset = HEADER_AREA_BYTES;
  const checkpointOffset = stripesOffset + stripesBytes;
  const rest = capacityBytes - checkpointOffset;
  const slotBytes = Math.max(SLOT_BYTES_MIN, roundDown(rest / 64, BLOCK_BYTES));
  const recordsOffset = checkpointOffset + 2 * slotBytes;
  const recordsBytes = capacityBytes - recordsOffset;
  return {
    capacityBytes,
    stripesOffset,
    stripesBytes,
    checkpointOffset,
    slotBytes,
    recordsOffset,
    recordsBytes,
  };
}

/** Are the areas in order, aligned, without overlap and inside the leg? */
export function layoutIsSound(layout: LegLayout): boolean {
  const { capacityBytes, stripesOffset, stripesBytes, checkpointOffset, slotBytes, recordsOffset } =
    layout;
  const fields = [
    capacityBytes,
    stripesOffset,
    stripesBytes,
    checkpointOffset,
    slotBytes,
    recordsOffset,
  ];
  return (
    fields.every(
      (value) => Number.isSafeInteger(value) && value > 0 && value % BLOCK_BYTES === 0,
    ) &&
    stripesBytes % (2 * BLOCK_BYTES) === 0 &&
    layout.recordsBytes % BLOCK_BYTES === 0 &&
    layout.recordsBytes > 0 &&
    stripesOffset >= HEADER_COPIES * BLOCK_BYTES &&
    checkpointOffset >= stripesOffset + stripesBytes &&
    recordsOffset >= checkpointOffset + 2 * slotBytes &&
    capacityBytes >= recordsOffset + layout.recordsBytes &&
    capacityBytes <= LEG_BYTES_MAX
  );
}
