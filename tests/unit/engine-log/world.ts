/**
 * The world of the log's tests: drives in memory that forget what was not flushed when the power
 * goes, answer in any order, fail on request, and a way to stop everything at the n-th drive
 * operation. Seeded; nothing depends on time.
 */

import assert from 'node:assert/strict';
import { type Errno, OK } from '../../../src/base/errno.ts';
import type { Address, DriveOffset } from '../../../src/base/units.ts';
import type { LogEnvironment } from '../../../src/engine/log/legs.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Clock } from '../../../src/io/clock.ts';
import type { Drive, Part } from '../../../src/io/drive.ts';

const SECTOR = 512;

export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 12345) >>> 0;
  }
  next(): number {
    // xorshift32 behind a multiplication; good enough to shuffle tests.
    let x = (this.#state += 0x6d2b79f5);
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
  below(limit: number): number {
    return this.next() % limit;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

export class TestClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; run: () => void }>();
  nowMs(): number {
    return this.#now;
  }
  wallMs(): number {
    return this.#now;
  }
  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  get armed(): number {
    return this.#timers.size;
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.run();
    }
  }
}

export type Operation = 'read' | 'write' | 'flush';
/**
 * What a stopped world answers. Nobody may believe it: it only lets the code unwind, so that one
 * pool serves thousands of crashes. Nothing reaches a drive any more, so no leg can record that
 * another one failed, so nothing is acknowledged.
 */
const STOPPED = 108;

export class World {
  readonly random: Random;
  readonly clock = new TestClock();
  /** Operations that change something, counted over all drives. */
  operations = 0;
  /** At this operation everything stops: it and all later ones fail without effect. */
  stopAt = Number.POSITIVE_INFINITY;
  stopped = false;
  onStop: () => void = () => {};
  /** Answers an errno to fail an operation. */
  fault: (drive: TestDrive, operation: Operation, offset: number, lengthBytes: number) => Errno =
    () => OK;
  readonly environment: LogEnvironment;

  constructor(seed: number) {
    this.random = new Random(seed);
    const bytes = new Random(seed ^ 0x5555);
    this.environment = {
      buffers: sharedPool,
      clock: this.clock,
      random: (length) => Uint8Array.from({ length }, () => bytes.below(256)),
    };
  }

  /** Counts; true when the world has stopped. */
  step(): boolean {
    if (!this.stopped && this.operations >= this.stopAt) {
      this.stopped = true;
      this.onStop();
    }
    this.operations++;
    return this.stopped;
  }

  async pause(): Promise<void> {
    for (let hops = this.random.below(6); hops > 0; hops--) await Promise.resolve();
  }
}

/**
 * One for all tests of a process. Garbage in taken buffers and poison in free ones show every stale
 * byte; but not where recovery runs a thousand times, which that would slow down by three.
 */
const debug = !(process.argv[1] ?? '').includes('crash');
export const sharedPool = new BufferPool({ sizeBytes: 64 * 1024 * 1024, debug });

interface Write {
  readonly offset: number;
  readonly data: Uint8Array;
}

