/** An orderly stop beside work that opens drives: when it has ended all of them are closed, and nobody waits for ever. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECTOR } from './flat-model.ts';
import { closeRequest, Scene } from './scene.ts';

/** Nothing of the volume is held open after its stop, nor opened later, and it starts again with everything. */
async function stopsClean(scene: Scene, where: string): Promise<void> {
  const { world } = scene;
  assert.ok((await world.until(world.v.stop())).ok, where);
  for (let turn = 0; turn < 2; turn++) {
    for (const [path, medium] of world.media)
      assert.ok(!medium.isOpen, `${where}: ${path} is open`);
    await world.pass(20_000);
  }
  scene.crash(false);
  const again = await world.until(world.tryAssemble(false));
  assert.ok(again.ok, where);
  await scene.check(where);
}

/** Drive 1 was away for a start and some writes, and is here again. */
async function outOfDate(): Promise<Scene> {
  const scene = await Scene.make(5, { seed: 610, operationMs: 1 });
  await scene.put(0, scene.model.sectors);
  await scene.missAStart('d1');
  return scene;
}

test('a drive that comes back by itself meets a stop: it is closed with the others', async () => {
  let met = 0;
  for (let afterMs = 0; afterMs < 40; afterMs += 2) {
    const scene = await outOfDate();
    await scene.world.assemble();
    await scene.world.pass(afterMs);
    if (scene.core.members.at(1).drive === null && scene.world.at('d1').isOpen) met++;
    await stopsClean(scene, `after ${afterMs} ms`);
  }
  assert.ok(met > 0, 'none met it while it was looked at');
});

test('a drive that is added by hand meets a stop: it is taken, or refused and closed', async () => {
  let refused = 0;
  for (let afterMs = 0; afterMs < 40; afterMs += 2) {
    const scene = await outOfDate();
    const { world } = scene;
    world.at('d1').vanish();
    assert.ok((await world.until(world.tryAssemble(true))).ok);
    world.at('d1').reappear();
    const adding = world.v.addDrive('d1', false, false);
    await world.pass(afterMs);
    const stopping = world.v.stop();
    const added = await world.until(adding);
    if (!added.ok) refused++;
    await world.until(stopping);
    await stopsClean(scene, `after ${afterMs} ms`);
  }
  assert.ok(refused > 0, 'no stop came in between');
});

test('a drive that vanished in a window is back, and meets a stop: it is closed with the others', async () => {
  let met = 0;
  for (let afterMs = 0; afterMs < 30; afterMs += 2) {
    const scene = await Scene.make(5, { seed: 611, operationMs: 1 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.open('1');
    world.at('d0').vanish();
    await world.pass(1_500);
    world.at('d0').reappear();
    for (let i = 0; i < 20_000 && !world.at('d0').isOpen; i++) await world.pass(1);
    await world.pass(afterMs);
    if (world.at('d0').isOpen && scene.core.members.at(0).drive === null) met++;
    await stopsClean(scene, `after ${afterMs} ms`);
  }
  assert.ok(met > 0, 'none met it while it was looked at');
});

test('the drive of a window is brought back slowly, and meets a stop: it is refused and closed', async () => {
  let refused = 0;
  for (let afterMs = 0; afterMs < 3_000; afterMs += 200) {
    const scene = await Scene.make(5, { seed: 612 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.open('1');
    await scene.fill(3);
    const { environment } = scene.core;
    const { openDrive } = environment;
    const later = (run: () => void): void => void world.clock.after(150, run);
    Object.defineProperty(environment, 'openDrive', {
      value: async (path: string) =>
        path === 'd1'
          ? { ok: true, value: world.at(path).open(path, world.buffers, later) }
          : openDrive(path),
    });
    const closing = world.v.closeWindow(closeRequest({ verify: 'full' }));
    await world.pass(afterMs);
    await stopsClean(scene, `after ${afterMs} ms`);
    if (!(await closing).ok) refused++;
  }
  assert.ok(refused > 0, 'no stop came in between');
});

test('a drive fails in the last flush of a stop while a host reads from it: it is closed with the others', async () => {
  const scene = await Scene.make(5, { seed: 613 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const d1 = world.at('d1');
  d1.hang('read');
  const reading = world.read(0, scene.model.sectors * SECTOR);
  d1.failFlush();
  world.clock.after(1_000, () => {
    assert.ok(scene.said('drive-failed'));
    d1.release();
  });
  await world.until(world.v.stop());
  assert.ok(!d1.isOpen, 'closed when the stop is over');
  await world.until(reading);
});

for (const what of ['a new leg', 'a new log'] as const) {
  test(`${what} meets a stop: its drives are taken, or refused and closed`, async () => {
    let refused = 0;
    for (let afterMs = 0; afterMs < 40; afterMs += 2) {
      const scene = await Scene.make(5, { seed: 611, operationMs: 1 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      for (const path of what === 'a new log' ? ['leg0', 'leg1'] : ['leg0'])
        world.at(path).vanish();
      await world.pass(4_000);
      const { sizeBytes } = world.at('leg1');
      for (const path of ['n0', 'n1']) world.medium(path, sizeBytes);
      // It answers late: the stop must not be over before.
      world.at('n0').hang('read', 'write', 'flush');
      const change =
        what === 'a new log'
          ? world.v.addLog({ paths: ['n0', 'n1'], sizeBytes: null, force: false })
          : world.v.replaceLeg({ leg: '0', path: 'n0', sizeBytes: null, force: false });
      await world.pass(afterMs);
      const stopping = world.v.stop();
      await world.pass(1_000);
      world.at('n0').release();
      if (!(await world.until(change)).ok) refused++;
      await world.until(stopping);
      for (const path of ['n0', 'n1']) assert.ok(!world.at(path).isOpen, `${path}, ${afterMs} ms`);
    }
    assert.ok(refused > 0, 'no stop came in between');
  });
}
