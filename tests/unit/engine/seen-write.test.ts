/**
 * A read has shown a write that one copy of a mirror has by then, and nobody has answered it; the server is killed. What was
 * seen is there afterwards: the start makes the others like the copy that reads took.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const STRIPE_SECTORS = 128;
const memberBytes = 2 * MIB + 512 * KIB;

/** Reads while one copy does not get the write, kills the server, reads again. True: the first read has shown the write. */
async function seenAndKilled(scene: Scene, slow: string, sector: number): Promise<boolean> {
  const { world } = scene;
  const cut = new Uint8Array(SECTOR).fill(0xc7);
  world.at(slow).hang('write');
  // Nobody lives to see its answer.
  void world.write(sector * SECTOR, cut);
  await world.pass(1);
  const seen = await world.until(world.read(sector * SECTOR, SECTOR));
  assert.equal(seen.errno, 0);
  scene.crash(false);
  world.at(slow).release();
  await world.assemble();
  const once = await world.until(world.read(sector * SECTOR, SECTOR));
  assert.equal(Buffer.compare(once.data, seen.data), 0, `${slow} was slow, sector ${sector}`);
  for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(100);
  const later = await world.until(world.read(sector * SECTOR, SECTOR));
  assert.equal(Buffer.compare(later.data, seen.data), 0, 'after the resync');
  return Buffer.compare(seen.data, cut) === 0;
}

for (const members of [2, 3])
  test(`a mirror of ${members}: what a read has shown of a write under way outlives a kill`, async () => {
    let shown = 0;
    for (let slow = 0; slow < members; slow++)
      for (let turn = 0; turn < members; turn++) {
        const scene = await Scene.make(1, { seed: 660 + slow, members, memberBytes });
        const sector = 16 * turn * STRIPE_SECTORS + 5;
        if (sector >= scene.model.sectors) continue;
        // The region is marked as being written by then.
        await scene.put(sector, 1);
        if (await seenAndKilled(scene, `d${slow}`, sector)) shown++;
      }
    assert.ok(shown > 0, 'some read has shown the write');
  });

test('a copy that is being rebuilt has the write, and where its rebuild is goes on record later', async () => {
  const limits = { sweepBytesPerSecond: 512 * KIB, sweepStepBytes: 64 * KIB };
  for (const sector of [5, 16 * STRIPE_SECTORS + 5]) {
    const scene = await Scene.make(1, { seed: 670, memberBytes, limits });
    const { world } = scene;
    await scene.put(sector, 1);
    assert.ok((await world.until(world.v.failDrive('1'))).ok);
    await scene.replace(1);
    const { recovery } = scene.core.members.at(1);
    assert.ok(recovery !== null);
    const stripe = Math.floor(sector / STRIPE_SECTORS);
    for (let i = 0; i < 200 && recovery.cursor <= stripe; i++) await world.pass(20);
    assert.ok(recovery.saved <= stripe && recovery.cursor > stripe, 'passed, and not on record');
    await seenAndKilled(scene, 'd0', sector);
  }
});
