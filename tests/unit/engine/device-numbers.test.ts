/**
 * Found with the simulator's seed 163: a drive that was out, and not there at a start, was known by no device number; the
 * next new drive got the same one. When the first was back at a start, the second was on record as faulty while it was in
 * use, and a start with it alone had no drive.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from './scene.ts';

/** A mirror of three whose slot 2 has failed, and a new drive in slot 0 with the number of that one, which is back. */
async function sameNumber(): Promise<Scene> {
  const scene = await Scene.make(1, { seed: 163, members: 3 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors, true);
  await scene.replace(2);
  await scene.until('optimal');
  world.at('new2').vanish();
  await scene.fill(3);
  await scene.flush();
  await world.until(world.v.stop());
  await world.assemble();
  await world.until(world.v.failDrive('0'));
  await scene.replace(0);
  for (let i = 0; i < 100 && scene.core.members.at(0).state !== 'online'; i++) await world.pass(50);
  await scene.fill(3);
  await scene.flush();
  await world.until(world.v.stop());
  world.at('new2').reappear();
  return scene;
}

const numbers = ({ core }: Scene): number[] =>
  core.members.slots.map(({ superblock }) => superblock?.deviceNumber ?? -1);

test('a drive that is back has the number of one in use: the one in use stays on record as such', async () => {
  const scene = await sameNumber();
  const { world } = scene;
  await world.assemble();
  await scene.fill(3);
  await scene.flush();
  world.at('d1').vanish();
  await scene.fill(3);
  await scene.flush();
  scene.crash(true);
  assert.equal((await world.assemble()).core.members.at(0).state, 'online');
  await scene.check('with the new drive alone');
});

test('taken back it gets a number of its own, and so it is found at the next start', async () => {
  const scene = await sameNumber();
  const { world } = scene;
  await world.assemble();
  const added = await world.until(world.v.addDrive('new2', false, false));
  assert.ok(added.ok, scene.recent);
  await scene.until('optimal');
  const given = numbers(scene);
  assert.equal(new Set(given).size, 3, `numbers ${given}`);
  scene.crash(true);
  await world.assemble();
  assert.deepEqual([numbers(scene), scene.state], [given, 'optimal']);
  await scene.settle('in the end');
});
