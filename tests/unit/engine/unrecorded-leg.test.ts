/** A new leg counts when a drive of the volume has it on record, and nobody is told before that that it does. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB, Scene } from './scene.ts';

const LEG_BYTES = 16 * MIB;

test('the last drive vanishes while a leg is copied: the new one is not called done, and counts when a drive has the note', async () => {
  let unrecorded = 0;
  for (let ms = 2; ms < 60; ms += 6) {
    const scene = await Scene.make(1, { seed: 9, operationMs: 1 });
    const { world } = scene;
    await scene.open('0');
    await scene.fill(5);
    await scene.flush();
    world.at('leg1').vanish();
    await world.pass(2_500);
    world.medium('new', LEG_BYTES);
    const request = { leg: '1', path: 'new', sizeBytes: null, force: false };
    const replacing = world.v.replaceLeg(request);
    await world.pass(ms);
    world.at('d1').vanish();
    const replaced = await world.until(replacing);
    await world.pass(3_000);
    const leg = world.v.status().log?.legs[1];
    if (replaced.ok) assert.equal(leg?.state, 'online', `after ${ms} ms`);
    else if (replaced.problem.code === 'leg-unrecorded') {
      unrecorded++;
      assert.equal(leg?.state, 'failed', 'nobody may count on it');
      assert.match(leg.reason, /no drive of the volume has taken the note/);
      assert.ok(!scene.said('leg-replaced'), scene.recent);
      const alarm = world.v.status().alarms.find(({ code }) => code === 'leg-lost');
      assert.match(alarm?.message ?? '', /counts by itself once a drive/);
      assert.doesNotMatch(alarm?.message ?? '', /log replace/, 'that is refused');
      assert.ok(world.v.paths().logs.includes('new'), 'it is in use');
      const again = await world.until(world.v.replaceLeg(request));
      assert.equal(again.ok ? 'done' : again.problem.code, 'leg-unrecorded');

      world.at('d1').reappear();
      for (let i = 0; i < 100 && !scene.said('leg-replaced'); i++) await world.pass(1_000);
      assert.ok(scene.said('leg-replaced'), scene.recent);
      assert.equal(world.v.status().log?.legs[1]?.state, 'online');
    }
    if (world.v.status().log?.legs[1]?.state !== 'online') continue;
    // What was called whole is enough to start from.
    scene.crash(false);
    world.at('d1').reappear();
    world.at('leg0').vanish();
    world.logPaths.splice(0, 9, 'leg0', 'new');
    await world.assemble();
    await scene.check(`after ${ms} ms, from the new leg alone`);
  }
  assert.ok(unrecorded > 0, 'one of them vanished after the check and before the label');
});
