/** A rebuild that ends before its end says so, keeps what it has, and goes on; no flush that failed in it is forgotten. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import type { DriveStatus } from '../../../src/core/status.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene, type SceneOptions } from './scene.ts';

/** A few seconds for each rebuild, on record every half of one. */
const slowly = { sweepStepBytes: 4 * KIB, sweepBytesPerSecond: 16 * KIB, checkpointMs: 500 };

/** Drive 1 is out, and the rebuild of a new one has begun. */
async function rebuilding(level: number, options: SceneOptions): Promise<Scene> {
  const scene = await Scene.make(level, options);
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  await scene.replace(1, 'new');
  return scene;
}

const driveOf = (scene: Scene, path: string): DriveStatus => {
  const drive = scene.world.v.status().drives.find((one) => one.path === path);
  assert.ok(drive, path);
  return drive;
};

for (const level of [1, 3, 5]) {
  test(`RAID ${level}: a second drive vanishes in a rebuild: that is called stopped, and goes on when the drive is back`, async () => {
    // A mirror's stripe is 64 KiB: several of them.
    const memberBytes = MIB + (level === 1 ? 512 : 64) * KIB;
    const limits = level === 1 ? { ...slowly, sweepBytesPerSecond: 128 * KIB } : slowly;
    const scene = await rebuilding(level, { seed: 500 + level, memberBytes, limits });
    const { world } = scene;
    await world.pass(2_500);
    const { recovery } = scene.core.members.at(1);
    assert.ok(recovery !== null && recovery.saved > 0);
    const { saved } = recovery;
    world.at('d0').vanish();
    await world.pass(5_000);
    assert.equal(scene.state, 'halted');
    assert.match(driveOf(scene, 'new').reason, /its rebuild has stopped/);
    assert.ok(scene.alarms().includes('rebuild-stopped'), scene.alarms().join());
    assert.equal(world.events.filter((event) => event.startsWith('rebuild-failed:')).length, 1);

    world.at('d0').reappear();
    assert.ok((await world.until(world.v.stop())).ok);
    scene.crash(false);
    await world.assemble();
    const again = scene.core.members.at(1);
    assert.equal(again.state, 'rebuilding');
    assert.ok((again.recovery?.cursor ?? 0) >= saved, 'it goes on where it was');
    await scene.until('optimal');
    assert.ok(!scene.alarms().includes('rebuild-stopped'));
    await scene.settle('rebuilt');
  });
}

test('a mirror of three loses a source in a rebuild, beside a bad sector of the other one: it is tried again', async () => {
  const memberBytes = MIB + 256 * KIB;
  const scene = await Scene.make(1, { seed: 510, members: 3, memberBytes });
  const { world } = scene;
  const bad = MIB + 128 * KIB;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  world.at('d0').failReads({ offset: bad, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
  world.at('d2').intercept = ({ kind, offset, lengthBytes }) => {
    if (kind === 'read' && offset <= bad && bad < offset + lengthBytes) world.at('d2').vanish();
    return world.at('d2').isVanished ? EIO : OK;
  };
  await scene.replace(1, 'new');
  for (let i = 0; i < 100 && !scene.said('rebuild-failed'); i++) await world.pass(20);
  await world.pass(2_000);
  assert.equal(scene.core.members.at(2).state, 'failed', scene.recent);
  await world.pass(30_000);
  assert.ok(!scene.alarms().includes('rebuild-stopped'), scene.recent);
  // But for the one sector, which nobody can read.
  assert.ok(scene.alarms().includes('bad-blocks'), scene.alarms().join());
  await scene.put((bad - MIB) / SECTOR - 128, 256);
  for (let i = 0; i < 20 && scene.alarms().includes('bad-blocks'); i++) await world.pass(5_000);
  await scene.settle('rebuilt');
});

test('a rebuild that may leave out no more stripes stops, and goes on when they are written anew', async () => {
  const scene = await Scene.make(5, {
    seed: 511,
    limits: { unmadeStripesMax: 2, sweepStepBytes: 16 * KIB },
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  const offset = MIB + 16 * KIB;
  world.at('d0').failReads({ offset, lengthBytes: 32 * KIB, errno: EIO, untilWritten: true });
  await scene.replace(1, 'new');
  await world.pass(1_000);
  assert.equal(scene.state, 'degraded', scene.recent);
  assert.ok(scene.alarms().includes('rebuild-stopped'), scene.alarms().join());
  assert.match(world.v.status().story.next, /tried again by itself/);
  assert.match(driveOf(scene, 'new').reason, /more than 2 stripes/);
  await scene.put(0, scene.model.sectors);
  await scene.until('optimal');
  assert.ok(!scene.alarms().includes('rebuild-stopped'));
  await scene.settle('written anew');
});

test('a flush fails once in a rebuild, and the next one succeeds: what was lost is not called rebuilt', async () => {
  const scene = await rebuilding(5, { seed: 512, limits: slowly });
  const { world } = scene;
  const medium = world.at('new');
  let last = 0;
  let failed = false;
  medium.intercept = ({ kind, offset }) => {
    if (kind === 'write') last = offset;
    // The first one after data, and not after superblock or label.
    if (kind !== 'flush' || last < MIB || failed) return OK;
    failed = true;
    medium.forgetUnflushed();
    return EIO;
  };
  const hasFailed = (): boolean =>
    world.events.some((event) => /drive-failed: Drive new .* flush failed/.test(event));
  for (let i = 0; i < 200 && scene.state !== 'optimal' && !hasFailed(); i++) await world.pass(100);
  medium.intercept = null;
  assert.ok(failed);
  scene.crash(true, world.random.next);
  await world.assemble();
  await scene.check('after the power cut');
  assert.ok(hasFailed(), scene.recent);
});
