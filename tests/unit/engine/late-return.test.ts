/**
 * A volume went on without a drive that was at a task, and the drive comes back. What it missed is marked in the bitmap;
 * what the task did to it is not: it is compared before any of it counts.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../../src/base/units.ts';
import { KIB, MIB, Scene } from './scene.ts';

/** Eight regions of the bitmap. */
const MEMBER_BYTES = MIB + 512 * KIB;

/** The window has run out, the volume went on, and only the first region has been written to since the freeze. */
async function expired(level: number, seed: number, operationMs = 0): Promise<Scene> {
  const scene = await Scene.make(level, { seed, memberBytes: MEMBER_BYTES, operationMs });
  const { sectors } = scene.model;
  for (let at = 0; at < sectors; at += 64) await scene.put(at, Math.min(64, sectors - at));
  // Until no region is marked any more.
  await scene.world.pass(60_000);
  await scene.open('1');
  await scene.put(0, 8);
  await scene.world.v.extendWindow(-30 * 60_000);
  await scene.closed();
  assert.equal(scene.core.members.at(1).reasonCode, 'expired');
  return scene;
}

/** Eight KiB in the last region. */
function damage(scene: Scene): void {
  const { dataOffset } = scene.core.members.at(1).layout ?? assert.fail();
  scene.world.at('d1').overwrite(dataOffset + 480 * KIB, new Uint8Array(8 * KIB).fill(1));
}

async function add(scene: Scene): Promise<void> {
  const result = await scene.world.until(scene.world.v.addDrive('d1', false, false));
  assert.ok(result.ok, JSON.stringify(result));
}

/** Hosts write and read everywhere. */
async function busyWhileCompared(scene: Scene): Promise<void> {
  for (let i = 0; i < 40; i++) {
    await scene.fill(2, 96);
    const from = scene.world.random.below(scene.model.sectors - 64);
    await scene.check('while it is compared', from, 64);
  }
}

for (const level of [1, 3, 5]) {
  test(`RAID ${level}: its task zeroed a part of it, and it is added by hand: all of it is rebuilt`, async () => {
    const scene = await expired(level, 71);
    damage(scene);
    await add(scene);
    await scene.until('optimal');
    assert.ok(scene.said('late-return-differs'), scene.recent);
    assert.ok(scene.alarms().includes('drive-differed'));
    await scene.settle('compared and rebuilt');
  });

  test(`RAID ${level}: nothing was done to it: compared, and a short resync`, async () => {
    const scene = await expired(level, 72, 1);
    await add(scene);
    assert.equal(scene.core.members.at(1).recovery?.kind, 'full');
    for (let i = 0; i < 1_000 && !scene.said('late-return-compared'); i++)
      await scene.world.pass(2);
    assert.equal(scene.core.members.at(1).recovery?.kind, 'bitmap', scene.recent);
    await scene.until('optimal');
    const worked = scene.core.rebuildJob?.workedBytes ?? 0;
    assert.ok(worked > 0 && worked <= 64 * KIB, `${worked} bytes were rebuilt`);
    assert.deepEqual(scene.alarms(), []);
    await scene.settle('compared');
  });

  test(`RAID ${level}: killed while it is compared, at any moment: nothing wrong on it is ever read`, async () => {
    for (let step = 0; step < 14; step++) {
      const scene = await expired(level, 73 + step, 2);
      damage(scene);
      const adding = scene.world.v.addDrive('d1', false, false);
      void adding;
      await scene.world.pass(step * 5);
      scene.crash(step % 2 === 0);
      await scene.world.assemble();
      await scene.check(`killed after ${step * 5} ms`);
      const { state } = scene.core.members.at(1);
      if (state === 'failed' || state === 'missing') await add(scene);
      await scene.until('optimal');
      await scene.settle(`killed after ${step * 5} ms`);
    }
  });

  test(`RAID ${level}: hosts write and read everywhere while it is compared`, async () => {
    const scene = await expired(level, 74, 1);
    damage(scene);
    await add(scene);
    await busyWhileCompared(scene);
    await scene.until('optimal');
    await scene.settle('with writes beside');
  });

  test(`RAID ${level}: the same of one that is as it left: written stripes are not differences`, async () => {
    const scene = await expired(level, 75, 1);
    await add(scene);
    await busyWhileCompared(scene);
    await scene.until('optimal');
    assert.ok(scene.said('late-return-compared'), scene.recent);
    assert.ok(!scene.said('late-return-differs'), scene.recent);
    await scene.settle('with writes beside');
  });
}

