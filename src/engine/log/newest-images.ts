/**
 * Of all images that a start has to write again, which is the newest of each place. Only that one is written: a redo that
 * is cut short never leaves an older image over what was already there of a newer one, so that even with the log gone by the
 * next start no place holds less than it did. Units: sectors of the member.
 *
 *   in the log, oldest first    1 ├──────────┤         2     ├─────┤       3 ├──┤
 *   written                     1 ├───┤   ├──┤                                        of 2 and 3 all
 */

import { type Address, type MemberOffset, SECTOR_BYTES, type Slot } from '../../base/units.ts';
import { RECORD_IMAGE, RECORD_IMAGE_ZERO, type Segment } from '../../core/format/segment.ts';
import { GAP, Overlay, ZERO } from '../../core/overlay.ts';
import { isZeroes, type StripeImage, ZEROES } from './stripe-image.ts';

export class NewestImages {
  readonly #bySlot = new Map<number, Overlay>();
  #added = 0;
  #taken = 0;

  /** Segments in the order of their sequences, all of them before the first `take`. */
  add({ records }: Segment): void {
    for (const { type, slot, start, sectors } of records) {
      if (type !== RECORD_IMAGE && type !== RECORD_IMAGE_ZERO) continue;
      let places = this.#bySlot.get(slot);
      if (places === undefined) {
        places = new Overlay();
        this.#bySlot.set(slot, places);
      }
      // Its number, as the one location of all that it covers.
      places.insert(start, sectors, ZERO, this.#added++);
    }
  }

  /** The images of the next segment, in the same order: what of them no later one has replaced. */
  take(images: readonly StripeImage[]): StripeImage[] {
    const parts: StripeImage[] = [];
    for (const image of images) {
      const number = this.#taken++;
      const first = image.memberOffset / SECTOR_BYTES;
      const visit = (start: number, sectors: number, kind: number, location: number): void => {
        if (kind === GAP || location !== number) return;
        parts.push(partOf(image, (start - first) * SECTOR_BYTES, sectors * SECTOR_BYTES));
      };
      this.#bySlot.get(image.slot)?.forEachPiece(first, image.lengthBytes / SECTOR_BYTES, visit);
    }
    return parts;
  }
}

const partOf = (image: StripeImage, skipBytes: number, lengthBytes: number): StripeImage => ({
  slot: image.slot as Slot,
  memberOffset: (image.memberOffset + skipBytes) as MemberOffset,
  address: isZeroes(image) ? ZEROES : ((image.address + skipBytes) as Address),
  lengthBytes,
});
