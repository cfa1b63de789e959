/**
 * The stripe log closes the write hole. A stripe cannot be changed in place atomically: torn by a
 * crash, its data and parity no longer agree, and the chunk of a member that is absent then is
 * gone. So its after-image is made durable here first, and after a crash it is simply written again.
 *
 *   logImages ──► segment, one fdatasync for all that came together ──► in place ──► applied
 *
 *   stripe area   ├─ half 0 ── seg 7│8│9│10 ───────┼─ half 1 ── seg 11│12│13 ┄┄┄┄┄┄┄┤
 *                   every image applied, members      being filled
 *                   flushed: released, free again
 *
 * Invariants
 *   1. `logImages` answers after a flush of all online legs. All images of one call are in one
 *      segment, so they are redone together or not at all.
 *   2. A half is used again only after every ticket of it was applied and `flushMembers` has
 *      succeeded since.
 *   3. Redo goes in the order of the sequences, from the first that is not released, and of each
 *      place the newest image is written and no other (newest-images.ts): redo is idempotent, a late
 *      release is harmless, and one that is cut short has put nothing older over anything newer.
 *   4. `releaseAll` is durable before it answers: no redo can undo a write that was not logged.
 */

import { assert } from '../../base/assert.ts';
import { EIO, type Errno, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import {
  headerBlocksFor,
  RECORD_IMAGE,
  RECORD_IMAGE_ZERO,
  type SegmentEncoder,
} from '../../core/format/segment.ts';
import type { Part } from '../../io/drive.ts';
import type { Legs, LogEnvironment } from './legs.ts';
import type { LogLimits } from './limits.ts';
import { stripePayloadMax } from './log-areas.ts';
import { NewestImages } from './newest-images.ts';
import { addPayload } from './payload-parts.ts';
import { type FoundStripes, readImages } from './recover-stripes.ts';
import { isZeroes, type StripeImage } from './stripe-image.ts';

export interface LoggedImages {
  readonly errno: Errno;
  /** For `applied`; meaningless after an error. */
  readonly ticket: number;
}

interface Call {
  readonly images: readonly StripeImage[];
  readonly blocks: number;
  readonly resolve: (logged: LoggedImages) => void;
}

export interface BlockRange {
  readonly from: number;
  readonly to: number;
}

interface Half {
  readonly index: number;
  firstSequence: number;
  lastSequence: number;
  /** Calls that were answered and are not applied yet. */
  outstanding: number;
  usedBlocks: number;
  free: boolean;
  releasing: Promise<Errno> | null;
  allApplied: (() => void) | null;
}

export interface StripeLogOptions {
  readonly environment: LogEnvironment;
  readonly legs: Legs;
  readonly limits: LogLimits;
  readonly encoder: SegmentEncoder;
  readonly zeroes: Address;
  readonly found: FoundStripes;
}

const blocksOf = (image: StripeImage): number =>
  isZeroes(image) ? 0 : Math.ceil(image.lengthBytes / BLOCK_BYTES);
const blocksOfAll = (images: readonly StripeImage[]): number =>
  images.reduce((sum, image) => sum + blocksOf(image), 0);
const newHalf = (index: number): Half => ({
  index,
  firstSequence: 0,
  lastSequence: 0,
  outstanding: 0,
  usedBlocks: 0,
  free: true,
  releasing: null,
  allApplied: null,
});

export class StripeLog {
  /** Flushes every online member; called before a half is used again. */
  flushMembers: () => Promise<Errno> = () => Promise.resolve(EIO);
  readonly #environment: LogEnvironment;
  readonly #legs: Legs;
  readonly #limits: LogLimits;
  readonly #encoder: SegmentEncoder;
  readonly #zeroes: Address;
  readonly #found: FoundStripes;
  readonly #run: bigint;
  readonly #halfBlocks: number;
  readonly #segmentBlocks: number;
  readonly #halves = [newHalf(0), newHalf(1)] as const;
  #active: Half = this.#halves[0];
  #sequence: number;
  #headerCrc = 0;
  #runStarted = false;
  #committedThrough: number;
  #releasedThrough: number;
  #pending: number;
  #isSettled: boolean;
  #queue: Call[] = [];
  #running: Promise<void> | null = null;
  #failed = false;
  #committing: Promise<void> | null = null;
  /** While set, no commit begins. */
  #held: Promise<void> | null = null;

  constructor(options: StripeLogOptions) {
    const { environment, legs, limits, found } = options;
    this.#environment = environment;
    this.#legs = legs;
    this.#limits = limits;
    this.#encoder = options.encoder;
    this.#zeroes = options.zeroes;
    this.#found = found;
    const random = environment.random(8);
    this.#run = new DataView(random.buffer, random.byteOffset, 8).getBigUint64(0, true);
    this.#halfBlocks = legs.layout.stripesBytes / BLOCK_BYTES / 2;
    this.#segmentBlocks = Math.min(4 * limits.stripeBlocks, stripePayloadMax(this.#halfBlocks));
    this.#sequence = found.lastSequence;
    this.#committedThrough = found.lastSequence;
    this.#pending = found.pending.length;
    this.#isSettled = this.#pending + found.lostSegments + found.unreadableSegments === 0;
    // With nothing to redo or to tell, what was found beyond was never answered: the next segment must
    // not call it committed and owed.
    this.#releasedThrough = this.#isSettled ? found.lastSequence : found.releasedThrough;
    assert(limits.stripeBlocks <= this.#segmentBlocks, 'one call fits into a half');
  }

  /** Does it take images? For good not, once no leg is left. */
  get usable(): boolean {
    return !this.#failed && this.#legs.hasOnline;
  }

  /** Can one call take them all? */
  fits(images: readonly StripeImage[]): boolean {
    const { stripeImages, stripeBlocks } = this.#limits;
    return images.length <= stripeImages && blocksOfAll(images) <= stripeBlocks;
  }

  get maxImages(): number {
    return this.#limits.stripeImages;
  }

  /** Segments found at the start that must be redone before anything else. */
  get pendingSegments(): number {
    return this.#pending;
  }

  /** Segments that were durable once and are whole on no leg now: those stripes may be torn. */
  get lostSegments(): number {
    return this.#found.lostSegments;
  }

  /** Places that cannot be read on any leg: what was under way there may be torn. */
  get unreadableSegments(): number {
    return this.#found.unreadableSegments;
  }

  /** What was found at the start, if anything, is redone or told, and released. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  get releasedThrough(): number {
    return this.#releasedThrough;
  }

  logImages(images: readonly StripeImage[]): Promise<LoggedImages> {
    assert(this.#pending === 0, 'images found at the start are redone and released first');
    assert(images.length > 0 && this.fits(images), 'the images of a call fit into a segment');
    const blocks = blocksOfAll(images);
    for (const { lengthBytes, memberOffset } of images) {
      assert(
        lengthBytes > 0 && lengthBytes % SECTOR_BYTES === 0 && memberOffset % SECTOR_BYTES === 0,
        'sectors',
      );
    }
    return new Promise((resolve) => {
      this.#queue.push({ images, blocks, resolve });
      // Owned here: it answers every call and does not reject.
      this.#running ??= this.#commitAll();
    });
  }

  applied(ticket: number): void {
    const half = this.#halves.find(
      (each) => ticket >= each.firstSequence && ticket <= each.lastSequence,
    );
    assert(
      half !== undefined && half.outstanding > 0,
      'a ticket is applied once, and before its half is free',
    );
    half.outstanding--;
    if (half.outstanding > 0) return;
    half.allApplied?.();
    half.allApplied = null;
  }

  /**
   * Everything that was logged is in place, and the caller has flushed the members since: durable
   * when this answers OK.
   */
  async releaseAll(): Promise<Errno> {
    await this.#running;
    assert(
      this.#halves.every((half) => half.outstanding === 0),
      'everything logged has been applied',
    );
    for (const half of this.#halves) await half.releasing;
    const through = this.#sequence;
    if (this.#legs.header.stripesReleasedThrough < through) {
      if (!(await this.#legs.update({ stripesReleasedThrough: through }))) return EIO;
    }
    assert(
      this.#sequence === through && this.#running === null,
      'nothing is logged beside releaseAll',
    );
    this.#releasedThrough = through;
    this.#pending = 0;
    this.#isSettled = true;
    for (const half of this.#halves) half.free = true;
    this.#startHalf(this.#active);
    return OK;
  }

  /**
   * Hands out what was found at the start, segment by segment, oldest first, without what a later
   * one replaces; the buffers are good until `apply` has answered. Then flush the members and call
   * `releaseAll`.
   */
  async redo(apply: (images: readonly StripeImage[]) => Promise<Errno>): Promise<Errno> {
    // What a kill left in the caches of the legs only, power would take in the middle of this. A leg that cannot flush is
    // out, and still read.
    if (this.#pending > 0) await this.#legs.flush();
    const newest = new NewestImages();
    for (const { segment } of this.#found.pending) newest.add(segment);
    for (const pending of this.#found.pending) {
      const read = await readImages(this.#environment, this.#legs, pending);
      if (read === null) return EIO;
      const errno = await apply(newest.take(read.images));
      this.#environment.buffers.give(read.address);
      if (errno !== OK) return errno;
    }
    return OK;
  }

  /**
   * Runs `work` while nothing is written to the stripe area; calls wait. Ranges in use, in blocks
   * of the area.
   */
  async exclusive<T>(work: (used: readonly BlockRange[]) => Promise<T>): Promise<T> {
    while (this.#held !== null) await this.#held;
    let free = (): void => {};
    this.#held = new Promise((resolve) => (free = resolve));
    await this.#committing;
    const used = this.#halves
      .filter((half) => !half.free)
      .map((half) => {
        const from = half.index * this.#halfBlocks;
        return { from, to: from + half.usedBlocks };
      });
    const result = await work(used);
    this.#held = null;
    free();
    return result;
  }

  async close(): Promise<void> {
    await this.#running;
    this.#failed = true;
  }

  /** One commit after the other; what arrives during one makes up the next. */
  async #commitAll(): Promise<void> {
    await Promise.resolve();
    while (this.#queue.length > 0) {
      while (this.#held !== null) await this.#held;
      this.#committing = this.#commitOrRefuse(this.#takeCalls());
      await this.#committing;
    }
    this.#running = null;
  }

  async #commitOrRefuse(calls: readonly Call[]): Promise<void> {
    const able = !this.#failed && (await this.#legs.excludeMissing());
    if (able && (await this.#commit(calls))) return;
    for (const call of calls) call.resolve({ errno: EIO, ticket: 0 });
  }

  #takeCalls(): Call[] {
    let count = 0;
    let blocks = 0;
    let images = 0;
    for (const call of this.#queue) {
      blocks += call.blocks;
      images += call.images.length;
      const tooMany = blocks > this.#segmentBlocks || images > 4 * this.#limits.stripeImages;
      if (count > 0 && tooMany) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(calls: readonly Call[]): Promise<boolean> {
    const { buffers } = this.#environment;
    const images = calls.flatMap((call) => call.images);
    const payloadBlocks = calls.reduce((sum, call) => sum + call.blocks, 0);
    const headerBlocks = headerBlocksFor(images.length, payloadBlocks);
    const totalBlocks = headerBlocks + payloadBlocks;
    const fits = this.#active.usedBlocks + totalBlocks <= this.#halfBlocks;
    if (!fits && !(await this.#switchHalf())) return false;
    const half = this.#active;
    const header = await buffers.takeLater(headerBlocks * BLOCK_BYTES, 'engine');
    const parts: Part[] = [{ address: header, lengthBytes: headerBlocks * BLOCK_BYTES }];
    this.#encoder.begin(header, headerBlocks);
    for (const image of images) this.#addImage(image, parts);
    const positionBlocks = half.index * this.#halfBlocks + half.usedBlocks;
    half.usedBlocks += totalBlocks;
    this.#sequence++;
    half.free = false;
    half.lastSequence = this.#sequence;
    this.#headerCrc = this.#encoder.finish({
      run: this.#run,
      runStart: !this.#runStarted,
      sequence: this.#sequence,
      committedThrough: this.#committedThrough,
      releasedThrough: this.#releasedThrough,
      positionBlocks,
      previousCrc: this.#headerCrc,
    });
    this.#runStarted = true;
    const offset = this.#legs.layout.stripesOffset + positionBlocks * BLOCK_BYTES;
    const done = (await this.#legs.write(offset, parts)) && (await this.#legs.flush());
    buffers.give(header);
    this.#failed ||= !done;
    if (!done) return false;
    this.#committedThrough = this.#sequence;
    half.outstanding += calls.length;
    for (const call of calls) call.resolve({ errno: OK, ticket: this.#sequence });
    return true;
  }

  #addImage(image: StripeImage, parts: Part[]): void {
    const { bytes } = this.#environment.buffers;
    const { slot, memberOffset, address, lengthBytes } = image;
    const sectors = lengthBytes / SECTOR_BYTES;
    const type = isZeroes(image) ? RECORD_IMAGE_ZERO : RECORD_IMAGE;
    this.#encoder.record(type, 0, memberOffset / SECTOR_BYTES, sectors, slot, blocksOf(image));
    if (isZeroes(image)) return;
    addPayload(bytes, this.#zeroes, this.#encoder, parts, address, lengthBytes, () => {});
  }

  /**
   * To the other half, as soon as that is free; the one that is full is released in the background.
   */
  async #switchHalf(): Promise<boolean> {
    const full = this.#active;
    const next = this.#halves[1 - full.index]!;
    if (!next.free && (await this.#release(next)) !== OK) return false;
    this.#startHalf(next);
    // Owned by half.releasing: whoever needs the half waits for it, and tries again if it has
    // failed.
    void this.#release(full);
    return true;
  }

  #startHalf(half: Half): void {
    this.#active = half;
    half.usedBlocks = 0;
    half.firstSequence = this.#sequence + 1;
    half.lastSequence = this.#sequence;
  }

  #release(half: Half): Promise<Errno> {
    half.releasing ??= this.#releaseNow(half);
    return half.releasing;
  }

  async #releaseNow(half: Half): Promise<Errno> {
    if (half.outstanding > 0) await new Promise<void>((resolve) => (half.allApplied = resolve));
    const errno = await this.flushMembers();
    half.releasing = null;
    if (errno !== OK) return errno;
    half.free = true;
    this.#releasedThrough = Math.max(this.#releasedThrough, half.lastSequence);
    return OK;
  }
}
