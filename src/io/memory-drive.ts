/**
 * Drives in memory, for tests and the simulator: a medium that can lose power, fail, hang and
 * vanish, and handles on it that behave as a `Drive` does.
 *
 *   bytes   what a read sees: everything written so far
 *   stable  what survives a power cut: everything flushed so far
 *
 * A write takes effect when it completes, with what its buffer holds then, as a real transfer may:
 * a buffer reused too early shows as wrong data. A flush covers the writes that were answered
 * before it was called, no other. After a crash or a power cut all handles are dead: what is in
 * flight never answers, what is called never answers, as it is for a process that is gone. Chance
 * comes in as a function, so that a seed replays everything.
 */

import { assert } from '../base/assert.ts';
import { EBADF, EIO, ENODEV, ENOTSUP, type Errno, OK } from '../base/errno.ts';
import { type Address, type DriveOffset, SECTOR_BYTES } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Drive, Part } from './drive.ts';

export type OperationKind = 'read' | 'write' | 'flush' | 'punch' | 'probe';

export interface MemoryOperation {
  readonly kind: OperationKind;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Runs a completion later; queueMicrotask, or the simulator's own. */
export type Schedule = (run: () => void, operation: MemoryOperation) => void;
/** A number in 0 … 1, 1 excluded. */
export type Chance = () => number;

export interface FaultRange {
  readonly offset?: number;
  readonly lengthBytes?: number;
  readonly errno?: Errno;
  /** How many operations fail; all when left out. */
  readonly count?: number;
}

export interface ReadFaultRange extends FaultRange {
  /** A latent sector error: it stays until the sectors are written again. */
  readonly untilWritten?: boolean;
}

export interface MemoryMediumOptions {
  readonly sizeBytes: number;
  readonly blockBytes?: number;
  /** ENOTSUP to punch, as a drive that cannot. */
  readonly canPunch?: boolean;
}

export interface MediumSnapshot {
  readonly bytes: Uint8Array;
  /** What a power cut leaves; the same array as `bytes` when all of it is flushed. */
  readonly stable: Uint8Array;
}

interface Fault {
  readonly kind: OperationKind;
  readonly from: number;
  readonly to: number;
  readonly errno: Errno;
  readonly untilWritten: boolean;
  left: number;
}

interface Unflushed {
  readonly sequence: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

interface Pending {
  readonly operation: MemoryOperation;
  readonly data: () => Uint8Array;
  readonly run: () => void;
}

export class MemoryMedium {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly canPunch: boolean;
  readonly bytes: Uint8Array;
  readonly stable: Uint8Array;
  /** Operations completed, by kind; a gathered write counts as one. */
  readonly counts: Record<OperationKind, number> = {
    read: 0,
    write: 0,
    flush: 0,
    punch: 0,
    probe: 0,
  };
  /**
   * Asked before anything else; an errno other than 0 is the operation's result. For tests with
   * wishes of their own.
   */
  intercept: ((operation: MemoryOperation) => Errno) | null = null;
  #unflushed: Unflushed[] = [];
  /** Where the two may differ although nothing waits for a flush: no flush will bring it to the drive. */
  #forgotten: { offset: number; lengthBytes: number }[] = [];
  #sequence = 0;
  #faults: Fault[] = [];
  #hung = new Set<OperationKind>();
  #held: Pending[] = [];
  readonly #inFlight = new Set<Pending>();
  readonly #handles = new Set<MemoryDrive>();
  #vanished = false;

  constructor(options: MemoryMediumOptions) {
    assert(options.sizeBytes % SECTOR_BYTES === 0, 'a medium has whole sectors');
    this.sizeBytes = options.sizeBytes;
    this.blockBytes = options.blockBytes ?? SECTOR_BYTES;
    this.canPunch = options.canPunch ?? true;
    this.bytes = new Uint8Array(options.sizeBytes);
    this.stable = new Uint8Array(options.sizeBytes);
  }

  /** True while a handle is open: a second opening would be refused by the real thing. */
  get isOpen(): boolean {
    return this.#handles.size > 0;
  }

  get isVanished(): boolean {
    return this.#vanished;
  }

  get unflushedWrites(): number {
    return this.#unflushed.length;
  }

  open(path: string, buffers: Buffers, schedule: Schedule = queueMicrotask): MemoryDrive {
    const handle = new MemoryDrive(this, path, buffers, schedule);
    this.#handles.add(handle);
    return handle;
  }

  failReads(range: ReadFaultRange = {}): void {
    this.#addFault('read', range, range.untilWritten ?? false);
  }

  failWrites(range: FaultRange = {}): void {
    this.#addFault('write', range, false);
  }

  failFlush(range: Pick<FaultRange, 'errno' | 'count'> = {}): void {
    this.#addFault('flush', range, false);
  }

