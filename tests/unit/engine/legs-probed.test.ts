/** A leg that is gone is noticed by the second, with no host I/O that would meet it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import { KIB, MIB, Scene, type SceneOptions } from './scene.ts';

const wide: SceneOptions = { memberBytes: MIB + 256 * KIB, chunkBytes: 8 * KIB };

async function inWindow(options: SceneOptions = {}): Promise<Scene> {
  const scene = await Scene.make(5, options);
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  await scene.fill(20);
  return scene;
}

function withLegs(scene: Scene, ...paths: string[]): void {
  scene.world.logPaths.splice(0, scene.world.logPaths.length, ...paths);
}

const legStates = (scene: Scene): string[] =>
  scene.world.v.status().log?.legs.map(({ state }) => state) ?? [];

test('a leg vanishes in a quiet window: out on the record, an alarm, and the drive is wanted back', async () => {
  const scene = await inWindow({ seed: 61 });
  const { world } = scene;
  world.at('leg0').vanish();
  await world.pass(2_500);
  assert.deepEqual(legStates(scene), ['failed', 'online']);
  assert.ok(scene.said('leg-failed'), scene.recent);
  assert.ok(scene.alarms().includes('leg-lost'), scene.alarms().join());
  assert.equal(scene.core.window?.recall, true);
  world.at('leg0').reappear();
  scene.crash(false);
  withLegs(scene, 'leg0');
  const alone = await world.tryAssemble();
  assert.ok(!alone.ok && alone.problem.code === 'log-stale', 'the survivor and the labels say so');
  withLegs(scene, 'leg0', 'leg1');
  await world.assemble();
  await scene.check('with the survivor');
  await scene.closeAndWait();
  await scene.settle('after the return');
});

test('a leg that cannot be read once when it is looked at stays in, and the status counts it', async () => {
  const scene = await inWindow({ seed: 65 });
  const { world } = scene;
  let left = 1;
  world.at('leg1').intercept = ({ kind }) => (kind === 'probe' && left-- > 0 ? EIO : OK);
  await world.pass(2_500);
  assert.deepEqual(legStates(scene), ['online', 'online']);
  const legs = world.v.status().log?.legs ?? [];
  assert.deepEqual(
    legs.map(({ errors }) => errors.read),
    [0, 1],
  );
});

test('a leg vanishes with no window open: an alarm, and nothing else', async () => {
  const scene = await Scene.make(5, { seed: 62 });
  await scene.put(0, scene.model.sectors);
  scene.world.at('leg1').vanish();
  await scene.world.pass(2_500);
  assert.deepEqual(legStates(scene), ['online', 'failed']);
  assert.ok(scene.alarms().includes('leg-lost'), scene.alarms().join());
  await scene.check('the volume does not care');
});

test('a leg that only hangs is found too, and does not keep the other from being looked at', async () => {
  const scene = await inWindow({ seed: 63 });
  const { world } = scene;
  world.at('leg0').hang('read');
  await world.pass(3_000);
  assert.deepEqual(legStates(scene), ['online', 'online'], 'not before its deadline');
  world.at('leg1').vanish();
  await world.pass(2_500);
  assert.deepEqual(legStates(scene), ['online', 'failed']);
});

test('the last leg vanishes with a second drive out: writes are held, and it is the one to start from', async () => {
  const scene = await inWindow({ seed: 64, ...wide });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  for (const path of ['leg0', 'leg1']) world.at(path).vanish();
  await world.pass(3_000);
  assert.deepEqual(legStates(scene), ['failed', 'failed']);
  assert.equal(scene.core.window?.state, 'open', 'never thawed with a second drive out');
  const held = scene.begin(0, 16);
  await world.pass(5_000);
  assert.equal(held.answered, false);
  for (const path of ['leg0', 'leg1']) world.at(path).reappear();
  scene.crash(false);
  await world.assemble();
  await scene.closeAndWait();
  await scene.check('what was answered is in it');
});
