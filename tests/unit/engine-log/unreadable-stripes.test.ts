/** What no leg can read of the stripe log cannot be called torn: it is looked at again, or counted, and never forgotten. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, ETIMEDOUT, OK } from '../../../src/base/errno.ts';
import { type Address, KIB, type MemberOffset, type Slot } from '../../../src/base/units.ts';
import type { LogStore } from '../../../src/engine/log/log-store.ts';
import { format, legs, open } from './model.ts';
import { sharedPool, type TestDrive, World } from './world.ts';

const UNIT = 4 * KIB;
const ROWS = 6;

async function logRow(store: LogStore, row: number, apply = true): Promise<void> {
  const lengthBytes = UNIT;
  const address = sharedPool.take(lengthBytes, 'engine') as Address;
  sharedPool.slice(address, lengthBytes).fill((row % 255) + 1);
  const memberOffset = (row * UNIT) as MemberOffset;
  const logged = await store.stripes.logImages([
    { slot: 0 as Slot, memberOffset, address, lengthBytes },
  ]);
  assert.equal(logged.errno, OK);
  if (apply) store.stripes.applied(logged.ticket);
  sharedPool.give(address);
}

interface Logged {
  readonly drives: TestDrive[];
  /** Where the segment of each row begins, the payload one unit behind. */
  readonly at: number[];
}

/** Images of a few rows, each in a segment of its own. */
async function logRows(count: number): Promise<Logged> {
  const world = new World(60);
  const drives = legs(world, count);
  const store = await format(world, drives);
  const at: number[] = [];
  world.fault = ({ path }, operation, offset) => {
    if (operation === 'write' && path === 'leg0') at.push(offset);
    return OK;
  };
  for (let row = 0; row < ROWS; row++) await logRow(store, row);
  assert.equal(at.length, ROWS);
  return { drives, at };
}

/** By leg, blocks that are not read, this many times. */
function failReads(world: World, bad: Record<string, number>, count: number, errno = EIO): void {
  let left = count;
  world.fault = ({ path }, operation, offset, lengthBytes) => {
    const block = bad[path];
    if (operation !== 'read' || block === undefined) return OK;
    return offset <= block && block < offset + lengthBytes && left-- > 0 ? errno : OK;
  };
}

interface Start {
  readonly store: LogStore;
  readonly world: World;
  readonly drives: TestDrive[];
  /** Segments that are redone, that were committed and are lost, places that cannot be read. */
  readonly counts: readonly [number, number, number];
}

async function start(
  logged: Pick<Logged, 'drives'>,
  bad: Record<string, number>,
  count = Number.POSITIVE_INFINITY,
  errno = EIO,
): Promise<Start> {
  const world = new World(61);
  const drives = logged.drives.map((drive) => drive.copy(world));
  failReads(world, bad, count, errno);
  const opened = await open(world, drives);
  assert.ok(opened.kind === 'idle');
  const { stripes } = opened.store;
  const counts = [
    stripes.pendingSegments,
    stripes.lostSegments,
    stripes.unreadableSegments,
  ] as const;
  return { store: opened.store, world, drives, counts };
}

test('a header that the only leg does not give at once is read again', async () => {
  const logged = await logRows(1);
  for (const [row, block] of logged.at.entries()) {
    for (const count of [1, 2, 3]) {
      const { store, counts } = await start(logged, { leg0: block }, count);
      assert.deepEqual(counts, [ROWS, 0, 0], `row ${row}, ${count} reads`);
      await store.close();
    }
  }
});

test('a header that the only leg does not give is counted, as committed or as unreadable', async () => {
  const logged = await logRows(1);
  for (const [row, block] of logged.at.entries()) {
    const { store, counts } = await start(logged, { leg0: block });
    // Of the last one nothing says that it was answered.
    assert.deepEqual(counts, row < ROWS - 1 ? [ROWS - 1, 1, 0] : [row, 0, 1]);
    assert.ok(!store.stripes.isSettled);
    await store.close();
  }
  const behind = logged.at.at(-1)! + 2 * UNIT;
  const { store, counts } = await start(logged, { leg0: behind });
  assert.deepEqual(counts, [ROWS, 0, 1], 'another one may have been there');
  await store.close();
});

test('a leg that does not answer in time has not said that nothing is there', async () => {
  const logged = await logRows(1);
  const { store, counts } = await start(logged, { leg0: logged.at[2]! }, 1, ETIMEDOUT);
  assert.ok(counts[2] > 0, counts.join());
  await store.close();
});

