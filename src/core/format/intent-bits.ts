/**
 * The bits of the write-intent bitmap in memory, and their pages as they lie on the drive.
 *
 * Bit i covers the member bytes [i · chunkBytes, (i + 1) · chunkBytes): 1 = the members may disagree there. On the
 * drive the bits start 256 bytes into the bitmap region, so page 0 begins with the header. The engine sets bits,
 * writes the pages they lie in, flushes, and only then writes data; `encodePage` gives it one page at a time.
 */

import { assert } from '../../base/assert.ts';
import { isPowerOfTwo } from '../../base/units.ts';
import { BITMAP_HEADER_BYTES, type BitmapHeader, encodeBitmapHeader } from './bitmap.ts';

export class IntentBits {
  readonly chunkBytes: number;
  /** Number of bits, set or not. */
  readonly count: number;
  readonly #bytes: Uint8Array;
  #setCount = 0;

  constructor(chunkBytes: number, syncBytes: number) {
    assert(isPowerOfTwo(chunkBytes), 'a bitmap chunk is a power of two');
    this.chunkBytes = chunkBytes;
    this.count = Math.ceil(syncBytes / chunkBytes);
    this.#bytes = new Uint8Array(Math.ceil(this.count / 8));
  }

  /** Header and bits together, without rounding. */
  get regionBytes(): number {
    return BITMAP_HEADER_BYTES + this.#bytes.length;
  }

  get setCount(): number {
    return this.#setCount;
  }

  get any(): boolean {
    return this.#setCount > 0;
  }

  indexOf(memberOffset: number): number {
    return Math.floor(memberOffset / this.chunkBytes);
  }

  get(index: number): boolean {
    assert(index >= 0 && index < this.count, 'bit outside the bitmap');
    return (this.#bytes[index >> 3]! & (1 << (index & 7))) !== 0;
  }

  /** True when the bit was clear. */
  set(index: number): boolean {
    if (this.get(index)) return false;
    this.#bytes[index >> 3]! |= 1 << (index & 7);
    this.#setCount++;
    return true;
  }

  /** True when the bit was set. */
  clear(index: number): boolean {
    if (!this.get(index)) return false;
    this.#bytes[index >> 3]! &= ~(1 << (index & 7));
    this.#setCount--;
    return true;
  }

  setAll(): void {
    for (let index = 0; index < this.count; index++) this.set(index);
  }

  clearAll(): void {
    this.#bytes.fill(0);
    this.#setCount = 0;
  }

  /** Calls `visit` for each longest run of set bits, ascending. */
  forEachRun(visit: (firstIndex: number, length: number) => void): void {
    let index = 0;
    while (index < this.count) {
      if (!this.get(index)) {
        // Skip whole bytes of zeros: most of a bitmap is empty.
        index += (index & 7) === 0 && this.#bytes[index >> 3] === 0 ? 8 : 1;
        continue;
      }
      const first = index;
      while (index < this.count && this.get(index)) index++;
      visit(first, index - first);
    }
  }

  /** Adds every bit set in `other`, which has the same geometry. */
  merge(other: IntentBits): void {
    assert(other.count === this.count && other.chunkBytes === this.chunkBytes, 'bitmaps differ');
    other.forEachRun((first, length) => {
      for (let index = first; index < first + length; index++) this.set(index);
    });
  }

  /** Which page of the region holds a bit. */
  pageOf(index: number, pageBytes: number): number {
    return Math.floor((BITMAP_HEADER_BYTES + (index >> 3)) / pageBytes);
  }

  pageCount(pageBytes: number): number {
    return Math.ceil(this.regionBytes / pageBytes);
  }

  /** Fills `target` with page `page` of the region; its length is the page size, 512 or more. */
  encodePage(page: number, target: Uint8Array, header: BitmapHeader): void {
    assert(page >= 0 && page < this.pageCount(target.length), 'page outside the bitmap');
    assert(target.length >= BITMAP_HEADER_BYTES, 'a page holds the header');
    target.fill(0);
    const start = page * target.length - BITMAP_HEADER_BYTES;
    const bits = this.#bytes.subarray(Math.max(start, 0), start + target.length);
    target.set(bits, Math.max(-start, 0));
    if (page === 0) target.set(encodeBitmapHeader(header), 0);
  }

  /** Takes the bits from a region as it lies on the drive; bits behind the last are ignored. */
  load(region: Uint8Array): void {
    assert(region.length >= this.regionBytes, 'the region is shorter than its bits');
    this.#bytes.set(region.subarray(BITMAP_HEADER_BYTES, this.regionBytes));
    const tail = this.count & 7;
    if (tail !== 0) this.#bytes[this.#bytes.length - 1]! &= (1 << tail) - 1;
    this.#setCount = 0;
    for (const byte of this.#bytes) this.#setCount += bitsIn(byte);
  }
}

function bitsIn(byte: number): number {
  let rest = byte;
  let bits = 0;
  for (; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}
