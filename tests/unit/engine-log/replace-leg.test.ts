/** A new leg in the place of one that is out, with writes, crashes and errors on the way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OK } from '../../../src/base/errno.ts';
import type { MemberOffset, Slot } from '../../../src/base/units.ts';
import { DATA } from '../../../src/core/overlay.ts';
import { peekLeg } from '../../../src/engine/log/log-store.ts';
import { LEG_BYTES, legs, load, logging, Model, open, reopen } from './model.ts';
import { Random, sharedPool, TestDrive, World } from './world.ts';

test('a leg is replaced while writes go on, and then holds everything alone', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new World(seed);
    const drives = legs(world);
    const store = await logging(world, drives);
    const model = new Model(512);
    await load(store, model, new Random(seed), 60, 6);
    world.fault = (drive, operation) => (drive.path === 'leg0' && operation !== 'read' ? 5 : OK);
    await load(store, model, new Random(seed + 1), 60, 6);
    assert.equal(store.status().state, 'degraded');
    const fresh = new TestDrive(world, 'fresh', LEG_BYTES + 4096);
    const busy = load(store, model, new Random(seed + 2), 80, 6);
    const replaced = await store.replaceLeg(0, fresh);
    assert.ok(replaced.ok);
    await busy;
    assert.equal(store.status().state, 'degraded', 'no label knows the new leg');
    store.joined(store.legUuids);
    assert.equal(store.status().state, 'logging');
    assert.equal((await store.check()).legs[0]!.missingRecords, 0);
    const alone = fresh.afterKill(world);
    await store.close();
    const again = await reopen(world, [alone]);
    await model.checkAfter(again, 'kill');
    await again.close();
  }
});

test('stripe images in use go along', async () => {
  const world = new World(30);
  const drives = legs(world);
  const store = await logging(world, drives);
  const address = sharedPool.take(4096, 'engine');
  sharedPool.slice(address, 4096).fill(9);
  const image = { slot: 1 as Slot, memberOffset: 8192 as MemberOffset, address, lengthBytes: 4096 };
  await store.stripes.logImages([image]);
  world.fault = (drive, operation) => (drive.path === 'leg1' && operation !== 'read' ? 5 : OK);
  await store.stripes.logImages([image]);
  const fresh = new TestDrive(world, 'fresh', LEG_BYTES);
  const both = await Promise.all([store.replaceLeg(1, fresh), store.stripes.logImages([image])]);
  assert.ok(both[0].ok && both[1].errno === OK);
  sharedPool.give(address);
  const alone = fresh.copy();
  await store.close();
  const again = await reopen(world, [alone]);
  assert.equal(again.stripes.pendingSegments, 3);
  await again.close();
});

test('a crash or an error at any point of the copy leaves the log as it was, or with two good legs', async () => {
  for (let stopAt = 0; stopAt < 60; stopAt++) {
    for (const way of ['crash', 'error'] as const) {
      const world = new World(stopAt);
      const drives = legs(world);
      const store = await logging(world, drives);
      const model = new Model(128);
      world.fault = (drive, operation) => (drive.path === 'leg0' && operation !== 'read' ? 5 : OK);
      await load(store, model, new Random(stopAt), 20);
      const fresh = new TestDrive(world, 'fresh', LEG_BYTES);
      let count = 0;
      if (way === 'crash') world.stopAt = world.operations + stopAt;
      else {
        world.fault = (drive, operation) =>
          drive.path === 'leg0' ||
          (drive.path === 'fresh' && operation !== 'read' && count++ >= stopAt)
            ? 5
            : OK;
      }
      const both = await Promise.all([
        store.replaceLeg(0, fresh),
        load(store, model, new Random(stopAt + 1), 20),
      ]);
      if (!world.stopped && way === 'crash') assert.ok(both[0].ok);
      const next = new World(stopAt);
      const images = [fresh, drives[1]!].map((drive) => drive.afterKill(next));
      await store.close();
      const again = await reopen(next, images);
      await model.checkAfter(again, 'kill');
      await again.close();
    }
  }
});

test('a leg that is online, or too small a drive, is refused', async () => {
  const world = new World(50);
  const drives = legs(world);
  const store = await logging(world, drives);
  const online = await store.replaceLeg(0, new TestDrive(world, 'x', LEG_BYTES));
  assert.ok(!online.ok && online.problem.code === 'argument-invalid');
  world.fault = (drive, operation) => (drive.path === 'leg0' && operation === 'write' ? 5 : OK);
  await new Model(16).put(store, DATA, 0, 8);
  const small = await store.replaceLeg(0, new TestDrive(world, 'x', LEG_BYTES - 4096));
  assert.ok(!small.ok && small.problem.code === 'leg-too-small');
  await store.close();
});

test('a drive that was a leg before is nobody until the copy is complete', async () => {
  const world = new World(51);
  const drives = legs(world);
  const store = await logging(world, drives);
  const old = drives[0]!.copy(world, 'old');
  world.fault = (drive, operation) => {
    if (drive.path === 'leg0' && operation === 'write') return 5;
    return drive.path === 'old' && operation === 'flush' && flushes++ > 0 ? 5 : OK;
  };
  let flushes = 0;
  await new Model(16).put(store, DATA, 0, 8);
  const replaced = await store.replaceLeg(0, old);
  assert.ok(!replaced.ok);
  const identity = await peekLeg(sharedPool, old);
  assert.ok(!identity.valid && identity.reason === 'blank');
  const images = [old, drives[1]!].map((drive) => drive.copy());
  await store.close();
  const opened = await open(world, images);
  assert.equal(opened.kind, 'recovered');
  if (opened.kind === 'recovered') await opened.store.close();
});

test('a leg is put back with images of before that it alone has: none of them is redone', async () => {
  const world = new World(52);
  const drives = legs(world);
  const store = await logging(world, drives);
  const address = sharedPool.take(4096, 'engine');
  const image = { slot: 1 as Slot, memberOffset: 8192 as MemberOffset, address, lengthBytes: 4096 };
  await store.stripes.logImages([image]);
  await store.stripes.logImages([image]);
  const without = drives[0]!.copy(world, 'leg0');
  await store.stripes.logImages([image]);
  const alone = drives[1]!.copy(world, 'leg1');
  await store.close();
  const next = await reopen(world, [without]);
  assert.equal(next.stripes.pendingSegments, 2, 'the third was never answered');
  assert.equal(await next.stripes.redo(async () => OK), OK);
  assert.equal(await next.stripes.releaseAll(), OK);
  assert.ok((await next.replaceLeg(1, alone)).ok);
  sharedPool.give(address);
  const images = [without, alone].map((drive) => drive.copy());
  await next.close();
  const again = await reopen(world, images);
  assert.equal(again.stripes.pendingSegments, 0);
  await again.close();
});
