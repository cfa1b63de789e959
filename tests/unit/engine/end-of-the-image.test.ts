/**
 * Found with the simulator's seed 3330228: only the labels of the members that go on said that a replay has begun. When
 * those were lost, a drive as at the freeze and the log were a volume once more, without what hosts had written since.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../../src/base/units.ts';
import { assembleVolume } from '../../../src/engine/assemble.ts';
import { SECTOR } from './flat-model.ts';
import { MIB, Scene } from './scene.ts';

/** A mirror with a window on drive 1, something of every stripe in its log; every operation takes its time. */
async function inWindow(maxMs: number): Promise<Scene> {
  const limits = { replayStripesAtOnce: 1, replayZoneBytes: 64 * 1024 };
  const scene = await Scene.make(1, { seed: 7, operationMs: 1, limits, memberBytes: 2 * MIB });
  await scene.open('1', { maxMs, onDoubleAbsence: 'error' });
  const { geometry } = scene.core;
  const sectors = geometry.stripeStart(1 as StripeIndex) / SECTOR;
  for (let stripe = 0; stripe < geometry.stripeCount; stripe++)
    await scene.put(stripe * sectors, 4);
  return scene;
}

/** Behind the cursor, so on the members alone; safe from any power cut. */
async function putBehindCursor(scene: Scene): Promise<void> {
  while (scene.core.cursor === 0) await scene.world.pass(1);
  await scene.put(0, 4, true);
  assert.equal(scene.core.mode, 'replaying');
}

async function refusalOf(scene: Scene, paths: readonly string[]): Promise<string> {
  const { drivePaths, logPaths } = scene.world;
  const request = { name: null, drivePaths: [...paths], logPaths: [...logPaths], force: false };
  assert.ok(paths.every((path) => drivePaths.includes(path)));
  const outcome = await scene.world.until(assembleVolume(scene.world.environment, request));
  return outcome.ok ? `started: ${outcome.value.status().state}` : outcome.problem.code;
}

for (const power of [false, true]) {
  const how = power ? 'power cut' : 'killed';

  test(`thawing, ${how}, and the copy that goes on is lost: no start from the drive of the window`, async () => {
    const scene = await inWindow(2_000);
    await putBehindCursor(scene);
    scene.crash(power);
    assert.equal(await refusalOf(scene, ['d1']), 'log-ahead');
    scene.crash(power);
    await scene.world.assemble();
    await scene.closed();
    await scene.check('with the copy that goes on');
    await scene.settle('in the end');
  });

  test(`replaying without a copy, ${how}, and that copy comes instead of the other: no start from it`, async () => {
    const scene = await inWindow(30 * 60_000);
    const { world } = scene;
    world.at('d0').vanish();
    while (scene.core.members.at(0).state === 'online') await world.pass(100);
    await scene.close();
    await putBehindCursor(scene);
    scene.crash(power);
    world.at('d0').reappear();
    assert.equal(await refusalOf(scene, ['d0']), 'log-ahead');
    scene.crash(power);
    await world.assemble();
    await scene.closed();
    await scene.settle('in the end');
  });
}

test('the window ran out, and nothing of the replay has begun: the drive of the window is as good as before', async () => {
  const scene = await inWindow(2_000);
  const { world, core } = scene;
  // The copy that would go on is lost in the very label that says so.
  while (core.mode !== 'replaying') await world.pass(1);
  assert.equal(core.cursor, 0);
  world.at('d0').vanish();
  while (!core.halted) await world.pass(1);
  scene.crash(false);
  await world.assemble();
  await scene.closeAndWait();
  await scene.check('from the drive of the window and the log');
});
