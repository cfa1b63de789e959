/** A resync that ends before its end says so and goes on; of several copies that are made none keeps another one waiting. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { StripeIndex } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const saidOf = (scene: Scene, kind: string): number =>
  scene.world.events.filter((event) => event.startsWith(`${kind}:`)).length;

test('a resync that may leave out no more stripes: said once, for as long as it is so, and it goes on when they are written anew', async () => {
  const scene = await Scene.make(5, {
    seed: 620,
    limits: { sweepStepBytes: 32 * KIB, unmadeStripesMax: 2 },
    legs: 0,
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.crash(false);
  for (let at = 0; at < 16; at++)
    world.at('d0').failReads({
      offset: MIB + at * 4 * KIB,
      lengthBytes: SECTOR,
      errno: EIO,
      untilWritten: true,
    });
  await world.assemble();
  await world.pass(120_000);
  assert.equal(saidOf(scene, 'resync-stopped'), 1, scene.recent);
  assert.equal(scene.state, 'resyncing');
  for (const code of ['resync-stopped', 'bad-blocks'])
    assert.ok(scene.alarms().includes(code), scene.alarms().join());
  assert.match(world.v.status().story.why, /more than 2 stripes/);
  assert.match(world.v.status().story.next, /tried again by itself/);
  await scene.checkWhatAnswers('stopped');

  await scene.put(0, scene.model.sectors);
  await scene.until('optimal');
  assert.ok(!scene.alarms().includes('resync-stopped'));
  await scene.settle('written anew');
});

test('a place that cannot be read while nothing may fail the drive: its errors are not remembered without end', async () => {
  const scene = await Scene.make(5, {
    seed: 621,
    limits: { readErrorsAllowed: 3, unmadeStripesMax: 2 },
    legs: 0,
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.crash(false);
  const bad = { offset: MIB, lengthBytes: 64 * KIB, errno: EIO, untilWritten: true };
  world.at('d0').failReads(bad);
  await world.assemble();
  await world.pass(300_000);
  const member = scene.core.members.at(0);
  assert.ok(member.errors.read > 10, `${member.errors.read} errors`);
  assert.equal(member.readErrorsAtMs.length, 4);
  assert.equal(member.state, 'online');
});

/** A mirror of three: drives 1 and 2 are made anew from drive 0, which cannot read one sector. */
async function twoAreMade(seed: number): Promise<Scene> {
  const limits = { sweepStepBytes: 64 * KIB, sweepBytesPerSecond: 64 * KIB, checkpointMs: 500 };
  const scene = await Scene.make(1, { seed, members: 3, memberBytes: MIB + 512 * KIB, limits });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  for (const slot of ['1', '2']) assert.ok((await world.until(world.v.failDrive(slot))).ok);
  const offset = MIB + 128 * KIB;
  world.at('d0').failReads({ offset, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
  for (const path of ['d1', 'd2']) {
    const added = await world.until(world.v.addDrive(path, false, false));
    assert.ok(added.ok, JSON.stringify(added));
  }
  return scene;
}

const running = (scene: Scene): number[] =>
  scene.core.members.slots.filter(({ recovery }) => recovery?.isRunning).map(({ slot }) => slot);

test('two copies are made anew: one after the other, and a stop waits for none of them', async () => {
  const scene = await twoAreMade(622);
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  assert.deepEqual(running(scene), [1]);
  const beforeMs = world.clock.nowMs();
  assert.ok((await world.until(world.v.stop())).ok);
  assert.ok(world.clock.nowMs() - beforeMs < 3_000, `${world.clock.nowMs() - beforeMs} ms`);
  scene.crash(false);
  await world.assemble();
  assert.deepEqual(running(scene), [1], 'the other waits');
  for (let i = 0; i < 200 && running(scene)[0] !== 2; i++) await world.pass(100);
  assert.deepEqual(running(scene), [2], scene.recent);
  await scene.until('optimal');
  await scene.settle('both are made');
});

test('a stripe of one copy that nobody can make keeps no other copy from being tried again', async () => {
  const scene = await twoAreMade(623);
  const { world } = scene;
  const left = (slot: number): number => scene.core.members.at(slot).recovery?.unmade.size ?? 0;
  for (let i = 0; i < 200 && left(2) === 0; i++) await world.pass(200);
  assert.deepEqual([left(1), left(2)], [1, 1], scene.recent);
  // As if more had been left out of this one.
  scene.core.members.at(2).recovery?.unmade.add(0 as StripeIndex);
  await world.pass(30_000);
  assert.deepEqual([left(1), left(2)], [1, 1]);
  await scene.put(0, scene.model.sectors);
  await scene.until('optimal');
  await scene.settle('written anew');
});