test('hosts write where the comparison waits for its turn: no difference, that is what it missed', async () => {
  const scene = await expired(5, 81);
  const { locks, geometry } = scene.core;
  // In the last region, of which nothing is marked: somebody has the lock of its first stripe.
  const first = (geometry.stripeCount - 16) as StripeIndex;
  assert.ok(locks.tryLock(first));
  await add(scene);
  await scene.world.pass(1_000);
  const stripeSectors = scene.model.sectors / geometry.stripeCount;
  await scene.put((first + 3) * stripeSectors, stripeSectors);
  locks.unlock(first);
  await scene.until('optimal');
  assert.ok(scene.said('late-return-compared'), scene.recent);
  assert.ok(!scene.said('late-return-differs'), scene.recent);
  await scene.settle('with a write beside');
});

test('killed when the others know of its rebuild and it does not: added again, it is compared', async () => {
  let seen = 0;
  for (let ms = 0; ; ms++) {
    const scene = await expired(5, 82, 2);
    damage(scene);
    void scene.world.v.addDrive('d1', false, false);
    while (scene.core.members.at(1).state !== 'rebuilding') await scene.world.pass(1);
    await scene.world.pass(ms);
    scene.crash(false);
    await scene.world.assemble();
    const { recovery, state } = scene.core.members.at(1);
    if (recovery !== null) break;
    if (state !== 'missing') continue;
    seen++;
    await add(scene);
    await scene.until('optimal');
    await scene.settle(`killed after ${ms} ms`);
  }
  assert.ok(seen > 0);
});

test('it vanishes while it is compared, and is added again: all of it is rebuilt', async () => {
  const scene = await expired(5, 76, 2);
  damage(scene);
  await add(scene);
  await scene.world.pass(20);
  scene.world.at('d1').vanish();
  await scene.until('degraded');
  await scene.check('without it');
  scene.world.at('d1').reappear();
  await add(scene);
  await scene.until('optimal');
  await scene.settle('added again');
});

test('a bad sector on it is no difference; another drive that cannot be read at all is no proof', async () => {
  const scene = await expired(5, 77);
  const { dataOffset } = scene.core.members.at(1).layout ?? assert.fail();
  scene.world.at('d1').failReads({ offset: dataOffset + 480 * KIB, lengthBytes: 4 * KIB });
  await add(scene);
  await scene.until('optimal');
  assert.ok(scene.said('late-return-compared'), scene.recent);
  await scene.check('with a bad sector');
});

test('a volume is stopped while the drive is compared: at the next start all of it is rebuilt', async () => {
  const scene = await expired(5, 78, 2);
  damage(scene);
  await add(scene);
  await scene.world.pass(20);
  const stopped = await scene.world.until(scene.world.v.stop());
  assert.ok(stopped.ok);
  scene.crash(false);
  await scene.world.assemble();
  assert.equal(scene.core.members.at(1).recovery?.kind, 'full');
  await scene.until('optimal');
  await scene.settle('after the stop');
});

test('found to differ, and then a second drive fails: it is not taken back unseen, but for somebody who insists', async () => {
  const scene = await Scene.make(5, { seed: 79, memberBytes: MEMBER_BYTES });
  await scene.fill(40);
  await scene.world.pass(60_000);
  await scene.open('1');
  damage(scene);
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-verify-mismatch');
  scene.world.at('d2').vanish();
  await scene.world.pass(5_000);
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-known-mismatch');
  scene.crash(true);
  await scene.world.assemble();
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-known-mismatch');
  assert.equal(scene.core.mode, 'frozen');
  // The other one is back: with it everything can be made.
  scene.world.at('d2').reappear();
  await scene.world.pass(60_000);
  await scene.closeAndWait({ rebuild: true });
  await scene.settle('rebuilt from the frozen drives');
});

test('the same, and the second drive is lost for good: only by force', async () => {
  const scene = await Scene.make(5, { seed: 80, memberBytes: MEMBER_BYTES });
  await scene.fill(40);
  await scene.open('1');
  damage(scene);
  assert.equal(await scene.closeRefused({ verify: 'full' }), 'window-verify-mismatch');
  scene.world.at('d2').vanish();
  await scene.world.pass(5_000);
  assert.equal(await scene.closeRefused(), 'window-known-mismatch');
  await scene.closeAndWait({ force: true });
  assert.ok(scene.said('verify-impossible'), scene.recent);
});
