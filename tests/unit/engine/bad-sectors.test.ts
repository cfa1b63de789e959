/** Sectors that a survivor cannot read: a rebuild goes on around them, a verification does not count them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { StripeIndex, VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { closeRequest, KIB, MIB, Scene } from './scene.ts';

const BAD_AT = MIB + 24 * KIB;
const BAD_SECTORS = 3;

async function rebuildAround(level: number, seed: number): Promise<Scene> {
  // A mirror's stripe is 64 KiB: more than one of them.
  const memberBytes = MIB + (level === 1 ? 192 : 64) * KIB;
  const limits = { sweepStepBytes: 32 * KIB };
  const scene = await Scene.make(level, { seed, memberBytes, limits });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  world.at('d0').failReads({
    offset: BAD_AT,
    lengthBytes: BAD_SECTORS * SECTOR,
    errno: EIO,
    untilWritten: true,
  });
  await scene.replace(1, 'new');
  for (let i = 0; i < 100 && !scene.said('rebuild-incomplete'); i++) await world.pass(100);
  assert.ok(scene.said('rebuild-incomplete'), scene.recent);
  return scene;
}

/** Sectors that are answered with an error; all others are right. */
async function lostSectors(scene: Scene, where: string): Promise<number[]> {
  const lost: number[] = [];
  for (let at = 0; at < scene.model.sectors; at++) {
    const { errno, data } = await scene.world.until(scene.world.read(at * SECTOR, SECTOR));
    if (errno === 0) scene.model.check(at, data, where);
    else lost.push(at);
  }
  return lost;
}

for (const level of [1, 3, 4, 5]) {
  test(`RAID ${level}: a rebuild goes on around sectors that a survivor cannot read, and only they are errors`, async () => {
    const scene = await rebuildAround(level, 300 + level);
    const { world } = scene;
    // A mirror has lost the three; with parity the chunk that is rebuilt, or only the parity, has lost its columns too.
    const lost = await lostSectors(scene, 'incomplete');
    assert.ok(lost.length >= BAD_SECTORS || level !== 1);
    assert.ok(lost.length <= 2 * BAD_SECTORS, `${lost.length} sectors are lost`);
    assert.ok(scene.alarms().includes('bad-blocks'));
    assert.equal(scene.state, 'rebuilding', 'not in sync, and it does not say so');
    // The rest of the new drive is used: no read of it needs the others.
    const last = (scene.core.geometry.stripeCount - 1) as StripeIndex;
    assert.equal(scene.core.members.unusable(last), 0);

    scene.crash(true, world.random.next);
    await world.assemble();
    for (let i = 0; i < 100 && !scene.alarms().includes('bad-blocks'); i++) await world.pass(100);
    assert.deepEqual(await lostSectors(scene, 'after a power cut'), lost, 'neither more nor fewer');

    const { geometry } = scene.core;
    const stripe = geometry.stripeOf((lost[0]! * SECTOR) as VolumeOffset);
    const stripeSectors = (geometry.columnsOf(stripe) * geometry.dataChunks) / SECTOR;
    await scene.put(geometry.stripeStart(stripe) / SECTOR, stripeSectors);
    assert.deepEqual(await lostSectors(scene, 'written anew'), []);
    await scene.until('optimal');
    assert.ok(!scene.alarms().includes('bad-blocks'));
    await scene.settle('healed');
  });
}

for (const level of [3, 4, 5]) {
  test(`RAID ${level}, degraded: beside what another drive cannot read every sector is written, and only what is lost is an error`, async () => {
    const scene = await Scene.make(level, { seed: 320 + level });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    assert.ok((await world.until(world.v.failDrive('1'))).ok);
    world
      .at('d0')
      .failReads({ offset: BAD_AT, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
    const lost = await lostSectors(scene, 'degraded');
    const { geometry } = scene.core;
    const stripe = geometry.stripeOf(((lost[0] ?? 0) * SECTOR) as VolumeOffset);
    const first = geometry.stripeStart(stripe) / SECTOR;
    const sectors = (geometry.columnsOf(stripe) * geometry.dataChunks) / SECTOR;
    for (let at = first; at < first + sectors; at++) if (!lost.includes(at)) await scene.put(at, 1);
    assert.deepEqual(await lostSectors(scene, 'written beside it'), lost);
    await scene.put(first, sectors);
    assert.deepEqual(await lostSectors(scene, 'written anew'), []);
  });
}

test('a drive that is back is compared block by block around what a survivor cannot read, and no more is counted', async () => {
  const scene = await Scene.make(5, { seed: 310, limits: { sweepStepBytes: 32 * KIB } });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  const { layout } = scene.core.members.at(1);
  world.at('d0').failReads({ offset: BAD_AT, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
  // In the same step, not in the same block.
  const elsewhere = (layout?.dataOffset ?? 0) + 8 * KIB;
  world.at('d1').overwrite(elsewhere, world.random.bytes(SECTOR));
  const refused = await world.until(world.v.closeWindow(closeRequest({ verify: 'full' })));
  assert.ok(!refused.ok);
  assert.equal(refused.problem.code, 'window-verify-mismatch');
  const { verify } = world.v.core.window!;
  assert.deepEqual(verify, {
    mode: 'full',
    checkedBytes: scene.core.geometry.memberDataBytes - 4 * KIB,
    differingStripes: 1,
  });
});

test('a scrub goes around what two drives cannot read, mends what one cannot, and says what it has not compared', async () => {
  const scene = await Scene.make(5, { seed: 311, limits: { sweepStepBytes: 32 * KIB } });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const bad = { lengthBytes: SECTOR, errno: EIO, untilWritten: true } as const;
  world.at('d0').failReads({ ...bad, offset: BAD_AT });
  world.at('d1').failReads({ ...bad, offset: BAD_AT });
  // In the next block of the same chunk, and in another step: these can be made.
  world.at('d2').failReads({ ...bad, offset: BAD_AT + 4 * KIB });
  world.at('d0').failReads({ ...bad, offset: MIB });
  assert.ok((await world.until(world.v.startScrub(false))).ok);
  for (let i = 0; i < 100 && scene.core.scrubJob?.running === true; i++) await world.pass(100);
  const { scrubJob } = scene.core;
  assert.equal(scrubJob?.status().state, 'done', scrubJob?.status().reason);
  assert.equal(scrubJob?.mismatches, 0);
  assert.equal(scrubJob?.skippedBytes, 4 * KIB);
  assert.ok(scene.alarms().includes('bad-blocks'));
  assert.equal((await lostSectors(scene, 'scrubbed')).length <= 2, true);

  await scene.put(0, scene.model.sectors);
  assert.ok((await world.until(world.v.startScrub(false))).ok);
  for (let i = 0; i < 100 && scene.core.scrubJob?.running === true; i++) await world.pass(100);
  assert.ok(!scene.alarms().includes('bad-blocks'));
  await scene.settle('written anew');
});

test('a copy of a label that cannot be read in a start is had from the other, and the status counts it', async () => {
  for (const copy of [0, 1]) {
    const scene = await Scene.make(5, { seed: 320 + copy });
    const { world } = scene;
    await scene.put(0, 8);
    const offset = scene.core.members.at(1).layout?.labelOffsets[copy] ?? 0;
    scene.crash(false);
    world.at('d1').failReads({ offset, lengthBytes: SECTOR, errno: EIO, count: 1 });
    await world.assemble();
    const errors = world.v.status().drives.map((drive) => drive.errors.read);
    assert.deepEqual(errors, [0, 1, 0, 0], `copy ${copy}`);
    await scene.check(`copy ${copy}`);
  }
});
