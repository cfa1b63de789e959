/**
 * A deadline around any drive: an operation that takes too long fails, and the drive with it.
 *
 * Invariants:
 *   1. A drive that has missed one deadline is fenced for good: everything in flight answers
 *      ETIMEDOUT, and so does every later call. Using the drive again means opening it again.
 *   2. A completion that comes after that is swallowed. Until it comes the pool holds the buffers
 *      back: the kernel may still write to them.
 *   3. Age is counted in checks, not in milliseconds. While our own process stands still (garbage
 *      collection, a stopped virtual machine) there are no checks, so a pause of ours never fails a
 *      healthy drive.
 * There is one timer a drive, and only while something is in flight.
 */

import { assert } from '../base/assert.ts';
import { EBADF, type Errno, ETIMEDOUT, OK } from '../base/errno.ts';
import type { Address, DriveOffset } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Clock } from './clock.ts';
import { type DirectDrive, isDirect, lastSettle, newPromise, type Settle } from './direct-drive.ts';
import type { Drive, Part } from './drive.ts';

export const DEFAULT_DEADLINE_MS = 8000;
/** A deadline is found missed at most one part in so many too late. */
const CHECKS_PER_DEADLINE = 16;

export interface DeadlineOptions {
  readonly deadlineMs?: number;
  /** Told once, when the drive is fenced, before the operations answer. */
  readonly onFenced?: () => void;
}

/** An operation in flight, reused. */
class Guarded {
  settle: Settle = () => {};
  since = 0;
  expired = false;
  address = 0 as Address;
  parts: readonly Part[] | null = null;
  /** Place in the list of what is in flight. */
  index = 0;
  readonly done: (errno: Errno) => void;

  constructor(drive: DeadlineDrive) {
    this.done = (errno) => drive.completed(this, errno);
  }
}

