/**
 * A mirror whose copies a crash has left different: what a read has shown is what the next one shows, also when the copy
 * that it came from is lost before the resync has come by.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OK } from '../../../src/base/errno.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const SECTORS = 16;

for (const members of [2, 3]) {
  test(`a mirror of ${members}, its resync slow: what a read has shown is there when the first copy is lost`, async () => {
    let differed = 0;
    for (let round = 0; round < 8; round++) {
      const limits = { sweepBytesPerSecond: 4 * KIB, sweepStepBytes: 4 * KIB };
      const memberBytes = MIB + 256 * KIB;
      const scene = await Scene.make(1, { seed: 600 + round, members, memberBytes, limits });
      const { world, model } = scene;
      await scene.put(0, model.sectors);
      await scene.flush();
      // The last of what the resync comes to.
      const start = model.sectors - SECTORS;
      await scene.put(start, SECTORS);
      const dataOffset = scene.core.members.at(0).layout?.dataOffset ?? 0;
      scene.crash(true, world.random.next);
      const at = dataOffset + start * SECTOR;
      const copies = [0, 1].map((slot) =>
        world.at(`d${slot}`).bytes.slice(at, at + SECTORS * SECTOR),
      );
      if (copies[0]?.some((byte, i) => byte !== copies[1]?.[i])) differed++;
      await world.assemble();
      assert.equal(scene.core.resync === null, false, 'the resync has not ended');
      const once = await world.until(world.read(start * SECTOR, SECTORS * SECTOR));
      assert.equal(once.errno, OK);
      assert.ok(scene.core.resync !== null, 'nor has it by now');
      const shown = once.data.slice();
      assert.ok((await world.until(world.v.failDrive('0'))).ok);
      const again = await world.until(world.read(start * SECTOR, SECTORS * SECTOR));
      assert.equal(again.errno, OK);
      assert.equal(Buffer.compare(again.data, shown), 0, `round ${round}: it reads otherwise`);
    }
    assert.ok(differed > 0, 'a power cut has left copies that differ');
  });
}
