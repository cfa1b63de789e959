/**
 * Parity that a resync has left in doubt makes nothing: not for reads, and not for a rebuild either. What could be made
 * only from it is an error until a host has written it anew, and neither a rebuild nor a start forgets that.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import type { StripeIndex } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const BAD_COLUMN = 24 * KIB;

interface Left {
  readonly scene: Scene;
  readonly stripe: StripeIndex;
  /** The sector of the volume that d0 cannot read. */
  readonly sector: number;
}

/** Killed in a write that has reached the data and not the parity; d0 cannot read one sector of it. */
async function leftInDoubt(seed: number, level = 5, legs = 0): Promise<Left> {
  const memberBytes = MIB + 64 * KIB;
  const limits = { sweepStepBytes: 32 * KIB, logDirect: 0 };
  const scene = await Scene.make(level, { seed, memberBytes, limits, legs });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const { geometry, members } = scene.core;
  const stripe = Math.floor(BAD_COLUMN / geometry.chunkBytes) as StripeIndex;
  const parity = geometry.paritySlot(stripe);
  const dataOffset = members.at(parity).layout?.dataOffset ?? 0;
  scene.crash(false);
  const at = dataOffset + stripe * geometry.chunkBytes;
  const drive = world.at(`d${parity}`);
  for (const media of [drive.bytes, drive.stable])
    for (let byte = at; byte < at + SECTOR; byte++) media[byte]! ^= 0x5a;
  const offset = dataOffset + BAD_COLUMN;
  world.at('d0').failReads({ offset, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
  await world.assemble();
  for (let i = 0; i < 100 && !scene.said('resync-incomplete'); i++) await world.pass(100);
  assert.deepEqual([...(scene.core.resync?.unmade ?? [])], [stripe], scene.recent);
  const index = [...Array(geometry.dataChunks).keys()].find(
    (one) => geometry.dataSlot(stripe, one) === 0,
  );
  assert.ok(index !== undefined, 'd0 holds data there');
  const sector = (geometry.stripeStart(stripe) + index * geometry.chunkBytes) / SECTOR;
  return { scene, stripe, sector };
}

async function errnoOf({ scene, sector }: Left): Promise<number> {
  const { world } = scene;
  return (await world.until(world.read(sector * SECTOR, SECTOR))).errno;
}

/** All of the stripe, as a host does that restores it. */
async function writeAnew({ scene, stripe }: Left): Promise<void> {
  const { geometry } = scene.core;
  const sectors = (geometry.columnsOf(stripe) * geometry.dataChunks) / SECTOR;
  await scene.put(geometry.stripeStart(stripe) / SECTOR, sectors);
}

for (const level of [3, 5]) {
  test(`RAID ${level}: the drive is replaced of which a sector could be made only from parity in doubt: nothing is made up`, async () => {
    const left = await leftInDoubt(560 + level, level);
    const { scene } = left;
    await scene.replace(0);
    for (let i = 0; i < 100 && !scene.said('rebuild-incomplete'); i++) await scene.world.pass(100);
    assert.equal(await errnoOf(left), EIO);
    await scene.world.pass(60_000);
    assert.equal(await errnoOf(left), EIO, 'tried again meanwhile');
    assert.equal(scene.state, 'rebuilding');
    assert.ok(scene.alarms().includes('bad-blocks'), scene.alarms().join());
    await scene.checkWhatAnswers('incomplete');
    await writeAnew(left);
    assert.equal(await errnoOf(left), OK);
    await scene.until('optimal');
    await scene.settle('written anew');
  });
}

test('RAID 3: a write beside the sector that parity in doubt cannot make is taken', async () => {
  const left = await leftInDoubt(570, 3);
  const { scene, sector } = left;
  const beside = scene.begin(sector + 3, 1);
  assert.equal(await scene.world.until(beside.done), OK);
  const same = scene.begin(sector, 1);
  assert.equal(await scene.world.until(same.done), OK, 'this one is written, not read');
  assert.equal(await errnoOf(left), OK);
});

test('more in doubt than a rebuild may leave out: it stops, says how parity is believed, and then it is', async () => {
  const scene = await Scene.make(5, {
    seed: 575,
    limits: { logDirect: 0, unmadeStripesMax: 1, sweepStepBytes: 16 * KIB },
    legs: 0,
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  scene.crash(false);
  await world.assemble();
  assert.ok((await world.until(world.v.failDrive('0'))).ok);
  await scene.replace(0);
  await world.pass(30_000);
  assert.ok(scene.alarms().includes('rebuild-stopped'), scene.alarms().join());
  assert.match(scene.core.members.at(0).recovery?.stopped ?? '', /by force believes it/);
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  assert.equal((await world.until(world.tryAssemble(false))).ok, false);
  assert.ok((await world.until(world.tryAssemble(true))).ok);
  assert.equal(scene.core.dataInDoubt?.cause, 'forced');
  await scene.until('optimal');
  await scene.settle('by force');
});

/** d0 is lost before the resync: one chunk of one stripe exists only in its parity. */
async function lostInDoubt(seed: number): Promise<Left> {
  const left = await leftInDoubt(seed, 5, 2);
  const { scene } = left;
  const { world } = scene;
  assert.ok((await world.until(world.v.failDrive('0'))).ok);
  await world.pass(1000);
  assert.equal(scene.core.stripeLogWord, 'kept');
  return left;
}

const ends = {
  'an orderly stop': async ({ scene }: Left): Promise<void> => {
    assert.ok((await scene.world.until(scene.world.v.stop())).ok);
    scene.crash(false);
  },
  'a kill': async ({ scene }: Left): Promise<void> => scene.crash(false),
  'a power cut': async ({ scene }: Left): Promise<void> =>
    scene.crash(true, scene.world.random.next),
};

for (const [what, end] of Object.entries(ends)) {
  test(`a drive is lost before the resync, then ${what}: what only parity in doubt can make stays an error, and nothing else is`, async () => {
    const left = await lostInDoubt(580);
    const { scene } = left;
    const { world } = scene;
    const lost = await scene.checkWhatAnswers('lost');
    assert.ok(lost > 0 && lost <= scene.core.geometry.chunkBytes / SECTOR, `${lost} sectors`);
    for (let turn = 0; turn < 3; turn++) {
      // Written while it is degraded: in the bitmap, and in no doubt.
      await scene.put(0, 40);
      await scene.flush();
      await end(left);
      await world.assemble();
      assert.ok(scene.alarms().includes('data-in-doubt'), scene.alarms().join());
      assert.equal(await errnoOf(left), EIO);
      assert.equal(await scene.checkWhatAnswers('started'), lost, 'neither more nor fewer');
    }
    await writeAnew(left);
    await end(left);
    await world.assemble();
    assert.equal(await errnoOf(left), OK, 'the doubt that was ended is not found again');
    assert.ok(!scene.alarms().includes('data-in-doubt'), scene.alarms().join());
    assert.equal(await scene.checkWhatAnswers('written anew'), 0);
    await scene.replace(0);
    await scene.until('optimal');
    await scene.settle('rebuilt');
  });
}

test('a drive is lost before the resync and replaced over restarts: it is rebuilt but for what is in doubt', async () => {
  const left = await lostInDoubt(581);
  const { scene } = left;
  await ends['a kill'](left);
  await scene.world.assemble();
  await scene.replace(0);
  for (let i = 0; i < 100 && !scene.said('rebuild-incomplete'); i++) await scene.world.pass(100);
  await ends['a kill'](left);
  await scene.world.assemble();
  await scene.world.pass(30_000);
  assert.equal(await errnoOf(left), EIO);
  assert.equal(scene.state, 'rebuilding');
  await writeAnew(left);
  await scene.until('optimal');
  await scene.settle('written anew');
});

test('parity in doubt is believed by whoever starts the volume by force, and that is said', async () => {
  const left = await lostInDoubt(582);
  const { scene } = left;
  const { world } = scene;
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  assert.ok((await world.until(world.tryAssemble(true))).ok);
  assert.equal(await errnoOf(left), OK);
  assert.equal(scene.core.dataInDoubt?.cause, 'forced');
  assert.equal(scene.core.resync, null);
});

/** Killed in a replay that goes on without a leg to keep images; the legs are back at the start. */
async function replayedUnlogged(seed: number): Promise<Scene> {
  const limits = { replayStripesAtOnce: 1, replayZoneBytes: 64 * MIB, replayZoneMs: 600_000 };
  for (let ms = 1; ms < 400; ms += 7) {
    const scene = await Scene.make(5, { seed, operationMs: 1, limits });
    const { world } = scene;
    await scene.open('1');
    const { geometry } = scene.core;
    const stripeSectors = geometry.stripeStart(1 as StripeIndex) / SECTOR;
    for (let stripe = 0; stripe < geometry.stripeCount; stripe++)
      await scene.put(stripe * stripeSectors, 4);
    await scene.flush();
    for (const leg of ['leg0', 'leg1'])
      world.at(leg).intercept = ({ kind }) => (kind === 'write' || kind === 'flush' ? EIO : OK);
    scene.begin(0, 4);
    await world.pass(15);
    const { v } = world;
    await world.until(v.closeWindow({ drivePath: null, verify: 'recent', rebuild: false }));
    await world.pass(ms);
    const isIt = scene.core.mode === 'replaying' && scene.core.metadata.stripeLogWritten === 'void';
    scene.crash(true, world.random.next);
    for (const leg of ['leg0', 'leg1']) world.at(leg).intercept = null;
    if (isIt && (await world.until(world.tryAssemble(false))).ok) return scene;
  }
  assert.fail('no such moment');
}

test('killed in a replay without a log of stripes: once parity is in sync again, the labels say so', async () => {
  const scene = await replayedUnlogged(7);
  const { core } = scene;
  assert.ok(core.resync !== null, 'from the first moment on');
  for (let i = 0; i < 400 && (core.window !== null || core.resync !== null); i++)
    await scene.world.pass(100);
  await scene.until('optimal');
  assert.equal(core.stripeLogWord, 'whole');
  await scene.put(0, 8);
  await scene.flush();
  scene.crash(false);
  scene.world.at('d2').vanish();
  const started = await scene.world.until(scene.world.tryAssemble(true));
  assert.ok(started.ok);
  assert.ok(!scene.alarms().includes('data-in-doubt'), scene.alarms().join());
});