export class TestDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes = 512;
  readonly #world: World;
  /** Sectors by index, replaced and never changed, so that images are cheap to copy. */
  #sectors: Map<number, Uint8Array>;
  #durable: Map<number, Uint8Array>;
  #unflushed: Write[] = [];
  readonly #inFlight = new Set<Write>();
  closed = false;

  constructor(
    world: World,
    path: string,
    sizeBytes: number,
    sectors = new Map<number, Uint8Array>(),
  ) {
    this.#world = world;
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#sectors = sectors;
    this.#durable = new Map(sectors);
  }

  async read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    this.#check(offset, lengthBytes);
    if (this.#world.stopped) return STOPPED;
    const errno = this.#world.fault(this, 'read', offset, lengthBytes);
    await this.#world.pause();
    if (errno !== OK) return errno;
    const target = sharedPool.slice(address, lengthBytes);
    target.fill(0);
    for (let at = 0; at < lengthBytes; at += SECTOR) {
      const sector = this.#sectors.get((offset + at) / SECTOR);
      if (sector !== undefined) target.set(sector, at);
    }
    return OK;
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.writeParts(offset, [{ address, lengthBytes }]);
  }

  async writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    this.#check(offset, lengthBytes);
    const write = { offset, data: gather(parts, lengthBytes) };
    if (this.#world.stopped) return STOPPED;
    // The operation at which the world stops has begun: any part of it may be on the drive.
    this.#inFlight.add(write);
    if (this.#world.step()) return STOPPED;
    const errno = this.#world.fault(this, 'write', offset, lengthBytes);
    await this.#world.pause();
    if (this.#world.stopped) return STOPPED;
    this.#inFlight.delete(write);
    if (errno !== OK) return errno;
    // What the buffers hold now, as a transfer that ends now may have it: buffers used again too
    // early show.
    write.data.set(gather(parts, lengthBytes));
    apply(this.#sectors, write, () => true);
    this.#unflushed.push(write);
    return OK;
  }

  async flush(): Promise<Errno> {
    if (this.#world.step()) return STOPPED;
    const covered = this.#unflushed.length;
    const errno = this.#world.fault(this, 'flush', 0, 0);
    await this.#world.pause();
    if (this.#world.stopped) return STOPPED;
    if (errno !== OK) return errno;
    for (const write of this.#unflushed.splice(0, covered)) apply(this.#durable, write, () => true);
    return OK;
  }

  punch(): Promise<Errno> {
    return Promise.resolve(95);
  }

  probe(): Promise<Errno> {
    return Promise.resolve(OK);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  /**
   * The drive as another process finds it after kill -9: what was under way is there, or not, or in
   * part.
   */
  afterKill(world: World): TestDrive {
    const next = new TestDrive(world, this.path, this.sizeBytes, new Map(this.#sectors));
    // The cache of the system outlives the process, and is as volatile as before.
    next.#durable = new Map(this.#durable);
    next.#unflushed = [...this.#unflushed];
    for (const write of this.#inFlight) {
      const landed = new Map<number, Uint8Array>();
      tear(world.random, landed, write);
      for (const [sector, data] of landed) {
        next.#sectors.set(sector, data);
        next.#unflushed.push({ offset: sector * SECTOR, data });
      }
    }
    return next;
  }

  /** After a power cut: of everything not flushed, any part. */
  afterPowerCut(world: World): TestDrive {
    const sectors = new Map(this.#durable);
    for (const write of [...this.#unflushed, ...this.#inFlight]) tear(world.random, sectors, write);
    return new TestDrive(world, this.path, this.sizeBytes, sectors);
  }

  /** As it is; for restarts without a crash, and to go back to. */
  copy(world: World = this.#world, path = this.path): TestDrive {
    return new TestDrive(world, path, this.sizeBytes, new Map(this.#sectors));
  }

  /** Spoils bytes behind everyone's back. */
  corrupt(offset: number, lengthBytes = SECTOR): void {
    for (let at = offset - (offset % SECTOR); at < offset + lengthBytes; at += SECTOR) {
      const before = this.#sectors.get(at / SECTOR) ?? ZERO_SECTOR;
      const spoilt = before.map((byte) => byte ^ 0x5a);
      this.#sectors.set(at / SECTOR, spoilt);
      this.#durable.set(at / SECTOR, spoilt);
    }
  }

  /** Puts bytes there, flushed. */
  put(offset: number, data: Uint8Array): void {
    apply(this.#sectors, { offset, data }, () => true);
    apply(this.#durable, { offset, data }, () => true);
  }

  get(offset: number, lengthBytes: number): Uint8Array {
    const data = new Uint8Array(lengthBytes);
    for (let at = 0; at < lengthBytes; at += SECTOR) {
      data.set(this.#sectors.get((offset + at) / SECTOR) ?? ZERO_SECTOR, at);
    }
    return data;
  }

  #check(offset: number, lengthBytes: number): void {
    assert.ok(offset % SECTOR === 0 && lengthBytes % SECTOR === 0 && lengthBytes > 0, 'aligned');
    assert.ok(
      offset >= 0 && offset + lengthBytes <= this.sizeBytes,
      `inside ${this.path}: ${offset}`,
    );
    assert.ok(!this.closed, 'not used after close');
  }
}

function gather(parts: readonly Part[], lengthBytes: number): Uint8Array {
  const data = new Uint8Array(lengthBytes);
  let at = 0;
  for (const part of parts) {
    data.set(sharedPool.slice(part.address, part.lengthBytes), at);
    at += part.lengthBytes;
  }
  return data;
}

const ZERO_SECTOR = new Uint8Array(SECTOR);

function apply(sectors: Map<number, Uint8Array>, write: Write, keep: () => boolean): void {
  for (let at = 0; at < write.data.length; at += SECTOR) {
    if (keep()) sectors.set((write.offset + at) / SECTOR, write.data.slice(at, at + SECTOR));
  }
}

/** All, nothing, a prefix, or any sectors of it. */
function tear(random: Random, sectors: Map<number, Uint8Array>, write: Write): void {
  const count = write.data.length / SECTOR;
  const prefix = random.below(count + 1);
  let index = 0;
  const ways = [() => true, () => false, () => index++ < prefix, () => random.chance(50)];
  apply(sectors, write, ways[random.below(ways.length)]!);
}
