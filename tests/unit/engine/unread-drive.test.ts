/**
 * A drive that cannot be read at the moment in which it is given to a volume was taken for a blank one: it vanished while it
 * was looked at, was back a moment later, and what it held was written over.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../../src/core/problems.ts';
import { KIB, MIB, Scene } from './scene.ts';
import { World } from './world.ts';

const saysUnread = (outcome: Outcome<unknown>): void => {
  assert.ok(!outcome.ok, 'taken');
  const { code, detail } = outcome.problem;
  assert.deepEqual(
    [code, detail['content']],
    ['drive-has-data', 'something that could not be read'],
  );
};

/** All of its contents, before and after. */
async function staysAsItIs(scene: Scene, path: string, given: () => Promise<void>): Promise<void> {
  const medium = scene.world.at(path);
  medium.overwrite(0, new Uint8Array(64 * KIB).fill(0xa5));
  const before = Buffer.from(medium.bytes);
  medium.failReads();
  await given();
  await scene.world.pass(5_000);
  assert.ok(before.equals(medium.bytes), `${path} was written to`);
}

test('a drive whose reads fail while it is added, or named for a slot, is not taken for a blank one', async () => {
  const scene = await Scene.make(5, { seed: 414 });
  const { world } = scene;
  world.medium('other', 4 * MIB);
  await world.until(world.v.failDrive('2'));
  await staysAsItIs(scene, 'other', async () => {
    saysUnread(await world.until(world.v.addDrive('other', false, false)));
    saysUnread(await world.until(world.v.addDrive('other', true, false)));
    saysUnread(await world.until(world.v.replaceDrive('2', 'other', false)));
  });
  assert.equal(scene.state, 'degraded');
  const forced = await world.until(world.v.replaceDrive('2', 'other', true));
  assert.ok(forced.ok, 'by force it is, as before');
});

test('a former member that vanishes while it is looked at is one still when it is back', async () => {
  const scene = await Scene.make(5, { seed: 415 });
  const { world } = scene;
  await scene.fill(10);
  await world.until(world.v.failDrive('2'));
  // Superblock and both labels, each of which is read twice.
  world.at('d2').failReads({ count: 6 });
  saysUnread(await world.until(world.v.addDrive('d2', false, false)));
  const added = await world.until(world.v.addDrive('d2', false, false));
  assert.ok(added.ok, JSON.stringify(added));
  await scene.until('optimal');
  assert.equal(world.v.status().drives[2]?.path, 'd2');
  await scene.check('back in its slot');
});

test('neither is it for a leg, nor for a new volume', async () => {
  const scene = await Scene.make(5, { seed: 416 });
  const { world } = scene;
  world.at('leg0').vanish();
  await world.pass(2_500);
  world.medium('other', 16 * MIB);
  await staysAsItIs(scene, 'other', async () => {
    const request = { leg: '0', path: 'other', sizeBytes: null, force: false };
    saysUnread(await world.until(world.v.replaceLeg(request)));
  });
  for (const path of ['d1', 'leg1']) {
    const fresh = new World({ seed: 417 });
    fresh.at(path).failReads();
    await assert.rejects(fresh.create({ level: 5, chunkBytes: 4 * KIB }), /could not be read/);
  }
});
