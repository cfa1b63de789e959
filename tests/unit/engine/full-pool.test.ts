/** Clients have filled the buffer pool as far as they may: whoever is served goes on, whatever it needs beside that. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Address, VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const PAYLOAD_BYTES = 64 * KIB;

/** The payloads of as many requests as the pool admits. */
function fillPool(scene: Scene): Address[] {
  const { buffers } = scene.world;
  const taken: Address[] = [];
  for (;;) {
    const address = buffers.take(PAYLOAD_BYTES, 'client');
    if (address === 0) return taken;
    buffers.bytes.fill(0x11, address, address + PAYLOAD_BYTES);
    taken.push(address);
  }
}

for (const level of [1, 3, 5]) {
  for (const chunkBytes of [4 * KIB, 64 * KIB]) {
    if (level !== 5 && chunkBytes !== 4 * KIB) continue;
    const of = level === 5 ? `RAID 5 of ${chunkBytes / KIB} KiB` : `RAID ${level}`;
    test(`${of}: a pool full of reads and writes of bytes that are no whole sectors: all of them are answered`, async () => {
      const memberBytes = MIB + 256 * KIB;
      const scene = await Scene.make(level, { seed: 630 + level, memberBytes, chunkBytes });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      const before = (await world.until(world.read(0, 256 * SECTOR))).data;
      for (const state of ['direct', 'frozen'] as const) {
        if (state === 'frozen') await scene.open('1');
        const payloads = fillPool(scene);
        assert.ok(payloads.length > 20, `${payloads.length} payloads`);
        const bytes = PAYLOAD_BYTES - 7;
        const answers = payloads.map((address, i) => {
          const offset = (3 + (i % 2) * 1_000) as VolumeOffset;
          const answer =
            i % 3 === 0
              ? world.v.read(offset, address, bytes)
              : world.v.write(offset, address, bytes, false);
          return answer.finally(() => world.buffers.give(address));
        });
        const errnos = await world.until(Promise.all(answers));
        assert.deepEqual([...new Set(errnos)], [0], state);
      }
      before.fill(0x11, 3, 1_003 + PAYLOAD_BYTES - 7);
      const { errno, data } = await world.until(world.read(0, 256 * SECTOR));
      assert.equal(errno, 0);
      assert.equal(Buffer.compare(before, data), 0, 'what was written, and nothing beside it');
    });
  }
}

test('all members take a label while the pool has a buffer for each and no other: nobody who holds one waits for another', async () => {
  const scene = await Scene.make(5, { seed: 640, operationMs: 1 });
  const { world } = scene;
  const { buffers } = world;
  const { metadata, members } = scene.core;
  const present = members.present();
  // As after a write of a label that came to nothing: where the newest one lies has to be looked up.
  for (const { drive } of present) if (drive !== null) metadata.noteCopy(drive, undefined);
  const kept = present.map(() => buffers.take(16 * KIB, 'engine'));
  const rest: Address[] = [];
  for (;;) {
    const address = buffers.take(4 * KIB, 'engine');
    if (address === 0) break;
    rest.push(address);
  }
  for (const address of kept) buffers.give(address);
  await world.until(metadata.commit());
  for (const address of rest) buffers.give(address);
  await scene.put(0, 8);
});
