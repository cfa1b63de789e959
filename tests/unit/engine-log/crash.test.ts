/**
 * Kills and power cuts at every drive operation, also one after the other and inside recovery,
 * against a flat model.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DATA } from '../../../src/core/overlay.ts';
import { legs, load, logging, Model, open, reopen, smallLimits, WINDOW } from './model.ts';
import { Random, sharedPool, type TestDrive, World } from './world.ts';

/** then-power: killed, and while that is being recovered from, the power goes. */
type Crash = 'kill' | 'power' | 'then-power';
const image = (drive: TestDrive, crash: Crash, world: World): TestDrive =>
  crash === 'power' ? drive.afterPowerCut(world) : drive.afterKill(world);

/**
 * Writes until the n-th operation, then restarts, up to three times in a row, crashing inside
 * recovery as well.
 */
async function crashRun(
  seed: number,
  stopAt: number,
  crash: Crash,
  legCount: number,
): Promise<boolean> {
  let world = new World(seed);
  let drives = legs(world, legCount);
  const random = new Random(seed);
  const model = new Model(256);
  let store = await logging(world, drives);
  world.stopAt = world.operations + stopAt;
  await load(store, model, random, 60, 4, 8);
  const reached = world.stopped;
  for (let depth = 0; depth < 3; depth++) {
    await store.close();
    world = new World(seed * 31 + depth);
    drives = drives.map((drive) => image(drive, crash, world));
    // Now and then the crash comes while recovering from the last one.
    world.stopAt = random.chance(60) ? random.below(14) : Number.POSITIVE_INFINITY;
    let promise: 'kill' | 'power' = crash === 'power' ? 'power' : 'kill';
    const opened = await open(world, drives);
    if (world.stopped) {
      if (opened.kind === 'recovered') await opened.store.close();
      world = new World(seed * 37 + depth);
      if (crash === 'then-power') promise = 'power';
      drives = drives.map((drive) => image(drive, promise, world));
      store = await reopen(world, drives);
    } else {
      assert.ok(opened.kind === 'recovered', `recovered, not ${opened.kind}`);
      store = opened.store;
    }
    world.stopAt = Number.POSITIVE_INFINITY;
    await model.checkAfter(store, promise);
    world.stopAt = world.operations + 5 + random.below(60);
    await load(store, model, random, 30, 4, 8);
  }
  await store.close();
  return reached;
}

for (const crash of ['kill', 'power', 'then-power'] as const) {
  for (const legCount of [1, 2]) {
    const what = crash === 'kill' ? 'nothing answered' : 'nothing flushed';
    test(`${crash} at every drive operation, ${legCount} leg(s): ${what} is lost, three times in a row`, async () => {
      const free = sharedPool.freeBytes;
      let stopAt = 0;
      let seed = 1;
      while (await crashRun(seed, stopAt, crash, legCount)) {
        stopAt++;
        seed++;
      }
      assert.ok(stopAt >= 30, `${stopAt} points`);
      assert.equal(sharedPool.freeBytes, free, 'crashes leave no buffer behind');
    });
  }
}

test('kill with many seeds and longer histories, checkpoints included', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const world = new World(seed);
    let drives = legs(world);
    const random = new Random(seed);
    const model = new Model(1024);
    let store = await logging(world, drives, { ...smallLimits, checkpointBytes: 64 * 1024 });
    world.stopAt = 300 + random.below(400);
    await load(store, model, random, 400, 6, 5);
    await store.close();
    const next = new World(seed + 100);
    drives = drives.map((drive) => drive.afterPowerCut(next));
    store = await reopen(next, drives);
    await model.checkAfter(store, 'power');
    await store.close();
  }
});

test('what recovery dropped never comes back, even if the drive had it whole all the time', async () => {
  const world = new World(3);
  const drives = legs(world, 1);
  const [leg] = drives;
  const store = await logging(world, drives, { ...smallLimits, segmentRecords: 1 });
  const model = new Model(64);
  await model.put(store, DATA, 0, 8);
  await model.sync(store);
  const holeAt = store.status().usedBytes;
  await model.put(store, DATA, 8, 8);
  await model.put(store, DATA, 16, 8);
  const whole = leg!.copy();
  await store.close();

  // The second record is unreadable for one start only: both later ones are dropped.
  const records = LEG_RECORDS_OFFSET(whole);
  const broken = whole.copy();
  broken.corrupt(records + holeAt, 512);
  let again = await reopen(world, [broken]);
  assert.equal(again.report().records, 1);
  await again.close();
  // Now the first block of the hole is what it was before, as if the corruption had only been a bad
  // read.
  const healed = broken.copy();
  healed.put(records + holeAt + 4096, whole.get(records + holeAt + 4096, 2 * 4096));
  again = await reopen(world, [healed]);
  assert.equal(again.report().records, 1);
  assert.equal(await model.put(again, DATA, 24, 8), 0);
  await again.close();
  again = await reopen(world, [healed.copy()]);
  assert.equal(again.report().records, 2);
  await again.close();
});

function LEG_RECORDS_OFFSET(drive: TestDrive): number {
  const header = drive.get(0, 4096);
  return Number(new DataView(header.buffer).getBigUint64(176, true));
}

test('a crash while an epoch begins leaves the log idle or logging with nothing in it', async () => {
  for (let stopAt = 0; stopAt < 8; stopAt++) {
    for (const crash of ['kill', 'power'] as const) {
      const world = new World(stopAt + 1);
      const drives = legs(world);
      const store = await logging(world, drives);
      const model = new Model(64);
      await model.put(store, DATA, 0, 8);
      await store.endEpoch();
      world.stopAt = world.operations + stopAt;
      const errno = await store.beginEpoch(WINDOW);
      await store.close();
      const next = new World(stopAt);
      const opened = await open(
        next,
        drives.map((drive) => image(drive, crash, next)),
      );
      if (opened.kind !== 'idle') assert.ok(opened.kind === 'recovered', opened.kind);
      if (errno === 0) assert.equal(opened.kind, 'recovered');
      assert.equal(opened.store.overlay.extentCount, 0);
      assert.equal(opened.store.report().records, 0);
      await opened.store.close();
    }
  }
});
