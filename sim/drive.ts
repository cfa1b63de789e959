/**
 * A handle on a simulated drive: the engine's `Drive`. Every operation takes its time in the world of the process that
 * opened the handle, and takes effect when it completes. A handle dies with its process; what is called on a dead handle
 * never answers.
 *
 * Reads and writes can call back instead of making a promise, as real drives do: an operation is one object, and a run has
 * a hundred thousand of them.
 */

import { assert } from '../src/base/assert.ts';
import { EBADF, EIO, type Errno, OK } from '../src/base/errno.ts';
import { type Address, type DriveOffset, SECTOR_BYTES } from '../src/base/units.ts';
import type { Buffers } from '../src/io/buffers.ts';
import type { DirectDrive, Settle } from '../src/io/direct-drive.ts';
import type { Part } from '../src/io/drive.ts';
import { type DriveFault, type Operation, type OperationKind, operationKinds } from './faults.ts';
import type { Pending, SimMedium } from './medium.ts';
import type { Task, World } from './world.ts';

/** Microseconds until an operation completes. */
export type Latency = (medium: SimMedium, kind: OperationKind, lengthBytes: number) => number;

/** Used until the caller has stored what was gathered, and that is at once. */
let gathered = new Uint8Array(64 * 1024);

/** How far beside its place an operation lands: before the beginning of a drive there is nothing. */
function besideOf(fault: DriveFault | null, offset: number): number {
  if (fault?.effect !== 'misdirected') return 0;
  const shift = fault.shiftBytes ?? 0;
  return offset + shift < 0 ? -shift : shift;
}

const NOTHING = new Uint8Array(0);
let zeroes = new Uint8Array(64 * 1024);

function zeroesOf(lengthBytes: number): Uint8Array {
  if (lengthBytes > zeroes.length) zeroes = new Uint8Array(2 * lengthBytes);
  return zeroes.subarray(0, lengthBytes);
}

/** Where an operation has its data; a flush, which has none, covers the writes up to this one. */
type Subject = Address | readonly Part[] | number;

/** An operation under way, and the event of its end. */
class Started implements Pending, Operation, Task {
  readonly handle: SimDrive;
  readonly kind: OperationKind;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly subject: Subject;
  readonly settle: Settle;
  readonly pace: number;

  constructor(
    handle: SimDrive,
    kind: OperationKind,
    offset: number,
    lengthBytes: number,
    subject: Subject,
    settle: Settle,
    pace: number,
  ) {
    this.handle = handle;
    this.kind = kind;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
    this.subject = subject;
    this.settle = settle;
    this.pace = pace;
  }

  due(): void {
    this.handle.medium.due(this);
  }

  get operation(): Operation {
    return this;
  }

  data(): Uint8Array {
    return this.handle.dataOf(this);
  }

  run(): void {
    this.handle.finish(this);
  }
}

