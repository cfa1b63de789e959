/**
 * Legs that fail, are missing, stale, foreign or cloned: who counts, who knows of it, and in which
 * order.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, ETIMEDOUT, OK } from '../../../src/base/errno.ts';
import { DATA } from '../../../src/core/overlay.ts';
import { LogStore, peekLeg } from '../../../src/engine/log/log-store.ts';
import { legs, load, logging, Model, open, reopen, smallLimits, VOLUME, WINDOW } from './model.ts';
import { Random, sharedPool, type TestDrive, World } from './world.ts';

/** From its n-th operation on, the drive answers nothing but errors. */
function dies(world: World, path: string, after: number, errno = 5): () => boolean {
  let count = 0;
  world.fault = (drive, operation) => {
    if (drive.path !== path || operation === 'read') return OK;
    return count++ >= after ? errno : OK;
  };
  return () => count > after;
}

for (const errno of [EIO, ETIMEDOUT]) {
  test(`a leg fails at each of its operations (errno ${errno}): nothing is lost, and the other leg knows`, async () => {
    for (let after = 0; ; after++) {
      const world = new World(after + 1);
      const drives = legs(world);
      const failed: string[] = [];
      const store = await logging(world, drives);
      store.onLegFailed = (index) => {
        failed.push(`leg${index}`);
        return Promise.resolve();
      };
      const died = dies(world, `leg${after % 2}`, after, errno);
      const model = new Model(256);
      await load(store, model, new Random(after), 40);
      await model.checkLive(store);
      const happened = died();
      if (happened) {
        assert.deepEqual(failed, [`leg${after % 2}`]);
        assert.equal(store.status().state, 'degraded');
      }
      const images = drives.map((drive) => drive.afterKill(world));
      world.fault = () => OK;
      await store.close();
      // Both legs are given; the one that failed must not count.
      const again = await reopen(world, images);
      if (happened) assert.equal(again.status().legs[after % 2]!.state, 'failed');
      await model.checkAfter(again, 'kill');
      await again.close();
      if (!happened) {
        assert.ok(after > 10);
        return;
      }
    }
  });
}

test('the failure is recorded on the other leg, and told, before the write it missed is answered', async () => {
  const world = new World(1);
  const drives = legs(world);
  const store = await logging(world, drives);
  const order: string[] = [];
  store.onLegFailed = async (index, reason) => {
    const identity = await peekLeg(sharedPool, drives[1]!);
    assert.ok(identity.valid && identity.legs[0]!.state === 'failed', 'the survivor knows');
    order.push(`told ${index} ${reason}`);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    order.push('recorded');
  };
  dies(world, 'leg0', 0);
  const model = new Model(64);
  assert.equal(await model.put(store, DATA, 0, 8), OK);
  order.push('answered');
  assert.deepEqual(order, ['told 0 write failed with errno 5', 'recorded', 'answered']);
  await store.close();
});

test('a failed flush is final: the leg is not asked again', async () => {
  const world = new World(2);
  const drives = legs(world);
  const store = await logging(world, drives);
  let flushes = 0;
  let failing = true;
  world.fault = (drive, operation) => {
    if (operation !== 'flush' || drive.path !== 'leg0') return OK;
    flushes++;
    return failing ? 5 : OK;
  };
  const model = new Model(64);
  await model.put(store, DATA, 0, 8);
  assert.equal(await model.sync(store), OK, 'the other leg has it');
  failing = false;
  await model.put(store, DATA, 8, 8);
  await model.sync(store);
  assert.equal(flushes, 1);
  await store.close();
});

test('both legs fail at once: nothing is answered that could be lost', async () => {
  for (let after = 0; after < 20; after++) {
    const world = new World(after);
    const drives = legs(world);
    const store = await logging(world, drives);
    let count = 0;
    world.fault = (_drive, operation) => (operation !== 'read' && count++ >= after ? 5 : OK);
    const model = new Model(64);
    await load(store, model, new Random(after), 20);
    assert.equal(store.status().state, 'failed');
    const images = drives.map((drive) => drive.afterKill(world));
    await store.close();
    const next = new World(after);
    const again = await reopen(
      next,
      images.map((drive) => drive.copy(next)),
    );
    await model.checkAfter(again, 'kill');
    await again.close();
  }
});

