/**
 * What a drive keeps, and what can happen to it.
 *
 *   bytes   what a read sees: everything written so far
 *   stable  what survives a power cut: everything flushed so far
 *   between them, in order: the writes that were answered and not flushed
 *
 * A write takes effect when it completes, with what its buffer holds then. A flush covers the writes that were answered
 * before it was asked for. When the process dies its handles die: what is in flight never answers, and what of it took
 * effect is for `Fate` to say.
 *
 * `mark` begins a fork: all that changes from there on is written down, and `rollback` takes it back, in time proportional
 * to what was changed and not to the size of the drive. Marks nest.
 */

import { assert } from '../src/base/assert.ts';
import { EIO, ENODEV, type Errno, OK } from '../src/base/errno.ts';
import { SECTOR_BYTES } from '../src/base/units.ts';
import type { SimDrive } from './drive.ts';
import type { Unflushed } from './fate.ts';
import {
  type ActiveFault,
  activate,
  type DriveFault,
  heal,
  type Operation,
  strike,
} from './faults.ts';
import { Arena, giveZeroes, takeZeroes } from './memory.ts';

export interface Pending {
  readonly handle: SimDrive;
  readonly operation: Operation;
  /** So many times longer than usual it takes: as slow as the drive was when it was asked. */
  readonly pace: number;
  /** What a write is about to store, as its buffers are now. */
  data(): Uint8Array;
  run(): void;
}

/** Everything about a drive but its contents. */
interface Condition {
  sizeBytes: number;
  blockBytes: number;
  /** Operations completed. */
  operations: number;
  vanished: boolean;
  readOnly: boolean;
  /** Latencies are multiplied by it. */
  slowness: number;
  hung: boolean;
  faults: ActiveFault[];
  unflushed: Unflushed[];
  sequence: number;
  held: Pending[];
  /** In the order in which they were asked; few, so that looking for one costs less than a set. */
  inFlight: Pending[];
  handles: Set<SimDrive>;
  /** Of those, who opened what is not there any more. */
  severed: Set<SimDrive>;
}

/** What a fork has overwritten: `before` is where it lies in `#kept`, which is used again and again. */
interface Undo {
  readonly target: Uint8Array;
  readonly offset: number;
  readonly before: number;
  readonly lengthBytes: number;
}

interface Mark {
  readonly condition: Condition;
  readonly undo: Undo[];
  readonly keptBytes: number;
  readonly cachedBytes: number;
}

const GRANULE_BYTES = 64 * 1024;
const PAGE_BYTES = 4096;
const GRANULE_PAGES = GRANULE_BYTES / PAGE_BYTES;
/** As much larger a drive may be when it is back. */
const GROWTH_BYTES = 64 * 1024;

/** What was ever written, by granule; the rest is zeroes. */
export type Image = ReadonlyMap<number, Uint8Array>;

export class SimMedium {
  readonly path: string;
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly stable: Uint8Array;
  /** Asked before a fault strikes. */
  mayStrike: (fault: DriveFault) => boolean = () => true;
  /** How slow it is at this moment. */
  pace: (slowness: number) => number = (slowness) => slowness;
  /** Told of each fault that strikes. */
  onStrike: (medium: SimMedium, fault: DriveFault, operation: Operation) => void = () => {};
  /** Told before a write changes the contents: the checker of frozen members listens. */
  onChange: ((medium: SimMedium, offset: number, data: Uint8Array) => void) | null = null;
  #now: Condition;
  readonly #marks: Mark[] = [];
  readonly #madeBytes: number;
  readonly #madeBlockBytes: number;
  /** One byte for each granule that was ever written. */
  readonly #touched: Uint8Array;
  /** One byte for each page of 4 KiB that has changed since a checker last looked at it and cleared the byte. */
  readonly changedPages: Uint8Array;
  /** The same for contents.ts, but for what a fork changes: that is taken back. */
  readonly changedForContents: Uint8Array;
  /** The data of `unflushed`. */
  readonly #cache = new Arena();
  #kept = new Uint8Array(0);
  #keptBytes = 0;

