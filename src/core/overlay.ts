/**
 * The overlay: which ranges of the volume are newer in the log than on the members, exact to one
 * 512-byte sector.
 *
 * Unit: sectors, on both sides. An extent [start, start + sectors) has a kind and a location. For
 * DATA the location is the leg sector (LegOffset / 512) with the payload of `start`, and the
 * following sectors follow there. For ZERO and TRIM the location is whatever the writer wants to
 * recognise its record by; it is the same for all of the extent.
 *
 * Every read of a frozen volume asks here first, and a million extents have to fit in 60 MB. So
 * there is no object per extent: extents lie in leaves of up to 256, as three numbers each in one
 * Float64Array, and a directory of the leaves' first sectors is searched by bisection.
 *
 *   directory   firsts [   0 | 4096 | 9000 | … ]     leaves [ ■ | ■ | ■ | … ]
 *   leaf        start location length·4+kind | start location length·4+kind | …    room for 256
 *
 * Invariants (assertState)
 *   1. Extents ascend and do not overlap, within leaves and across them; none is empty.
 *   2. firsts[d] is exactly the start of the first extent of leaf d, and no leaf is empty. So the
 *      extent that holds sector x, if there is one, is the last one that starts at or below x, in
 *      the last leaf that does.
 *   3. `extentCount` and `liveSectors` (of DATA) are the sums over the leaves.
 *   4. Nothing changes while `forEachPiece` or `exportTo` is visiting.
 */

import { assert } from '../base/assert.ts';

/** Not in the overlay: the members have it. Only ever seen by the visitor of `forEachPiece`. */
export const GAP = 0;
export const DATA = 1;
/** Reads as zeroes. */
export const ZERO = 2;
/** Reads as zeroes too; on replay the space may be given back. */
export const TRIM = 3;
export type OverlayKind = typeof DATA | typeof ZERO | typeof TRIM;
export type PieceKind = OverlayKind | typeof GAP;

export interface OverlayExtent {
  start: number;
  sectors: number;
  kind: OverlayKind;
  location: number;
}

export type PieceVisitor = (
  start: number,
  sectors: number,
  kind: PieceKind,
  location: number,
) => void;

const LEAF_EXTENTS = 256;
/** A leaf that has shrunk below this is joined with a neighbour where both fit. */
const LEAF_EXTENTS_LOW = 64;
const LEAF_EXTENTS_JOINED = 192;
/**
 * Numbers per extent: start, location, length·4+kind. Length and kind share one, which saves a
 * quarter.
 */
const WIDTH = 3;

class Leaf {
  readonly numbers = new Float64Array(LEAF_EXTENTS * WIDTH);
  count = 0;
}

const packedOf = (sectors: number, kind: number): number => sectors * 4 + kind;
const sectorsOf = (packed: number): number => Math.floor(packed / 4);
const kindOf = (packed: number): OverlayKind => (packed - sectorsOf(packed) * 4) as OverlayKind;
/** Where the sector `by` further on lies. */
const advanced = (kind: number, location: number, by: number): number =>
  kind === DATA ? location + by : location;

export class Overlay {
  #firsts = new Float64Array(16);
  readonly #leaves: Leaf[] = [];
  #extentCount = 0;
  #liveSectors = 0;
  /** Where `#seek` stopped: extent `#at` of `#leaf`, which is leaf `#leafIndex`. */
  #leafIndex = 0;
  #at = 0;
  #visiting = 0;

  get extentCount(): number {
    return this.#extentCount;
  }

  /** Sectors whose newest data is in the log: what a log that is compacted perfectly would hold. */
  get liveSectors(): number {
    return this.#liveSectors;
  }

  /** What the extents occupy. */
  get memoryBytes(): number {
    return this.#leaves.length * (LEAF_EXTENTS * WIDTH + 1) * 8 + this.#firsts.byteLength;
  }

