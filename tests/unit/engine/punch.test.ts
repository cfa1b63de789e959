/** Zeroes over whole stripes where a drive cannot punch, or not this time. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, ENOTSUP, OK } from '../../../src/base/errno.ts';
import type { VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const how = { noHole: false, fua: false, fast: false } as const;

for (const level of [1, 3, 5]) {
  for (const errno of [ENOTSUP, EIO]) {
    test(`RAID ${level}: one drive of several does not punch (errno ${errno}), and nobody sees half a stripe`, async () => {
      const scene = await Scene.make(level, { seed: 400 + level, memberBytes: MIB + 192 * KIB });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.flush();
      let asked = 0;
      world.at('d1').intercept = ({ kind }) => {
        if (kind !== 'punch' || asked > 0) return OK;
        asked++;
        return errno;
      };
      const zeroBytes = 2 * scene.core.geometry.stripeDataBytes;
      const zeroed = world.v.zero(0 as VolumeOffset, zeroBytes, how);
      const reads = Array.from({ length: 32 }, () => world.read(0, SECTOR));
      assert.equal(await world.until(zeroed), OK);
      for (const read of reads) assert.equal((await world.until(read)).errno, OK);
      assert.equal(asked, 1, 'it was asked to');
      assert.ok(!scene.said('parity-mismatch'), scene.recent);
      assert.equal(scene.state, 'optimal');
      const { data } = await world.until(world.read(0, zeroBytes));
      assert.ok(data.every((byte) => byte === 0));
      assert.ok((await world.until(world.v.startScrub(false))).ok);
      for (let i = 0; i < 100 && scene.core.scrubJob?.running === true; i++) await world.pass(100);
      assert.equal(scene.core.scrubJob?.mismatches, 0);
    });
  }
}
