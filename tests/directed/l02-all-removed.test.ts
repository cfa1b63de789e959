/**
 * L2: mdadm issue 22. All drives were removed within a tenth of a second; the one that had left first came back first, was
 * started, and overwrote what the newer ones had. So: every drive is removed, in every order, with writes in between; they
 * come back one by one, in every order, and a start is tried each time. It is refused, or everything acknowledged is there.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from '../unit/engine/scene.ts';
import { pairs, permutations } from './enumeration.ts';
import { sample } from './run-enumeration.ts';

/** How a start may be refused while drives are missing. */
const refusals = ['members-missing', 'member-not-found', 'dirty-and-degraded'];

/** A write that may or may not be answered; what was not answered may be there or not. */
async function attempt(scene: Scene, start: number, sectors: number): Promise<void> {
  const write = scene.begin(start, sectors);
  await scene.world.until(write.done);
}

async function removeAll(scene: Scene, order: readonly string[], gapMs: number): Promise<void> {
  for (const [at, path] of order.entries()) {
    await attempt(scene, 16 * at, 24);
    scene.world.at(path).vanish();
    if (gapMs > 0) await scene.world.pass(gapMs);
  }
  await attempt(scene, 0, 8);
  await scene.world.pass(3_000);
  assert.notEqual(scene.state, 'optimal');
}

/** Drives come back; the volume starts as soon as it agrees to. */
async function returnAll(scene: Scene, order: readonly string[], where: string): Promise<void> {
  const { world } = scene;
  scene.crash(false);
  let started = false;
  for (const [at, path] of order.entries()) {
    world.at(path).reappear();
    const soFar = `${where}, ${order.slice(0, at + 1).join(' ')} back`;
    if (started) continue;
    const outcome = await world.tryAssemble();
    started = outcome.ok;
    if (!outcome.ok) {
      assert.ok(refusals.includes(outcome.problem.code), `${soFar}: ${outcome.problem.code}`);
      scene.crash(false);
      continue;
    }
    if (scene.core.absentCount <= scene.core.tolerated) await scene.check(soFar);
    await scene.put(4, 12);
  }
  assert.ok(started, `${where}: all are back and the volume does not start`);
  await scene.check(`${where}, all back`);
  // A restart with everybody here: whoever missed something is known by now.
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  await world.assemble();
  await scene.check(`${where}, started with all of them`);
  await scene.settle(where);
}

const drives = ['d0', 'd1', 'd2'];
const orders = pairs(permutations(drives), permutations(drives));
const title = 'L2 mdadm#22: all drives removed within 0.1 s, the oldest came back first';

for (const [level, gapMs] of pairs([1, 3, 4, 5] as const, [0, 3_000])) {
  test(`${title}: RAID ${level}, ${gapMs} ms apart, in every order`, async () => {
    for (const [leave, back] of sample(orders, 4)) {
      const where = `left ${leave.join(' ')}, back ${back.join(' ')}`;
      const scene = await Scene.make(level, { seed: level + gapMs, members: 3 });
      await scene.put(0, scene.model.sectors);
      await removeAll(scene, leave, gapMs);
      await returnAll(scene, back, where);
    }
  });
}

for (const level of [1, 3, 4, 5]) {
  test(`${title}: RAID ${level}, with a window open on one of them`, async () => {
    for (const [leave, back] of sample(orders, 6)) {
      const where = `left ${leave.join(' ')}, back ${back.join(' ')}`;
      const scene = await Scene.make(level, { seed: 3 * level, members: 3 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.open('1', { onDoubleAbsence: 'error' });
      await scene.fill(10);
      for (const path of leave) {
        // A write in a window goes to the log: it is answered, whoever is left.
        await scene.put(8, 40);
        world.at(path).vanish();
        await world.pass(1_500);
      }
      await scene.put(24, 40);
      scene.crash(false);
      let started = false;
      for (const path of back) {
        world.at(path).reappear();
        if (started) {
          await world.pass(40_000);
          continue;
        }
        const outcome = await world.tryAssemble();
        started = outcome.ok;
        if (!outcome.ok) scene.crash(false);
        else assert.equal(scene.state, 'frozen', where);
      }
      assert.ok(started, `${where}: all are back and the volume does not start`);
      await world.pass(5_000);
      assert.equal(scene.core.absentCount, 1, `${where}: ${scene.recent}`);
      await scene.check(where);
      await scene.closeAndWait();
      assert.equal(scene.state, 'optimal', where);
      await scene.settle(where);
    }
  });
}