  /** Maps the range; whatever it overlaps is cut away, split or replaced: the newest wins. */
  insert(start: number, sectors: number, kind: OverlayKind, location: number): void {
    assert(
      start >= 0 && sectors > 0 && Number.isSafeInteger((start + sectors) * 4),
      'overlay: range',
    );
    assert(this.#visiting === 0, 'overlay: changed while being visited');
    const end = start + sectors;
    if (this.#seek(start)) {
      const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
      const at = this.#at * WIDTH;
      const packed = numbers[at + 2] as number;
      if ((numbers[at] as number) < end) {
        if (numbers[at] === start && sectorsOf(packed) === sectors) {
          // The same range again, as a host that rewrites a block does: nothing moves.
          if (kindOf(packed) === DATA) this.#liveSectors -= sectors;
          if (kind === DATA) this.#liveSectors += sectors;
          numbers[at + 1] = location;
          numbers[at + 2] = packedOf(sectors, kind);
          return;
        }
        this.#cut(start, end);
        this.#seek(start);
      }
    }
    if (!this.#extendPrevious(start, sectors, kind, location))
      this.#insertHere(start, sectors, kind, location);
    if (kind === DATA) this.#liveSectors += sectors;
  }

  /** Is every sector of the range in the overlay? */
  covers(start: number, sectors: number): boolean {
    const end = start + sectors;
    let at = start;
    for (let more = this.#seek(start); more; more = this.#step()) {
      const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
      const extentStart = numbers[this.#at * WIDTH] as number;
      if (extentStart > at) return false;
      at = extentStart + sectorsOf(numbers[this.#at * WIDTH + 2] as number);
      if (at >= end) return true;
    }
    return false;
  }

  /** Is any sector of the range in the overlay? Asked on every read. */
  anyIn(start: number, sectors: number): boolean {
    if (this.#extentCount === 0 || !this.#seek(start)) return false;
    return (
      ((this.#leaves[this.#leafIndex] as Leaf).numbers[this.#at * WIDTH] as number) <
      start + sectors
    );
  }

  /**
   * Visits all of the range, ascending and without holes: what is not in the overlay comes as GAP,
   * location 0.
   */
  forEachPiece(start: number, sectors: number, visit: PieceVisitor): void {
    const end = start + sectors;
    let at = start;
    this.#visiting += 1;
    try {
      for (let more = this.#seek(start); more && at < end; more = this.#step()) {
        const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
        const extentStart = numbers[this.#at * WIDTH] as number;
        if (extentStart >= end) break;
        const location = numbers[this.#at * WIDTH + 1] as number;
        const packed = numbers[this.#at * WIDTH + 2] as number;
        const kind = kindOf(packed);
        const to = Math.min(end, extentStart + sectorsOf(packed));
        // A visitor may ask this overlay something, which moves the cursor.
        const leafIndex = this.#leafIndex;
        const atExtent = this.#at;
        if (extentStart > at) {
          visit(at, extentStart - at, GAP, 0);
          at = extentStart;
        }
        visit(at, to - at, kind, advanced(kind, location, at - extentStart));
        at = to;
        this.#leafIndex = leafIndex;
        this.#at = atExtent;
      }
      if (at < end) visit(at, end - at, GAP, 0);
    } finally {
      this.#visiting -= 1;
    }
  }

  /**
   * Takes out what still maps to the same record: used after replay, so that a newer write of a
   * part of the range keeps its mapping. Answers the number of sectors taken out.
   */
  removeIf(start: number, sectors: number, kind: OverlayKind, location: number): number {
    assert(this.#visiting === 0, 'overlay: changed while being visited');
    const end = start + sectors;
    let removed = 0;
    let at = start;
    while (at < end && this.#seek(at)) {
      const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
      const extentStart = numbers[this.#at * WIDTH] as number;
      if (extentStart >= end) break;
      const packed = numbers[this.#at * WIDTH + 2] as number;
      const extentKind = kindOf(packed);
      const from = Math.max(at, extentStart);
      const to = Math.min(end, extentStart + sectorsOf(packed));
      const here = advanced(
        extentKind,
        numbers[this.#at * WIDTH + 1] as number,
        from - extentStart,
      );
      if (extentKind === kind && here === advanced(kind, location, from - start)) {
        this.#cut(from, to);
        removed += to - from;
      }
      at = to;
    }
    return removed;
  }

  /** The first extent, or part of one, at or after `sector`. */
  firstFrom(sector: number): OverlayExtent | null {
    if (!this.#seek(sector)) return null;
    const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
    const extentStart = numbers[this.#at * WIDTH] as number;
    const packed = numbers[this.#at * WIDTH + 2] as number;
    const kind = kindOf(packed);
    const start = Math.max(sector, extentStart);
    const skipped = start - extentStart;
    const location = advanced(kind, numbers[this.#at * WIDTH + 1] as number, skipped);
    return { start, sectors: sectorsOf(packed) - skipped, kind, location };
  }

  /** Forgets everything before `sector`. */
  removeBelow(sector: number): void {
    assert(this.#visiting === 0, 'overlay: changed while being visited');
    this.#cut(0, sector);
  }

  clear(): void {
    assert(this.#visiting === 0, 'overlay: changed while being visited');
    this.#leaves.length = 0;
    this.#firsts = new Float64Array(16);
    this.#extentCount = 0;
    this.#liveSectors = 0;
  }

  /** All extents, ascending: what a checkpoint of the log stores. */
  exportTo(
    visit: (start: number, sectors: number, kind: OverlayKind, location: number) => void,
  ): void {
    this.#visiting += 1;
    try {
      for (const leaf of this.#leaves) {
        for (let at = 0; at < leaf.count * WIDTH; at += WIDTH) {
          const packed = leaf.numbers[at + 2] as number;
          visit(
            leaf.numbers[at] as number,
            sectorsOf(packed),
            kindOf(packed),
            leaf.numbers[at + 1] as number,
          );
        }
      }
    } finally {
      this.#visiting -= 1;
    }
  }

  /**
   * Replaces everything by `count` extents that `next` hands out one after the other, ascending and
   * not overlapping, by filling in the same object each time. The leaves are left with some room,
   * as writes go on.
   */
  bulkLoad(count: number, next: (extent: OverlayExtent) => void): void {
    this.clear();
    const extent: OverlayExtent = { start: 0, sectors: 0, kind: DATA, location: 0 };
    let leaf: Leaf | null = null;
    let end = 0;
    for (let i = 0; i < count; i += 1) {
      next(extent);
      assert(
        extent.start >= end && extent.sectors > 0,
        'overlay: extents to load are not in order',
      );
      assert(
        extent.kind >= DATA && extent.kind <= TRIM,
        'overlay: extent to load has no such kind',
      );
      end = extent.start + extent.sectors;
      if (leaf === null || leaf.count >= LEAF_EXTENTS_JOINED) {
        leaf = new Leaf();
        this.#addLeaf(this.#leaves.length, leaf, extent.start);
      }
      const at = leaf.count * WIDTH;
      leaf.numbers[at] = extent.start;
      leaf.numbers[at + 1] = extent.location;
      leaf.numbers[at + 2] = packedOf(extent.sectors, extent.kind);
      leaf.count += 1;
      if (extent.kind === DATA) this.#liveSectors += extent.sectors;
    }
    this.#extentCount = count;
  }

  /** Mirrors the invariants at the top of the file; walks everything, so not for hot paths. */
  assertState(): void {
    let end = 0;
    let extents = 0;
    let live = 0;
    for (let d = 0; d < this.#leaves.length; d += 1) {
      const leaf = this.#leaves[d] as Leaf;
      assert(leaf.count > 0 && leaf.count <= LEAF_EXTENTS, 'overlay: leaf size');
      assert(this.#firsts[d] === leaf.numbers[0], 'overlay: directory disagrees with leaf');
      for (let at = 0; at < leaf.count * WIDTH; at += WIDTH) {
        const start = leaf.numbers[at] as number;
        const sectors = sectorsOf(leaf.numbers[at + 2] as number);
        const kind = kindOf(leaf.numbers[at + 2] as number);
        assert(start >= end && sectors > 0, 'overlay: extents overlap or are empty');
        assert(kind >= DATA && kind <= TRIM, 'overlay: no such kind');
        end = start + sectors;
        extents += 1;
        if (kind === DATA) live += sectors;
      }
    }
    assert(extents === this.#extentCount, 'overlay: extent count');
    assert(live === this.#liveSectors, 'overlay: live sectors');
  }

  /**
   * Moves the cursor to the first extent that ends after `sector`: the one that holds it, or else
   * the next one. False when there is none; the cursor is then behind the last extent, where an
   * insertion belongs.
   */
  #seek(sector: number): boolean {
    const leaves = this.#leaves;
    if (leaves.length === 0) {
      this.#leafIndex = 0;
      this.#at = 0;
      return false;
    }
    const firsts = this.#firsts;
    let low = 0;
    let high = leaves.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] as number) <= sector) low = middle;
      else high = middle;
    }
    const { numbers, count } = leaves[low] as Leaf;
    // The number of extents of this leaf that start at or below `sector`.
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((numbers[middle * WIDTH] as number) <= sector) from = middle + 1;
      else to = middle;
    }
    if (from > 0) {
      const before = (from - 1) * WIDTH;
      if ((numbers[before] as number) + sectorsOf(numbers[before + 2] as number) > sector)
        from -= 1;
    }
    this.#leafIndex = low;
    this.#at = from;
    if (from < count) return true;
    // Behind the last extent of this leaf: the next leaf starts above `sector`, so its first extent
    // is the one.
    if (low + 1 === leaves.length) return false;
    this.#leafIndex = low + 1;
    this.#at = 0;
    return true;
  }

  /** Moves the cursor to the next extent; false at the end. */
  #step(): boolean {
    this.#at += 1;
    if (this.#at < (this.#leaves[this.#leafIndex] as Leaf).count) return true;
    if (this.#leafIndex + 1 >= this.#leaves.length) return false;
    this.#leafIndex += 1;
    this.#at = 0;
    return true;
  }

  /**
   * A record that continues the one before it on the leg and in the volume becomes one extent with
   * it.
   */
  #extendPrevious(start: number, sectors: number, kind: OverlayKind, location: number): boolean {
    if (this.#extentCount === 0) return false;
    let leaf = this.#leaves[this.#leafIndex] as Leaf;
    let at = this.#at - 1;
    if (at < 0) {
      if (this.#leafIndex === 0) return false;
      leaf = this.#leaves[this.#leafIndex - 1] as Leaf;
      at = leaf.count - 1;
    }
    const { numbers } = leaf;
    const before = numbers[at * WIDTH] as number;
    const packed = numbers[at * WIDTH + 2] as number;
    const length = sectorsOf(packed);
    if (before + length !== start || kindOf(packed) !== kind) return false;
    if (advanced(kind, numbers[at * WIDTH + 1] as number, length) !== location) return false;
    numbers[at * WIDTH + 2] = packedOf(length + sectors, kind);
    return true;
  }

  /** Inserts at the cursor, where nothing overlaps. Leaves `liveSectors` to the caller. */
  #insertHere(start: number, sectors: number, kind: OverlayKind, location: number): void {
    let leaf = this.#leaves[this.#leafIndex];
    if (leaf !== undefined && this.#at === 0 && this.#leafIndex > 0) {
      // Before the first extent of a leaf is also behind the last one of the leaf before: take that
      // if it has room.
      const before = this.#leaves[this.#leafIndex - 1] as Leaf;
      if (before.count < LEAF_EXTENTS) {
        leaf = before;
        this.#leafIndex -= 1;
        this.#at = before.count;
      }
    }
    if (leaf === undefined) {
      leaf = new Leaf();
      this.#addLeaf(0, leaf, start);
    } else if (leaf.count === LEAF_EXTENTS) {
      leaf = this.#split(leaf);
    }
    const { numbers } = leaf;
    const at = this.#at * WIDTH;
    if (this.#at < leaf.count) numbers.copyWithin(at + WIDTH, at, leaf.count * WIDTH);
    numbers[at] = start;
    numbers[at + 1] = location;
    numbers[at + 2] = packedOf(sectors, kind);
    leaf.count += 1;
    this.#extentCount += 1;
    if (this.#at === 0) this.#firsts[this.#leafIndex] = start;
  }

  /**
   * Makes room in a full leaf, and moves the cursor to where the insertion belongs now; answers
   * that leaf.
   */
  #split(leaf: Leaf): Leaf {
    const right = new Leaf();
    // At its very end a leaf is left full: writing in ascending order fills leaves instead of
    // leaving them half empty.
    const keep = this.#at === LEAF_EXTENTS ? LEAF_EXTENTS : LEAF_EXTENTS / 2;
    right.numbers.set(leaf.numbers.subarray(keep * WIDTH, leaf.count * WIDTH));
    right.count = leaf.count - keep;
    leaf.count = keep;
    this.#addLeaf(this.#leafIndex + 1, right, right.numbers[0] as number);
    if (this.#at < keep || (this.#at === keep && keep < LEAF_EXTENTS)) return leaf;
    this.#leafIndex += 1;
    this.#at -= keep;
    return right;
  }

  #addLeaf(index: number, leaf: Leaf, first: number): void {
    const count = this.#leaves.length;
    if (count === this.#firsts.length) {
      const larger = new Float64Array(count * 2);
      larger.set(this.#firsts);
      this.#firsts = larger;
    }
    this.#firsts.copyWithin(index + 1, index, count);
    this.#firsts[index] = first;
    this.#leaves.splice(index, 0, leaf);
  }

  #dropLeaf(index: number): void {
    this.#leaves.splice(index, 1);
    this.#firsts.copyWithin(index, index + 1);
  }

  /** Takes [start, end) out, splitting or shortening what reaches beyond it. */
  #cut(start: number, end: number): void {
    if (!this.#seek(start)) return;
    const { numbers } = this.#leaves[this.#leafIndex] as Leaf;
    const at = this.#at * WIDTH;
    const extentStart = numbers[at] as number;
    if (extentStart < start) {
      const packed = numbers[at + 2] as number;
      const kind = kindOf(packed);
      const extentEnd = extentStart + sectorsOf(packed);
      numbers[at + 2] = packedOf(start - extentStart, kind);
      if (kind === DATA) this.#liveSectors -= Math.min(extentEnd, end) - start;
      const location = numbers[at + 1] as number;
      this.#at += 1;
      if (extentEnd > end) {
        // The cut lies inside one extent: what is behind it becomes an extent of its own.
        this.#insertHere(end, extentEnd - end, kind, advanced(kind, location, end - extentStart));
        return;
      }
      if (extentEnd === end) return;
    }
    this.#cutWhole(end);
  }

  /**
   * From the cursor on, which may be one past its leaf: drops extents up to `end`, and shortens the
   * one across it.
   */
  #cutWhole(end: number): void {
    const first = this.#leafIndex;
    let done = false;
    while (!done && this.#leafIndex < this.#leaves.length) {
      const leaf = this.#leaves[this.#leafIndex] as Leaf;
      const { numbers } = leaf;
      const from = this.#at;
      let to = from;
      while (to < leaf.count && !done) {
        const at = to * WIDTH;
        const start = numbers[at] as number;
        const packed = numbers[at + 2] as number;
        const kind = kindOf(packed);
        const length = sectorsOf(packed);
        const taken = Math.min(length, Math.max(0, end - start));
        if (kind === DATA) this.#liveSectors -= taken;
        if (taken === length) {
          to += 1;
          continue;
        }
        done = true;
        if (taken > 0) {
          numbers[at] = end;
          numbers[at + 1] = advanced(kind, numbers[at + 1] as number, taken);
          numbers[at + 2] = packedOf(length - taken, kind);
        }
      }
      if (to > from) {
        numbers.copyWithin(from * WIDTH, to * WIDTH, leaf.count * WIDTH);
        leaf.count -= to - from;
        this.#extentCount -= to - from;
      }
      if (leaf.count === 0) {
        this.#dropLeaf(this.#leafIndex);
      } else {
        this.#firsts[this.#leafIndex] = numbers[0] as number;
        this.#leafIndex += 1;
      }
      this.#at = 0;
    }
    if (first < this.#leaves.length) this.#joinWithNext(first);
  }

  /** Keeps memory in proportion when much is taken out. */
  #joinWithNext(index: number): void {
    const leaf = this.#leaves[index] as Leaf;
    const next = this.#leaves[index + 1];
    if (next === undefined || leaf.count >= LEAF_EXTENTS_LOW) return;
    if (leaf.count + next.count > LEAF_EXTENTS_JOINED) return;
    leaf.numbers.set(next.numbers.subarray(0, next.count * WIDTH), leaf.count * WIDTH);
    leaf.count += next.count;
    this.#dropLeaf(index + 1);
  }
}
