/**
 * A former member is added to a running volume: a short resync by bitmap is enough only if the bitmap knows all that it
 * missed. It does not for a drive that was never complete, for an older image of it, and for one that was used elsewhere.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, Scene } from '../unit/engine/scene.ts';
import { World } from '../unit/engine/world.ts';

async function addAgain(scene: Scene, path: string): Promise<void> {
  const added = await scene.world.until(scene.world.v.addDrive(path, false, false));
  assert.ok(added.ok, JSON.stringify(added));
  await scene.until('optimal');
}

async function isRebuiltByForceOnly(scene: Scene): Promise<void> {
  const { world } = scene;
  const added = await world.until(world.v.addDrive('d1', false, false));
  assert.equal(added.ok ? 'taken' : added.problem.code, 'drive-has-data');
  const forced = await world.until(world.v.addDrive('d1', false, true));
  assert.ok(forced.ok, JSON.stringify(forced));
  await scene.until('optimal');
  await scene.check('rebuilt');
  scene.addsUp('rebuilt');
}

test('a drive that vanished half-way through its rebuild comes back: it is rebuilt, not resynced', async () => {
  const scene = await Scene.make(5, {
    seed: 31,
    limits: { sweepBytesPerSecond: 16 * KIB, sweepStepBytes: 4 * KIB, checkpointMs: 200 },
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors / 2);
  await scene.put(scene.model.sectors / 2, scene.model.sectors / 2);
  await scene.flush();
  await world.pass(30_000);
  await scene.replace(1);
  await world.pass(1_500);
  assert.equal(scene.state, 'rebuilding');
  world.at('new1').vanish();
  await world.pass(2_500);
  assert.equal(scene.state, 'degraded');
  world.at('new1').reappear();
  await addAgain(scene, 'new1');
  await scene.check('rebuilt');
  scene.addsUp('rebuilt');
});

test('an older image of a drive that failed comes back: it is rebuilt, not resynced', async () => {
  const scene = await Scene.make(5, { seed: 32 });
  const { world } = scene;
  await scene.fill(12);
  await world.pass(30_000);
  const older = world.at('d1').snapshot();
  await scene.fill(12);
  await world.pass(30_000);
  world.at('d1').vanish();
  await world.pass(2_500);
  await scene.fill(2);
  world.at('d1').restore(older);
  world.at('d1').reappear();
  await addAgain(scene, 'd1');
  await scene.check('rebuilt');
  scene.addsUp('rebuilt');
});

test('a drive that was used elsewhere since comes back: refused, and rebuilt when told to', async () => {
  const scene = await Scene.make(1, { seed: 33 });
  const { world } = scene;
  await scene.fill(12);
  await scene.flush();
  await world.pass(30_000);
  world.at('d1').vanish();
  await world.pass(2_500);
  const elsewhere = new World({ seed: 34, members: 0, legs: 0 });
  elsewhere.media.set('d1', world.at('d1').clone());
  elsewhere.drivePaths.push('d1');
  const started = await elsewhere.tryAssemble(true);
  assert.ok(started.ok, started.ok ? '' : started.problem.code);
  for (let at = 0; at < 64 * KIB; at += 16 * KIB)
    assert.equal(await elsewhere.until(elsewhere.write(at, new Uint8Array(16 * KIB).fill(9))), 0);
  await elsewhere.pass(8_000);
  assert.ok((await elsewhere.until(elsewhere.v.stop())).ok);
  world.at('d1').restore(elsewhere.at('d1').snapshot());
  world.at('d1').reappear();
  await isRebuiltByForceOnly(scene);
});

/** d1 is pulled out, the volume goes on without it; another server starts it, writes, and ends at once. */
async function onTwoHosts(seed: number, ends: 'killed' | 'stopped'): Promise<Scene> {
  const scene = await Scene.make(1, { seed });
  const { world } = scene;
  await scene.fill(12);
  await scene.flush();
  world.at('d1').vanish();
  await world.pass(2_500);
  await scene.fill(12);
  await scene.flush();
  const elsewhere = new World({ seed: seed + 1, members: 0, legs: 0 });
  elsewhere.media.set('d1', world.at('d1').clone());
  elsewhere.drivePaths.push('d1');
  assert.ok((await elsewhere.tryAssemble(true)).ok);
  assert.equal(await elsewhere.until(elsewhere.write(0, new Uint8Array(64 * KIB).fill(9))), 0);
  if (ends === 'stopped') assert.ok((await elsewhere.until(elsewhere.v.stop())).ok);
  world.at('d1').restore(elsewhere.at('d1').snapshot());
  world.at('d1').reappear();
  return scene;
}

test('a mirror went on on two hosts, on neither long enough for its events to tell: added again it is refused', async () => {
  const scene = await onTwoHosts(36, 'killed');
  await isRebuiltByForceOnly(scene);
});

test('a mirror went on on two hosts, on neither long enough for its events to tell: no start takes both', async () => {
  const scene = await onTwoHosts(38, 'stopped');
  const { world } = scene;
  scene.crash(false);
  const both = await world.until(world.tryAssemble(false));
  assert.equal(both.ok ? 'started' : both.problem.code, 'history-split');
  const forced = await world.until(world.tryAssemble(true));
  assert.equal(forced.ok ? 'started' : forced.problem.code, 'history-split');
  world.drivePaths.splice(world.drivePaths.indexOf('d1'), 1);
  const one = await world.until(world.tryAssemble(false));
  assert.ok(one.ok, JSON.stringify(one));
  await scene.check('with the one that was here');
});

test('a spare that fails just as it takes the slot comes back: it is rebuilt, not resynced', async () => {
  for (const level of [1, 5]) {
    const scene = await Scene.make(level, { seed: 34, operationMs: 1 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    await world.pass(30_000);
    world.medium('spare', world.at('d0').sizeBytes);
    world.drivePaths.push('spare');
    assert.ok((await world.until(world.v.addDrive('spare', true, false))).ok);
    await world.pass(10_000);
    world.at('d1').vanish();
    for (let i = 0; i < 5_000 && scene.core.members.at(1).path !== 'spare'; i++) {
      await world.pass(1);
    }
    // Its superblock still calls it a spare.
    world.at('spare').vanish();
    await world.pass(2_500);
    assert.equal(scene.core.members.at(1).state, 'failed');
    world.at('spare').reappear();
    await addAgain(scene, 'spare');
    await scene.check(`RAID ${level}`);
    scene.addsUp(`RAID ${level}`);
  }
});
