/**
 * A recording played back: what every drive holds after the first entries, and what a power cut may leave of it.
 *
 * One pass forward. For each drive there are the bytes that are certain (everything up to its last flush) and the
 * writes since, in order. `image` puts the two together as a choice says: each write whole, gone, or torn at 512 bytes.
 */

import type { Stream } from '../sim/streams.ts';
import type { Entry, Recording } from './power-record.ts';

const sector = 512;

type Write = Extract<Entry, { kind: 'write' }>;

/** What is left of the writes that were not flushed. */
export type Choice = 'all' | 'none' | 'all but one' | 'only one' | 'some' | 'torn';
export const lossyChoices: readonly Choice[] = ['none', 'all but one', 'only one', 'some', 'torn'];

export class Replay {
  /** How many entries have been played. */
  place = 0;
  readonly #entries: readonly Entry[];
  readonly #certain: Buffer[];
  readonly #since: Write[][];

  constructor(recording: Recording) {
    this.#entries = recording.entries;
    this.#certain = recording.drives.map((drive) => Buffer.from(drive.start));
    this.#since = recording.drives.map(() => []);
  }

  /** Plays the entries before `place`. */
  advance(place: number): void {
    for (; this.place < place; this.place++) {
      const entry = this.#entries[this.place]!;
      if (entry.kind === 'write') this.#since[entry.drive]!.push(entry);
      if (entry.kind !== 'flush') continue;
      for (const { offset, bytes } of this.#since[entry.drive]!.splice(0)) {
        bytes.copy(this.#certain[entry.drive]!, offset);
      }
    }
  }

  get unflushed(): number {
    return this.#since.reduce((count, writes) => count + writes.length, 0);
  }

  /** The contents of all drives after a cut here. */
  images(choice: Choice, random: Stream): Buffer[] {
    const chosen = random.below(Math.max(this.unflushed, 1));
    let number = 0;
    return this.#certain.map((certain, drive) => {
      const image = Buffer.from(certain);
      for (const write of this.#since[drive]!) {
        if (isKept(choice, number === chosen, random))
          keep(image, write, choice === 'torn', random);
        number++;
      }
      return image;
    });
  }
}

function isKept(choice: Choice, isChosen: boolean, random: Stream): boolean {
  switch (choice) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'all but one':
      return !isChosen;
    case 'only one':
      return isChosen;
    case 'some':
    case 'torn':
      return random.chance(0.5);
  }
}

/** A torn write leaves its first sectors, its last, or any of them. */
function keep(image: Buffer, { offset, bytes }: Write, isTorn: boolean, random: Stream): void {
  const way = isTorn ? random.below(4) : 3;
  const cut = random.below(bytes.length / sector + 1) * sector;
  if (way === 0) bytes.copy(image, offset, 0, cut);
  else if (way === 1) bytes.copy(image, offset + cut, cut);
  else if (way === 3) bytes.copy(image, offset);
  else {
    for (let at = 0; at < bytes.length; at += sector) {
      if (random.chance(0.5))
        bytes.copy(image, offset + at, at, Math.min(at + sector, bytes.length));
    }
  }
}

/** Every place where the drives have just changed, with the answers that came before the next change. */
export function cutsOf(entries: readonly Entry[]): number[] {
  const isChange = ({ kind }: Entry): boolean => kind === 'write' || kind === 'flush';
  const cuts: number[] = [];
  let hasChanged = true;
  for (const [index, entry] of entries.entries()) {
    if (!isChange(entry)) continue;
    if (hasChanged) cuts.push(index);
    hasChanged = true;
  }
  cuts.push(entries.length);
  return cuts;
}
