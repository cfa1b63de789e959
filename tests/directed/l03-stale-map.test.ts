/**
 * L3: OpenZFS 8166. A scrub while a drive was off-line cleared the map of what that drive had missed, and it came back
 * with old data. So: while X is out or away, everything runs that goes over all members, and then Y fails, so that what
 * X has is asked for.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../src/base/errno.ts';
import { KIB, MIB, Scene } from '../unit/engine/scene.ts';

type Meanwhile = [string, (scene: Scene) => Promise<void>];

async function scrub(scene: Scene, repair: boolean): Promise<void> {
  const { world } = scene;
  await world.until(world.v.startScrub(repair));
  await world.pass(20_000);
}

const anyTime: readonly Meanwhile[] = [
  ['a scrub', (scene) => scrub(scene, false)],
  ['a scrub that repairs', (scene) => scrub(scene, true)],
  ['a restart', async (scene) => restart(scene, true)],
  ['an unclean stop and its resync', async (scene) => restart(scene, false)],
  [
    'a sector that cannot be read',
    async (scene) => {
      const range = { offset: MIB, lengthBytes: 8 * KIB, errno: EIO, count: 1 };
      scene.world.at('d2').failReads(range);
      await scene.checkWhatAnswers('a bad sector');
    },
  ],
  ['a minute of quiet, in which intent bits are cleared', ({ world }) => world.pass(60_000)],
];

async function restart(scene: Scene, orderly: boolean): Promise<void> {
  const { world } = scene;
  await scene.put(40, 16);
  if (orderly) assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(!orderly);
  await world.assemble();
  await world.pass(30_000);
}

const title = 'L3 OpenZFS 8166: a scrub during the absence cleared the map of what was missed';

for (const level of [1, 3, 4, 5]) {
  for (const [what, act] of anyTime) {
    test(`${title}: RAID ${level}, failed, ${what}`, async () => {
      const scene = await Scene.make(level, { seed: 11 * level, members: level === 1 ? 3 : 4 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.flush();
      assert.ok((await world.until(world.v.failDrive('1'))).ok);
      await scene.fill(25);
      await act(scene);
      await scene.fill(5);
      await act(scene);
      const added = await world.until(world.v.addDrive('d1', false, false));
      assert.ok(added.ok, JSON.stringify(added));
      await scene.until('optimal');
      scene.addsUp(what);
      assert.ok((await world.until(world.v.failDrive('0'))).ok);
      await scene.check(`Y failed after ${what}`);
      await scene.settle(what);
    });

    test(`${title}: RAID ${level}, away in a window, ${what}`, async () => {
      const scene = await Scene.make(level, { seed: 13 * level, members: level === 1 ? 3 : 4 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.open('1', { onDoubleAbsence: 'error' });
      await scene.fill(25);
      const frozen = scene.region(2);
      await act(scene);
      await scene.fill(5);
      await act(scene);
      assert.equal(scene.state, 'frozen', scene.recent);
      assert.ok(Buffer.compare(frozen, scene.region(2)) === 0, `${what} changed a frozen member`);
      assert.ok((await world.until(world.v.failDrive('0'))).ok);
      await scene.closeAndWait({ verify: 'full' });
      assert.equal(scene.state, 'degraded');
      await scene.check(`Y failed after ${what}`);
      await scene.settle(what);
    });
  }
}

test(`${title}: RAID 1 of four, failed, another one rebuilt meanwhile`, async () => {
  const scene = await Scene.make(1, { seed: 17, members: 4 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('2'))).ok);
  await scene.fill(10);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  await scene.fill(25);
  const added = await world.until(world.v.addDrive('d2', false, false));
  assert.ok(added.ok, JSON.stringify(added));
  const state = (slot: number): string => world.v.status().drives[slot]?.state ?? '';
  for (let i = 0; i < 100 && state(2) !== 'online'; i++) await world.pass(200);
  assert.equal(state(2), 'online', scene.recent);
  await world.pass(60_000);
  await scene.fill(10);
  assert.ok((await world.until(world.v.addDrive('d1', false, false))).ok);
  await scene.until('optimal');
  scene.addsUp('another one was rebuilt');
  for (const slot of ['0', '2', '3']) assert.ok((await world.until(world.v.failDrive(slot))).ok);
  await scene.check('X is the last one');
});
