/**
 * Checkpoints: they shorten recovery, agree with the log, and may be lost in any combination
 * without losing data.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OK } from '../../../src/base/errno.ts';
import type { Address } from '../../../src/base/units.ts';
import { decodeLegHeader } from '../../../src/core/format/leg-header.ts';
import { DATA, TRIM, ZERO } from '../../../src/core/overlay.ts';
import { legs, load, logging, Model, open, reopen, smallLimits } from './model.ts';
import { Random, sharedPool, type TestDrive, World } from './world.ts';

const often = { ...smallLimits, checkpointBytes: 96 * 1024 };
const layoutOf = (drive: TestDrive) => decodeLegHeader(drive.get(0, 4096))!.layout;

test('checkpoints shorten recovery and hold the same overlay', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new World(seed);
    const drives = legs(world);
    const store = await logging(world, drives, often);
    const model = new Model(1024);
    await load(store, model, new Random(seed), 300, 6);
    await model.sync(store);
    const images = drives.map((drive) => drive.copy());
    const segments = store.report().lastSequence;
    const opened = await open(world, images, often);
    assert.ok(opened.kind === 'recovered');
    assert.ok(opened.recovery.checkpointEntries > 0, 'there was a checkpoint');
    assert.ok(opened.recovery.scannedSegments < segments / 2);
    assert.equal(opened.store.report().records, store.report().records);
    opened.store.overlay.assertState();
    await model.checkAfter(opened.store, 'kill');
    await opened.store.close();
    await store.close();
  }
});

test('a clean stop leaves a checkpoint of the end: nothing is scanned', async () => {
  const world = new World(20);
  const drives = legs(world);
  const store = await logging(world, drives);
  const model = new Model(512);
  await load(store, model, new Random(20), 100);
  await store.close();
  const opened = await open(
    world,
    drives.map((drive) => drive.copy()),
  );
  assert.ok(opened.kind === 'recovered');
  assert.equal(opened.recovery.scannedSegments, 0);
  await model.checkAfter(opened.store, 'kill');
  await opened.store.close();
});

test('time brings a checkpoint too, once there is something new', async () => {
  const world = new World(21);
  const drives = legs(world);
  const store = await logging(world, drives);
  await store.window!.append(ZERO, 0, 8, 0 as Address);
  for (let i = 0; i < 11; i++) {
    world.clock.advance(1000);
    for (let turn = 0; turn < 200; turn++) await Promise.resolve();
  }
  const opened = await open(
    world,
    drives.map((drive) => drive.copy()),
  );
  assert.ok(opened.kind === 'recovered');
  assert.equal(opened.recovery.checkpointEntries, 1);
  await opened.store.close();
  await store.close();
});

test('a spoilt checkpoint costs nothing but time: other leg, other slot, or all of the log', async () => {
  const world = new World(22);
  const drives = legs(world);
  const store = await logging(world, drives, often);
  const model = new Model(1024);
  await load(store, model, new Random(22), 300);
  await model.sync(store);
  const images = drives.map((drive) => drive.copy());
  const { records } = store.report();
  await store.close();
  const { checkpointOffset, slotBytes } = layoutOf(images[0]!);
  const places = [0, 4096, slotBytes, slotBytes + 4096].map((at) => checkpointOffset + at);
  // Every combination of the headers and first body blocks of both slots, on one leg, the other, or
  // both.
  for (let mask = 1; mask < 16; mask++) {
    for (const spoilt of [[0], [1], [0, 1]]) {
      const copies = images.map((drive) => drive.copy());
      for (const leg of spoilt) {
        places.forEach((at, i) => (mask & (1 << i)) !== 0 && copies[leg]!.corrupt(at));
      }
      const again = await reopen(world, copies, often);
      assert.equal(again.report().records, records);
      await model.checkLive(again);
      await again.close();
    }
  }
});

test('a checkpoint whose segments were lost with the power is not believed beyond its flush', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = new World(seed);
    const drives = legs(world);
    const store = await logging(world, drives, { ...often, selfSyncBytes: 2 ** 40 });
    const model = new Model(512);
    world.stopAt = 60 + seed * 7;
    await load(store, model, new Random(seed), 300, 6, 0);
    await store.close();
    const next = new World(seed);
    const again = await reopen(
      next,
      drives.map((drive) => drive.afterPowerCut(next)),
      often,
    );
    again.overlay.assertState();
    await model.checkAfter(again, 'power');
    await again.close();
  }
});

test('an overlay too fragmented for the slot is not checkpointed, and recovers all the same', async () => {
  const world = new World(23);
  const drives = legs(world, 1);
  const store = await logging(world, drives, { ...often, segmentRecords: 64 });
  const { slotBytes } = layoutOf(drives[0]!);
  const count = Math.ceil(slotBytes / 16) + 100;
  for (let i = 0; i < count; i += 64) {
    const batch = Array.from({ length: Math.min(64, count - i) }, (_, j) => {
      return store.window!.append(j % 2 ? ZERO : TRIM, (i + j) * 2, 1, 0 as Address);
    });
    assert.ok((await Promise.all(batch)).every((errno) => errno === OK));
  }
  await store.close();
  const again = await reopen(
    world,
    drives.map((drive) => drive.copy()),
  );
  assert.equal(again.overlay.extentCount, count);
  await again.close();
});

test('extents longer than an entry, and ranges of any size, survive', async () => {
  const world = new World(24);
  const drives = legs(world);
  const store = await logging(world, drives, { checkpointBytes: 2 ** 40 });
  const address = sharedPool.take(2 * 1024 * 1024, 'engine');
  sharedPool.slice(address, 2 * 1024 * 1024).fill(7);
  const sectors = 4096;
  assert.equal(await store.window!.append(DATA, 2 ** 36 + 1, sectors, address), OK);
  assert.equal(await store.window!.append(TRIM, 2 ** 37, 2 ** 33, 0 as Address), OK);
  sharedPool.give(address);
  await store.close();
  const again = await reopen(
    world,
    drives.map((drive) => drive.copy()),
  );
  assert.ok(again.overlay.covers(2 ** 36 + 1, sectors));
  assert.ok(again.overlay.covers(2 ** 37, 2 ** 33));
  assert.equal(again.overlay.liveSectors, sectors);
  await again.close();
});
