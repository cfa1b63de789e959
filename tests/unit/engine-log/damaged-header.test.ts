/**
 * L7 in the stripe log: a header that can be read and is wrong, on every leg, is not the end of the log. What lies behind it
 * says so, is redone, and what is missing between is counted as lost. What a pass of before has left there says nothing.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OK } from '../../../src/base/errno.ts';
import { type Address, KIB, type MemberOffset, MIB, type Slot } from '../../../src/base/units.ts';
import type { LogStore } from '../../../src/engine/log/log-store.ts';
import { format, legs, open } from './model.ts';
import { sharedPool, type TestDrive, World } from './world.ts';

const UNIT = 4 * KIB;
const ROWS = 6;
/** Of a leg of 16 MiB. */
const HALF_BYTES = 2 * MIB;
const HALVES = [64 * KIB, 64 * KIB + HALF_BYTES] as const;
/** Two of these do not leave room for a third one. */
const LARGE_BLOCKS = 200;

const small = (count: number): number[] => Array.from({ length: count }, () => 1);

/** Images of so many blocks, each in a segment of its own. */
async function log(store: LogStore, rows: readonly number[]): Promise<void> {
  store.stripes.flushMembers = () => Promise.resolve(OK);
  for (const [row, blocks] of rows.entries()) {
    const lengthBytes = blocks * UNIT;
    const address = sharedPool.take(lengthBytes, 'engine') as Address;
    sharedPool.slice(address, lengthBytes).fill(row + 1);
    const image = { slot: 0 as Slot, memberOffset: (row * UNIT) as MemberOffset };
    const { errno, ticket } = await store.stripes.logImages([{ ...image, address, lengthBytes }]);
    assert.equal(errno, OK);
    store.stripes.applied(ticket);
    sharedPool.give(address);
  }
}

async function written(rows: readonly number[], count = 1): Promise<TestDrive[]> {
  const drives = legs(new World(80), count);
  await log(await format(new World(80), drives), rows);
  return drives;
}

interface Start {
  readonly store: LogStore;
  readonly drives: TestDrive[];
  /** Segments that are redone, that were committed and are lost, places that cannot be read. */
  readonly counts: readonly [number, number, number];
  /** By leg, of the stripe area. */
  readonly readBytes: Map<string, number>;
}

async function start(from: readonly TestDrive[], damaged: readonly number[] = []): Promise<Start> {
  const world = new World(81);
  const drives = from.map((drive) => drive.copy(world));
  for (const drive of drives) for (const at of damaged) drive.corrupt(at);
  const readBytes = new Map(drives.map(({ path }) => [path, 0]));
  world.fault = ({ path }, operation, offset, lengthBytes) => {
    const isInside = HALVES[0] <= offset && offset < HALVES[1] + HALF_BYTES;
    if (operation === 'read' && isInside)
      readBytes.set(path, (readBytes.get(path) ?? 0) + lengthBytes);
    return OK;
  };
  const opened = await open(world, drives);
  assert.ok(opened.kind === 'idle');
  const { store } = opened;
  const { pendingSegments, lostSegments, unreadableSegments } = store.stripes;
  return { store, drives, readBytes, counts: [pendingSegments, lostSegments, unreadableSegments] };
}

async function startAnew(from: readonly TestDrive[], damaged: readonly number[] = []) {
  const started = await start(from, damaged);
  assert.equal(await started.store.stripes.redo(() => Promise.resolve(OK)), OK);
  assert.equal(await started.store.stripes.releaseAll(), OK);
  return started;
}

/** Where the segment of a row begins if all are of one block. */
const at = (row: number, half: 0 | 1 = 0): number => HALVES[half] + row * 2 * UNIT;

for (const count of [1, 2]) {
  test(`${count} legs, each header in turn is damaged: it is lost, and what is behind it is redone`, async () => {
    const drives = await written(small(ROWS), count);
    for (let row = 0; row < ROWS; row++) {
      const { counts } = await start(drives, [at(row)]);
      // Of the last one nothing says that it was answered.
      assert.deepEqual(counts, [ROWS - 1, row < ROWS - 1 ? 1 : 0, 0], `row ${row}`);
    }
  });
}

