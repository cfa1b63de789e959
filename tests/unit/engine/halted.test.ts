/**
 * A write that halts the volume leaves its stripe as it is: some members have it and one does not, on no record, so that
 * the members can be put together again. Nothing that was waiting for that stripe may believe what it finds there.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, OK } from '../../../src/base/errno.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene, SMALL_MEMBER_BYTES } from './scene.ts';

/** Its labels can still be written. */
const DATA_BYTES = SMALL_MEMBER_BYTES - MIB;

/** Drive 1 is out, and drive 2 is about to miss a write. */
async function degraded(level: number, seed: number): Promise<Scene> {
  const limits = { sweepStepBytes: 4 * KIB, checkpointMs: 1 };
  const scene = await Scene.make(level, { seed, operationMs: 1, limits });
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await scene.world.until(scene.world.v.failDrive('1'))).ok);
  return scene;
}

for (const level of [3, 4, 5]) {
  test(`RAID ${level}: a read that waited behind the write is answered with the truth or an error`, async () => {
    let refused = 0;
    const scene = await degraded(level, 400 + level);
    const { world } = scene;
    world.at('d2').failWrites({ offset: MIB, lengthBytes: DATA_BYTES, errno: EIO });
    const write = scene.begin(0, 24);
    const reads = Array.from({ length: 24 }, async (_, sector) => {
      const { errno, data } = await world.read(sector * SECTOR, SECTOR);
      if (errno === 0) scene.model.check(sector, data, 'behind the write');
      else refused++;
    });
    await world.until(Promise.all(reads));
    assert.notEqual(await world.until(write.done), 0);
    assert.ok(scene.core.halted, scene.recent);
    assert.ok(refused > 0);
  });

  test(`RAID ${level}: a rebuild does not make a chunk of the stripe, and a start finds none`, async () => {
    let halted = 0;
    for (let afterMs = 0; afterMs < 120; afterMs += 6) {
      const scene = await degraded(level, 410 + level);
      const { world } = scene;
      await scene.replace(1, 'new');
      await world.pass(afterMs);
      if (scene.state !== 'rebuilding') break;
      world.at('d2').failWrites({ offset: MIB, lengthBytes: DATA_BYTES, errno: EIO });
      // Far behind the rebuild.
      const write = scene.begin(scene.model.sectors - 24, 24);
      await world.until(write.done);
      await world.pass(1_000);
      const where = `${afterMs} ms after the rebuild began`;
      halted += scene.core.halted ? 1 : 0;
      world.at('d2').clearFaults();
      scene.crash(false, () => 0);
      await world.assemble();
      await scene.checkWhatAnswers(where);
      await scene.settle(where);
    }
    assert.ok(halted > 3, `halted ${halted} times`);
  });
}

test('a degraded volume whose drive takes no writes halts at each start, and starts when the drive is well again', async () => {
  const scene = await degraded(5, 440);
  const { world } = scene;
  await world.until(world.v.stop());
  scene.crash(false, world.random.next);
  for (let start = 0; start < 3; start++) {
    world.at('d2').failWrites({ errno: EIO });
    const halts = await world.tryAssemble();
    assert.equal(halts.ok ? scene.core.mode : halts.problem.code, 'halted', `start ${start}`);
    scene.crash(false, world.random.next);
  }
  world.at('d2').clearFaults();
  const started = await world.tryAssemble();
  assert.equal(started.ok ? 'started' : started.problem.code, 'started');
  await scene.check('after three starts that halted');
});

for (const level of [3, 4, 5]) {
  test(`RAID ${level}: a drive is taken out while a write without images fails on another: no label calls the stripe log good`, async () => {
    let refused = 0;
    for (let afterMs = 0; afterMs < 12; afterMs++) {
      const limits = { logDirect: 0 };
      const scene = await Scene.make(level, { seed: 450 + level, operationMs: 2, limits });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.flush();
      // Data of it lies on that drive, on others, and in the parity.
      world.at('d1').failWrites({ offset: MIB, lengthBytes: DATA_BYTES, errno: EIO });
      const write = scene.begin(0, 12);
      await world.pass(afterMs);
      await world.until(world.v.failDrive('0'));
      await world.until(write.done);
      world.at('d1').clearFaults();
      scene.crash(true, () => 0);
      const where = `${afterMs} ms after the write began`;
      const started = await world.tryAssemble();
      if (started.ok) await scene.checkWhatAnswers(where);
      else {
        assert.equal(started.problem.code, 'dirty-and-degraded', where);
        refused++;
      }
    }
    assert.ok(refused > 0, 'the drive was taken out in the middle of the write');
  });
}

/** Killed in a write, drive 1 out. At the next start a leg is not there, and drive 2 takes no write after so many. */
async function killedDegraded(level: number, writes: number): Promise<Scene> {
  const scene = await degraded(level, 460 + level);
  const { world } = scene;
  scene.begin(64, 24);
  await world.pass(6);
  scene.crash(false);
  world.at('leg1').vanish();
  let left = writes;
  world.at('d2').intercept = ({ kind }) => (kind === 'write' && left-- <= 0 ? EIO : OK);
  return scene;
}

for (const level of [3, 5]) {
  test(`RAID ${level}: a leg is to be replaced in a volume that a start has halted: the drive that it needs does not become an older copy`, async () => {
    let halted = 0;
    for (let writes = 0; ; writes++) {
      const scene = await killedDegraded(level, writes);
      const { world } = scene;
      const started = await world.tryAssemble();
      if (started.ok && !scene.core.halted) break;
      if (started.ok) {
        halted++;
        world.medium('new', world.at('leg1').sizeBytes);
        const request = { leg: '1', path: 'new', sizeBytes: null, force: false };
        const replaced = await world.until(world.v.replaceLeg(request));
        assert.equal(replaced.ok ? 'replaced' : replaced.problem.code, 'volume-wrong-state');
      }
      scene.crash(false);
      world.at('d2').intercept = null;
      const next = await world.tryAssemble();
      const where = `after ${writes} writes`;
      assert.equal(next.ok ? 'started' : next.problem.code, 'started', where);
      await scene.check(where);
    }
    assert.ok(halted > 3, `halted ${halted} times`);
  });
}

test('the volume halts while a leg is copied: no label makes that leg count, and the next start goes without it', async () => {
  const scene = await degraded(5, 470);
  const { world } = scene;
  world.at('leg1').vanish();
  await world.pass(3_000);
  world.medium('new', world.at('leg1').sizeBytes);
  world.logPaths.push('new');
  const request = { leg: '1', path: 'new', sizeBytes: null, force: false };
  const replacing = world.v.replaceLeg(request);
  await world.pass(20);
  world.at('d2').failWrites({ errno: EIO });
  const write = scene.begin(0, 24);
  const replaced = await world.until(replacing);
  assert.notEqual(await world.until(write.done), 0);
  assert.ok(scene.core.halted, scene.recent);
  assert.equal(replaced.ok ? 'replaced' : replaced.problem.code, 'leg-unrecorded');
  scene.crash(false);
  world.at('d2').clearFaults();
  await world.assemble();
  assert.deepEqual(scene.core.log?.legPaths, ['leg0']);
  await scene.check('started again');
});
