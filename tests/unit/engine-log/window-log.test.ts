/** Appends, reads, syncs and room of the log of one window, without any fault. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, ENOSPC, OK } from '../../../src/base/errno.ts';
import { type Address, KIB, MIB } from '../../../src/base/units.ts';
import { DATA, ZERO } from '../../../src/core/overlay.ts';
import { defaultLimits } from '../../../src/engine/log/limits.ts';
import {
  format,
  legs,
  load,
  logging,
  Model,
  open,
  reopen,
  smallLimits,
  VOLUME,
  WINDOW,
} from './model.ts';
import { Random, sharedPool, World } from './world.ts';

test('random appends and reads agree with a flat model, before and after a restart', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(seed);
    const drives = legs(world);
    const store = await logging(world, drives);
    const model = new Model(512);
    await load(store, model, new Random(seed), 150, 8);
    await model.checkLive(store);
    await store.close();
    const again = await reopen(
      world,
      drives.map((drive) => drive.copy()),
    );
    await model.checkAfter(again, 'kill');
    await load(again, model, new Random(seed + 1000), 50);
    await model.checkLive(again);
    await again.close();
  }
});

test('all buffers are given back', async () => {
  const free = sharedPool.freeBytes;
  const world = new World(5);
  const drives = legs(world);
  const store = await logging(world, drives);
  const model = new Model(256);
  await load(store, model, new Random(5), 100);
  await store.close();
  const again = await reopen(
    world,
    drives.map((drive) => drive.copy()),
  );
  await model.checkAfter(again, 'kill');
  assert.equal(await again.endEpoch(), OK);
  await again.close();
  assert.equal(sharedPool.freeBytes, free);
  assert.equal(world.clock.armed, 0, 'no timer is left');
});

test('a write longer than a record becomes several, answered once', async () => {
  const world = new World(7);
  const store = await logging(world, legs(world));
  const model = new Model(4096);
  assert.equal(await model.put(store, DATA, 3, 1000), OK);
  assert.ok(store.report().records >= 32);
  await model.checkLive(store);
  await store.close();
});

test('the padding of a short record is zeroes, never what the buffer held before', async () => {
  const world = new World(8);
  const [leg] = legs(world, 1);
  const store = await logging(world, [leg!]);
  const model = new Model(64);
  await model.put(store, DATA, 1, 1);
  let location = 0;
  store.overlay.forEachPiece(1, 1, (_start, _count, _kind, at) => (location = at));
  const padding = leg!.get((location + 1) * 512, 4096 - 512);
  assert.ok(padding.every((byte) => byte === 0));
  await store.close();
});

test('the log says ENOSPC at its quota, and everything admitted is there', async () => {
  const world = new World(9);
  const drives = legs(world, 1);
  const store = await logging(world, drives, {});
  const model = new Model(2048);
  let errno = OK;
  let admitted = 0;
  while (errno === OK) {
    errno = await model.put(store, DATA, 0, 2048);
    if (errno === OK) admitted++;
  }
  assert.equal(errno, ENOSPC);
  assert.ok(admitted >= 8);
  const { usedBytes, capacityBytes } = store.status();
  assert.ok(usedBytes <= capacityBytes && usedBytes + 2 * MIB > capacityBytes);
  // Smaller ones still fit, up to the last block of the quota.
  while ((await model.put(store, DATA, 5, 1)) === OK);
  assert.ok(capacityBytes - store.status().usedBytes < 8 * KIB);
  await model.checkLive(store);
  await store.close();
  const again = await reopen(
    world,
    drives.map((drive) => drive.copy()),
    {},
  );
  await model.checkAfter(again, 'kill');
  assert.equal(await model.put(again, DATA, 0, 1), ENOSPC);
  await again.close();
});

test('concurrent appends at the quota reserve before they queue: none fails after it was admitted', async () => {
  const world = new World(10);
  const store = await logging(world, legs(world, 2));
  const address = sharedPool.take(16 * KIB, 'engine');
  const answers: number[] = [];
  const all: Promise<unknown>[] = [];
  for (let i = 0; i < 900; i++) {
    all.push(store.window!.append(DATA, i * 32, 32, address).then((errno) => answers.push(errno)));
  }
  await Promise.all(all);
  sharedPool.give(address);
  const full = answers.filter((errno) => errno === ENOSPC).length;
  assert.ok(full > 100 && answers.filter((errno) => errno === OK).length === 900 - full);
  const { usedBytes, capacityBytes } = store.status();
  assert.ok(usedBytes <= capacityBytes);
  await store.close();
});

test('the overlay is bounded: the log counts as full at its limit of extents', async () => {
  const world = new World(11);
  const store = await logging(world, legs(world, 1), { ...smallLimits, overlayExtents: 50 });
  let answered = 0;
  for (let i = 0; i < 60; i++)
    if ((await store.window!.append(ZERO, i * 2, 1, 0 as Address)) === OK) answered++;
  assert.equal(answered, 50);
  await store.close();
});

test('more appends than the queue holds wait for room', async () => {
  const world = new World(12);
  const store = await logging(world, legs(world), { ...smallLimits, queueRecords: 8 });
  const appends = Array.from({ length: 100 }, (_, i) =>
    store.window!.append(ZERO, i, 1, 0 as Address),
  );
  assert.deepEqual(new Set(await Promise.all(appends)), new Set([OK]));
  assert.equal(store.report().records, 100);
  await store.close();
});

test('what arrives together goes out together', async () => {
  const world = new World(13);
  const store = await logging(world, legs(world), {});
  const appends = Array.from({ length: 32 }, (_, i) =>
    store.window!.append(ZERO, i, 1, 0 as Address),
  );
  await Promise.all(appends);
  assert.equal(store.report().lastSequence, 1);
  await store.close();
});

test('sync covers what was answered before it, and nothing costs nothing', async () => {
  const world = new World(14);
  const store = await logging(world, legs(world));
  const { window } = store;
  assert.ok(window);
  await window.append(ZERO, 0, 8, 0 as Address);
  const before = world.operations;
  await Promise.all([window.sync(), window.sync(), window.sync()]);
  assert.equal(world.operations - before, 2, 'one flush for each leg');
  assert.equal(window.committedThrough, 1);
  assert.equal(await window.sync(), OK);
  assert.equal(world.operations - before, 2);
  await store.close();
});

test('a log begins idle and goes through epochs; records of an older one never count', async () => {
  const world = new World(15);
  const drives = legs(world);
  const store = await format(world, drives);
  const model = new Model(256);
  for (let epoch = 1; epoch <= 4; epoch++) {
    assert.equal(await store.beginEpoch(WINDOW), OK);
    assert.equal(store.epoch, epoch);
    // Ever shorter, so that older segments lie behind the end of the newer ones.
    await load(store, model, new Random(epoch), 100 - 20 * epoch);
    const copies = drives.map((drive) => drive.copy());
    const other = await reopen(world, copies);
    assert.deepEqual(other.report().records, store.report().records);
    await other.close();
    assert.equal(await store.endEpoch(), OK);
    assert.equal(store.overlay.extentCount, 0);
  }
  await store.close();
  const opened = await open(
    world,
    drives.map((drive) => drive.copy()),
  );
  assert.equal(opened.kind, 'idle');
  if (opened.kind === 'idle') await opened.store.close();
});

test('status and report', async () => {
  const world = new World(16);
  const store = await logging(world, legs(world));
  await store.window!.append(ZERO, 0, 8, 0 as Address);
  assert.equal(store.status().state, 'logging');
  assert.equal(store.status().usedBytes, 4096);
  assert.deepEqual(store.status().legs, [
    { path: 'leg0', state: 'online', errors: { read: 0 }, reason: '' },
    { path: 'leg1', state: 'online', errors: { read: 0 }, reason: '' },
  ]);
  const report = store.report();
  assert.equal(report.records, 1);
  assert.equal(report.epoch, 1);
  assert.equal(store.volumeUuid, VOLUME);
  assert.equal(defaultLimits.segmentsInFlight, 2);
  await store.close();
});

test('appends after the last leg is gone answer EIO, reads of what was written still work', async () => {
  const world = new World(17);
  const store = await logging(world, legs(world, 1));
  const model = new Model(64);
  await model.put(store, DATA, 0, 8);
  world.fault = (_drive, operation) => (operation === 'write' ? 5 : OK);
  assert.equal(await model.put(store, DATA, 8, 8), EIO);
  assert.equal(await store.window!.sync(), EIO);
  assert.equal(store.status().state, 'failed');
  assert.equal(await model.put(store, DATA, 16, 8), EIO);
  await model.checkLive(store);
  await store.close();
});
