/**
 * The survivors of a window are gone while the server is down, and come back when it has gone on with the drive of the
 * window alone. Their labels may have counted further than its; what it did since is the truth all the same.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from './scene.ts';

/** A mirror with a window on drive 1; `labels` times the labels in it, on drive 0. */
async function inWindow(labels: number, seed: number): Promise<Scene> {
  const scene = await Scene.make(1, { seed });
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(10);
  for (let n = 0; n < labels; n++) await relabel(scene);
  await scene.flush();
  return scene;
}

async function relabel(scene: Scene): Promise<void> {
  const extended = await scene.world.until(scene.world.v.extendWindow(1000));
  assert.ok(extended.ok, JSON.stringify(extended));
}

async function restart(scene: Scene, power = false): Promise<void> {
  scene.crash(power);
  await scene.world.assemble();
}

const put = ({ world }: Scene, path: string, isThere: boolean): void =>
  isThere ? world.at(path).reappear() : world.at(path).vanish();

for (const labels of [0, 3, 5, 9]) {
  for (const power of [false, true]) {
    const how = `${labels} labels, ${power ? 'power' : 'kill'}`;

    test(`the drive of a window goes on alone and returns, then the other is back: ${how}`, async () => {
      const scene = await inWindow(labels, 900 + labels);
      scene.crash(power);
      put(scene, 'd0', false);
      await scene.world.assemble();
      await scene.closeAndWait();
      await scene.fill(10);
      scene.crash(power);
      put(scene, 'd0', true);
      // More than once: its labels of before must not come up again.
      for (let starts = 0; starts < 3; starts++) {
        await scene.world.assemble();
        await scene.check(`after start ${starts}`);
        scene.crash(power);
      }
      await scene.world.assemble();
      await scene.until('optimal');
      await scene.settle('in the end');
    });

    test(`the same, back while the window is open: ${how}`, async () => {
      const scene = await inWindow(labels, 950 + labels);
      scene.crash(power);
      put(scene, 'd0', false);
      await scene.world.assemble();
      await scene.fill(5);
      await relabel(scene);
      await relabel(scene);
      scene.crash(power);
      put(scene, 'd0', true);
      for (let starts = 0; starts < 3; starts++) {
        await scene.world.assemble();
        assert.equal(scene.core.members.at(0).state, 'online', 'it is as good as the other');
        await scene.check(`after start ${starts}`);
        scene.crash(power);
      }
      await scene.world.assemble();
      await scene.closeAndWait();
      await restart(scene, power);
      await scene.settle('in the end');
    });

    test(`the same, back in the running server: ${how}`, async () => {
      const scene = await inWindow(labels, 980 + labels);
      scene.crash(power);
      put(scene, 'd0', false);
      await scene.world.assemble();
      await scene.closeAndWait();
      await scene.fill(5);
      put(scene, 'd0', true);
      const added = await scene.world.until(scene.world.v.addDrive('d0', false, false));
      assert.ok(added.ok, JSON.stringify(added));
      await restart(scene, power);
      await scene.check('after a start');
      await restart(scene, power);
      await scene.settle('in the end');
    });
  }
}