  /**
   * What Linux does when a flush fails: the pages it could not write count as clean. Reads still see
   * them, no later flush brings them to the drive, and a power cut takes them.
   */
  forgetUnflushed(): void {
    for (const { offset, data } of this.#unflushed)
      this.#forgotten.push({ offset, lengthBytes: data.length });
    this.#unflushed = [];
  }

  clearFaults(): void {
    this.#faults = [];
  }

  /** Operations of these kinds begun or still running do not complete until `release`. */
  hang(...kinds: OperationKind[]): void {
    const all: OperationKind[] = ['read', 'write', 'flush', 'punch', 'probe'];
    this.#hung = new Set(kinds.length > 0 ? kinds : all);
  }

  /** What hung completes now, and takes effect. */
  release(): void {
    this.#hung.clear();
    for (const pending of this.#held.splice(0)) pending.run();
  }

  /** Pulled out: every operation answers ENODEV, until `reappear`. */
  vanish(): void {
    this.#vanished = true;
    this.release();
  }

  reappear(): void {
    this.#vanished = false;
  }

  /**
   * The process dies: what was answered stays; of what was in flight, whatever chance leaves.
   * Handles are dead.
   */
  crash(chance: Chance = () => 0): void {
    for (const pending of this.#inFlight) {
      if (pending.operation.kind === 'write')
        this.#applySome(pending.operation.offset, pending.data(), chance);
    }
    this.#abandon();
  }

  /**
   * Power fails: what was flushed stays; of the rest, whatever chance leaves, torn at sectors. By
   * default nothing.
   */
  powerCut(chance: Chance = () => 0): void {
    this.crash(chance);
    const unflushed = this.#unflushed;
    this.#unflushed = [];
    // Only where something was not flushed do the two differ: a large medium costs nothing.
    for (const { offset, data } of unflushed)
      this.#forgotten.push({ offset, lengthBytes: data.length });
    for (const { offset, lengthBytes } of this.#forgotten)
      this.bytes.set(this.stable.subarray(offset, offset + lengthBytes), offset);
    for (const write of unflushed) this.#applySome(write.offset, write.data, chance);
    this.#forgotten = [];
    this.applyFlush(this.#sequence);
  }

  snapshot(): MediumSnapshot {
    const bytes = this.bytes.slice();
    const isStable = Buffer.compare(bytes, this.stable) === 0;
    return { bytes, stable: isStable ? bytes : this.stable.slice() };
  }

  restore(snapshot: MediumSnapshot): void {
    this.bytes.set(snapshot.bytes);
    this.stable.set(snapshot.stable);
    this.#unflushed = [];
    this.#forgotten = [{ offset: 0, lengthBytes: this.sizeBytes }];
  }

  /** Another medium with the same contents, all of it flushed. */
  clone(): MemoryMedium {
    const { sizeBytes, blockBytes, canPunch } = this;
    const other = new MemoryMedium({ sizeBytes, blockBytes, canPunch });
    other.bytes.set(this.bytes);
    other.stable.set(this.bytes);
    return other;
  }

  /** Changes the contents behind everybody's back: bit rot, a foreign writer. */
  overwrite(offset: number, data: Uint8Array): void {
    this.bytes.set(data, offset);
    this.stable.set(data, offset);
  }

  /** For `MemoryDrive` only, as is all that follows. */
  begin(pending: Pending, schedule: Schedule): void {
    this.#inFlight.add(pending);
    schedule(() => {
      if (this.#hung.has(pending.operation.kind)) this.#held.push(pending);
      else pending.run();
    }, pending.operation);
  }

  /** False when the handle has died meanwhile: then nothing happens. */
  end(pending: Pending): boolean {
    return this.#inFlight.delete(pending);
  }

  forget(handle: MemoryDrive): void {
    this.#handles.delete(handle);
  }

  isAlive(handle: MemoryDrive): boolean {
    return this.#handles.has(handle);
  }

  get sequence(): number {
    return this.#sequence;
  }

  verdict(operation: MemoryOperation): Errno {
    if (this.#vanished) return ENODEV;
    const wished = this.intercept?.(operation) ?? OK;
    if (wished !== OK) return wished;
    const { kind, offset, lengthBytes } = operation;
    const index = this.#faults.findIndex(
      (fault) =>
        fault.kind === kind && (kind === 'flush' || overlaps(fault, offset, offset + lengthBytes)),
    );
    if (index < 0) return OK;
    const fault = this.#faults[index]!;
    fault.left -= 1;
    if (fault.left <= 0) this.#faults.splice(index, 1);
    return fault.errno;
  }

  applyWrite(offset: number, data: Uint8Array): void {
    this.#heal(offset, offset + data.length);
    this.bytes.set(data, offset);
    this.#sequence += 1;
    this.#unflushed.push({ sequence: this.#sequence, offset, data });
  }

  applyFlush(throughSequence: number): void {
    let count = 0;
    for (const write of this.#unflushed) {
      if (write.sequence > throughSequence) break;
      this.stable.set(write.data, write.offset);
      count += 1;
    }
    this.#unflushed.splice(0, count);
  }

  #addFault(kind: OperationKind, range: FaultRange, untilWritten: boolean): void {
    const from = range.offset ?? 0;
    const to = from + (range.lengthBytes ?? this.sizeBytes - from);
    this.#faults.push({
      kind,
      from,
      to,
      errno: range.errno ?? EIO,
      untilWritten,
      left: range.count ?? Number.POSITIVE_INFINITY,
    });
  }

  /** Takes the sectors just written out of the latent errors. */
  #heal(from: number, to: number): void {
    if (!this.#faults.some((fault) => fault.untilWritten && overlaps(fault, from, to))) return;
    this.#faults = this.#faults.flatMap((fault) => {
      if (!fault.untilWritten || !overlaps(fault, from, to)) return [fault];
      const before = fault.from < from ? [{ ...fault, to: from }] : [];
      const after = fault.to > to ? [{ ...fault, from: to }] : [];
      return [...before, ...after];
    });
  }

