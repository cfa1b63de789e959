/**
 * A mirror is killed in a write that only one copy has, and one of the copies is being rebuilt and has passed the place: the
 * resync makes them alike. Nothing that was rebuilt is made again for it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

/** A few seconds for the rebuild, on record every half of one. */
const limits = { sweepStepBytes: 4 * KIB, sweepBytesPerSecond: 128 * KIB, checkpointMs: 500 };

/** In the first stripe, which the rebuild has passed. */
const IN_FLIGHT = 3;

for (const slot of [0, 1]) {
  for (const reached of ['new', `d${1 - slot}`]) {
    test(`a mirror, slot ${slot} being rebuilt, is killed in a write that only ${reached} has: the copies are made alike`, () =>
      killedInWrite(slot, reached, false));
    test(`a mirror, slot ${slot} being rebuilt, is killed in a write that only ${reached} has: what is read stays`, () =>
      killedInWrite(slot, reached, true));
  }
}

async function killedInWrite(slot: number, reached: string, isRead: boolean): Promise<void> {
  const memberBytes = MIB + 512 * KIB;
  const scene = await Scene.make(1, { seed: 640 + slot, memberBytes, limits, legs: 0 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive(`${slot}`))).ok);
  await scene.replace(slot, 'new');
  await world.pass(2_500);
  const saved = scene.core.members.at(slot).recovery?.saved ?? 0;
  assert.ok(saved > 0, 'part of it is on record');
  const cut = scene.model.invent(1);
  scene.model.begin(IN_FLIGHT, cut.values);
  scene.crash(false);
  const drive = world.at(reached);
  // The same on all members.
  const at = MIB + IN_FLIGHT * SECTOR;
  for (const media of [drive.bytes, drive.stable]) media.set(cut.data, at);

  await world.assemble();
  const { core } = scene;
  assert.equal(core.members.at(slot).layout?.dataOffset, MIB);
  assert.equal(core.members.at(slot).state, 'rebuilding');
  assert.ok((core.members.at(slot).recovery?.cursor ?? 0) >= saved, 'it goes on where it was');
  // A read makes the copies alike by itself.
  const before = isRead ? await world.until(world.read(IN_FLIGHT * SECTOR, SECTOR)) : null;
  for (let i = 0; i < 100 && !scene.said('resync-done'); i++) await world.pass(100);
  assert.ok(scene.said('resync-done'), scene.recent);
  const [first, second] = [0, 1].map((one) => scene.region(one).slice(0, 64 * KIB));
  assert.ok(Buffer.compare(first as Uint8Array, second as Uint8Array) === 0, 'copies differ');
  const after = await world.until(world.read(IN_FLIGHT * SECTOR, SECTOR));
  if (before !== null) assert.deepEqual(after, before, 'what was read once stays');
  await scene.until('optimal');
  await scene.settle('rebuilt');
}
