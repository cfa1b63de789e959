/** The buffer pool: what it hands out, when it refuses, who is next, and what a pin holds back. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Address, KIB, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';

const small = (): BufferPool =>
  new BufferPool({ sizeBytes: MIB, reserveBytes: 128 * KIB, debug: true });

function takeAll(pool: BufferPool, lengthBytes: number, taker: 'client' | 'engine'): Address[] {
  const taken: Address[] = [];
  for (;;) {
    const address = pool.take(lengthBytes, taker);
    if (address === 0) return taken;
    taken.push(address);
  }
}

/** Resolves to 'waiting' unless the promise has settled by the next turn of the event loop. */
const settledSoon = <T>(promise: Promise<T>): Promise<T | 'waiting'> =>
  Promise.race([promise, new Promise<'waiting'>((r) => setImmediate(r, 'waiting'))]);

test('buffers are aligned, in the pool, and do not overlap', () => {
  const pool = new BufferPool({ sizeBytes: 4 * MIB, debug: true });
  const lengths = [1, 4096, 4097, 8192, 20_000, 65_536, 70_000, 300_000, 4096, 1];
  const used: [from: number, to: number][] = [];
  for (const lengthBytes of lengths) {
    const address = pool.take(lengthBytes, 'engine');
    assert.ok(address > 0 && address % 4096 === 0 && address + lengthBytes <= pool.sizeBytes);
    for (const [from, to] of used) assert.ok(address >= to || address + lengthBytes <= from);
    used.push([address, address + lengthBytes]);
  }
});

test('after any history everything given back can be taken again as large buffers', () => {
  const pool = new BufferPool({ sizeBytes: 8 * MIB, reserveBytes: 0, debug: true });
  const freeBytes = pool.freeBytes;
  const taken: Address[] = [];
  let state = 42;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let step = 0; step < 5000; step += 1) {
    if (taken.length > 0 && random(100) < 48) {
      pool.give(taken.splice(random(taken.length), 1)[0]!);
    } else {
      const address = pool.take(1 << random(19), random(2) === 0 ? 'client' : 'engine');
      if (address !== 0) taken.push(address);
    }
  }
  for (const address of taken) pool.give(address);
  assert.equal(pool.freeBytes, freeBytes);
  assert.notEqual(pool.take(4 * MIB, 'engine'), 0, 'the blocks have merged again');
});

test('a client leaves the reserve alone, the engine may use it', () => {
  const pool = small();
  takeAll(pool, 4096, 'client');
  assert.equal(pool.freeBytes, 128 * KIB);
  const engine = takeAll(pool, 4096, 'engine');
  assert.equal(engine.length, 32);
  assert.equal(pool.freeBytes, 0);
});

test('what is too large is refused, what could never be given is a bug', () => {
  const pool = small();
  assert.equal(pool.take(2 * MIB, 'engine'), 0);
  assert.equal(pool.take(128 * MIB, 'engine'), 0);
  assert.throws(() => pool.takeLater(2 * MIB, 'engine'), /never give/);
  assert.throws(() => pool.take(0, 'engine'), /length/);
});

test('who waits is served first come, first served, and nobody overtakes', async () => {
  const pool = small();
  const taken = takeAll(pool, 4096, 'client');
  const large = pool.takeLater(64 * KIB, 'client');
  const little = pool.takeLater(4096, 'client');
  pool.give(taken.pop()!);
  assert.equal(await settledSoon(large), 'waiting');
  assert.equal(await settledSoon(little), 'waiting', 'the little one waits behind the large one');
  assert.equal(pool.take(4096, 'client'), 0, 'a taker that does not wait does not overtake either');
  for (const address of taken.splice(0)) pool.give(address);
  const [first, second] = await Promise.all([large, little]);
  assert.ok(first > 0 && second > 0 && first !== second);
});

test('of the engine who asks for less overtakes who waits for a whole piece, however often: it may hold what he waits for', async () => {
  const pool = small();
  const taken = takeAll(pool, 4096, 'engine').sort((a, b) => a - b);
  const large = pool.takeLater(64 * KIB, 'engine');
  // Every second page: nothing of 64 KiB can come of that, and who is given it may hold the others.
  const given = taken.filter((_, i) => i % 2 === 0).slice(0, 20);
  for (const address of given) pool.give(address);
  let held = await settledSoon(pool.takeLater(4096, 'engine'));
  for (let turn = 0; turn < 5_000; turn++) {
    assert.notEqual(held, 'waiting', `a piece that is of no use to the large one (${turn})`);
    const next = pool.takeLater(4096, 'engine');
    pool.give(held as Address);
    held = await settledSoon(next);
  }
  assert.equal(await settledSoon(large), 'waiting');
  const whole = taken.filter((address) => address >= 512 * KIB && address < 576 * KIB);
  for (const address of whole) pool.give(address);
  assert.equal(await settledSoon(large), 512 * KIB, 'the first whole piece');
});

