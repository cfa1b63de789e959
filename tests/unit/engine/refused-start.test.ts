/** A start that is refused leaves nothing behind in the server: what it had taken is there for the next try. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import { Scene } from './scene.ts';

test('refused since no drive takes what a crash left half-written: every buffer is given back, try after try', async () => {
  const scene = await Scene.make(5, { seed: 610 });
  const { world } = scene;
  await scene.fill(20);
  scene.crash(false);
  for (const path of world.drivePaths) world.at(path).failWrites({ errno: EIO });
  // What the first one keeps aside stays aside.
  let freeBytes: number | null = null;
  for (let turn = 0; turn < 3; turn++) {
    const refused = await world.tryAssemble();
    assert.ok(!refused.ok && refused.problem.code === 'io-error', JSON.stringify(refused));
    await world.pass(1_000);
    freeBytes ??= world.buffers.freeBytes;
    assert.equal(world.buffers.freeBytes, freeBytes, `after try ${turn}`);
    for (const [path, medium] of world.media) assert.ok(!medium.isOpen, path);
  }
  for (const path of world.drivePaths) world.at(path).clearFaults();
  await world.assemble();
  await scene.check('started in the end');
});
