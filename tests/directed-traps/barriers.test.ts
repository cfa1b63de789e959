/** The ordered barriers: the power fails, or the server is killed, between any two of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VolumeOffset } from '../../src/base/units.ts';
import { decodeSuperblock, FEATURE_LOCUM_WINDOW } from '../../src/core/format/superblock.ts';
import { SECTOR } from '../unit/engine/flat-model.ts';
import { closeRequest, KIB, Scene, windowRequest } from '../unit/engine/scene.ts';
import { cutEverywhere } from './cuts.ts';

const ignored = (): void => {};

test('the power fails at any moment of a freeze', () =>
  cutEverywhere('freeze', {
    level: 5,
    power: true,
    through: 14,
    prepare: async (scene) => {
      await scene.fill(3);
      await scene.flush();
      await scene.fill(6);
    },
    step: (scene) => void scene.world.v.openWindow(windowRequest('1')).then(ignored, ignored),
  }));

test('the power fails at any moment of a replay and of the end of the window', () =>
  cutEverywhere('replay', {
    level: 5,
    options: { members: 3, limits: { replayZoneBytes: 16 * KIB } },
    power: true,
    through: 48,
    every: 2,
    prepare: async (scene) => {
      await scene.fill(3);
      await scene.open('1');
      for (let at = 5; at + 4 < scene.model.sectors; at += 40) await scene.put(at, 4);
      await scene.flush();
      await scene.close();
    },
    step: (scene) => {
      for (let i = 0; i < 3; i++) scene.begin(3 + i * 60, 12);
    },
  }));

test('the power fails at any moment of a write to a degraded volume', () =>
  cutEverywhere('degraded', {
    level: 5,
    options: { members: 3 },
    power: true,
    through: 8,
    prepare: async (scene) => {
      await scene.fill(6);
      await scene.flush();
      assert.ok((await scene.world.until(scene.world.v.failDrive('0'))).ok);
    },
    step: (scene) => {
      for (let i = 0; i < 6; i++) scene.begin(3 + i * 32, 5);
    },
  }));

test('a member fails while stripes are written, and the server is killed at any moment after', () =>
  cutEverywhere('failing', {
    level: 5,
    options: { members: 3 },
    power: false,
    through: 10,
    prepare: async (scene) => {
      await scene.fill(6);
      await scene.flush();
    },
    step: (scene) => {
      for (let i = 0; i < 6; i++) scene.begin(3 + i * 32, 5);
      const { core } = scene;
      // In the same instant: the writes are on their way to the others.
      scene.world.clock.after(3, () => core.members.fail(core.members.at(0), 'pulled', 'vanished'));
    },
  }));

test('the power fails at any moment of a rebuild', () =>
  cutEverywhere('rebuild', {
    level: 5,
    options: { members: 3, limits: { sweepStepBytes: 4 * KIB, checkpointMs: 5 } },
    power: true,
    through: 60,
    every: 4,
    prepare: async (scene) => {
      await scene.put(0, scene.model.sectors / 2);
      await scene.put(scene.model.sectors / 2, scene.model.sectors / 2);
      await scene.flush();
      await scene.replace(1);
    },
    step: ignored,
  }));

test('the power fails at any moment of the first writes to regions of a volume', () =>
  cutEverywhere('regions', {
    level: 5,
    options: { memberBytes: 1280 * KIB },
    power: true,
    through: 8,
    prepare: async (scene) => {
      await scene.put(0, 8);
    },
    step: (scene) => {
      const { sectors } = scene.model;
      for (let i = 1; i < 8; i++) scene.begin(Math.floor((sectors * i) / 8), 5);
      scene.world.clock.after(1, () => void scene.begin(Math.floor(sectors / 2) + 16, 5));
    },
  }));

test('after-images of a degraded volume are forgotten before a write that is not logged', async () => {
  // The writes after the rebuild are not logged only then.
  const limits = { logDirect: 0, sweepBytesPerSecond: 16 * KIB, sweepStepBytes: 4 * KIB };
  const scene = await Scene.make(5, { seed: 71, limits });
  const { world } = scene;
  await scene.fill(6);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  for (let at = 0; at + 8 < scene.model.sectors; at += 24) await scene.put(at, 5);
  await scene.replace(1);
  for (let at = 0; at + 8 < scene.model.sectors; at += 24) await scene.put(at, 5);
  assert.equal(scene.state, 'rebuilding');
  await scene.until('optimal');
  for (let at = 0; at + 8 < scene.model.sectors; at += 24) await scene.put(at, 5);
  await scene.flush();
  scene.crash(false);
  await world.assemble();
  await scene.check('killed');
  await scene.settle('killed');
});

test('a flush covers what was answered before it, also while another one is running', async () => {
  for (const frozen of [false, true]) {
    // A write that is in the stripe log would be safe without a flush.
    const scene = await Scene.make(5, { seed: 72, limits: { logDirect: 0 } });
    const { world } = scene;
    await scene.put(0, 64);
    await scene.flush();
    if (frozen) await scene.open('1');
    await scene.put(0, 8);
    const paths = frozen ? world.logPaths : world.drivePaths;
    for (const path of paths) world.at(path).hang('flush');
    const early = world.v.flush();
    await scene.put(8, 8);
    const late = world.v.flush();
    for (const path of paths) world.at(path).release();
    assert.deepEqual([await world.until(early), await world.until(late)], [0, 0]);
    scene.model.flushed();
    scene.crash(true, () => 0);
    await world.assemble();
    await scene.check(frozen ? 'frozen' : 'direct');
  }
});

test('a write with FUA survives the power, direct, degraded and frozen', async () => {
  for (const state of ['direct', 'degraded', 'frozen']) {
    const scene = await Scene.make(5, { seed: 73 });
    const { world } = scene;
    await scene.put(0, 64);
    await scene.flush();
    if (state === 'frozen') await scene.open('1');
    if (state === 'degraded') assert.ok((await world.until(world.v.failDrive('1'))).ok);
    await scene.put(3, 40, true);
    scene.crash(true, () => 0);
    await world.assemble();
    await scene.check(state);
  }
});

test('what a flush has not reached is not called committed by the records behind it', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const scene = await Scene.make(5, { seed });
    const { world } = scene;
    await scene.open('1');
    await scene.put(0, 8);
    for (const path of world.logPaths) world.at(path).hang('flush');
    void world.v.flush();
    for (let i = 1; i < 6; i++) await scene.put(i * 8, 8);
    scene.crash(true, world.random.next);
    for (const path of world.logPaths) world.at(path).release();
    await world.assemble();
    await scene.check(`seed ${seed}`);
  }
});

test('a drive is compared with the others to the end before it is on record as back', async () => {
  const scene = await Scene.make(5, { seed: 74, operationMs: 1 });
  const { world } = scene;
  await scene.fill(12);
  await scene.flush();
  const { layout } = scene.core.members.at(1);
  assert.ok(layout);
  await scene.open('1');
  world.at('d1').overwrite(layout.dataOffset + 60 * KIB, new Uint8Array(4 * KIB).fill(3));
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-verify-mismatch');
  assert.equal(scene.core.window?.state, 'open');
});

test('in a window every superblock carries the bit that md does not know; after it none does', async () => {
  const scene = await Scene.make(5, { seed: 75 });
  const { world } = scene;
  const bits = (): boolean[] =>
    world.drivePaths.map((path) => {
      const superblock = decodeSuperblock(world.at(path).stable.slice(4 * KIB, 8 * KIB));
      assert.equal(superblock.kind, 'superblock');
      return (
        superblock.kind === 'superblock' &&
        Math.floor(superblock.value.features / FEATURE_LOCUM_WINDOW) % 2 === 1
      );
    });
  assert.deepEqual(bits(), [false, false, false, false]);
  await scene.open('1');
  assert.deepEqual(bits(), [true, true, true, true]);
  await scene.closeAndWait();
  assert.deepEqual(bits(), [false, false, false, false]);
});

test('writes that are under way when the freeze begins end before it', async () => {
  const scene = await Scene.make(5, { seed: 76, operationMs: 1 });
  const { world } = scene;
  await scene.put(0, 8);
  // One of the members takes its time with a write of data.
  world.at('d2').hang('write');
  const writes = [1, 2, 3, 4].map((i) => scene.begin(i * 32, 20));
  await world.pass(3);
  const opened = world.v.openWindow(windowRequest('1'));
  await world.pass(200);
  assert.equal(scene.core.window, null, 'the freeze waits');
  assert.ok(writes.every(({ answered }) => !answered));
  world.at('d2').release();
  for (const { done } of writes) assert.equal(await world.until(done), 0);
  assert.ok((await world.until(opened)).ok);
  const before = [0, 2, 3].map((slot) => scene.region(slot));
  await scene.fill(4);
  await world.pass(100);
  assert.deepEqual(
    [0, 2, 3].map((slot) => scene.region(slot)),
    before,
    'frozen',
  );
  await scene.closeAndWait({ verify: 'full' });
  await scene.settle('after the window');
});

test('the two copies of the label are written in turn, so that one is always whole', async () => {
  const scene = await Scene.make(1, { seed: 78 });
  const { world } = scene;
  const { labelOffsets } = scene.core.members.at(0).layout ?? assert.fail();
  const written: number[] = [];
  world.at('d0').intercept = ({ kind, offset }) => {
    if (kind === 'write' && labelOffsets.includes(offset)) written.push(offset);
    return 0;
  };
  for (let i = 0; i < 4; i++) await world.until(scene.core.metadata.commit());
  assert.deepEqual(new Set(written.slice(0, 2)), new Set(labelOffsets));
  assert.deepEqual(written.slice(2), written.slice(0, 2));
});

test('host writes into the zone that the replay is about to finish', async () => {
  const scene = await Scene.make(5, {
    seed: 77,
    operationMs: 1,
    limits: { replayZoneBytes: 8 * KIB, replayStripesAtOnce: 1 },
  });
  const { world, model } = scene;
  await scene.fill(6);
  await scene.open('1');
  for (let at = 0; at + 24 < model.sectors; at += 24) await scene.put(at, 20);
  assert.ok((await world.until(world.v.closeWindow(closeRequest()))).ok);
  const writes: Promise<number>[] = [];
  for (let i = 0; scene.core.mode === 'replaying'; i++) {
    const stripe = Math.min(scene.core.cursor + (i % 3), scene.core.geometry.stripeCount - 1);
    const start = scene.core.geometry.stripeStart(stripe as never) / SECTOR;
    if (!writes.length || i % 2 === 0) writes.push(scene.begin(start + 2, 3).done);
    await world.pass(1);
    // One at a time in a place: the model knows one order only.
    if (writes.length > 0) await world.until(writes[writes.length - 1] as Promise<number>);
  }
  for (const done of writes) assert.equal(await world.until(done), 0);
  await scene.settle('after the window');
});

test('a stripe is written, zeroed or trimmed, and the server is killed', async () => {
  for (const how of ['zeroed', 'trimmed'] as const) {
    const scene = await Scene.make(5, { seed: 77 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    const sectors = (2 * scene.core.geometry.stripeDataBytes) / SECTOR;
    const values = new Array<number>(sectors).fill(0);
    scene.model.begin(0, values);
    const options = { fua: false, noHole: false, fast: false };
    const bytes = sectors * SECTOR;
    const done =
      how === 'zeroed'
        ? world.v.zero(0 as VolumeOffset, bytes, options)
        : world.v.trim(0 as VolumeOffset, bytes, false);
    assert.equal(await world.until(done), 0);
    scene.model.answered(0, values, false);
    scene.crash(false);
    await world.assemble();
    await scene.check(how);
    await scene.settle(how);
  }
});

test('a stripe is zeroed while the log is replayed, and the server is killed', () =>
  cutEverywhere('zeroed', {
    level: 5,
    options: { members: 3, limits: { replayZoneBytes: 8 * KIB, replayStripesAtOnce: 1 } },
    power: false,
    through: 60,
    every: 5,
    prepare: async (scene) => {
      await scene.fill(6);
      await scene.open('1');
      for (let at = 0; at + 16 <= scene.model.sectors; at += 16) await scene.put(at, 16);
      await scene.close();
      while (scene.core.mode === 'replaying' && scene.core.cursor < 3) await scene.world.pass(1);
      const values = new Array<number>(16).fill(0);
      scene.model.begin(0, values);
      const how = { fua: false, noHole: false, fast: false };
      const done = scene.world.v.zero(0 as VolumeOffset, 16 * SECTOR, how);
      assert.equal(await scene.world.until(done), 0);
      scene.model.answered(0, values, false);
    },
    step: ignored,
  }));
