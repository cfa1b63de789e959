/**
 * The first writes after an orderly stop with a member out: its marks have stayed, so that no write has to make one, and the
 * superblocks say "clean". No byte of any of them is on a member before all members say otherwise; a kill between the two
 * would leave copies that differ, or parity that is wrong, and nobody to look for them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeSuperblock,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET_BYTES,
} from '../../../src/core/format/superblock.ts';
import { SECTOR } from './flat-model.ts';
import { MIB, Scene } from './scene.ts';

function saysClean(scene: Scene, path: string): boolean {
  const from = SUPERBLOCK_OFFSET_BYTES;
  const read = decodeSuperblock(scene.world.at(path).bytes.slice(from, from + SUPERBLOCK_BYTES));
  assert.ok(read.kind === 'superblock');
  return read.value.resyncBytes === null;
}

for (const level of [1, 5])
  test(`level ${level}, degraded and stopped: two writes at once, none of them before the volume is called unclean`, async () => {
    const members = level === 1 ? 3 : 4;
    const scene = await Scene.make(level, { seed: 680, members, legs: 0, operationMs: 1 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    assert.ok((await world.until(world.v.failDrive('2'))).ok);
    await scene.put(4, 8);
    assert.ok((await world.until(world.v.stop())).ok);
    await world.assemble();
    const others = [0, 1].map((slot) => `d${slot}`);
    assert.ok(others.every((path) => saysClean(scene, path)));
    const { dataOffset } = scene.core.members.at(0).layout ?? { dataOffset: MIB };
    const data = (path: string): Uint8Array => world.at(path).bytes.slice(dataOffset);
    const before = new Map(others.map((path) => [path, data(path)]));
    const isWritten = (path: string): boolean =>
      Buffer.compare(data(path), before.get(path) as Uint8Array) !== 0;
    const writes = [4, 6].map((sector) =>
      world.write(sector * SECTOR, new Uint8Array(SECTOR).fill(sector)),
    );
    for (let ms = 0; ms < 100 && !others.some(isWritten); ms++) await world.pass(1);
    assert.ok(others.some(isWritten), 'a write has got to a member');
    for (const path of others) assert.ok(!saysClean(scene, path), `${path} is still called clean`);
    for (const write of writes) assert.equal(await world.until(write), 0);
  });
