/**
 * Which stripes of a member (or of the whole volume's parity) are still to be brought up to date.
 *
 *   stripes   0 ─────────── cursor ──────────────────────── end
 *             done          | marked regions: to do; others: current
 *
 * `unmade`: stripes below the cursor that could not be made, since a sector of another member cannot be read. The member
 * is not used there, so exactly what is lost is an error, and it does not count as rebuilt while there are any; `saved`
 * stays below the first, so a restart, or md, comes back to them.
 *
 * `regions` null means "all of them" (a full rebuild). The cursor only rises. One rebuild, one resync and one re-add by
 * bitmap all use it, so that "is this stripe current?" has one answer.
 */

import type { StripeIndex } from '../base/units.ts';
import type { IntentBits } from '../core/format/intent-bits.ts';

const WRITTEN_MAX = 4_096;

export class Recovery {
  readonly kind: 'full' | 'bitmap';
  readonly #regions: IntentBits | null;
  readonly #regionOf: (stripe: StripeIndex) => { first: number; last: number };
  cursor: StripeIndex;
  /** The cursor that may be written to the labels: what is below it is flushed on the member. */
  saved: StripeIndex;
  readonly unmade = new Set<StripeIndex>();
  /** Stripes above the cursor that a host has written anew, parity and all; not more than a few thousand. */
  readonly #written = new Set<StripeIndex>();
  /** A job is at work on it. */
  isRunning = false;
  /** Its turn comes when the job on another member has ended. */
  isWaiting = false;
  /** Why the last job ended before its end; empty once one has got further. */
  stopped = '';

  constructor(
    kind: 'full' | 'bitmap',
    cursor: StripeIndex,
    regions: IntentBits | null,
    regionOf: (stripe: StripeIndex) => { first: number; last: number },
  ) {
    this.kind = kind;
    this.cursor = cursor;
    this.saved = cursor;
    this.#regions = regions;
    this.#regionOf = regionOf;
  }

  /** True when the stripe still has to be brought up to date. */
  has(stripe: StripeIndex): boolean {
    if (stripe < this.cursor) return this.unmade.has(stripe);
    return this.marked(stripe) && !this.#written.has(stripe);
  }

  /** All of the stripe was written by a host: it adds up. One that is forgotten here is gone over again. */
  writtenAnew(stripe: StripeIndex): void {
    if (stripe < this.cursor) this.unmade.delete(stripe);
    else if (this.#written.size < WRITTEN_MAX) this.#written.add(stripe);
  }

  /** What is flushed on the member goes up to here, without a gap. */
  completeTo(cursor: StripeIndex): StripeIndex {
    let least = cursor;
    for (const stripe of this.unmade) if (stripe < least) least = stripe;
    return least;
  }

  marked(stripe: StripeIndex): boolean {
    if (!this.#regions) return true;
    const { first, last } = this.#regionOf(stripe);
    for (let region = first; region <= last; region++) if (this.#regions.get(region)) return true;
    return false;
  }
}
