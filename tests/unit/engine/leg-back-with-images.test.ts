/**
 * What was under way in a crash may be on one leg alone. A start without that leg goes on without it, shows hosts what is
 * there, takes writes; a later start that has the leg again must not bring it back over them.
 */

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { Scene } from './scene.ts';

const SEEDS = 30;

for (const level of [3, 5]) {
  for (const degraded of [false, true]) {
    const what = degraded ? 'degraded' : 'optimal';
    test(`RAID ${level}, ${what}: a leg that a start after a crash went without comes back with what only it has`, async () => {
      let alone = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const scene = await Scene.make(level, { seed, operationMs: 1 });
        const { world } = scene;
        await scene.put(0, scene.model.sectors);
        if (degraded) assert.ok((await world.until(world.v.failDrive('1'))).ok);
        await scene.flush();
        for (let i = 0; i < 6; i++) scene.begin(world.random.below(scene.model.sectors - 16), 12);
        await world.pass(1 + world.random.below(8));
        scene.crash(true, world.random.next);
        world.at('leg1').vanish();
        await world.assemble();
        await scene.check(`seed ${seed}, without the leg`);
        scene.crash(false);
        world.at('leg1').reappear();
        await world.assemble();
        await scene.check(`seed ${seed}, with the leg again`);
        if (scene.core.log?.legStates[1] === 'failed') alone++;
      }
      assert.equal(alone, SEEDS, 'it has missed what the start without it decided');
    });
  }
}

test('RAID 1: a leg that a start after a crash went without has missed nothing, and is taken back', async () => {
  const scene = await Scene.make(1, { seed: 31, operationMs: 1 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.begin(0, 12);
  await world.pass(1);
  scene.crash(true, world.random.next);
  world.at('leg1').vanish();
  await world.assemble();
  assert.notEqual(scene.core.resync, null, 'it was a crash');
  assert.equal(scene.core.log?.legStates[1], 'missing');
  await scene.check('without the leg');
  scene.crash(false);
  world.at('leg1').reappear();
  await world.assemble();
  assert.equal(scene.core.log?.legStates[1], 'online');
  await scene.check('with the leg again');
});

/** Killed when an image of sector 64 is on the second leg alone; that leg is not there when the server starts. */
async function leftOnOneLeg(scene: Scene): Promise<void> {
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  await scene.put(0, 8);
  await scene.flush();
  world.at('leg0').hang('write');
  scene.begin(64, 8);
  await world.pass(20);
  scene.crash(false);
  world.at('leg0').release();
  world.at('leg1').vanish();
  await world.assemble();
  await scene.check('without the leg');
}

async function putBack({ world }: Scene): Promise<void> {
  world.at('leg1').reappear();
  const request = { leg: '1', path: 'leg1', sizeBytes: null, force: false };
  assert.ok((await world.until(world.v.replaceLeg(request))).ok);
}

test('a leg with an image that it alone has is put back: what hosts have seen meanwhile stays', async () => {
  const scene = await Scene.make(5, { seed: 41, operationMs: 1 });
  await leftOnOneLeg(scene);
  await putBack(scene);
  scene.crash(false);
  await scene.world.assemble();
  await scene.check('with the leg again');
});

test('a leg with an image that it alone has is put back: what was written meanwhile without an image stays', async () => {
  const scene = await Scene.make(5, { seed: 42, operationMs: 1, limits: { logDirect: 0 } });
  const { world } = scene;
  await leftOnOneLeg(scene);
  await scene.replace(1);
  await scene.settle('rebuilt');
  await scene.put(64, 8);
  await scene.flush();
  await putBack(scene);
  assert.ok((await world.until(world.v.failDrive('2'))).ok);
  scene.crash(false);
  await world.assemble();
  await scene.check('with the leg again');
});