  /** All of a write, none of it, or some of its sectors, a third each. */
  #applySome(offset: number, data: Uint8Array, chance: Chance): void {
    const fate = Math.floor(chance() * 3);
    if (fate === 0) return;
    for (let at = 0; at < data.length; at += SECTOR_BYTES) {
      if (fate === 1 && chance() < 0.5) continue;
      this.applyWrite(offset + at, data.slice(at, at + SECTOR_BYTES));
    }
  }

  #abandon(): void {
    this.#inFlight.clear();
    this.#held = [];
    this.#handles.clear();
  }
}

export class MemoryDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly medium: MemoryMedium;
  readonly #buffers: Buffers;
  readonly #schedule: Schedule;
  #inFlight = 0;
  #closing: Promise<void> | null = null;
  #drained: (() => void) | null = null;

  /** Made by `MemoryMedium.open`. */
  constructor(medium: MemoryMedium, path: string, buffers: Buffers, schedule: Schedule) {
    this.path = path;
    this.sizeBytes = medium.sizeBytes;
    this.blockBytes = medium.blockBytes;
    this.medium = medium;
    this.#buffers = buffers;
    this.#schedule = schedule;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.#run({ kind: 'read', offset, lengthBytes }, () => {
      this.#buffers
        .slice(address, lengthBytes)
        .set(this.medium.bytes.subarray(offset, offset + lengthBytes));
      return OK;
    });
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.writeParts(offset, [{ address, lengthBytes }]);
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    assert(parts.length > 0, 'a gathered write has parts');
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    const data = (): Uint8Array => this.#gather(parts, lengthBytes);
    return this.#run(
      { kind: 'write', offset, lengthBytes },
      () => {
        this.medium.applyWrite(offset, data());
        return OK;
      },
      data,
    );
  }

  flush(): Promise<Errno> {
    const through = this.medium.sequence;
    return this.#run({ kind: 'flush', offset: 0, lengthBytes: 0 }, () => {
      this.medium.applyFlush(through);
      return OK;
    });
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    return this.#run({ kind: 'punch', offset, lengthBytes }, () => {
      if (!this.medium.canPunch) return ENOTSUP;
      this.medium.applyWrite(offset, new Uint8Array(lengthBytes));
      return OK;
    });
  }

  probe(): Promise<Errno> {
    return this.#run({ kind: 'probe', offset: 0, lengthBytes: 0 }, () => OK);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #run(
    operation: MemoryOperation,
    effect: () => Errno,
    data = (): Uint8Array => new Uint8Array(0),
  ): Promise<Errno> {
    const { offset, lengthBytes } = operation;
    assert(
      offset % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0,
      'drives are used in whole sectors',
    );
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a transfer lies on the drive');
    if (this.#closing) return Promise.resolve(EBADF);
    if (!this.medium.isAlive(this)) return new Promise(() => {});
    this.#inFlight += 1;
    return new Promise((resolve) => {
      const run = (): void => {
        if (!this.medium.end(pending)) return;
        this.medium.counts[operation.kind] += 1;
        const verdict = this.medium.verdict(operation);
        const errno = verdict === OK ? effect() : verdict;
        this.#inFlight -= 1;
        resolve(errno);
        if (this.#inFlight === 0) this.#drained?.();
      };
      const pending: Pending = { operation, data, run };
      this.medium.begin(pending, this.#schedule);
    });
  }

  #gather(parts: readonly Part[], lengthBytes: number): Uint8Array {
    const data = new Uint8Array(lengthBytes);
    let at = 0;
    for (const part of parts) {
      data.set(this.#buffers.slice(part.address, part.lengthBytes), at);
      at += part.lengthBytes;
    }
    return data;
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0 && this.medium.isAlive(this)) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    this.medium.forget(this);
  }
}

const overlaps = (fault: Fault, from: number, to: number): boolean =>
  fault.from < to && from < fault.to;
