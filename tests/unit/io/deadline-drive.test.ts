/** The deadline guard: one missed deadline fences the drive; a pause of our own does not. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { EBADF, ETIMEDOUT, OK } from '../../../src/base/errno.ts';
import { type DriveOffset, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Clock } from '../../../src/io/clock.ts';
import { DeadlineDrive } from '../../../src/io/deadline-drive.ts';
import { MemoryMedium } from '../../../src/io/memory-drive.ts';
import { SystemClock } from '../../../src/io/system-clock.ts';
import { Ring } from '../../../src/io/uring.ts';
import { UringDrive } from '../../../src/io/uring-drive.ts';

const at = (offset: number): DriveOffset => offset as DriveOffset;
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that stands still until it is told to go on. */
class HandClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= untilMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = next.atMs;
      next.run();
      await soon();
    }
    this.#nowMs = untilMs;
  }

  /** The process stands still: time passes, and then the timers due run once each. */
  async stall(byMs: number): Promise<void> {
    this.#nowMs += byMs;
    const due = this.#timers.filter((timer) => timer.atMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => timer.atMs > this.#nowMs);
    for (const timer of due) timer.run();
    await soon();
  }
}

interface Bench {
  medium: MemoryMedium;
  pool: BufferPool;
  clock: HandClock;
  drive: DeadlineDrive;
  fencings: () => number;
}

function bench(): Bench {
  const medium = new MemoryMedium({ sizeBytes: MIB });
  const pool = new BufferPool({ sizeBytes: MIB, debug: true });
  const clock = new HandClock();
  let fencings = 0;
  const onFenced = (): void => {
    fencings += 1;
  };
  const drive = new DeadlineDrive(medium.open('a', pool), clock, pool, { onFenced });
  return { medium, pool, clock, drive, fencings: () => fencings };
}

test('a healthy drive passes through, and no timer stays behind', async () => {
  const { pool, clock, drive } = bench();
  const address = pool.take(8192, 'engine');
  const part = { address, lengthBytes: 512 };
  assert.equal(await drive.write(at(0), address, 4096), OK);
  assert.equal(await drive.writeParts(at(4096), [part, part]), OK);
  assert.equal(await drive.read(at(0), address, 4096), OK);
  assert.equal(await drive.flush(), OK);
  assert.equal(await drive.punch(at(0), 4096), OK);
  assert.equal(await drive.probe(), OK);
  assert.equal(clock.timers, 1);
  await clock.advance(1000);
  assert.equal(clock.timers, 0);
});

test('a hung operation fails soon after the deadline, and the drive with it', async () => {
  const { medium, pool, clock, drive, fencings } = bench();
  const address = pool.take(8192, 'engine');
  medium.hang('write');
  let write: number | null = null;
  void drive.write(at(0), address, 4096).then((errno) => {
    write = errno;
  });
  await clock.advance(7900);
  assert.equal(write, null);
  medium.hang('write', 'read');
  let read: number | null = null;
  void drive.read(at(0), (address + 4096) as typeof address, 4096).then((errno) => {
    read = errno;
  });
  await clock.advance(700);
  assert.equal(write, ETIMEDOUT);
  assert.equal(read, ETIMEDOUT, 'what else was in flight fails with it');
  assert.equal(fencings(), 1);
  assert.equal(drive.fenced, true);
  assert.equal(await drive.flush(), ETIMEDOUT);
  assert.equal(await drive.probe(), ETIMEDOUT);
  await drive.close();
});

test('buffers of expired operations are held back until the late completion', async () => {
  const { medium, pool, clock, drive } = bench();
  const [first, second] = [pool.take(4096, 'engine'), pool.take(4096, 'engine')];
  medium.hang();
  const parts = [first, second].map((address) => ({ address, lengthBytes: 512 }));
  const late = drive.writeParts(at(0), parts);
  await clock.advance(9000);
  assert.equal(await late, ETIMEDOUT);
  const freeBytes = pool.freeBytes;
  pool.give(first);
  pool.give(second);
  assert.equal(pool.freeBytes, freeBytes, 'held');
  medium.release();
  await soon();
  assert.equal(pool.freeBytes, freeBytes + 8192, 'free again');
});

test('a pause of our own process fails no drive', async () => {
  const { medium, pool, clock, drive } = bench();
  const address = pool.take(4096, 'engine');
  medium.hang();
  const read = drive.read(at(0), address, 4096);
  for (let i = 0; i < 5; i += 1) await clock.stall(60_000);
  medium.release();
  assert.equal(await read, OK);
  assert.equal(drive.fenced, false);
});

test('a steady stream of operations is not mistaken for a hung one', async () => {
  const { pool, clock, drive } = bench();
  const address = pool.take(4096, 'engine');
  for (let i = 0; i < 100; i += 1) {
    const read = drive.read(at(0), address, 4096);
    assert.equal(await read, OK);
    await clock.advance(300);
  }
  assert.equal(drive.fenced, false);
});

test('a drive that was closed leaves no timer behind', async () => {
  const { pool, clock, drive } = bench();
  assert.equal(await drive.read(at(0), pool.take(4096, 'engine'), 4096), OK);
  assert.equal(clock.timers, 1);
  await drive.close();
  assert.equal(clock.timers, 0);
});

test('a read that was under way in a stop asks a closed drive, and leaves no timer behind', async () => {
  const { pool, clock, drive } = bench();
  const address = pool.take(4096, 'engine');
  await drive.close();
  assert.equal(await drive.read(at(0), address, 4096), EBADF);
  assert.equal(await drive.flush(), EBADF);
  assert.equal(clock.timers, 0);
});

test('a close that hangs is let go when the drive is fenced', async () => {
  const { medium, pool, clock, drive } = bench();
  const address = pool.take(4096, 'engine');
  medium.hang();
  const read = drive.read(at(0), address, 4096);
  const closed = drive.close();
  await clock.advance(9000);
  assert.equal(await read, ETIMEDOUT);
  await closed;
});

test('on a real ring: a hung read, its late and short completion, and no more', async (t) => {
  const available = Ring.available();
  if (!available.ok) return t.skip(available.reason);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'locum-deadline-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const pipe = path.join(directory, 'pipe');
  if (spawnSync('mkfifo', [pipe]).error) return t.skip('mkfifo is not installed');

  // A pipe nobody writes to is a drive that does not answer.
  const fd = fs.openSync(pipe, fs.constants.O_RDWR);
  const pool = new BufferPool({ sizeBytes: MIB, debug: true });
  const ring = new Ring();
  ring.attachPool(pool);
  let released = false;
  const release = (): void => {
    released = true;
  };
  const file = {
    path: pipe,
    fd,
    sizeBytes: MIB,
    blockBytes: 512,
    identity: '',
    release,
    blocksCaller: false,
  };
  const drive = new DeadlineDrive(new UringDrive(ring, pool, file), new SystemClock(), pool, {
    deadlineMs: 160,
  });
  const address = pool.take(4096, 'engine');
  assert.equal(await drive.read(at(0), address, 4096), ETIMEDOUT);
  pool.give(address);
  await drive.close();
  const freeBytes = pool.freeBytes;
  assert.equal(released, false, 'the kernel still has the descriptor');

  const writer = fs.openSync(pipe, 'w');
  fs.writeSync(writer, Buffer.alloc(512, 1));
  fs.closeSync(writer);
  while (!released) await soon();
  assert.equal(pool.freeBytes, freeBytes + 4096, 'the buffer came back with the late completion');
  assert.equal(ring.inFlight, 0, 'the rest of the read was not asked for');
  ring.close();
});