export class DeadlineDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #inner: Drive;
  /** The same drive, if it can do without promises. */
  readonly #direct: DirectDrive | null;
  readonly #clock: Clock;
  readonly #buffers: Buffers;
  readonly #checkEveryMs: number;
  readonly #onFenced: () => void;
  readonly #inFlight: Guarded[] = [];
  readonly #idle: Guarded[] = [];
  #checks = 0;
  #checking = false;
  /** Takes back the check that is due next. */
  #cancelCheck = (): void => {};
  #fenced = false;
  /** What every new operation is answered at once: the drive is fenced, or has been closed. OK: it is in use. */
  #refusal: Errno = OK;
  #closed: Promise<void> | null = null;
  #released: (() => void) | null = null;
  readonly #check = (): void => this.#checkAll();

  constructor(inner: Drive, clock: Clock, buffers: Buffers, options: DeadlineOptions = {}) {
    this.path = inner.path;
    this.sizeBytes = inner.sizeBytes;
    this.blockBytes = inner.blockBytes;
    this.#inner = inner;
    this.#direct = isDirect(inner) ? inner : null;
    this.#clock = clock;
    this.#buffers = buffers;
    this.#checkEveryMs = (options.deadlineMs ?? DEFAULT_DEADLINE_MS) / CHECKS_PER_DEADLINE;
    this.#onFenced = options.onFenced ?? ((): void => {});
  }

  get fenced(): boolean {
    return this.#fenced;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    const promise = newPromise();
    const done = this.#guard(lastSettle(), address, null);
    if (this.#direct) this.#direct.readDirect(offset, address, lengthBytes, done);
    else void this.#inner.read(offset, address, lengthBytes).then(done);
    return promise;
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    const promise = newPromise();
    const done = this.#guard(lastSettle(), address, null);
    if (this.#direct) this.#direct.writeDirect(offset, address, lengthBytes, done);
    else void this.#inner.write(offset, address, lengthBytes).then(done);
    return promise;
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    const promise = newPromise();
    const done = this.#guard(lastSettle(), 0 as Address, parts);
    if (this.#direct) this.#direct.writePartsDirect(offset, parts, done);
    else void this.#inner.writeParts(offset, parts).then(done);
    return promise;
  }

  flush(): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    if (!this.#direct) return this.#guarded(this.#inner.flush());
    const promise = newPromise();
    this.#direct.flushDirect(this.#guard(lastSettle(), 0 as Address, null));
    return promise;
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    return this.#guarded(this.#inner.punch(offset, lengthBytes));
  }

  probe(): Promise<Errno> {
    if (this.#refusal !== OK) return Promise.resolve(this.#refusal);
    return this.#guarded(this.#inner.probe());
  }

  /**
   * Of a fenced drive this resolves at once, although the kernel keeps the drive open until the
   * operation that hangs comes back or the process ends: waiting for that would hang the volume
   * with the drive.
   */
  close(): Promise<void> {
    if (this.#refusal === OK) this.#refusal = EBADF;
    this.#closed ??= this.#fenced ? Promise.resolve() : this.#close();
    return this.#closed;
  }

  /** For `Guarded` only. */
  completed(operation: Guarded, errno: Errno): void {
    if (operation.expired) {
      this.#unpin(operation);
      return;
    }
    const last = this.#inFlight.pop()!;
    if (last !== operation) {
      this.#inFlight[operation.index] = last;
      last.index = operation.index;
    }
    operation.parts = null;
    this.#idle.push(operation);
    operation.settle(errno);
  }

  #guarded(inner: Promise<Errno>): Promise<Errno> {
    const promise = newPromise();
    // Drives do not reject; one that does is a bug, and the unhandled rejection ends the process.
    void inner.then(this.#guard(lastSettle(), 0 as Address, null));
    return promise;
  }

  /** Enters an operation into the list; what it returns is to be called when the drive answers. */
  #guard(settle: Settle, address: Address, parts: readonly Part[] | null): Settle {
    const operation = this.#idle.pop() ?? new Guarded(this);
    operation.settle = settle;
    operation.since = this.#checks;
    operation.address = address;
    operation.parts = parts;
    operation.index = this.#inFlight.push(operation) - 1;
    if (!this.#checking) this.#checkLater();
    return operation.done;
  }

  #checkLater(): void {
    this.#checking = true;
    this.#cancelCheck = this.#clock.after(this.#checkEveryMs, this.#check);
  }

  #checkAll(): void {
    this.#checking = false;
    this.#checks += 1;
    for (const operation of this.#inFlight) {
      // The first of the checks may come right after the operation began: it does not count.
      if (this.#checks - operation.since > CHECKS_PER_DEADLINE) return this.#fence();
    }
    if (this.#inFlight.length > 0) this.#checkLater();
  }

  #fence(): void {
    assert(!this.#fenced, 'a drive is fenced once');
    this.#fenced = true;
    this.#refusal = ETIMEDOUT;
    const expired = this.#inFlight.splice(0);
    for (const operation of expired) {
      operation.expired = true;
      this.#pin(operation);
    }
    this.#onFenced();
    // Nothing that has not begun may begin any more; what has begun cannot be recalled.
    void this.#inner.close(true);
    for (const operation of expired) operation.settle(ETIMEDOUT);
    this.#released?.();
  }

  async #close(): Promise<void> {
    const fenced = new Promise<void>((resolve) => {
      this.#released = resolve;
    });
    await Promise.race([this.#inner.close(), fenced]);
    // Until then an operation that hangs is found by it; a closed drive has none, and leaves no timer behind.
    this.#cancelCheck();
  }

  #pin(operation: Guarded): void {
    if (operation.address !== 0) this.#buffers.pin(operation.address);
    for (const part of operation.parts ?? []) this.#buffers.pin(part.address);
  }

  #unpin(operation: Guarded): void {
    if (operation.address !== 0) this.#buffers.unpin(operation.address);
    for (const part of operation.parts ?? []) this.#buffers.unpin(part.address);
  }
}
