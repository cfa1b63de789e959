/**
 * A degraded volume with one leg, and a power cut: what the leg does not give of the stripe log is looked at again. If it
 * stays away, the volume does not start but by force, and then it says what may be wrong.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene } from './scene.ts';

const BLOCK = 4 * KIB;
const WRITES = 8;

/** Drive 1 is out, some writes, and where the stripe log has their images. */
async function degraded(seed: number): Promise<{ scene: Scene; segments: number[] }> {
  const scene = await Scene.make(5, { seed, legs: 1 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  const leg = world.at('leg0');
  const segments: number[] = [];
  leg.intercept = ({ kind, offset }) => {
    if (kind === 'write') segments.push(offset);
    return 0;
  };
  // Each into a stripe of its own.
  for (let i = 0; i < WRITES; i++) await scene.put(24 * i, 4);
  leg.intercept = null;
  assert.equal(segments.length, WRITES);
  return { scene, segments };
}

test('the reads of a header fail for a moment in a start: it is read again, and everything is redone', async () => {
  for (let number = 0; number < WRITES; number++) {
    const { scene, segments } = await degraded(450 + number);
    const { world } = scene;
    scene.crash(false);
    const offset = segments[number]!;
    // Behind the long one of the fill there is one read for each look, later on two.
    const count = number === 0 ? 1 : 2;
    world.at('leg0').failReads({ offset, lengthBytes: BLOCK, errno: EIO, count });
    const started = await world.tryAssemble();
    assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
    await scene.check(`segment ${number}`);
  }
});

for (const part of ['header', 'payload'] as const) {
  test(`the ${part} of a segment cannot be read: no start but by force, and that leaves the doubt on record`, async () => {
    for (let number = 0; number < WRITES; number++) {
      const { scene, segments } = await degraded(460 + number);
      const { world } = scene;
      scene.crash(true, world.random.next);
      const offset = segments[number]! + (part === 'header' ? 0 : BLOCK);
      const leg = world.at('leg0');
      leg.failReads({ offset, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
      for (let start = 0; start < 2; start++) {
        const refused = await world.tryAssemble();
        assert.equal(refused.ok ? 'started' : refused.problem.code, 'log-damaged');
        scene.crash(false);
      }
      const forced = await world.tryAssemble(true);
      assert.ok(forced.ok, forced.ok ? '' : JSON.stringify(forced.problem));
      assert.ok(scene.alarms().includes('data-in-doubt'), scene.recent);
      await scene.put(0, scene.model.sectors);
      scene.crash(false);
      leg.clearFaults();
      assert.ok((await world.tryAssemble()).ok, 'what was told once is not owed again');
      await scene.check('written since');
    }
  });
}

test('the leg can be read again before anybody has forced a start: nothing is lost', async () => {
  const { scene, segments } = await degraded(480);
  const { world } = scene;
  scene.crash(true, world.random.next);
  const leg = world.at('leg0');
  leg.failReads({ offset: segments[0]!, lengthBytes: SECTOR, errno: EIO });
  assert.ok(!(await world.tryAssemble()).ok);
  scene.crash(false);
  leg.clearFaults();
  assert.ok((await world.tryAssemble()).ok);
  await scene.check('read again');
});

test('a bad block in the stripe log keeps no volume from starting in which no stripe was under way', async () => {
  const { scene, segments } = await degraded(490);
  const { world } = scene;
  await world.until(world.v.stop());
  scene.crash(false);
  const bad = { offset: segments[0]!, lengthBytes: SECTOR, errno: EIO } as const;
  world.at('leg0').failReads(bad);
  assert.ok((await world.tryAssemble()).ok, 'stopped');
  assert.ok(!scene.alarms().includes('data-in-doubt'), scene.alarms().join());
  await scene.check('stopped');
});

test('a bad block in the stripe log does not keep a frozen volume from starting', async () => {
  const scene = await Scene.make(5, { seed: 491, legs: 1 });
  const { world } = scene;
  const leg = world.at('leg0');
  const writes: number[] = [];
  leg.intercept = ({ kind, offset }) => {
    if (kind === 'write') writes.push(offset);
    return 0;
  };
  await scene.put(0, scene.model.sectors);
  leg.intercept = null;
  await scene.open('1', { allowSingleLog: true });
  await scene.put(3, 50);
  scene.crash(false);
  leg.failReads({ offset: writes[0]!, lengthBytes: SECTOR, errno: EIO });
  assert.ok((await world.tryAssemble()).ok);
  await scene.check('frozen');
  await scene.closeAndWait();
  await scene.settle('thawed');
  scene.crash(false);
  leg.clearFaults();
  assert.ok((await world.tryAssemble()).ok);
  await scene.settle('again');
});

test('a member fails in a start that has lost an image: nobody is said to have forced the start', async () => {
  const scene = await Scene.make(5, { seed: 492, legs: 1 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const leg = world.at('leg0');
  const segments: number[] = [];
  leg.intercept = ({ kind, offset }) => {
    if (kind === 'write') segments.push(offset);
    return 0;
  };
  for (let i = 0; i < 3; i++) await scene.put(24 * i, 4);
  leg.intercept = null;
  scene.crash(false);
  leg.bytes.fill(0x5a, segments[1]! + BLOCK, segments[1]! + BLOCK + SECTOR);
  // It is asked for its bitmap and its label: with all members there and an image lost nothing is redone.
  world.at('d2').failWrites({ offset: 0, lengthBytes: MIB + 64 * KIB, errno: EIO });
  assert.ok((await world.tryAssemble()).ok);
  assert.ok(scene.alarms().includes('data-in-doubt'), scene.recent);
  const told = world.events.filter((event) => event.startsWith('data-in-doubt:'));
  assert.deepEqual(
    told.map((event) => /Drive d2 failed before/.test(event)),
    [true],
    told.join(' | '),
  );
  assert.equal(scene.core.dataInDoubt?.cause, 'lost');
});

test('a bad block where nothing can be owed keeps no degraded volume from starting', async () => {
  for (const power of [false, true]) {
    const { scene } = await degraded(493);
    const { world } = scene;
    scene.crash(power, world.random.next);
    // The second half of the stripe log, which was never used.
    const offset = 64 * KIB + 2 * MIB;
    world.at('leg0').failReads({ offset, lengthBytes: SECTOR, errno: EIO });
    const started = await world.tryAssemble();
    assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
    assert.ok(!scene.alarms().includes('data-in-doubt'), scene.alarms().join());
    await scene.check('started');
  }
});

test('an image was lost, the start forced, and a window is opened over it: no later start owes it again', async () => {
  for (const power of [false, true]) {
    const { scene, segments } = await degraded(494);
    const { world } = scene;
    scene.crash(false);
    const payload = segments[3]! + BLOCK;
    world.at('leg0').overwrite(payload, world.random.bytes(SECTOR));
    const refused = await world.tryAssemble();
    assert.equal(refused.ok ? 'started' : refused.problem.code, 'log-damaged');
    scene.crash(false);
    assert.ok((await world.tryAssemble(true)).ok);
    assert.ok(scene.alarms().includes('data-in-doubt'), scene.alarms().join());
    await scene.put(0, scene.model.sectors);
    await scene.open('0', { allowDegraded: true, allowSingleLog: true });
    await scene.fill(5);
    scene.crash(power, world.random.next);
    const started = await world.tryAssemble();
    assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
    assert.equal(scene.state, 'frozen');
    await scene.fill(5);
    await scene.closeAndWait();
    await scene.settle('closed');
  }
});