test('several headers are damaged, in a row or not', async () => {
  const drives = await written(small(ROWS));
  for (const [rows, lost] of [
    [[1, 2], 2],
    [[0, 1, 2, 3], 4],
    [[1, 3], 2],
    [[1, 5], 1],
    [[4, 5], 0],
  ] as const) {
    const { counts } = await start(
      drives,
      rows.map((row) => at(row)),
    );
    assert.deepEqual(counts, [ROWS - rows.length, lost, 0], rows.join());
  }
});

test('of a header that is damaged on one leg the other one has what it should be', async () => {
  const drives = await written(small(ROWS), 2);
  drives[0]?.corrupt(at(2));
  drives[1]?.corrupt(at(4));
  assert.deepEqual((await start(drives)).counts, [ROWS, 0, 0]);
});

test('the writer has gone on in the other half: its first header is damaged, or the last one before', async () => {
  const rows = [LARGE_BLOCKS, LARGE_BLOCKS, LARGE_BLOCKS, 1, 1];
  const drives = await written(rows);
  assert.deepEqual((await start(drives)).counts, [3, 0, 0], 'the first half is released');
  const second = HALVES[1] + (LARGE_BLOCKS + 1) * UNIT;
  assert.deepEqual((await start(drives, [HALVES[1]])).counts, [2, 1, 0]);
  assert.deepEqual((await start(drives, [second])).counts, [2, 1, 0]);
  // Of no matter, it is released; and what it has left says nothing.
  assert.deepEqual((await start(drives, [HALVES[0]])).counts, [3, 0, 0]);
});

test('a start has begun anew over the log of before: its first header is damaged', async () => {
  const again = await startAnew(await written([LARGE_BLOCKS, LARGE_BLOCKS, LARGE_BLOCKS, 1]));
  await log(again.store, small(3));
  assert.deepEqual((await start(again.drives)).counts, [3, 0, 0]);
  assert.deepEqual((await start(again.drives, [at(0)])).counts, [2, 1, 0]);
});

test('everything was released in the second half, and that is begun anew: its first header is damaged', async () => {
  const drives = legs(new World(82), 1);
  const store = await format(new World(82), drives);
  await log(store, [LARGE_BLOCKS, LARGE_BLOCKS, LARGE_BLOCKS, 1]);
  assert.equal(await store.stripes.releaseAll(), OK);
  await log(store, small(3));
  assert.deepEqual((await start(drives)).counts, [3, 0, 0]);
  assert.deepEqual((await start(drives, [at(0, 1)])).counts, [2, 1, 0]);
});

test('a segment that is torn is the end, whatever a pass of before has left behind it', async () => {
  const first = await startAnew(await written(small(ROWS)));
  for (let count = 1; count <= 3; count++) {
    const { store, drives } = await startAnew(first.drives);
    await log(store, small(count));
    assert.deepEqual((await start(drives, [at(count - 1)])).counts, [count - 1, 0, 0]);
  }
});

test('the write of a header was lost: the one of a pass of before in its place ends nothing', async () => {
  const { store, drives } = await startAnew(await written(small(ROWS)));
  const before = drives.map((drive) => drive.get(at(2), UNIT));
  await log(store, small(ROWS));
  for (const [i, drive] of drives.entries()) drive.put(at(2), before[i]!);
  assert.deepEqual((await start(drives)).counts, [ROWS - 1, 1, 0]);
});

test('what a start has done without is of no matter to any later one', async () => {
  for (let row = 0; row < ROWS - 1; row++) {
    const { store, drives } = await startAnew(await written(small(ROWS)), [at(row)]);
    assert.deepEqual((await start(drives)).counts, [0, 0, 0]);
    await log(store, small(1));
    assert.deepEqual((await start(drives)).counts, [1, 0, 0]);
    assert.deepEqual((await start(drives, [at(0)])).counts, [0, 0, 0], 'the only one: torn');
  }
});

test('a start looks behind the end of what is owed, and nowhere when everything is released', async () => {
  const drives = await written(small(ROWS), 2);
  for (const readBytes of (await start(drives)).readBytes.values())
    assert.ok(readBytes > HALF_BYTES / 2 && readBytes < HALF_BYTES * 1.25, `${readBytes} bytes`);
  const released = await startAnew(drives);
  for (const readBytes of (await start(released.drives)).readBytes.values())
    assert.ok(readBytes <= 256 * KIB, `${readBytes} bytes`);
});
