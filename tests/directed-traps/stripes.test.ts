/** Traps of a stripe and of the replay: T1, T2, T18, T19 of the list of faults. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex, VolumeOffset } from '../../src/base/units.ts';
import { SECTOR } from '../unit/engine/flat-model.ts';
import { KIB, Scene } from '../unit/engine/scene.ts';

/** A drive is away, the log has something for every stripe, and another one has failed. */
async function twoAbsent(seed: number): Promise<Scene> {
  const scene = await Scene.make(5, { seed, operationMs: 1, members: 3 });
  await scene.fill(6);
  await scene.flush();
  await scene.open('1', { onDoubleAbsence: 'error' });
  for (let at = 3; at + 5 < scene.model.sectors; at += 16) await scene.put(at, 5);
  await scene.flush();
  assert.ok((await scene.world.until(scene.world.v.failDrive('0'))).ok);
  return scene;
}

test('T1: a kill in a replay onto a stripe that has a member absent', async () => {
  let killed = 0;
  for (let atMs = 1; atMs <= 24; atMs++) {
    const scene = await twoAbsent(atMs);
    const { world } = scene;
    await scene.close();
    await world.pass(atMs);
    if (scene.core.mode !== 'replaying') break;
    killed++;
    scene.crash(false, world.random.next);
    await world.assemble();
    await scene.closed();
    // What was on the absent drive is there as what the others make of it.
    await scene.check(`killed ${atMs} ms into the replay`);
    world.crash(false);
  }
  assert.ok(killed >= 5, `the replay was over after ${killed} kills`);
});

test('T2: a small write to a stripe whose parity a crash left in doubt', async () => {
  // Wide enough that read-modify-write would be the cheaper way.
  const scene = await Scene.make(5, {
    seed: 2,
    members: 6,
    limits: { sweepBytesPerSecond: KIB, sweepStepBytes: 4 * KIB, logDirect: 0 },
  });
  const { world } = scene;
  const stripe = 14 as StripeIndex;
  const start = scene.core.geometry.stripeStart(stripe) / SECTOR;
  await scene.put(start, 24);
  await scene.flush();
  await scene.put(start, 1);
  const { geometry, members } = scene.core;
  const { path, layout } = members.at(geometry.paritySlot(stripe));
  assert.ok(layout);
  scene.crash(false);
  // The kill came between data and parity.
  const at = layout.dataOffset + geometry.memberOffset(stripe, 0);
  world.at(path).overwrite(at, world.random.bytes(geometry.chunkBytes));
  await world.assemble();
  assert.equal(scene.state, 'resyncing');
  assert.ok(!scene.core.parityTrusted(stripe), 'the resync has not come there yet');
  await scene.put(start + 2, 1);
  const column = geometry.memberOffset(stripe, 2 * SECTOR);
  const sum = new Uint8Array(SECTOR);
  for (let slot = 0; slot < geometry.members; slot++) {
    const chunk = scene.region(slot).subarray(column, column + SECTOR);
    for (let i = 0; i < SECTOR; i++) sum[i] = (sum[i] as number) ^ (chunk[i] as number);
  }
  assert.ok(
    sum.every((byte) => byte === 0),
    'parity was made from the parity that is in doubt',
  );
  await scene.check('in doubt');
});

/** In replay, slowly, zone by zone, with the log full of news for the whole volume. */
async function inReplay(seed: number): Promise<Scene> {
  const scene = await Scene.make(5, {
    seed,
    operationMs: 1,
    limits: { replayZoneBytes: 16 * KIB, replayStripesAtOnce: 1 },
  });
  const { sectors } = scene.model;
  for (let at = 0; at < sectors; at += 64) await scene.put(at, 64);
  await scene.flush();
  await scene.open('2');
  for (let at = 0; at < sectors; at += 32) await scene.put(at, 24);
  await scene.close();
  return scene;
}

test('T18: reads while the log is replayed, before and behind the cursor', async () => {
  const scene = await inReplay(18);
  const { world, model } = scene;
  let reads = 0;
  for (; scene.core.mode === 'replaying'; reads++) {
    const start = (reads * 37) % (model.sectors - 8);
    await scene.check(`read ${reads}`, start, 8);
    await world.pass(1);
  }
  assert.ok(reads > 20, `${reads} reads`);
  await scene.settle('after the replay');
});

test('T19: zeroes over what the log has not replayed yet', async () => {
  const scene = await inReplay(19);
  const { world, model, core } = scene;
  const how = { fua: false, noHole: false, fast: false };
  const zero = async (start: number, sectors: number): Promise<void> => {
    const values = new Array<number>(sectors).fill(0);
    model.begin(start, values);
    const done = world.v.zero((start * SECTOR) as VolumeOffset, sectors * SECTOR, how);
    assert.equal(await world.until(done), 0);
    model.answered(start, values, false);
  };
  await zero(model.sectors - 30, 9);
  await zero(model.sectors - 120, 60);
  assert.equal(core.mode, 'replaying', 'the zeroes came before the cursor');
  await scene.check('in replay', model.sectors - 128, 128);
  await scene.closed();
  await scene.settle('after the replay');
});
