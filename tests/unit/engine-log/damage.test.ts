/**
 * Spoilt, unreadable and foreign bytes: one leg is repaired from the other, and damage is never
 * taken for the end.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import { type Address, BLOCK_BYTES } from '../../../src/base/units.ts';
import { decodeLegHeader } from '../../../src/core/format/leg-header.ts';
import { DATA } from '../../../src/core/overlay.ts';
import type { LogStore } from '../../../src/engine/log/log-store.ts';
import { legs, load, logging, Model, open, reopen, smallLimits } from './model.ts';
import { Random, sharedPool, type TestDrive, World } from './world.ts';

/** One record a segment, no checkpoints: position and block count are known. */
const single = { ...smallLimits, segmentRecords: 1, checkpointBytes: 2 ** 40 };
const SEGMENTS = 12;

const recordsOffset = (drive: TestDrive): number =>
  decodeLegHeader(drive.get(0, BLOCK_BYTES))!.layout.recordsOffset;
/** Segments of 4 KiB of data take two blocks each. */
const segmentAt = (drive: TestDrive, index: number): number =>
  recordsOffset(drive) + index * 2 * BLOCK_BYTES;

/** Twelve segments, all of them flushed, and the drives as they are then. */
async function twelve(
  seed: number,
  synced = SEGMENTS,
): Promise<{ world: World; model: Model; images: TestDrive[] }> {
  const world = new World(seed);
  const drives = legs(world);
  const store = await logging(world, drives, single);
  const model = new Model(8 * SEGMENTS);
  for (let i = 0; i < SEGMENTS; i++) {
    await model.put(store, DATA, i * 8, 8);
    if (i + 1 === synced) await model.sync(store);
  }
  const images = drives.map((drive) => drive.copy());
  await store.close();
  return { world, model, images };
}

const readSector = async (store: LogStore, sector: number): Promise<number> => {
  let location = -1;
  store.overlay.forEachPiece(
    sector,
    1,
    (_start, _count, kind, at) => (location = kind === DATA ? at : -1),
  );
  assert.ok(location >= 0);
  const address = sharedPool.take(4096, 'engine');
  const errno = await store.window!.readPayload(location, 1, address);
  sharedPool.give(address);
  return errno;
};

test('each segment in turn is spoilt on one leg: all data is there, and the leg is repaired', async () => {
  for (let index = 0; index < SEGMENTS; index++) {
    for (const leg of [0, 1]) {
      for (const part of ['header', 'payload'] as const) {
        const { world, model, images } = await twelve(1);
        const spoilt = images[leg]!;
        spoilt.corrupt(segmentAt(spoilt, index) + (part === 'header' ? 0 : BLOCK_BYTES + 1024));
        const store = await reopen(world, images, single);
        await model.checkAfter(store, 'kill');
        if (part === 'payload') {
          // Found when it is read, from whichever leg: read until both have been asked.
          for (let i = 0; i < 4; i++) assert.equal(await readSector(store, index * 8 + 3), OK);
        }
        const check = await store.check();
        assert.deepEqual(
          check.legs.map((each) => [each.damagedRecords, each.missingRecords]),
          [
            [0, 0],
            [0, 0],
          ],
        );
        await store.close();
      }
    }
  }
});

test('one read of one leg fails, once: nobody waits for it, and the status counts it', async () => {
  const { world, images } = await twelve(4);
  const store = await reopen(world, images, single);
  assert.deepEqual(
    store.status().legs.map(({ errors }) => errors.read),
    [0, 0],
  );
  let left = 1;
  world.fault = (drive, operation) =>
    operation === 'read' && drive.path === images[0]!.path && left-- > 0 ? EIO : OK;
  for (let i = 0; i < 4; i++) assert.equal(await readSector(store, 3), OK);
  assert.equal(
    store.status().legs.reduce((sum, { errors }) => sum + errors.read, 0),
    1,
  );
  world.fault = () => OK;
  await store.close();
});

test('one read of a start fails, whichever it is: the log is whole, and the status counts it', async () => {
  const { world, model, images } = await twelve(5, 8);
  const start = async (number: number): Promise<boolean> => {
    const copies = images.map((drive) => drive.copy());
    const path = copies[0]!.path;
    let reads = 0;
    world.fault = (drive, operation) =>
      operation === 'read' && drive.path === path && reads++ === number ? EIO : OK;
    const store = await reopen(world, copies, single);
    world.fault = () => OK;
    const struck = reads > number;
    const counted = store.status().legs.map(({ errors }) => errors.read);
    assert.deepEqual(counted, [struck ? 1 : 0, 0], `read ${number}`);
    await model.checkAfter(store, 'kill');
    await store.close();
    return struck;
  };
  let number = 0;
  while (await start(number)) number++;
  assert.ok(number > 8, `${number} reads`);
});