test('a leg that is missing at the start is out from then on', async () => {
  const world = new World(3);
  const drives = legs(world);
  const store = await logging(world, drives);
  const model = new Model(64);
  await model.put(store, DATA, 0, 8);
  const images = drives.map((drive) => drive.copy());
  await store.close();
  const alone = await reopen(world, [images[1]!]);
  assert.equal(alone.status().state, 'degraded');
  await model.put(alone, DATA, 8, 8);
  await alone.close();
  // The stale leg comes back beside the good one: it does not count. Alone, only the labels can
  // know.
  const both = await reopen(
    world,
    images.map((drive) => drive.copy()),
  );
  assert.equal(both.status().legs[0]!.state, 'failed');
  await model.checkAfter(both, 'kill');
  const [staleUuid] = both.legUuids;
  await both.close();
  const expected = { volumeUuid: VOLUME, logUuid: null, failedLegs: [staleUuid!] };
  const refused = await LogStore.open(world.environment, [images[0]!.copy()], expected);
  assert.equal(refused.kind, 'stale');
});

test('two legs that each went on without the other are refused', async () => {
  const world = new World(4);
  const drives = legs(world);
  const store = await logging(world, drives);
  await new Model(64).put(store, DATA, 0, 8);
  const images = drives.map((drive) => drive.copy());
  await store.close();
  for (const drive of images) await (await reopen(world, [drive])).close();
  const opened = await open(
    world,
    images.map((drive) => drive.copy()),
  );
  assert.equal(opened.kind, 'damaged');
});

test('foreign, stale, blank and cloned legs are told apart', async () => {
  const world = new World(5);
  const drives = legs(world);
  const store = await logging(world, drives);
  const { uuid } = store;
  const images = drives.map((drive) => drive.copy());
  await store.close();
  const ask = async (given: TestDrive[], more: object = {}): Promise<string> => {
    const expected = { volumeUuid: VOLUME, logUuid: uuid, ...more };
    const copies = given.map((drive) => drive.copy());
    const opened = await LogStore.open(world.environment, copies, expected, {
      limits: smallLimits,
    });
    if (opened.kind === 'recovered' || opened.kind === 'idle') await opened.store.close();
    return opened.kind;
  };
  const other = legs(world);
  await (await logging(world, other)).close();
  const blank = legs(world, 1);
  assert.equal(await ask(images), 'recovered');
  assert.equal(await ask(images, { windowId: WINDOW, epoch: 1 }), 'recovered');
  assert.equal(await ask(images, { epoch: 2 }), 'stale');
  assert.equal(await ask(images, { windowId: VOLUME }), 'stale');
  assert.equal(await ask(images, { epoch: 1, lastSequence: 10 }), 'stale');
  assert.equal(await ask(other.map((drive) => drive.copy())), 'foreign');
  assert.equal(await ask(images, { volumeUuid: WINDOW }), 'foreign');
  assert.equal(await ask(blank), 'missing');
  assert.equal(await ask([]), 'missing');
  assert.equal(await ask([images[0]!, images[0]!.copy(world, 'clone')]), 'damaged');
  const newer = images[0]!.copy();
  for (let copy = 0; copy < 4; copy++) newer.corrupt(copy * 4096 + 1024);
  assert.equal(await ask([newer]), 'damaged');
  assert.equal(await ask([newer, images[1]!]), 'recovered');
});

test('header copies: any two may be lost, and they are written again', async () => {
  const world = new World(6);
  const drives = legs(world);
  const store = await logging(world, drives);
  const images = drives.map((drive) => drive.copy());
  await store.close();
  for (const [a, b] of [
    [0, 1],
    [2, 3],
    [0, 3],
  ]) {
    const copies = images.map((drive) => drive.copy());
    for (const drive of copies) {
      drive.corrupt(a! * 4096);
      drive.corrupt(b! * 4096);
    }
    const again = await reopen(world, copies);
    await again.close();
    for (const drive of copies)
      assert.deepEqual(drive.get(a! * 4096, 4096), drive.get(b! * 4096, 4096));
  }
});

test('legs that are too small or too many are refused', async () => {
  const world = new World(7);
  const options = { volumeUuid: VOLUME, volumeName: 'vol' };
  const small = await LogStore.format(world.environment, legs(world, 2, 8 * 1024 * 1024), options);
  assert.ok(!small.ok && small.problem.code === 'leg-too-small');
  const many = await LogStore.format(world.environment, legs(world, 5), options);
  assert.ok(!many.ok && many.problem.code === 'leg-count');
  world.fault = (drive, operation) => (drive.path === 'leg1' && operation === 'flush' ? 5 : OK);
  const failing = await LogStore.format(world.environment, legs(world), options);
  assert.ok(!failing.ok && failing.problem.code === 'io-error');
});