const kinds = ['request', 'stripe', 'scratch', 'mend', 'engine'] as const;

test('what clients left free lay in pieces too small for a step of a write: whole blocks are kept aside for the engine', async () => {
  const pool = new BufferPool({ sizeBytes: 4 * MIB, debug: true });
  pool.keepAside(192 * KIB);
  const freeBytes = pool.freeBytes;
  const taken = takeAll(pool, 4096, 'client');
  while (pool.freeBytes > 0) taken.push(pool.take(4096, 'engine'));
  taken.sort((a, b) => a - b);
  for (const address of taken.filter((_, i) => i % 2 === 0)) pool.give(address);
  assert.ok(pool.freeBytes > MIB, 'more than enough is free');
  assert.equal(pool.take(8192, 'client'), 0, 'and nothing of it is whole');
  const held = await Promise.all(kinds.map((kind) => settledSoon(pool.takeLater(192 * KIB, kind))));
  assert.ok(!held.includes('waiting'), 'each kind finds a block of its own');
  const second = pool.takeLater(192 * KIB, 'stripe');
  assert.equal(await settledSoon(second), 'waiting', 'the others are for those further down');
  const piece = await settledSoon(pool.takeLater(4096, 'stripe'));
  assert.notEqual(piece, 'waiting', 'who asks for less has the pieces');
  for (const address of held.slice(2)) pool.give(address as Address);
  assert.equal(await settledSoon(second), 'waiting');
  pool.give(held[1] as Address);
  const last = await settledSoon(second);
  assert.equal(last, held[1]);
  for (const address of [held[0], last, piece]) pool.give(address as Address);
  for (const address of taken.filter((_, i) => i % 2 === 1)) pool.give(address);
  assert.equal(pool.freeBytes, freeBytes);
});

/** So many steps at once: each takes a payload, one buffer of each kind, and gives all back. How many come to their end. */
async function stepsDone(pool: BufferPool, steps: number, stepBytes: number): Promise<number> {
  let done = 0;
  const step = async (number: number): Promise<void> => {
    const held = [await pool.takeLater(4096 << (number % 4), 'client')];
    for (const kind of kinds) {
      await new Promise(setImmediate);
      held.push(await pool.takeLater(kind === 'engine' ? 4096 : stepBytes, kind));
    }
    for (const address of held) pool.give(address);
    done++;
  };
  for (let number = 0; number < steps; number++) void step(number);
  for (let before = -1, turns = 0; turns < 50; turns++) {
    turns = done === before ? turns : 0;
    before = done;
    await new Promise(setImmediate);
  }
  return done;
}

test('steps that hold one buffer and wait for the next do not wait for each other for ever', async () => {
  const sizeBytes = 4 * MIB;
  const pool = new BufferPool({ sizeBytes, debug: true });
  assert.ok((await stepsDone(pool, 300, 192 * KIB)) < 300, 'without blocks kept aside they do');
  pool.reset();
  pool.keepAside(192 * KIB);
  const freeBytes = pool.freeBytes;
  assert.equal(await stepsDone(pool, 300, 192 * KIB), 300);
  assert.equal(pool.freeBytes, freeBytes);
});

test('what is kept aside grows with what is asked for, within half of the pool, and is whole again afterwards', () => {
  const pool = new BufferPool({ sizeBytes: 8 * MIB, debug: true });
  const wholeBytes = pool.freeBytes;
  pool.keepAside(64 * KIB);
  assert.equal(wholeBytes - pool.freeBytes, 5 * 64 * KIB);
  takeAll(pool, 4096, 'client');
  const taken = takeAll(pool, 64 * KIB, 'engine');
  pool.keepAside(100 * KIB);
  for (const address of taken) pool.give(address);
  pool.keepAside(4096);
  assert.equal(takeAll(pool, 128 * KIB, 'engine').length >= 5, true);
  pool.reset();
  assert.equal(pool.freeBytes, wholeBytes);
  pool.keepAside(4 * MIB);
  assert.equal(wholeBytes - pool.freeBytes, 5 * 512 * KIB, 'as much as there is room for');
  assert.equal(pool.shareableBytes, 8 * MIB - 5 * 512 * KIB, 'clients share the rest');
  assert.equal(pool.take(2 * MIB, 'client') > 0, true);
});

