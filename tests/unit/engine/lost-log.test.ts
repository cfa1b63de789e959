/** A volume that was started without its log says so until it has a new one, as the server before did. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB, Scene } from './scene.ts';

const legs = (scene: Scene): { path: string; state: string }[] =>
  (scene.world.v.status().log?.legs ?? []).map(({ path, state }) => ({ path, state }));

const PATHS = ['leg0', 'leg1'];

for (const level of [1, 5])
  test(`RAID ${level}: all legs failed, and the server is started anew: the log is lost as before, until a new one is added`, async () => {
    const scene = await Scene.make(level, { seed: 701 });
    const { world } = scene;
    for (const path of PATHS) world.at(path).vanish();
    await world.pass(3_000);
    const before = scene.alarms();
    assert.deepEqual(before, ['log-lost', 'leg-lost', 'leg-lost']);
    scene.crash(false);
    for (const path of PATHS) world.at(path).reappear();
    await world.assemble();
    assert.deepEqual(scene.alarms(), before);
    const failed = PATHS.map((path) => ({ path, state: 'failed' }));
    assert.deepEqual(legs(scene), failed);
    const status = world.v.status();
    assert.equal(status.state, 'optimal', 'its members are all there');
    assert.equal(status.log?.state, 'failed');
    assert.match(status.story.next, /locum log add tank NEW_LEG NEW_LEG/);

    const paths = ['new0', 'new1'];
    const added = await world.until(world.v.addLog({ paths, sizeBytes: 16 * MIB, force: false }));
    assert.ok(added.ok, JSON.stringify(added));
    assert.deepEqual(scene.alarms(), []);
    scene.crash(false);
    world.logPaths.splice(0, 2, ...paths);
    await world.assemble();
    assert.deepEqual(scene.alarms(), []);
    const online = paths.map((path) => ({ path, state: 'online' }));
    assert.deepEqual(legs(scene), online);
  });

test('a start that finds none of the legs says that they are missing; with them it is as before', async () => {
  const scene = await Scene.make(1, { seed: 702 });
  const { world } = scene;
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  world.logPaths.splice(0, 2);
  await world.assemble();
  assert.deepEqual(scene.alarms(), ['log-lost', 'leg-lost', 'leg-lost']);
  assert.deepEqual(
    legs(scene).map(({ state }) => state),
    ['missing', 'missing'],
  );
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  world.logPaths.push(...PATHS);
  await world.assemble();
  assert.deepEqual(scene.alarms(), []);
});

test('a volume that was made without a log is told to lack none', async () => {
  const scene = await Scene.make(1, { seed: 703, legs: 0 });
  const { world } = scene;
  scene.crash(false);
  await world.assemble();
  assert.deepEqual(scene.alarms(), []);
  assert.equal(world.v.status().log, null);
});
