/**
 * A crash has left the copies of a mirror different, and one of them cannot be read any more, however often it is written:
 * the others are made alike all the same. What a host has seen stays when the copy that it came from is lost.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const IN_FLIGHT = 3;

for (const bad of [0, 1, 2])
  test(`three copies, cut short in a write, and copy ${bad} stays unreadable: the other two agree`, async () => {
    const scene = await Scene.make(1, { seed: 650 + bad, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    const cut = scene.model.invent(1);
    scene.model.begin(IN_FLIGHT, cut.values);
    // Marked as being written by then, and on the first of the two only.
    await world.until(world.write(IN_FLIGHT * SECTOR, cut.data.slice(), false));
    const others = [0, 1, 2].filter((slot) => slot !== bad);
    const last = world.at(`d${others[1]}`);
    const { dataOffset } = scene.core.members.at(0).layout ?? { dataOffset: MIB };
    scene.crash(false);
    for (const media of [last.bytes, last.stable])
      media.fill(7, dataOffset + IN_FLIGHT * SECTOR, dataOffset + (IN_FLIGHT + 1) * SECTOR);
    world.at(`d${bad}`).failReads({ offset: dataOffset, lengthBytes: 64 * KIB, errno: 5 });
    await world.assemble();
    await world.until(world.read(IN_FLIGHT * SECTOR, SECTOR));
    for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(100);
    const [one, two] = others.map((slot) => scene.region(slot).slice(0, 64 * KIB));
    assert.equal(Buffer.compare(one as Uint8Array, two as Uint8Array), 0, 'the copies differ');
  });