export class SimDrive implements DirectDrive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly medium: SimMedium;
  readonly #world: World;
  readonly #buffers: Buffers;
  readonly #latency: Latency;
  #inFlight = 0;
  #closing: Promise<void> | null = null;
  #drained: (() => void) | null = null;

  constructor(medium: SimMedium, world: World, buffers: Buffers, latency: Latency) {
    this.path = medium.path;
    this.sizeBytes = medium.sizeBytes;
    this.blockBytes = medium.blockBytes;
    this.medium = medium;
    this.#world = world;
    this.#buffers = buffers;
    this.#latency = latency;
    medium.attach(this);
  }

  readDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void {
    this.#start('read', offset, lengthBytes, address, settle);
  }

  writeDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void {
    this.#start('write', offset, lengthBytes, address, settle);
  }

  writePartsDirect(offset: DriveOffset, parts: readonly Part[], settle: Settle): void {
    assert(parts.length > 0, 'a gathered write has parts');
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.lengthBytes;
    this.#start('write', offset, lengthBytes, parts, settle);
  }

  flushDirect(settle: Settle): void {
    this.#start('flush', 0, 0, this.medium.sequence, settle);
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return new Promise((resolve) => this.readDirect(offset, address, lengthBytes, resolve));
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return new Promise((resolve) => this.writeDirect(offset, address, lengthBytes, resolve));
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    return new Promise((resolve) => this.writePartsDirect(offset, parts, resolve));
  }

  flush(): Promise<Errno> {
    return new Promise((resolve) => this.flushDirect(resolve));
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    return new Promise((resolve) => this.#start('punch', offset, lengthBytes, 0, resolve));
  }

  probe(): Promise<Errno> {
    return new Promise((resolve) => this.#start('probe', 0, 0, 0, resolve));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What an operation is about to store, as its buffers are now; borrowed, until the next one is asked. */
  dataOf({ kind, lengthBytes, subject }: Started): Uint8Array {
    if (kind === 'punch') return zeroesOf(lengthBytes);
    if (kind !== 'write') return NOTHING;
    if (typeof subject !== 'number') return this.#gather(subject, lengthBytes);
    return this.#buffers.slice(subject as Address, lengthBytes);
  }

  finish(started: Started): void {
    const { medium } = this;
    if (!medium.end(started)) return;
    medium.countOperation();
    const errno = this.#complete(started);
    const { trace } = this.#world;
    trace.number(medium.index * 8 + operationKinds.indexOf(started.kind));
    trace.number(started.offset / SECTOR_BYTES);
    trace.number(started.lengthBytes + errno);
    this.#inFlight--;
    started.settle(errno);
    if (this.#inFlight === 0) this.#drained?.();
  }

  #start(
    kind: OperationKind,
    offset: number,
    lengthBytes: number,
    subject: Subject,
    settle: Settle,
  ): void {
    const whole = offset % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0;
    assert(whole, 'drives are used in whole sectors');
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a transfer lies on the drive');
    const { medium } = this;
    if (this.#closing) {
      // Not before the caller has gone on, as from any drive.
      void Promise.resolve(EBADF).then(settle);
      return;
    }
    if (!medium.isAlive(this)) return;
    this.#inFlight++;
    const { slowness } = medium;
    const pace = slowness === 1 ? 1 : medium.pace(slowness);
    const started = new Started(this, kind, offset, lengthBytes, subject, settle, pace);
    medium.begin(started);
    const delayUs = this.#latency(medium, kind, lengthBytes) * pace;
    this.#world.later(delayUs, started);
  }

  #complete(started: Started): Errno {
    const verdict = this.medium.verdict(this, started);
    if (verdict === OK) {
      this.#takeEffect(started, null);
      return OK;
    }
    if (typeof verdict === 'number') return verdict;
    switch (verdict.effect) {
      case 'error':
      case 'latent':
        return verdict.errno ?? EIO;
      case 'torn': {
        const half = started
          .data()
          .subarray(0, Math.floor(started.lengthBytes / 1024) * SECTOR_BYTES);
        if (half.length > 0) this.medium.applyWrite(started.offset, half);
        return verdict.errno ?? EIO;
      }
      case 'lost':
      case 'misdirected':
        this.#takeEffect(started, verdict);
        return OK;
    }
  }

  #takeEffect(started: Started, fault: DriveFault | null): void {
    const { kind, offset, lengthBytes, subject } = started;
    const { medium } = this;
    const at = offset + besideOf(fault, offset);
    const isLost = fault?.effect === 'lost';
    switch (kind) {
      case 'read':
        medium.copyTo(this.#buffers.bytes, subject as Address, at, lengthBytes);
        return;
      case 'write':
      case 'punch':
        if (!isLost) medium.applyWrite(at, started.data());
        return;
      case 'flush':
        if (!isLost) medium.applyFlush(subject as number);
        return;
      case 'probe':
        return;
    }
  }

  #gather(parts: readonly Part[], lengthBytes: number): Uint8Array {
    if (lengthBytes > gathered.length) gathered = new Uint8Array(2 * lengthBytes);
    const data = gathered.subarray(0, lengthBytes);
    let at = 0;
    for (const part of parts) {
      const { address, lengthBytes: partBytes } = part;
      data.set(this.#buffers.bytes.subarray(address, address + partBytes), at);
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
    this.medium.detach(this);
  }
}
