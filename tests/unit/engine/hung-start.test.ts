/** A start that is refused while a drive hangs: the drive is let go when what hangs has ended, and can be given again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from './scene.ts';

for (const what of ['d0', 'leg0'] as const) {
  test(`a start is refused while ${what} hangs: when that has ended it is closed, and the next start has everything`, async () => {
    const scene = await Scene.make(5, { seed: 600, operationMs: 1 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    if (what === 'leg0') await scene.open('1');
    scene.crash(false);
    const other = what === 'd0' ? 'd2' : 'leg1';
    world.at(what).hang('read');
    world.at(other).vanish();
    const refused = await world.tryAssemble();
    assert.ok(!refused.ok);
    world.at(other).reappear();
    assert.ok(world.at(what).isOpen, 'nobody closes what hangs');
    for (const [path, medium] of world.media) assert.ok(path === what || !medium.isOpen, path);
    world.at(what).release();
    await world.pass(1_000);
    assert.ok(!world.at(what).isOpen, 'it is let go');
    await world.assemble();
    await scene.check('started');
    assert.equal(scene.core.members.at(0).state, 'online');
  });
}
