/** A start by force, degraded, after an unclean stop that no log covers: what may be wrong is an alarm, and stays one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from './scene.ts';

for (const level of [3, 4, 5]) {
  test(`RAID ${level}: started by force without a drive and without a log, it says which drive held what may be wrong`, async () => {
    const scene = await Scene.make(level, { seed: 420 + level, legs: 0 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    assert.ok((await world.until(world.v.failDrive('1'))).ok);
    await scene.put(5, 9);
    scene.crash(false, world.random.next);
    const refused = await world.tryAssemble();
    assert.equal(refused.ok ? 'started' : refused.problem.code, 'dirty-and-degraded');
    assert.ok((await world.tryAssemble(true)).ok);
    assert.ok(scene.said('data-in-doubt'), scene.recent);
    assert.ok(scene.alarms().includes('data-in-doubt'));
    await scene.settle('rebuilt');
    assert.ok(
      scene.alarms().includes('data-in-doubt'),
      'redundancy is back, the doubt is not over',
    );
  });
}

test('a start by force names every refusal that it went on in spite of, not only the one that was shown', async () => {
  const scene = await Scene.make(5, { seed: 432, legs: 0 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.crash(false, world.random.next);
  world.at('d1').vanish();
  const refused = await world.tryAssemble();
  assert.equal(refused.ok ? 'started' : refused.problem.code, 'members-missing');
  assert.ok((await world.tryAssemble(true)).ok);
  assert.ok(scene.said('volume-forced'), scene.recent);
  const said = world.events.find((event) => event.startsWith('volume-forced:'));
  assert.match(said ?? '', /in spite of members-missing, dirty-and-degraded$/);
  scene.crash(false, world.random.next);
  world.events.length = 0;
  world.at('d1').reappear();
  await world.tryAssemble(true);
  assert.ok(
    world.events.every((event) => !event.includes('members-missing')),
    scene.recent,
  );
});

test('a start by force that a log covers leaves nothing in doubt', async () => {
  const scene = await Scene.make(5, { seed: 430 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.crash(false, world.random.next);
  world.at('d1').vanish();
  const refused = await world.tryAssemble();
  assert.equal(refused.ok ? 'started' : refused.problem.code, 'members-missing');
  assert.ok((await world.tryAssemble(true)).ok);
  assert.ok(!scene.alarms().includes('data-in-doubt'), scene.alarms().join(', '));
  await scene.check('started by force');
});

test('a mirror started by force from the copy that the other had gone on without says that it may be old', async () => {
  const scene = await Scene.make(1, { seed: 431, members: 2 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  world.at('d0').vanish();
  await scene.put(5, 9);
  scene.crash(false, world.random.next);
  world.at('d0').reappear();
  world.at('d1').vanish();
  const refused = await world.tryAssemble();
  assert.equal(refused.ok ? 'started' : refused.problem.code, 'members-missing');
  assert.ok((await world.tryAssemble(true)).ok);
  assert.ok(scene.alarms().includes('data-in-doubt'), scene.alarms().join(', '));
  assert.equal(scene.core.dataInDoubt?.cause, 'older');
  assert.equal(scene.core.dataInDoubt?.regions, scene.core.intent.bits.count);
});
