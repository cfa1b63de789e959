/**
 * Started by force in the middle of a rebuild, after an unclean stop that no log covers. Below the cursor of the rebuild
 * every member has its part of a stripe, so a write that was cut short there is made good from the data: nobody believes
 * the parity of it, neither now nor when another drive is lost later. What only the drive that is being rebuilt held is
 * above.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { StripeIndex } from '../../../src/base/units.ts';
import type { Geometry } from '../../../src/core/geometry.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const STRIPE = 1 as StripeIndex;
/** As many sectors of the first stripes, the one above among them. */
const WRITTEN = 48;

interface CutShort {
  readonly scene: Scene;
  /** Of the data region of a drive. */
  readonly dataOffset: number;
  readonly geometry: Geometry;
}

/** d1 is rebuilt; below the cursor that is on record a write has reached the data and not the parity, and all is dead. */
async function cutShort(seed: number, level = 5): Promise<CutShort> {
  const limits = { sweepStepBytes: 16 * KIB, sweepBytesPerSecond: 64 * KIB, checkpointMs: 500 };
  const scene = await Scene.make(level, { seed, memberBytes: MIB + 512 * KIB, limits, legs: 0 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  await world.pass(60_000);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  await scene.replace(1);
  await world.pass(2_000);
  const { geometry, members, intent } = scene.core;
  const { recovery, layout } = members.at(1);
  assert.ok(recovery !== null && layout !== null && recovery.saved > STRIPE + 8, scene.recent);
  const regionEnd = intent.lastRegion(STRIPE) + 1;
  assert.ok(recovery.saved * geometry.chunkBytes > regionEnd * intent.bits.chunkBytes);
  await scene.put(0, WRITTEN);
  await scene.flush();
  const parity = geometry.paritySlot(STRIPE);
  const { path } = members.at(parity);
  const { dataOffset } = layout;
  scene.crash(false);
  const at = dataOffset + STRIPE * geometry.chunkBytes;
  const drive = world.at(path);
  for (const media of [drive.bytes, drive.stable])
    for (let byte = at; byte < at + geometry.chunkBytes; byte++) media[byte]! ^= 0x5a;
  const refused = await world.tryAssemble();
  assert.equal(refused.ok ? 'started' : refused.problem.code, 'dirty-and-degraded');
  return { scene, dataOffset, geometry };
}

async function force({ scene }: CutShort): Promise<void> {
  assert.ok((await scene.world.until(scene.world.tryAssemble(true))).ok);
}

/** Another drive is lost, and replaced: everything is as it was written. */
async function loseAnother(scene: Scene): Promise<void> {
  await scene.until('optimal');
  scene.addsUp('rebuilt');
  assert.ok((await scene.world.until(scene.world.v.failDrive('2'))).ok);
  await scene.check('another drive is lost');
  await scene.settle('replaced');
}

const lives = {
  'it runs on': async (): Promise<void> => {},
  'it is stopped at once': async (left: CutShort): Promise<void> => {
    const { scene } = left;
    assert.ok((await scene.world.until(scene.world.v.stop())).ok);
    scene.crash(false);
    await force(left);
  },
  'it is killed at once': async (left: CutShort): Promise<void> => {
    left.scene.crash(false);
    await force(left);
  },
  'it loses its power when that is done, and is stopped in the middle of the rebuild': async (
    left: CutShort,
  ): Promise<void> => {
    const { scene } = left;
    const { world } = scene;
    for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(50);
    assert.equal(scene.state, 'rebuilding');
    scene.crash(true, world.random.next);
    await force(left);
    for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(50);
    assert.ok((await world.until(world.v.stop())).ok);
    scene.crash(false);
    await world.assemble();
  },
};

for (const [what, live] of Object.entries(lives)) {
  test(`killed in a write below the cursor of a rebuild, started by force, and ${what}: another drive may be lost later`, async () => {
    const left = await cutShort(700);
    await force(left);
    await live(left);
    await loseAnother(left.scene);
  });
}

for (const level of [3, 4]) {
  test(`RAID ${level}: killed in a write below the cursor of a rebuild and started by force: another drive may be lost later`, async () => {
    const left = await cutShort(700 + level, level);
    await force(left);
    await loseAnother(left.scene);
  });
}

test('started by force in the middle of a rebuild: what was written below its cursor is no alarm, above it is', async () => {
  const below = await cutShort(710);
  await force(below);
  assert.ok(!below.scene.alarms().includes('data-in-doubt'), below.scene.alarms().join());
  const above = await cutShort(711);
  await force(above);
  await above.scene.put(above.scene.model.sectors - WRITTEN, WRITTEN);
  above.scene.crash(false);
  await force(above);
  assert.equal(above.scene.core.dataInDoubt?.regions, 1);
  assert.equal(above.scene.core.dataInDoubt?.cause, 'forced');
});

test('a sector that cannot be read, in a write that was cut short below the cursor of a rebuild: nothing is made up', async () => {
  const left = await cutShort(720);
  const { scene, dataOffset, geometry } = left;
  const { world } = scene;
  const slot = [0, 2, 3].find((one) => one !== geometry.paritySlot(STRIPE));
  const offset = dataOffset + STRIPE * geometry.chunkBytes;
  world.at(`d${slot}`).failReads({ offset, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
  await force(left);
  for (let i = 0; i < 100 && !scene.said('resync-incomplete'); i++) await world.pass(100);
  assert.equal(await scene.checkWhatAnswers('in doubt'), 1);
  await scene.put(
    geometry.stripeStart(STRIPE) / SECTOR,
    (geometry.dataChunks * geometry.chunkBytes) / SECTOR,
  );
  for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(500);
  assert.equal(scene.core.resync, null, 'also while a drive is being rebuilt');
  await loseAnother(scene);
});

test('the drive that is being rebuilt is lost before a write below its cursor is made good: what only it held is an alarm', async () => {
  const left = await cutShort(730);
  const { scene } = left;
  const { world } = scene;
  await force(left);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  assert.equal(scene.core.dataInDoubt?.cause, 'lost');
  await scene.checkWhatAnswers('lost');
});