  constructor(path: string, index: number, sizeBytes: number, blockBytes = SECTOR_BYTES) {
    this.path = path;
    this.index = index;
    this.#madeBytes = sizeBytes;
    this.#madeBlockBytes = blockBytes;
    const roomBytes = sizeBytes + GROWTH_BYTES;
    this.bytes = takeZeroes(roomBytes);
    this.stable = takeZeroes(roomBytes);
    this.#touched = new Uint8Array(Math.ceil(roomBytes / GRANULE_BYTES));
    this.changedPages = new Uint8Array(Math.ceil(roomBytes / PAGE_BYTES));
    this.changedForContents = new Uint8Array(this.changedPages.length);
    this.#now = {
      sizeBytes,
      blockBytes,
      operations: 0,
      vanished: false,
      readOnly: false,
      slowness: 1,
      hung: false,
      faults: [],
      unflushed: [],
      sequence: 0,
      held: [],
      inFlight: [],
      handles: new Set(),
      severed: new Set(),
    };
  }

  get sizeBytes(): number {
    return this.#now.sizeBytes;
  }

  get blockBytes(): number {
    return this.#now.blockBytes;
  }

  get operations(): number {
    return this.#now.operations;
  }

  countOperation(): void {
    this.#now.operations++;
  }

  /** Operations under way. */
  get inFlightCount(): number {
    return this.#now.inFlight.length;
  }

  /** Of what is under way, the slowest: a drive that is quick again still owes what it was asked for before. */
  get slowestPace(): number {
    let slowest = 1;
    for (const { pace } of this.#now.inFlight) slowest = Math.max(slowest, pace);
    return slowest;
  }

  get isOpen(): boolean {
    return this.#now.handles.size > this.#now.severed.size;
  }

  get isVanished(): boolean {
    return this.#now.vanished;
  }

  get isHung(): boolean {
    return this.#now.hung;
  }

  get slowness(): number {
    return this.#now.slowness;
  }

  get sequence(): number {
    return this.#now.sequence;
  }

  get unflushed(): readonly Unflushed[] {
    return this.#now.unflushed;
  }

  get isReadOnly(): boolean {
    return this.#now.readOnly;
  }

  /** It came back smaller than it was. */
  get isShrunk(): boolean {
    return this.#now.sizeBytes < this.#madeBytes;
  }

  /** Some sector of it cannot be read. */
  isBadIn(from: number, to: number): boolean {
    return this.#now.faults.some(
      (one) => one.fault.effect === 'latent' && one.from < to && from < one.to,
    );
  }

  get hasLatent(): boolean {
    return this.#now.faults.some(({ fault }) => fault.effect === 'latent');
  }

  get hasFaults(): boolean {
    return this.#now.faults.length > 0;
  }

  // --- what happens to it --------------------------------------------------------------------------------------------

  addFault(fault: DriveFault): void {
    this.#now.faults.push(activate(fault, this.#now.sizeBytes));
  }

  /** Everything that can be mended is: no faults, full speed, answering. */
  mend(): void {
    this.#now.faults = [];
    this.#now.slowness = 1;
    this.#now.readOnly = false;
    this.release();
  }

  slow(factor: number): void {
    this.#now.slowness = factor;
  }

  setReadOnly(): void {
    this.#now.readOnly = true;
  }

  hang(): void {
    this.#now.hung = true;
  }

  /** What hung completes, late, and takes effect. */
  release(): void {
    this.#now.hung = false;
    for (const pending of this.#now.held.splice(0)) pending.run();
  }

  vanish(): void {
    this.#now.vanished = true;
    this.release();
  }

  /** Taken out by hand: whatever was asked of it is answered at once, however slow it was. */
  pullOut(): void {
    this.vanish();
    for (const pending of [...this.#now.inFlight]) pending.run();
  }

  reappear(): void {
    this.#now.vanished = false;
  }

  /** What was asked while it was slow keeps it open for hours, though it is quick by now: out, and in again. */
  replug(): void {
    if (this.#now.vanished) return;
    this.pullOut();
    this.reappear();
  }

  /** Somebody has not noticed yet. */
  get isSevered(): boolean {
    return this.#now.severed.size > 0;
  }

  /** It is another drive from here on, or as good as one: whoever had the old one open reaches nothing any more. */
  sever(): void {
    this.#now.severed = new Set(this.#now.handles);
  }

  /** Contents put there behind everybody's back, on the medium itself: bit rot, another host, an older image. */
  overwrite(offset: number, data: Uint8Array): void {
    this.#change(this.bytes, offset, data);
    this.#change(this.stable, offset, data);
  }

  /** An older image of the whole drive, or none (`null`: blank). Nothing is in any cache then. */
  restore(image: Image | null): void {
    this.#touched.forEach((touched, granule) => {
      const then = image?.get(granule);
      if (touched === 0 && then === undefined) return;
      const from = granule * GRANULE_BYTES;
      const lengthBytes = Math.min(GRANULE_BYTES, this.bytes.length - from);
      this.overwrite(from, then ?? new Uint8Array(lengthBytes));
    });
    this.#now.unflushed = [];
    this.#forgetCache();
    this.#now.faults = [];
  }

  /** Reported size from here on; contents stay where they are. */
  resize(sizeBytes: number): void {
    assert(sizeBytes <= this.bytes.length, 'a drive grows only into what was kept back');
    this.#now.sizeBytes = sizeBytes;
  }

  /** The other of the two that there are, or as it was made; contents stay where they are. True: that was a change. */
  setBlocks(asMade: boolean): boolean {
    const made = this.#madeBlockBytes;
    const other = made === SECTOR_BYTES ? PAGE_BYTES : SECTOR_BYTES;
    const before = this.#now.blockBytes;
    this.#now.blockBytes = asMade ? made : other;
    return this.#now.blockBytes !== before;
  }

  image(): Image {
    const image = new Map<number, Uint8Array>();
    this.#touched.forEach((touched, granule) => {
      const from = granule * GRANULE_BYTES;
      if (touched !== 0) image.set(granule, this.bytes.slice(from, from + GRANULE_BYTES));
    });
    return image;
  }

  // --- the end of a process ------------------------------------------------------------------------------------------

  /** Writes that were on their way when the process died: what they were about to store. */
  inFlightWrites(): Unflushed[] {
    const writes: Unflushed[] = [];
    for (const pending of this.#now.inFlight) {
      if (this.#now.severed.has(pending.handle)) continue;
      const { kind, offset } = pending.operation;
      if (kind === 'write' || kind === 'punch')
        writes.push({ sequence: 0, offset, data: pending.data().slice() });
    }
    return writes;
  }

  /** Handles die; nothing that is in flight answers or takes effect any more. */
  abandon(): void {
    this.#now.inFlight = [];
    this.#now.handles = new Set();
    this.#now.severed = new Set();
    this.#now.held = [];
  }

  /** Power fails: what was not flushed is gone. What of it is on the medium all the same, `storeStable` puts back. */
  dropCache(): void {
    const { unflushed } = this.#now;
    this.#now.unflushed = [];
    for (const { offset, data } of unflushed)
      this.#change(this.bytes, offset, this.stable.subarray(offset, offset + data.length));
    this.#forgetCache();
  }

  /** Stored on the medium for good; only between two processes. */
  storeStable(offset: number, data: Uint8Array): void {
    this.overwrite(offset, data);
  }

  // --- for SimDrive --------------------------------------------------------------------------------------------------

  attach(handle: SimDrive): void {
    this.#now.handles.add(handle);
  }

  detach(handle: SimDrive): void {
    this.#now.handles.delete(handle);
    this.#now.severed.delete(handle);
  }

  isAlive(handle: SimDrive): boolean {
    return this.#now.handles.has(handle);
  }

  begin(pending: Pending): void {
    this.#now.inFlight.push(pending);
  }

  /** The time of the operation has come. */
  due(pending: Pending): void {
    if (this.#now.hung && this.#now.inFlight.includes(pending)) this.#now.held.push(pending);
    else pending.run();
  }

  /** False when its process has died meanwhile: then nothing happens. */
  end(pending: Pending): boolean {
    const { inFlight } = this.#now;
    const at = inFlight.indexOf(pending);
    if (at < 0) return false;
    for (let i = at + 1; i < inFlight.length; i++) inFlight[i - 1] = inFlight[i] as Pending;
    inFlight.pop();
    return true;
  }

  /** An errno that ends the operation, or the fault that changes it, or null: it goes as it should. */
  verdict(handle: SimDrive, operation: Operation): Errno | DriveFault {
    if (this.#now.vanished || this.#now.severed.has(handle)) return ENODEV;
    if (this.#now.readOnly && (operation.kind === 'write' || operation.kind === 'punch'))
      return EIO;
    if (this.#now.faults.length === 0) return OK;
    const fault = strike(this.#now.faults, operation, this.mayStrike);
    if (fault === null) return OK;
    this.onStrike(this, fault, operation);
    return fault;
  }

  /** `data` is borrowed. */
  applyWrite(offset: number, data: Uint8Array): void {
    this.onChange?.(this, offset, data);
    this.#now.faults = heal(this.#now.faults, offset, offset + data.length);
    this.#change(this.bytes, offset, data);
    this.#now.sequence++;
    const kept = this.#cache.copy(data);
    this.#now.unflushed.push({ sequence: this.#now.sequence, offset, data: kept });
  }

  /** What a read is answered with. Most of a long one is of places that were never written: zeroes need no look. */
  copyTo(target: Uint8Array, at: number, offset: number, lengthBytes: number): void {
    const end = offset + lengthBytes;
    for (let from = offset; from < end; ) {
      const granule = Math.floor(from / GRANULE_BYTES);
      const to = Math.min(end, (granule + 1) * GRANULE_BYTES);
      const start = at + (from - offset);
      if (this.#touched[granule] === 0) target.fill(0, start, start + (to - from));
      else target.set(this.bytes.subarray(from, to), start);
      from = to;
    }
  }

  applyFlush(throughSequence: number): void {
    const { unflushed } = this.#now;
    let count = 0;
    for (const write of unflushed) {
      if (write.sequence > throughSequence) break;
      this.#change(this.stable, write.offset, write.data);
      count++;
    }
    if (count > 0) this.#now.unflushed = unflushed.slice(count);
    if (this.#now.unflushed.length === 0) this.#forgetCache();
  }

  /** Nothing is in the cache; but what a mark is to bring back stays. */
  #forgetCache(): void {
    this.#cache.usedBytes = this.#marks.at(-1)?.cachedBytes ?? 0;
  }

  // --- forks ---------------------------------------------------------------------------------------------------------

  mark(): void {
    const now = this.#now;
    this.#marks.push({
      condition: now,
      undo: [],
      keptBytes: this.#keptBytes,
      cachedBytes: this.#cache.usedBytes,
    });
    this.#now = {
      ...now,
      faults: now.faults.map((one) => ({ ...one })),
      unflushed: [...now.unflushed],
      held: [...now.held],
      inFlight: [...now.inFlight],
      handles: new Set(now.handles),
      severed: new Set(now.severed),
    };
  }

  rollback(): void {
    const mark = this.#marks.pop();
    assert(mark !== undefined, 'a rollback has its mark');
    for (let at = mark.undo.length - 1; at >= 0; at--) {
      const { target, offset, before, lengthBytes } = mark.undo[at] as Undo;
      target.set(this.#kept.subarray(before, before + lengthBytes), offset);
    }
    this.#keptBytes = mark.keptBytes;
    this.#cache.usedBytes = mark.cachedBytes;
    this.#now = mark.condition;
  }

  #change(target: Uint8Array, offset: number, data: Uint8Array): void {
    const mark = this.#marks.at(-1);
    if (mark !== undefined) {
      const before = this.#keep(target.subarray(offset, offset + data.length));
      mark.undo.push({ target, offset, before, lengthBytes: data.length });
    }
    target.set(data, offset);
    if (data.length === 0) return;
    // Taken back or not: a page that was changed counts as changed.
    const end = offset + data.length - 1;
    const lastPage = Math.floor(end / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= lastPage; page++) {
      this.changedPages[page] = 1;
      this.#touched[Math.floor(page / GRANULE_PAGES)] = 1;
      if (mark === undefined) this.changedForContents[page] = 1;
    }
  }

  /** Nobody will look at this drive again: what it was made of is used for others. */
  scrap(): void {
    this.#touched.forEach((touched, granule) => {
      if (touched === 0) return;
      const from = granule * GRANULE_BYTES;
      this.bytes.fill(0, from, from + GRANULE_BYTES);
      this.stable.fill(0, from, from + GRANULE_BYTES);
    });
    giveZeroes(this.bytes);
    giveZeroes(this.stable);
    this.#cache.scrap();
  }

  #keep(bytes: Uint8Array): number {
    const at = this.#keptBytes;
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > this.#kept.length) {
      const larger = new Uint8Array(Math.max(2 * this.#keptBytes, 64 * 1024));
      larger.set(this.#kept.subarray(0, at));
      this.#kept = larger;
    }
    this.#kept.set(bytes, at);
    return at;
  }
}
