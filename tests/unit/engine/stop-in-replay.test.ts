/**
 * Found by the torture run (orderly stop while hosts write and the log is replayed): the cursor passed the whole zone
 * although its last pass had ended early, and what hosts had written meanwhile stayed in a log that nobody asked again.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { MIB, Scene } from './scene.ts';

for (const level of [1, 3, 4, 5]) {
  test(`RAID ${level}: stopped while the log is replayed and hosts write: what they wrote is there`, async () => {
    const limits = { replayStripesAtOnce: 1, replayZoneBytes: 64 * MIB, replayZoneMs: 600_000 };
    const scene = await Scene.make(level, {
      seed: 7,
      operationMs: 1,
      limits,
      memberBytes: 2 * MIB,
    });
    const { world, core } = scene;
    const stripeSectors = core.geometry.stripeStart(1 as StripeIndex) / SECTOR;
    const stripes = core.geometry.stripeCount;
    assert.ok(stripes >= 16, 'enough of them to be stopped in between');
    await scene.open('1');
    for (let stripe = 0; stripe < stripes; stripe++) await scene.put(stripe * stripeSectors, 4);
    await scene.close();
    const left = (): number => core.log?.overlay.liveSectors ?? 0;
    const half = left() / 2;
    while (left() > half) await world.pass(1);
    // Stripes that were replayed, and that the cursor has not passed: the log takes these.
    const writes = Array.from({ length: 6 }, (_, stripe) => scene.begin(stripe * stripeSectors, 4));
    await world.until(Promise.all(writes.map(({ done }) => done)));
    assert.equal(core.mode, 'replaying');
    assert.equal(core.cursor, 0);
    assert.ok((await world.until(world.v.stop())).ok);
    scene.crash(false);
    await world.assemble();
    await scene.closed();
    await scene.settle('after the stop');
  });
}