test('a waiting client does not hold up the engine', async () => {
  const pool = small();
  const taken = takeAll(pool, 4096, 'client');
  const client = pool.takeLater(4096, 'client');
  assert.notEqual(pool.take(4096, 'engine'), 0);
  assert.equal(await settledSoon(client), 'waiting');
  pool.give(taken.pop()!);
  pool.give(taken.pop()!);
  assert.notEqual(await settledSoon(client), 'waiting');
});

test('giving twice, or what was never taken, is a bug', () => {
  const pool = small();
  const address = pool.take(8192, 'engine');
  assert.throws(() => pool.give((address + 4096) as Address), /once/);
  assert.throws(() => pool.give((address + 1) as Address), /address/);
  assert.throws(() => pool.give(0 as Address), /address/);
  pool.give(address);
  assert.throws(() => pool.give(address), /once/);
});

test('a pinned buffer that is given back is held until the last unpin', () => {
  const pool = small();
  const address = pool.take(16 * KIB, 'engine');
  const before = pool.freeBytes;
  pool.pin((address + 5000) as Address);
  pool.pin(address);
  pool.give(address);
  assert.equal(pool.freeBytes, before);
  assert.throws(() => pool.give(address), /once/);
  assert.ok(!takeAll(pool, 16 * KIB, 'engine').includes(address));
  pool.unpin(address);
  assert.equal(pool.take(16 * KIB, 'engine'), 0);
  pool.unpin((address + 9000) as Address);
  assert.equal(pool.take(16 * KIB, 'engine'), address);
});

test('an unpin before the give changes nothing', () => {
  const pool = small();
  const address = pool.take(4096, 'engine');
  pool.pin(address);
  pool.unpin(address);
  const before = pool.freeBytes;
  pool.give(address);
  assert.equal(pool.freeBytes, before + 4096);
  assert.throws(() => pool.unpin(address), /in use|pin/);
  assert.throws(() => pool.pin(address), /in use/);
});

test('the debug mode notices a write to a buffer that was given back', () => {
  const pool = small();
  const address = pool.take(4096, 'engine');
  assert.ok(
    pool.slice(address, 4096).every((byte) => byte === 0xa5),
    'contents are garbage',
  );
  pool.give(address);
  pool.bytes[address + 100] = 1;
  assert.throws(() => takeAll(pool, 4096, 'engine'), /given back/);
});

test('the debug mode notices a write to any single byte', () => {
  const pool = small();
  for (const at of [0, 1, 2047, 4094, 4095]) {
    const address = pool.take(4096, 'engine');
    pool.give(address);
    const before = pool.bytes[address + at]!;
    pool.bytes[address + at] = before ^ 1;
    assert.throws(() => pool.take(4096, 'engine'), /given back/, `byte ${at}`);
    pool.reset();
  }
});

test('after a reset a pool is as new, whatever was going on in it', async () => {
  const pool = small();
  const whole = pool.freeBytes;
  const order = takeAll(pool, 4096, 'client').slice(0, 20);
  const state = (): Address[] => takeAll(pool, 4096, 'client').slice(0, 20);
  // Given back while pinned, given back and written to, waited for, pinned and kept.
  pool.pin(order[3]!);
  pool.give(order[3]!);
  takeAll(pool, 4096, 'engine');
  pool.give(order[4]!);
  pool.bytes.fill(1, order[4]!, order[4]! + 4096);
  const waiting = pool.takeLater(64 * KIB, 'engine');
  assert.equal(await settledSoon(waiting), 'waiting');
  pool.reset();
  assert.equal(pool.freeBytes, whole);
  assert.deepEqual(state(), order, 'the same buffers in the same order');
  assert.throws(() => pool.unpin(order[3]!), 'its pin is gone');
  assert.equal(await settledSoon(waiting), 'waiting', 'who waited is never answered');
  pool.reset();
  const large = pool.take(256 * KIB, 'engine');
  assert.ok(large > 0, 'nothing is in pieces');
  assert.ok(
    pool.slice(large, 256 * KIB).every((byte) => byte === 0xa5),
    'garbage, as from a new one',
  );
});

test('a pool does not grow, and an untouched one costs next to nothing', () => {
  const before = process.memoryUsage().rss;
  const pool = new BufferPool({});
  assert.equal(pool.sizeBytes, 256 * MIB);
  assert.equal(pool.bytes.length, 256 * MIB);
  assert.ok(process.memoryUsage().rss - before < 32 * MIB);
});
