/**
 * A resync after an unclean stop that meets what cannot be read: it goes on around it, says so and what to do, and ends when
 * a host has written it anew. Nobody reads made-up data there, and no drive is given up for it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { StripeIndex, VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene, windowRequest } from './scene.ts';

const BAD_AT = MIB + 24 * KIB;

/** Killed while it was written to everywhere, and no log knows of it. Who cannot read what, by the start. */
async function unclean(level: number, seed: number, bad: readonly string[]): Promise<Scene> {
  const memberBytes = MIB + (level === 1 ? 256 : 64) * KIB;
  const limits = { sweepStepBytes: 32 * KIB };
  const scene = await Scene.make(level, { seed, memberBytes, limits, legs: 0 });
  await scene.put(0, scene.model.sectors);
  scene.crash(false);
  for (const path of bad) failAt(scene, path, BAD_AT, 2 * SECTOR);
  await scene.world.assemble();
  return scene;
}

function failAt(scene: Scene, path: string, offset: number, lengthBytes: number): void {
  scene.world.at(path).failReads({ offset, lengthBytes, errno: EIO, untilWritten: true });
}

async function untilSaid(scene: Scene, kind: string): Promise<void> {
  for (let i = 0; i < 100 && !scene.said(kind); i++) await scene.world.pass(100);
  assert.ok(scene.said(kind), scene.recent);
}

/** A resync that waits for a host to write what two drives cannot read. */
async function waitingForHost(seed: number): Promise<Scene> {
  const scene = await Scene.make(5, { seed, memberBytes: MIB + 512 * KIB, legs: 0 });
  await scene.put(0, scene.model.sectors);
  scene.crash(false);
  for (const path of ['d0', 'd1']) failAt(scene, path, BAD_AT, 2 * SECTOR);
  await scene.world.assemble();
  await untilSaid(scene, 'resync-incomplete');
  return scene;
}

/** Writes all of each stripe in which something is lost. */
async function writeAnew(scene: Scene): Promise<void> {
  const { geometry } = scene.core;
  for (let sector = 0; sector < scene.model.sectors; sector++) {
    const { errno } = await scene.world.until(scene.world.read(sector * SECTOR, SECTOR));
    if (errno === 0) continue;
    const stripe = geometry.stripeOf((sector * SECTOR) as VolumeOffset);
    const sectors = (geometry.columnsOf(stripe) * geometry.dataChunks) / SECTOR;
    await scene.put(geometry.stripeStart(stripe) / SECTOR, sectors);
  }
}

for (const level of [1, 3, 5]) {
  test(`RAID ${level}: two drives cannot read one place: all the rest gets in sync, and that is said until it is written`, async () => {
    const scene = await unclean(level, 550 + level, ['d0', 'd1']);
    const { world } = scene;
    await untilSaid(scene, 'resync-incomplete');
    assert.equal(scene.state, 'resyncing');
    assert.ok(scene.alarms().includes('bad-blocks'), scene.alarms().join());
    assert.match(world.v.status().story.next, /write them anew/);
    assert.equal(scene.core.resync?.unmade.size, 1);
    const lost = await scene.checkWhatAnswers('incomplete');
    assert.ok(lost > 0 && lost <= 4, `${lost} sectors`);
    const plan = await world.until(world.v.planWindow(windowRequest('0')));
    const check = plan.ok ? plan.value.checks.find(({ id }) => id === 'WP003') : null;
    assert.match(check?.reason ?? '', /bad-blocks/);

    scene.crash(true, world.random.next);
    await world.assemble();
    for (let i = 0; i < 100 && !scene.alarms().includes('bad-blocks'); i++) await world.pass(100);
    assert.equal(await scene.checkWhatAnswers('after a power cut'), lost, 'neither more nor fewer');

    await writeAnew(scene);
    await scene.until('optimal');
    assert.ok(!scene.alarms().includes('bad-blocks'));
    await scene.settle('written anew');
  });
}

test('one drive cannot read where parity is in doubt: nothing is made of it, and all the rest gets in sync', async () => {
  const scene = await unclean(5, 560, ['d0']);
  const { world } = scene;
  const { geometry } = scene.core;
  const stripe = Math.floor((BAD_AT - MIB) / geometry.chunkBytes);
  assert.notEqual(geometry.paritySlot(stripe as never), 0, 'it is data');
  await untilSaid(scene, 'resync-incomplete');
  assert.equal(await scene.checkWhatAnswers('incomplete'), 2);
  await world.pass(60_000);
  assert.ok(scene.alarms().includes('bad-blocks'));
  assert.equal(scene.core.members.at(0).state, 'online');
  await writeAnew(scene);
  await scene.until('optimal');
  await scene.settle('written anew');
});

test('many bad sectors before parity can be believed: no drive is given up for them', async () => {
  const scene = await unclean(5, 561, []);
  scene.crash(false);
  for (let at = 0; at < 16; at++) failAt(scene, 'd0', MIB + at * 4 * KIB, SECTOR);
  await scene.world.assemble();
  await untilSaid(scene, 'resync-incomplete');
  await scene.world.pass(60_000);
  assert.equal(scene.core.members.at(0).state, 'online', scene.recent);
  await scene.checkWhatAnswers('incomplete');
  await writeAnew(scene);
  await scene.until('optimal');
  await scene.settle('written anew');
});

test('a resync that waits for a host keeps its own place in doubt over starts, and nothing that was written meanwhile', async () => {
  const scene = await waitingForHost(561);
  const { world } = scene;
  const { geometry } = scene.core;
  const half = geometry.stripeStart(Math.floor(geometry.stripeCount / 2) as StripeIndex) / SECTOR;
  for (const power of [false, true]) {
    await scene.put(half, 256);
    assert.ok(scene.core.intent.bits.setCount > 1);
    await world.pass(120_000);
    assert.equal(scene.core.intent.bits.setCount, 1, 'the one with the bad sectors');
    assert.ok(scene.alarms().includes('bad-blocks'));
    await scene.flush();
    if (power) assert.ok((await world.until(world.v.stop())).ok);
    scene.crash(power, world.random.next);
    await world.assemble();
    assert.ok(!scene.core.resync?.has((geometry.stripeCount - 1) as StripeIndex), 'not in doubt');
    for (let i = 0; i < 100 && !scene.alarms().includes('bad-blocks'); i++) await world.pass(100);
    assert.equal(scene.core.resync?.unmade.size, 1);
    const lost = await scene.checkWhatAnswers('started again');
    assert.ok(lost > 0 && lost <= 4, `${lost} sectors`);
  }
  await writeAnew(scene);
  await scene.until('optimal');
  await scene.settle('written anew');
});

test('a drive is lost while a resync waits for a host: the alarm is of what that waits for, not of what was written since', async () => {
  const scene = await waitingForHost(562);
  const { world } = scene;
  await world.pass(120_000);
  await scene.put(scene.model.sectors / 2, 256);
  assert.ok(scene.core.intent.bits.setCount > 1);
  assert.ok((await world.until(world.v.failDrive('2'))).ok);
  assert.equal(scene.core.dataInDoubt?.regions, 1);
});