test('a payload that the only leg does not give is counted, as committed or as unreadable', async () => {
  const logged = await logRows(1);
  for (const [row, block] of logged.at.entries()) {
    const payload = block + UNIT;
    const { store, counts } = await start(logged, { leg0: payload });
    // Of the last one nothing says that it was answered.
    assert.deepEqual(counts, row < ROWS - 1 ? [ROWS - 1, 1, 0] : [ROWS - 1, 0, 1]);
    await store.close();
  }
});

test('what one leg does not give comes from the other, wherever that has a hole of its own', async () => {
  const logged = await logRows(2);
  const [, , third, , fifth] = logged.at as [number, number, number, number, number];
  for (const leg1 of [fifth, fifth + UNIT]) {
    const { store, counts } = await start(logged, { leg0: third, leg1 });
    assert.deepEqual(counts, [ROWS, 0, 0]);
    await store.close();
  }
});

test('what one leg does not give and the other does not have was never answered', async () => {
  const logged = await logRows(2);
  const last = logged.at.at(-1)!;
  for (const [leg1, torn] of [
    [last, last],
    [last + UNIT, last],
    [last + UNIT, last + UNIT],
  ] as const) {
    const drives = logged.drives.map((drive) => drive.copy());
    drives[0]!.corrupt(torn);
    const { store, counts } = await start({ drives }, { leg1 });
    assert.deepEqual(counts, [ROWS - 1, 0, 0]);
    await store.close();
  }
});

test('what could not be read, and was done without, is not redone when it can be read again', async () => {
  const logged = await logRows(1);
  for (const block of logged.at) {
    const { store, world, drives } = await start(logged, { leg0: block });
    assert.equal(await store.stripes.redo(() => Promise.resolve(OK)), OK);
    assert.equal(await store.stripes.releaseAll(), OK);
    assert.ok(store.stripes.isSettled);
    const released = await start({ drives }, {});
    assert.deepEqual(released.counts, [0, 0, 0]);
    await released.store.close();
    world.fault = () => OK;
    await logRow(store, 20);
    const again = await start({ drives }, {});
    assert.deepEqual(again.counts, [1, 0, 0]);
    await again.store.close();
    await store.close();
  }
});

test('what could not be read, and was not done without, is there at the next start', async () => {
  const logged = await logRows(1);
  const refused = await start(logged, { leg0: logged.at[0]! });
  await refused.store.close();
  const again = await start(refused, {});
  assert.deepEqual(again.counts, [ROWS, 0, 0]);
  await again.store.close();
});

test('a bad block behind what is released is of no matter', async () => {
  const logged = await logRows(1);
  const { store, drives } = await start(logged, {});
  assert.equal(await store.stripes.redo(() => Promise.resolve(OK)), OK);
  assert.equal(await store.stripes.releaseAll(), OK);
  const again = await start({ drives }, { leg0: logged.at.at(-1)! + 2 * UNIT });
  assert.deepEqual(again.counts, [0, 0, 0]);
  await again.store.close();
  await store.close();
});

test('the start of a half that no leg gives, newer segments behind it, and the end of the other half wiped: it is counted', async () => {
  const world = new World(62);
  const drives = legs(world, 1);
  const drive = drives[0]!;
  const store = await format(world, drives);
  const at: number[] = [];
  world.fault = (_, operation, offset) => {
    if (operation === 'write') at.push(offset);
    return OK;
  };
  const offset = 64 * KIB;
  const bytes = 2048 * KIB;
  // Nothing is said to be applied, so nothing is released, and both halves are owed.
  for (let row = 0; (at.at(-1) ?? 0) < offset + bytes + 4 * UNIT; row++)
    await logRow(store, row, false);
  const head = at.find((start) => start >= offset + bytes) ?? 0;
  const wipedFrom = at.find((start) => start >= offset + bytes / 4) ?? 0;
  await store.close();
  const isCounted = async (wipedTo: number): Promise<boolean> => {
    const copy = drive.copy(new World(63));
    copy.put(wipedFrom, new Uint8Array(wipedTo - wipedFrom));
    const { counts } = await start({ drives: [copy] }, { leg0: head });
    return counts[1] + counts[2] > 0;
  };
  assert.equal(await isCounted(offset + bytes), true);
  assert.equal(await isCounted(offset + 2 * bytes), false, 'with nothing there it is free');
});