test('one bad block among the headers of a leg is counted once, though it is met by two reads', async () => {
  const { world, images } = await twelve(6);
  const path = images[0]!.path;
  let reads = 0;
  // All copies in one go, then the first by itself.
  world.fault = (drive, operation) =>
    operation === 'read' && drive.path === path && reads++ < 2 ? EIO : OK;
  const store = await reopen(world, images, single);
  assert.ok(reads > 2);
  assert.deepEqual(
    store.status().legs.map(({ errors }) => errors.read),
    [1, 0],
  );
  world.fault = () => OK;
  await store.close();
});

test('a segment that was flushed and has no header on any leg is damage, never the end of the log', async () => {
  for (let index = 0; index < SEGMENTS - 1; index++) {
    const { world, images } = await twelve(2);
    // The last segments say that the first ones were committed.
    const store = await reopen(
      world,
      images.map((drive) => drive.copy()),
      single,
    );
    await store.close();
    const marked = await twelve(2, index + 1);
    for (const drive of marked.images) drive.corrupt(segmentAt(drive, index));
    const opened = await open(marked.world, marked.images, single);
    assert.equal(opened.kind, 'damaged', `segment ${index}`);
    if (opened.kind === 'damaged') assert.match(opened.reason, /flushed/);
  }
});

test('a payload block that is bad on all legs costs itself only', async () => {
  for (const index of [0, 5, 10]) {
    const { world, images } = await twelve(3);
    const first = await reopen(world, images, single);
    await first.close();
    const copies = images.map((drive) => drive.copy());
    for (const drive of copies) drive.corrupt(segmentAt(drive, index) + BLOCK_BYTES);
    const store = await reopen(world, copies, single);
    for (let i = 0; i < SEGMENTS; i++) {
      assert.equal(await readSector(store, i * 8), i === index ? EIO : OK, `segment ${i}`);
    }
    const check = await store.check();
    assert.equal(check.damagedOnAllLegs, 1);
    assert.deepEqual(
      check.legs.map((each) => each.damagedRecords),
      [1, 1],
    );
    assert.equal(check.records, SEGMENTS);
    // Overwritten, the range is good again.
    const address = sharedPool.take(4096, 'engine');
    sharedPool.slice(address, 4096).fill(1);
    assert.equal(await store.window!.append(DATA, index * 8, 8, address), OK);
    sharedPool.give(address);
    assert.equal(await readSector(store, index * 8), OK);
    await store.close();
  }
});

test('a tail that was never flushed may be torn on all legs: it ends there', async () => {
  const { world, images } = await twelve(4, 6);
  for (const drive of images) drive.corrupt(segmentAt(drive, 11) + BLOCK_BYTES);
  const store = await reopen(world, images, single);
  assert.equal(store.report().records, 11);
  await store.close();
});

test('a tail torn on one leg is taken from the other', async () => {
  for (let index = 6; index < SEGMENTS; index++) {
    const { world, model, images } = await twelve(5, 6);
    images[index % 2]!.corrupt(segmentAt(images[0]!, index) + BLOCK_BYTES);
    const opened = await open(world, images, single);
    assert.ok(opened.kind === 'recovered');
    assert.equal(opened.recovery.repairedSegments, 1);
    assert.equal(opened.recovery.droppedSegments, 0);
    await model.checkAfter(opened.store, 'kill');
    await opened.store.close();
  }
});

test('a header that the good leg gives only once: the other leg is repaired all the same', async () => {
  const { world, model, images } = await twelve(7);
  images[0]!.corrupt(segmentAt(images[0]!, 3));
  // Recovery reads long stretches; what begins right at the header would be a second look at it.
  world.fault = (drive, operation, offset) =>
    operation === 'read' && drive.path === 'leg1' && offset === segmentAt(drive, 3) ? EIO : OK;
  const store = await reopen(world, images, single);
  world.fault = () => OK;
  await model.checkAfter(store, 'kill');
  const { legs: checked } = await store.check();
  assert.deepEqual(
    checked.map(({ missingRecords }) => missingRecords),
    [0, 0],
    'a leg that is called repaired has the segment',
  );
  await store.close();
});

test('what cannot be read is not called torn', async () => {
  const { world, images } = await twelve(6, 6);
  world.fault = (drive, operation, offset) =>
    operation === 'read' && offset + 1 > segmentAt(drive, 9) && offset < segmentAt(drive, 10)
      ? 5
      : OK;
  const opened = await open(world, images, single);
  assert.equal(opened.kind, 'damaged');
});

test('an unreadable header on one leg is read from the other', async () => {
  const { world, model, images } = await twelve(6, 6);
  world.fault = (drive, operation, offset) =>
    operation === 'read' && drive.path === 'leg0' && offset === segmentAt(drive, 3) ? 5 : OK;
  const store = await reopen(world, images, single);
  await model.checkAfter(store, 'kill');
  await store.close();
});

