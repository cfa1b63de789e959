/**
 * An orderly stop while requests wait for something: they are told that the volume is being stopped. "No space" or an I/O
 * error would be believed: a file system that gets one of them for a block that is well gives the block, or itself, up.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ESHUTDOWN } from '../../../src/base/errno.ts';
import type { VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

/** A window on drive 1 with drive 0 failed: whatever cannot be had is waited for. */
async function holdingEverything(): Promise<Scene> {
  const scene = await Scene.make(5, {
    seed: 51,
    memberBytes: MIB + 256 * KIB,
    chunkBytes: 8 * KIB,
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { waitMs: 600_000 });
  await world.until(world.v.failDrive('0'));
  return scene;
}

/** Writes until one is held: the log is full. */
async function fullLog(scene: Scene): Promise<ReturnType<Scene['begin']>> {
  const { world } = scene;
  for (let i = 0; i < 20_000; i++) {
    const write = scene.begin((i % 4) * 256, 256);
    await world.pass(0);
    for (let turn = 0; turn < 20 && !write.answered; turn++)
      await new Promise((resolve) => setImmediate(resolve));
    if (!write.answered) return write;
  }
  return assert.fail('the log does not fill');
}

test('a stop while the log is full: the held writes, whole or not, zeroes and trims are told of it', async () => {
  const scene = await holdingEverything();
  const { world } = scene;
  const held = await fullLog(scene);
  const { v } = world;
  const sectors = 8 * SECTOR;
  const others = [
    world.write(SECTOR, new Uint8Array(256 * SECTOR)),
    world.write(2 * SECTOR + 7, new Uint8Array(64 * SECTOR)),
    v.zero((4 * SECTOR) as VolumeOffset, sectors, { fua: false, noHole: true, fast: false }),
    v.trim((8 * SECTOR) as VolumeOffset, sectors, false),
  ];
  await world.pass(5_000);
  assert.ok(v.core.writesHeld >= 2, `${v.core.writesHeld} writes are held`);
  const stopped = v.stop();
  assert.equal(await world.until(held.done), ESHUTDOWN);
  for (const other of others) assert.ok([0, ESHUTDOWN].includes(await world.until(other)));
  assert.ok((await world.until(stopped)).ok);
});

test('the log refuses a write while the stop is under way: it is answered before the stop is over', async () => {
  const scene = await holdingEverything();
  const { world } = scene;
  const { clock } = world;
  await fullLog(scene);
  let answer = -1;
  void world.write(SECTOR, new Uint8Array(256 * SECTOR)).then((errno) => {
    answer = errno;
  });
  assert.ok((await world.until(world.v.stop())).ok);
  const stoppedMs = clock.nowMs();
  for (let turn = 0; turn < 20 && answer < 0; turn++)
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answer, ESHUTDOWN);
  assert.equal(clock.nowMs(), stoppedMs, 'not at the next tick, when the drives are closed');
});

test('a stop while reads wait for one of two absent drives: they are told of it', async () => {
  const scene = await holdingEverything();
  const { world } = scene;
  const held = world.read(0, scene.model.sectors * SECTOR);
  await world.pass(1_000);
  assert.ok((world.v.status().window?.heldReads ?? 0) > 0, 'reads that need both wait');
  const stopped = world.v.stop();
  assert.equal((await world.until(held)).errno, ESHUTDOWN);
  assert.ok((await world.until(stopped)).ok);
});
