/**
 * The write-intent bitmap at work: a region's bit is durable on the members before the first write to it, and is cleared
 * lazily, and never while a member is absent.
 *
 * Invariants
 *   1. A data write starts only after the bits of its regions are durable on every member that is open (`mark`).
 *   2. A bit is cleared only after the members were flushed with no write in its region, with every member online, in a
 *      direct volume: a set bit also says what an absent member missed.
 *      Not while a resync has yet to make a stripe of its region: at a start the bits are all that is known of it. Which
 *      regions those are is asked before the flush, so what the resync has made of the others is on the drives, too.
 *   3. One change of the bitmap on the drives at a time; all that ask meanwhile share the next.
 *   4. While any bit is set, or a resync is open, the superblocks say unclean; `mark` sees to it before the first.
 */

import { assert } from '../base/assert.ts';
import { OK } from '../base/errno.ts';
import { BLOCK_BYTES, type DriveOffset, type StripeIndex } from '../base/units.ts';
import { IntentBits } from '../core/format/intent-bits.ts';
import type { MemberLayout, VolumeGeometry } from '../core/format/member-layout.ts';
import type { StripeRun } from './recovery-map.ts';
import type { VolumeCore } from './volume-core.ts';

export class Intent {
  readonly #v: VolumeCore;
  readonly bits: IntentBits;
  readonly #reservedBytes: number;
  readonly #bitmapOffset: number;
  readonly #durable: Uint8Array;
  readonly #writesInside: Uint32Array;
  readonly #lastWriteTick: Uint32Array;
  #tick = 1;
  eventsCleared: number;
  #pendingRegions: number[] = [];
  /** What says "unclean" is on its way, and not on the members yet: a region that is marked already has to wait for it. */
  #isOpening = false;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(
    v: VolumeCore,
    layout: Pick<MemberLayout, 'bitmapBytes' | 'bitmapOffset'>,
    bits: IntentBits,
    eventsCleared: number,
  ) {
    this.#v = v;
    this.bits = bits;
    this.#reservedBytes = layout.bitmapBytes;
    this.#bitmapOffset = layout.bitmapOffset;
    this.eventsCleared = eventsCleared;
    this.#durable = new Uint8Array(bits.count);
    this.#writesInside = new Uint32Array(bits.count);
    this.#lastWriteTick = new Uint32Array(bits.count);
    bits.forEachRun((first, length) => this.#durable.fill(1, first, first + length));
  }

  /** What every member of the volume has alike. */
  get geometry(): VolumeGeometry {
    return {
      memberDataBytes: this.#v.geometry.memberDataBytes,
      bitmapOffset: this.#bitmapOffset,
      bitmapBytes: this.#reservedBytes,
      bitmapChunkBytes: this.bits.chunkBytes,
    };
  }

  firstRegion(stripe: StripeIndex): number {
    return Math.floor((stripe * this.#v.geometry.chunkBytes) / this.bits.chunkBytes);
  }

  lastRegion(stripe: StripeIndex): number {
    const end = Math.min(
      (stripe + 1) * this.#v.geometry.chunkBytes,
      this.#v.geometry.memberDataBytes,
    );
    return Math.floor((end - 1) / this.bits.chunkBytes);
  }

  /** 1 for each region that has a part in the stripes. */
  regionsOf(runs: readonly StripeRun[]): Uint8Array {
    const regions = new Uint8Array(this.bits.count);
    for (const { first, end } of runs) {
      const last = this.lastRegion((end - 1) as StripeIndex);
      regions.fill(1, this.firstRegion(first as StripeIndex), last + 1);
    }
    return regions;
  }

  /** Announces writes to the stripes. null: the bits are durable already; else await it. Pair with `release`. */
  mark(first: StripeIndex, last: StripeIndex): Promise<void> | null {
    assert(!this.#v.members.frozen, 'a frozen volume: no region may turn dirty');
    let wait = this.#v.metadata.clean || this.#isOpening;
    const lastRegion = this.lastRegion(last);
    for (let region = this.firstRegion(first); region <= lastRegion; region++) {
      this.#writesInside[region]!++;
      this.#lastWriteTick[region] = this.#tick;
      if (this.#durable[region] === 1) continue;
      wait = true;
      this.#pendingRegions.push(region);
    }
    return wait ? this.#schedule() : null;
  }

  release(first: StripeIndex, last: StripeIndex): void {
    const lastRegion = this.lastRegion(last);
    for (let region = this.firstRegion(first); region <= lastRegion; region++) {
      assert(this.#writesInside[region]! > 0, 'intent: release without mark');
      this.#writesInside[region]!--;
    }
  }

  #schedule(): Promise<void> {
    if (this.#running === null) return this.#start(() => this.#setPending());
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#start(() => this.#setPending());
    });
    return this.#next;
  }

  #start(change: () => Promise<void>): Promise<void> {
    this.#running = change().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #setPending(): Promise<void> {
    const regions = this.#pendingRegions;
    this.#pendingRegions = [];
    const pages = new Set<number>();
    for (const region of regions) {
      this.bits.set(region);
      pages.add(this.bits.pageOf(region, BLOCK_BYTES));
    }
    const wasClean = this.#v.metadata.clean;
    if (wasClean) {
      // The commit carries page 0 of the bitmap too.
      this.#v.metadata.clean = false;
      this.#isOpening = true;
      await Promise.all([this.#v.metadata.commit(), this.#writePages(pages, true)]);
      this.#isOpening = false;
    } else {
      await this.#writePages(pages, true);
    }
    // A member that could not take the bit is out, on record, before any data is written.
    await this.#v.members.settled();
    for (const region of regions) this.#durable[region] = 1;
  }

  async #writePages(pages: ReadonlySet<number>, flush: boolean): Promise<void> {
    const { buffers } = this.#v.environment;
    for (const page of pages) {
      const buffer = await buffers.takeLater(BLOCK_BYTES, 'engine');
      if (buffer === 0) throw new Error('intent: the buffer pool cannot hold one block');
      this.encodePage(page, buffers.slice(buffer, BLOCK_BYTES));
      await this.#onEach(async (drive, layout) =>
        drive.write((layout.bitmapOffset + page * BLOCK_BYTES) as DriveOffset, buffer, BLOCK_BYTES),
      );
      buffers.give(buffer);
    }
    if (flush && pages.size > 0) await this.#onEach((drive) => drive.flush());
  }

  async #onEach(
    act: (
      drive: NonNullable<VolumeCore['members']['slots'][0]['drive']>,
      layout: MemberLayout,
    ) => Promise<number>,
  ): Promise<void> {
    const acts = this.#v.members.present().map(async (member) => {
      const { drive, layout } = member;
      if (drive === null || layout === null) return;
      const errno = await act(drive, layout);
      if (errno !== OK && member.drive === drive) {
        this.#v.members.fail(
          member,
          `its bitmap could not be written (errno ${errno})`,
          'write-error',
        );
      }
    });
    await Promise.all(acts);
  }

  encodeFirstPage(target: Uint8Array): void {
    this.encodePage(0, target);
  }

  encodePage(page: number, target: Uint8Array): void {
    const header = this.#v.metadata.bitmapHeader(
      this.eventsCleared,
      this.bits.chunkBytes,
      this.#reservedBytes,
    );
    this.bits.encodePage(page, target, header);
  }

  /** Every page as it stands, to a member that has none yet (a new or replaced drive). */
  async writeAll(): Promise<void> {
    const pages = new Set<number>();
    for (let page = 0; page < this.bits.pageCount(BLOCK_BYTES); page++) pages.add(page);
    while (this.#running) await this.#running;
    await this.#start(() => this.#writePages(pages, true));
  }

  /** Called once a tick: clears what has been idle, and calls the volume clean when nothing is left. */
  async clearIdle(everything = false): Promise<void> {
    this.#tick++;
    if (!this.#mayClear() || (!this.bits.any && this.#v.metadata.clean)) return;
    if (this.#running) return;
    await this.#start(() => this.#clear(everything));
  }

  #mayClear(): boolean {
    return this.#v.mode === 'direct' && !this.#v.degraded;
  }

  async #clear(everything: boolean): Promise<void> {
    const idleTicks = Math.ceil(this.#v.limits.intentIdleMs / this.#v.limits.tickMs);
    const idle: number[] = [];
    const { resync, geometry } = this.#v;
    // It may be open for long: until a host has written what cannot be read. All that is written meanwhile is not its own.
    const unmade = this.regionsOf(resync?.left(geometry.stripeCount) ?? []);
    this.bits.forEachRun((first, length) => {
      for (let region = first; region < first + length; region++) {
        const quiet = everything || this.#tick - this.#lastWriteTick[region]! > idleTicks;
        const isSettled = this.#writesInside[region] === 0 && unmade[region] === 0;
        if (isSettled && quiet) idle.push(region);
      }
    });
    if (idle.length > 0) {
      const tickBefore = this.#tick;
      if ((await this.#v.flushMembers()) !== OK || !this.#mayClear()) return;
      assert(
        !this.#v.degraded,
        'no bit is cleared while a member is absent: it says what that one missed',
      );
      const pages = new Set<number>();
      for (const region of idle) {
        // Written again while the flush ran: its bit stays.
        if (this.#writesInside[region] !== 0 || this.#lastWriteTick[region]! >= tickBefore) {
          if (!everything || this.#writesInside[region] !== 0) continue;
        }
        this.bits.clear(region);
        this.#durable[region] = 0;
        pages.add(this.bits.pageOf(region, BLOCK_BYTES));
      }
      this.eventsCleared = this.#v.metadata.events;
      await this.#writePages(pages, false);
    }
    if (
      !this.bits.any &&
      this.#v.resync === null &&
      !this.#v.metadata.clean &&
      this.#pendingRegions.length === 0 &&
      this.#mayClear()
    ) {
      // Whoever marks from here on waits for this change and then commits "unclean" again.
      this.#v.metadata.clean = true;
      await this.#v.metadata.commit();
    }
  }
}
