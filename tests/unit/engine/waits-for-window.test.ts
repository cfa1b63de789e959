/** A member that was about to come back by itself, when a window was opened: it comes back when that is over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene, windowRequest } from './scene.ts';

/**
 * Drive 1 was gone for a while, and is here at a start that is slow to open it; `afterMs` later a window is opened on drive
 * 0. True: it came first, and drive 1 waits.
 */
async function meets(scene: Scene, afterMs: number): Promise<boolean> {
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.missAStart('d1');
  const { openDrive } = world.environment;
  let opened = 0;
  world.environment = {
    ...world.environment,
    openDrive: async (path) => {
      // First to see what it is, then to take it back.
      if (path === 'd1' && opened++ > 0)
        await new Promise<void>((resolve) => void world.clock.after(20, resolve));
      return openDrive(path);
    },
  };
  await world.assemble();
  await world.pass(afterMs);
  const window = await world.until(world.v.openWindow(windowRequest('0', { allowDegraded: true })));
  await world.pass(3_000);
  return window.ok && scene.core.members.at(1).state === 'missing';
}

/** The drives that were there, and no other, make the volume whole. */
async function isWholeAgain(scene: Scene, where: string): Promise<void> {
  await scene.until('optimal');
  assert.equal(scene.core.members.at(1).path, 'd1', where);
  await scene.settle(where);
}

for (const level of [3, 5]) {
  test(`RAID ${level}: it comes back when the window is closed`, async () => {
    let met = 0;
    for (let afterMs = 0; afterMs < 40; afterMs += 4) {
      const scene = await Scene.make(level, { seed: 520 + level, operationMs: 1 });
      if (!(await meets(scene, afterMs))) continue;
      met++;
      assert.match(scene.core.members.at(1).reason, /comes back by itself/);
      await scene.fill(3);
      await scene.closeAndWait();
      await isWholeAgain(scene, `after ${afterMs} ms`);
    }
    assert.ok(met > 0);
  });

  for (const power of [false, true]) {
    test(`RAID ${level}: the same over a ${power ? 'power cut' : 'kill'} in the window`, async () => {
      const scene = await Scene.make(level, { seed: 530 + level, operationMs: 1 });
      assert.ok(await meets(scene, 4));
      await scene.fill(3);
      scene.crash(power, scene.world.random.next);
      await scene.world.assemble();
      await scene.world.pass(3_000);
      assert.equal(scene.core.members.at(1).state, 'missing');
      await scene.fill(3);
      await scene.closeAndWait();
      await isWholeAgain(scene, 'closed');
    });
  }

  test(`RAID ${level}: another drive is there when the window is over: it is not taken`, async () => {
    const scene = await Scene.make(level, { seed: 540 + level, operationMs: 1 });
    const { world } = scene;
    assert.ok(await meets(scene, 4));
    const { bytes } = world.at('d1');
    world.at('d1').overwrite(0, new Uint8Array(bytes.length));
    await scene.closeAndWait();
    await world.pass(5_000);
    assert.equal(scene.core.members.at(1).state, 'missing');
    assert.equal(scene.core.waitingBack.size, 0);
    await scene.settle('replaced');
  });
}
