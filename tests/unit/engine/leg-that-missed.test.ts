/**
 * Found with the simulator's seeds 572 and 2352 beyond the promises: a leg of the log had failed, and missed what was
 * written since. Then the other leg and the last member in use were gone, who alone knew: with the drive of the window that
 * leg looked like the log of it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from './scene.ts';

/** A mirror with a window on drive 0. The second leg fails, a write is answered, and the server is killed. */
async function withoutSecondLeg(): Promise<Scene> {
  const scene = await Scene.make(1, { seed: 572 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('0', { onDoubleAbsence: 'error' });
  await scene.put(3, 2);
  world.at(world.logPaths[1]!).vanish();
  await scene.put(32, 1, true);
  assert.ok(scene.said('leg-failed'), scene.recent);
  scene.crash(false);
  world.at(world.logPaths[1]!).reappear();
  return scene;
}

/** Gone for the next start: the only ones that know that a leg is out. */
function lose(scene: Scene, isGone: boolean): void {
  const { world } = scene;
  for (const path of ['d1', world.logPaths[0]!])
    if (isGone) world.at(path).vanish();
    else world.at(path).reappear();
}

test('a leg that has missed records, and the drive of its window, are not started but by force', async () => {
  const scene = await withoutSecondLeg();
  const { world } = scene;
  lose(scene, true);
  const refused = await world.tryAssemble();
  assert.equal(refused.ok ? 'started' : refused.problem.code, 'members-missing');
  lose(scene, false);
  await world.assemble();
  await scene.closeAndWait();
  await scene.check('with those that know');
});

test('by force they are, and an alarm says that all of it may be older', async () => {
  const scene = await withoutSecondLeg();
  const { world } = scene;
  lose(scene, true);
  assert.ok((await world.tryAssemble(true)).ok);
  await scene.closeAndWait();
  assert.ok(scene.alarms().includes('data-in-doubt'), scene.alarms().join(', '));
  assert.equal(scene.core.dataInDoubt?.cause, 'older');
  assert.equal(scene.core.dataInDoubt?.regions, scene.core.intent.bits.count);
});
