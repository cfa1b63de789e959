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
 * Marks that are null mean "all of them" (a full rebuild). The cursor only rises. One rebuild, one resync and one re-add by
 * bitmap all use it, so that "is this stripe current?" has one answer.
 */

import type { StripeIndex } from '../base/units.ts';
import type { VerifyMode } from '../core/status.ts';

/** Marked places: regions of the bitmap, or stripes by themselves. */
export interface Marks {
  get(index: number): boolean;
  forEachRun(visit: (first: number, length: number) => void): void;
}

export interface MarksOfStripes {
  readonly marks: Marks;
  readonly ofStripe: (stripe: StripeIndex) => { first: number; last: number };
  /** The stripes that have a part in a run of marks; `end` is behind the last. */
  readonly stripesIn: (first: number, length: number) => { first: number; end: number };
}

/** From `first` on, before `end`. */
export interface StripeRun {
  readonly first: number;
  readonly end: number;
}

const WRITTEN_MAX = 4_096;

export class Recovery {
  readonly kind: 'full' | 'bitmap';
  readonly #marked: MarksOfStripes | null;
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
  /** Of a full one: so much is compared first, and with no difference a short one follows (late-return.ts). */
  toCompare: VerifyMode | null = null;
  /** Why the last job ended before its end; empty once one has got further. */
  stopped = '';

  constructor(kind: 'full' | 'bitmap', cursor: StripeIndex, marked: MarksOfStripes | null) {
    this.kind = kind;
    this.cursor = cursor;
    this.saved = cursor;
    this.#marked = marked;
  }

  /** True when the stripe still has to be brought up to date. */
  has(stripe: StripeIndex): boolean {
    if (stripe < this.cursor) return this.unmade.has(stripe);
    return this.marked(stripe) && !this.#written.has(stripe);
  }

  /** All of the stripe was written by a host: it adds up. False: that is nothing new, or there are too many of them. */
  writtenAnew(stripe: StripeIndex): boolean {
    if (stripe < this.cursor) return this.unmade.delete(stripe);
    if (!this.has(stripe) || this.#written.size >= WRITTEN_MAX) return false;
    this.#written.add(stripe);
    return true;
  }

  /** What is flushed on the member goes up to here, without a gap. */
  completeTo(cursor: StripeIndex): StripeIndex {
    let least = cursor;
    for (const stripe of this.unmade) if (stripe < least) least = stripe;
    return least;
  }

  marked(stripe: StripeIndex): boolean {
    if (!this.#marked) return true;
    const { marks, ofStripe } = this.#marked;
    const { first, last } = ofStripe(stripe);
    for (let mark = first; mark <= last; mark++) if (marks.get(mark)) return true;
    return false;
  }

  /** All for which `has` is true, ascending. */
  left(stripeCount: number): StripeRun[] {
    const runs: StripeRun[] = [];
    const add = (first: number, end: number): void => {
      const last = runs.at(-1);
      const from = Math.max(first, last?.end ?? 0);
      if (from >= end) return;
      if (last?.end === from) runs.splice(-1, 1, { first: last.first, end });
      else runs.push({ first: from, end });
    };
    for (const stripe of [...this.unmade].sort((a, b) => a - b)) add(stripe, stripe + 1);
    const written = [...this.#written].sort((a, b) => a - b);
    let next = 0;
    const addMarked = (first: number, end: number): void => {
      const to = Math.min(end, stripeCount);
      let from = Math.max(first, this.cursor);
      if (from >= to) return;
      // Runs ascend, and may share a stripe: what is behind the start of one is behind all that follow.
      while (written[next]! < from) next++;
      for (let i = next; written[i]! < to; i++) {
        const stripe = written[i]!;
        add(from, stripe);
        from = stripe + 1;
      }
      add(from, to);
    };
    if (!this.#marked) addMarked(0, stripeCount);
    else {
      const { marks, stripesIn } = this.#marked;
      marks.forEachRun((first, length) => {
        const stripes = stripesIn(first, length);
        addMarked(stripes.first, stripes.end);
      });
    }
    return runs;
  }
}