test('garbage, zeroes, an older epoch and a foreign log behind the end are not records', async () => {
  const { world, model, images } = await twelve(7);
  const end = segmentAt(images[0]!, SEGMENTS);
  const foreign = await twelve(8);
  const older = new World(9);
  const olderLegs = legs(older);
  const first = await logging(older, olderLegs, single);
  await load(first, new Model(64), new Random(9), 60);
  await first.endEpoch();
  const tails = [
    Uint8Array.from({ length: 64 * 1024 }, () => world.random.below(256)),
    foreign.images[0]!.get(end, 64 * 1024),
    foreign.images[0]!.get(segmentAt(foreign.images[0]!, 0), 64 * 1024),
    images[0]!.get(segmentAt(images[0]!, 0), 64 * 1024),
  ];
  for (const tail of tails) {
    const copies = images.map((drive) => drive.copy());
    for (const drive of copies) drive.put(end, tail);
    const store = await reopen(world, copies, single);
    assert.equal(store.report().records, SEGMENTS);
    await model.checkAfter(store, 'kill');
    await store.close();
  }
  // The older epoch reaches further than the new one.
  await first.beginEpoch('bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee');
  await new Model(64).put(first, DATA, 0, 8);
  const copies = olderLegs.map((drive) => drive.copy());
  await first.close();
  const store = await reopen(older, copies, single);
  assert.equal(store.report().records, 1);
  await store.close();
});

test('once hosts are quiet the log notes what was flushed: rot there is no torn tail', async () => {
  const world = new World(12);
  const drives = legs(world, 1);
  const store = await logging(world, drives, single);
  const model = new Model(64);
  await model.put(store, DATA, 0, 8);
  await model.sync(store);
  const before = store.status().usedBytes;
  for (let i = 0; i < 5; i++) {
    world.clock.advance(1000);
    await store.window!.drained();
  }
  assert.equal(store.status().usedBytes - before, BLOCK_BYTES, 'one mark, not one a second');
  const copy = drives[0]!.copy();
  copy.corrupt(segmentAt(copy, 0));
  assert.equal((await open(world, [copy], single)).kind, 'damaged');
  await store.close();
});

test('every byte of a header counts: no bit of a leg header or a segment header may flip unnoticed', async () => {
  const { world, images } = await twelve(10);
  // A start marks what is committed; the copy is taken before the stop writes a checkpoint.
  const started = await reopen(world, images, single);
  const leg = images[0]!.copy();
  await started.close();
  for (let at = 0; at < BLOCK_BYTES; at += 97) {
    const spoilt = leg.get(0, BLOCK_BYTES);
    spoilt[at]! ^= 1 << (at % 8);
    assert.equal(decodeLegHeader(spoilt), null, `byte ${at}`);
    const copy = leg.copy();
    const header = copy.get(segmentAt(copy, 4), BLOCK_BYTES);
    header[at]! ^= 1 << (at % 8);
    copy.put(segmentAt(copy, 4), header);
    const opened = await open(world, [copy], single);
    assert.equal(opened.kind, 'damaged', `byte ${at}`);
  }
});

test('a start drops the torn first segment of a window and dies when one leg has its mark: the next goes on from that', async () => {
  for (const marked of [0, 1]) {
    const world = new World(12);
    const drives = legs(world);
    const before = await logging(world, drives, single);
    assert.equal(await new Model(8).put(before, DATA, 0, 8), OK);
    const torn = drives.map((drive) => drive.copy());
    await before.close();
    for (const drive of torn) drive.corrupt(segmentAt(drive, 0) + BLOCK_BYTES);
    const whole = torn.map((drive) => drive.copy());
    const start = await reopen(world, whole, single);
    assert.equal(start.overlay.liveSectors, 0, 'nobody has it whole');
    const after = whole.map((drive) => drive.copy());
    await start.close();
    const died = torn.map((drive, leg) => (leg === marked ? after[leg]! : drive));

    const again = await reopen(world, died, single);
    assert.equal(again.overlay.liveSectors, 0);
    const model = new Model(16);
    assert.equal(await model.put(again, DATA, 8, 8), OK);
    const copies = died.map((drive) => drive.copy());
    await again.close();
    for (const alone of copies) {
      const last = await reopen(world, [alone], single);
      await model.checkAfter(last, 'kill');
      await last.close();
    }
  }
});

test('an address outside the log is an error, not data', async () => {
  const { world, images } = await twelve(11);
  const store = await reopen(world, images, single);
  const address = sharedPool.take(4096, 'engine');
  const beyond = segmentAt(images[0]!, SEGMENTS + 4) / 512;
  assert.equal(await store.window!.readPayload(beyond, 8, address as Address), EIO);
  sharedPool.give(address);
  await store.close();
});
