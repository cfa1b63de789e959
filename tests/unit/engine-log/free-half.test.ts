/**
 * A bad sector at the start of the half of the stripe log that is free: nothing is owed there, and nobody is kept from
 * starting, if the other half proves it. Where it does not, what cannot be read is not taken for the end of the log.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import { type Address, KIB, type MemberOffset, MIB, type Slot } from '../../../src/base/units.ts';
import type { LogStore } from '../../../src/engine/log/log-store.ts';
import { format, legs, open } from './model.ts';
import { sharedPool, type TestDrive, World } from './world.ts';

const UNIT = 4 * KIB;
/** Of a leg of 16 MiB. */
const HALF_BYTES = 2 * MIB;
const HALVES = [64 * KIB, 64 * KIB + HALF_BYTES] as const;
/** Two of these do not leave room for the largest segment, and a third one goes to the other half. */
const LARGE_BLOCKS = 200;

async function log(store: LogStore, row: number, blocks = 1): Promise<void> {
  const lengthBytes = blocks * UNIT;
  const address = sharedPool.take(lengthBytes, 'engine') as Address;
  sharedPool.slice(address, lengthBytes).fill(row + 1);
  const memberOffset = (row * UNIT) as MemberOffset;
  const image = { slot: 0 as Slot, memberOffset, address, lengthBytes };
  const logged = await store.stripes.logImages([image]);
  assert.equal(logged.errno, OK);
  store.stripes.applied(logged.ticket);
  sharedPool.give(address);
}

/** A log to which `rows` images were written, each of so many blocks. */
async function written(rows: readonly number[], count = 1): Promise<TestDrive[]> {
  const world = new World(70);
  const drives = legs(world, count);
  const store = await format(world, drives);
  await write(store, rows);
  return drives;
}

async function write(store: LogStore, rows: readonly number[]): Promise<void> {
  store.stripes.flushMembers = () => Promise.resolve(OK);
  for (const [row, blocks] of rows.entries()) await log(store, row, blocks);
}

interface Start {
  readonly store: LogStore;
  readonly drives: TestDrive[];
  /** Segments that are redone, that were committed and are lost, places that cannot be read. */
  readonly counts: readonly [number, number, number];
}

/** `bad`: blocks that no leg can read. */
async function start(from: readonly TestDrive[], bad: readonly number[]): Promise<Start> {
  const world = new World(71);
  const drives = from.map((drive) => drive.copy(world));
  world.fault = (_drive, operation, offset, lengthBytes) =>
    operation === 'read' && bad.some((at) => offset <= at && at < offset + lengthBytes) ? EIO : OK;
  const opened = await open(world, drives);
  assert.ok(opened.kind === 'idle');
  const { stripes } = opened.store;
  const { pendingSegments, lostSegments, unreadableSegments } = stripes;
  world.fault = () => OK;
  return {
    store: opened.store,
    drives,
    counts: [pendingSegments, lostSegments, unreadableSegments],
  };
}

const small = (count: number): number[] => Array.from({ length: count }, () => 1);
/** Half 0 is full and released; that and the last ones are in half 1. */
const inSecondHalf = [LARGE_BLOCKS, LARGE_BLOCKS, LARGE_BLOCKS, 1, 1];

for (const count of [1, 2]) {
  test(`${count} legs, the second half was never used: a bad sector at its start is of no matter`, async () => {
    const { counts } = await start(await written(small(6), count), [HALVES[1]]);
    assert.deepEqual(counts, [6, 0, 0]);
  });

  test(`${count} legs, the first half is released: a bad sector at its start is of no matter`, async () => {
    const drives = await written(inSecondHalf, count);
    assert.deepEqual((await start(drives, [])).counts, [3, 0, 0], 'those of the second half');
    assert.deepEqual((await start(drives, [HALVES[0]])).counts, [3, 0, 0]);
  });
}

test('the first half is not known to be released: what cannot be read there counts', async () => {
  const drives = legs(new World(70), 1);
  const store = await format(new World(70), drives);
  await write(store, [LARGE_BLOCKS, LARGE_BLOCKS]);
  // The change of halves does not wait for the members.
  let flushed = (_errno: number): void => {};
  store.stripes.flushMembers = () => new Promise((resolve) => (flushed = resolve));
  await log(store, 2, LARGE_BLOCKS);
  await log(store, 3);
  assert.deepEqual((await start(drives, [])).counts, [4, 0, 0]);
  const { counts } = await start(drives, [HALVES[0]]);
  assert.deepEqual(counts, [3, 1, 0], 'the one behind it is redone all the same');
  flushed(OK);
});

test('the half that is in use has no room for the largest segment: the next one may be in the other', async () => {
  const drives = await written([LARGE_BLOCKS, 60]);
  assert.deepEqual((await start(drives, [])).counts, [2, 0, 0]);
  assert.deepEqual((await start(drives, [HALVES[1]])).counts, [2, 0, 1]);
});

test('the end of the half that is in use cannot be read either: both places count', async () => {
  const drives = await written(small(6));
  const end = HALVES[0] + 6 * 2 * UNIT;
  assert.deepEqual((await start(drives, [HALVES[1], end])).counts, [6, 0, 2]);
});

test('a start has begun anew in the first half since: what cannot be read there counts', async () => {
  const again = await start(await written(inSecondHalf), []);
  assert.equal(await again.store.stripes.redo(() => Promise.resolve(OK)), OK);
  assert.equal(await again.store.stripes.releaseAll(), OK);
  await write(again.store, small(3));
  assert.deepEqual((await start(again.drives, [])).counts, [3, 0, 0], 'in the first half');
  assert.deepEqual((await start(again.drives, [HALVES[0]])).counts, [2, 1, 0]);
  const one = await start(again.drives, []);
  assert.equal(await one.store.stripes.redo(() => Promise.resolve(OK)), OK);
  assert.equal(await one.store.stripes.releaseAll(), OK);
  await write(one.store, small(1));
  assert.deepEqual((await start(one.drives, [HALVES[0]])).counts, [0, 0, 1], 'nothing behind it');
});

test('a header in the middle is damaged: what is behind it says that this is not the end', async () => {
  const drives = await written(small(6));
  drives[0]!.corrupt(HALVES[0] + 3 * 2 * UNIT);
  const { counts } = await start(drives, [HALVES[1]]);
  assert.deepEqual(counts, [5, 1, 1]);
});

test('nothing was ever logged: a bad sector at a start counts, and is of no matter where nothing was under way', async () => {
  const drives = await written([]);
  for (const half of HALVES) assert.deepEqual((await start(drives, [half])).counts, [0, 0, 1]);
});

test('the largest call still fits into the smallest half', async () => {
  const drives = await written([256, 1]);
  assert.deepEqual((await start(drives, [])).counts, [2, 0, 0]);
});
