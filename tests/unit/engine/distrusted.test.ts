/**
 * A drive was refused at its return because its contents differ from the frozen volume, and the volume went on without
 * it. What it missed is marked in the bitmap; what is wrong on it is not. It comes back by a rebuild of all of it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, MIB, Scene } from './scene.ts';

/** Eight regions of the bitmap. */
const MEMBER_BYTES = MIB + 512 * KIB;

/** The drive is away, came back with other contents in its last region, and was refused. */
async function refused(level: number, seed: number): Promise<Scene> {
  const scene = await Scene.make(level, { seed, memberBytes: MEMBER_BYTES });
  const sectors = scene.model.sectors;
  for (let at = 0; at < sectors; at += 64) await scene.put(at, Math.min(64, sectors - at));
  // Until no region is marked any more.
  await scene.world.pass(60_000);
  const { dataOffset } = scene.core.members.at(1).layout ?? assert.fail();
  await scene.open('1');
  scene.world.at('d1').overwrite(dataOffset + 480 * KIB, new Uint8Array(8 * KIB).fill(1));
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-verify-mismatch');
  return scene;
}

/** The time limit is over, and only the first region has been written to. */
async function thawed(scene: Scene): Promise<void> {
  await scene.put(0, 8);
  await scene.world.v.extendWindow(-30 * 60_000);
  await scene.closed();
  assert.equal(scene.state, 'degraded');
  await scene.check('without the drive');
}

async function added(scene: Scene): Promise<void> {
  const result = await scene.world.until(scene.world.v.addDrive('d1', false, false));
  assert.ok(result.ok, JSON.stringify(result));
  await scene.until('optimal');
  await scene.settle('added again');
}

for (const level of [1, 3, 5]) {
  test(`RAID ${level}: it differed, the window expired, and it is added again: all of it is rebuilt`, async () => {
    const scene = await refused(level, 91);
    await thawed(scene);
    assert.match(scene.core.members.at(1).reason, /does not agree/);
    await added(scene);
  });

  test(`RAID ${level}: the same over a crash of the server while the window was open`, async () => {
    const scene = await refused(level, 92);
    scene.crash(true);
    await scene.world.assemble();
    assert.equal(scene.core.mode, 'frozen');
    await thawed(scene);
    await added(scene);
  });

  test(`RAID ${level}: the same over a restart after the window: it does not come back by itself`, async () => {
    const scene = await refused(level, 93);
    await thawed(scene);
    scene.crash(true);
    await scene.world.assemble();
    await scene.world.pass(20_000);
    assert.equal(scene.state, 'degraded');
    await scene.check('without the drive, after the crash');
    await added(scene);
  });
}

test('the right drive is brought after all: its window ends as any other, and a later one trusts it', async () => {
  const scene = await Scene.make(5, { seed: 94, memberBytes: MEMBER_BYTES });
  const { world } = scene;
  await scene.fill(20);
  await scene.open('1');
  const good = world.at('d1').snapshot();
  world.at('d1').overwrite(MIB, new Uint8Array(4 * KIB).fill(3));
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-verify-mismatch');
  world.at('d1').restore(good);
  await scene.closeAndWait({ verify: 'full' });
  await scene.settle('the right one');
  await scene.open('1');
  await world.v.extendWindow(-30 * 60_000);
  await scene.closed();
  assert.equal(scene.core.members.at(1).reasonCode, 'expired');
});
