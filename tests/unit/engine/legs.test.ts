/**
 * What can happen to the legs of the log while a window is open, one accident a test. What was acknowledged since the
 * freeze is in the log and nowhere else.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { MemoryMedium } from '../../../src/io/memory-drive.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene, type SceneOptions } from './scene.ts';

const wide: SceneOptions = { memberBytes: MIB + 256 * KIB, chunkBytes: 8 * KIB };

/** Data, a window on drive 1, more data. */
async function inWindow(options: SceneOptions = {}, level = 5): Promise<Scene> {
  const scene = await Scene.make(level, options);
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  await scene.fill(20);
  return scene;
}

/** The problem code of a start that is to be refused, with what it says. */
async function refusedStart(scene: Scene): Promise<{ code: string; detail: string }> {
  const outcome = await scene.world.tryAssemble();
  if (outcome.ok) return { code: 'not refused', detail: '' };
  return { code: outcome.problem.code, detail: JSON.stringify(outcome.problem.detail) };
}

/** The volume is put together from these legs only. */
function withLegs(scene: Scene, ...paths: string[]): void {
  scene.world.logPaths.splice(0, scene.world.logPaths.length, ...paths);
}

const accidents: [string, (leg: MemoryMedium) => void][] = [
  ['does not take writes', (leg) => leg.failWrites({ errno: EIO })],
  ['does not take a flush', (leg) => leg.failFlush({ errno: EIO, count: 1 })],
  ['is pulled out', (leg) => leg.vanish()],
  ['hangs', (leg) => leg.hang('write', 'flush')],
];

for (const [what, befall] of accidents) {
  for (const power of [false, true]) {
    test(`one leg ${what}: everything goes on, and after a ${power ? 'power cut' : 'kill'} the other has it all`, async () => {
      const scene = await inWindow({ seed: 31 });
      const { world } = scene;
      befall(world.at('leg0'));
      await scene.fill(20);
      await scene.flush();
      await world.pass(2_000);
      assert.ok(scene.said('leg-failed'), scene.recent);
      assert.ok(scene.alarms().includes('leg-lost'), scene.alarms().join());
      assert.equal(scene.state, 'frozen');
      assert.equal(scene.core.window?.recall, true, 'the drive is wanted back');
      assert.equal(world.v.status().log?.state, 'degraded');
      await scene.check('one leg');
      await scene.fill(10);
      if (power) await scene.flush();
      scene.crash(power);
      withLegs(scene, 'leg1');
      await world.assemble();
      assert.equal(scene.state, 'frozen');
      await scene.check('with the survivor alone');
      await scene.fill(5);
      await scene.closeAndWait();
      await scene.settle('after the return');
    });
  }

  test(`one leg ${what}: afterwards it is refused as the only one, and left alone beside the other`, async () => {
    const scene = await inWindow({ seed: 32 });
    const { world } = scene;
    const leg = world.at('leg0');
    befall(leg);
    await scene.fill(20);
    await scene.flush();
    leg.release();
    leg.clearFaults();
    leg.reappear();
    scene.crash(false);
    withLegs(scene, 'leg0');
    const { code, detail } = await refusedStart(scene);
    assert.equal(code, 'log-stale', detail);
    withLegs(scene, 'leg0', 'leg1');
    await world.assemble();
    await scene.check('both given');
    assert.deepEqual(
      world.v
        .status()
        .log?.legs.map(({ state }) => state)
        .sort(),
      ['failed', 'online'],
    );
    await scene.closeAndWait();
    await scene.settle('both given');
  });
}

test('sectors of one leg cannot be read: the other is asked, also in replay', async () => {
  const scene = await inWindow({ seed: 33 });
  scene.world.at('leg0').failReads({ errno: EIO });
  await scene.check('leg 0 unreadable');
  await scene.closeAndWait();
  await scene.settle('leg 0 unreadable');
});

test('records of one leg rot while the server is down: the other has them', async () => {
  const scene = await inWindow({ seed: 34 });
  const { world } = scene;
  await scene.flush();
  scene.crash(false);
  const leg = world.at('leg1');
  for (let at = 5 * MIB; at < leg.sizeBytes; at += 64 * KIB)
    leg.overwrite(at, new Uint8Array(24 * KIB).fill(0x5a));
  await world.assemble();
  await scene.check('one leg rotten');
  await scene.closeAndWait();
  await scene.settle('one leg rotten');
});

test('a leg of another volume is refused by name', async () => {
  const scene = await inWindow({ seed: 35 });
  const other = await Scene.make(5, { seed: 36 });
  await other.world.until(other.world.v.stop());
  scene.crash(false);
  scene.world.media.set('foreign', other.world.at('leg0').clone());
  withLegs(scene, 'foreign', 'leg1');
  assert.equal((await refusedStart(scene)).code, 'log-foreign');
  withLegs(scene, 'leg0', 'leg1');
  await scene.world.assemble();
  await scene.check('own legs');
});

test('no leg is given while a window is open: no start, and it says what is missing', async () => {
  const scene = await inWindow({ seed: 37 });
  scene.crash(false);
  withLegs(scene);
  const { code, detail } = await refusedStart(scene);
  assert.equal(code, 'log-missing');
  assert.match(detail, /[0-9a-f]{8}/, 'the missing legs are named');
  withLegs(scene, 'leg0', 'leg1');
  await scene.world.assemble();
  await scene.check('legs found');
});

for (const leg of ['leg0', 'leg1']) {
  test(`only ${leg} is found at start: it is enough, and the other is out from then on`, async () => {
    const scene = await inWindow({ seed: 38 });
    scene.crash(false);
    withLegs(scene, leg);
    await scene.world.assemble();
    assert.equal(scene.state, 'frozen');
    await scene.check('one leg found');
    await scene.fill(10);
    await scene.flush();
    assert.ok(scene.alarms().includes('leg-lost'));
    scene.crash(true);
    withLegs(scene, leg === 'leg0' ? 'leg1' : 'leg0');
    assert.equal((await refusedStart(scene)).code, 'log-stale', 'the one that was not there');
    withLegs(scene, 'leg0', 'leg1');
    await scene.world.assemble();
    await scene.check('both again');
  });
}

test('a leg of before the window, restored: alone it is refused, beside the other it is not used', async () => {
  const scene = await Scene.make(5, { seed: 39 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const before = world.at('leg0').snapshot();
  await scene.open('1');
  await scene.fill(20);
  await scene.flush();
  scene.crash(false);
  world.at('leg0').restore(before);
  withLegs(scene, 'leg0');
  assert.equal((await refusedStart(scene)).code, 'log-stale');
  withLegs(scene, 'leg0', 'leg1');
  await world.assemble();
  await scene.check('older epoch beside the current one');
  await scene.closeAndWait();
  await scene.settle('older epoch beside the current one');
});

test('a leg rolled back to earlier in the window, the other current: nothing is lost', async () => {
  const scene = await inWindow({ seed: 40 });
  const { world } = scene;
  await scene.flush();
  const earlier = world.at('leg0').snapshot();
  await scene.fill(20);
  await scene.flush();
  scene.crash(false);
  world.at('leg0').restore(earlier);
  await world.assemble();
  await scene.check('one leg rolled back');
  await scene.fill(10);
  scene.crash(false);
  withLegs(scene, 'leg0');
  const alone = await world.tryAssemble();
  if (alone.ok) await scene.check('the leg that was rolled back and repaired, alone');
  else assert.equal(alone.problem.code, 'log-stale');
});

test('both legs rolled back to earlier in the window, the labels newer: refused', async () => {
  const scene = await inWindow({ seed: 41 });
  const { world } = scene;
  await scene.flush();
  const earlier = ['leg0', 'leg1'].map((path) => world.at(path).snapshot());
  await scene.fill(20);
  await scene.flush();
  await world.pass(61_000);
  scene.crash(false);
  world.at('leg0').restore(earlier[0] as never);
  world.at('leg1').restore(earlier[1] as never);
  assert.equal((await refusedStart(scene)).code, 'log-stale');
});

test('no leg can be written, no second failure: the volume goes on without the drive by itself', async () => {
  const scene = await inWindow({ seed: 42, ...wide });
  const { world } = scene;
  for (const path of ['leg0', 'leg1']) world.at(path).failWrites({ errno: EIO });
  const held = scene.begin(0, 16);
  await world.pass(0);
  assert.equal(held.answered, false, 'not acknowledged by nobody');
  assert.equal(await world.until(held.done), 0);
  await scene.closed();
  assert.ok(scene.said('window-thawing'), scene.recent);
  assert.equal(scene.state, 'degraded');
  assert.equal(world.v.status().writeHole, 'open');
  await scene.check('without a log');
  await scene.fill(10);
  await scene.check('without a log, after more writes');
});

test('no leg can be written and a second drive has failed: writes are held, reads go on, the return frees them', async () => {
  const scene = await inWindow({ seed: 43, ...wide });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('3'));
  for (const path of ['leg0', 'leg1']) world.at(path).failWrites({ errno: EIO });
  const held = scene.begin(0, 16);
  await world.pass(20_000);
  assert.equal(held.answered, false);
  assert.equal(scene.state, 'suspended');
  assert.equal(scene.core.window?.state, 'open', 'never thawed');
  await scene.check('the rest, from the log', 16, scene.model.sectors - 16);
  await scene.close();
  assert.equal(await world.until(held.done), 0);
  await scene.closed();
  await scene.check('after the return');
});

test('no leg can be written, then the server is killed: with the legs writable again nothing is lost', async () => {
  const scene = await inWindow({ seed: 44, ...wide });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  world.at('leg0').failWrites({ errno: EIO });
  await scene.fill(10);
  world.at('leg1').failWrites({ errno: EIO });
  scene.begin(0, 16);
  await world.pass(5_000);
  assert.equal(scene.state, 'suspended');
  scene.crash(false);
  for (const path of ['leg0', 'leg1']) world.at(path).clearFaults();
  await world.assemble();
  assert.equal(scene.state, 'frozen');
  await scene.closeAndWait();
  await scene.check('after both legs had failed');
});

test('no leg can be written and several writes are held: the replay that frees them comes to its end', async () => {
  // Each that was refused again woke the others, in turns, and nothing else of the server ever ran.
  const scene = await inWindow({ seed: 46, ...wide, operationMs: 5 });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  for (const path of ['leg0', 'leg1']) world.at(path).failWrites({ errno: EIO });
  // Of one stripe and of several: so that they are not refused in step.
  const end = scene.model.sectors;
  const held = [1, 2, 3, 4].map((stripes, host) =>
    scene.begin(end - (host + 1) * 240, stripes * 48 - 8),
  );
  await world.pass(20_000);
  assert.ok(held.every(({ answered }) => !answered));
  await scene.close();
  for (const { done } of held) assert.equal(await world.until(done), 0);
  await scene.closed();
  await scene.check('after the return');
});

test('what both legs cannot read stops the replay, until a host writes it anew: then it goes on by itself', async () => {
  const scene = await inWindow({ seed: 95 });
  const { world } = scene;
  await scene.put(8, 1);
  for (const leg of ['leg0', 'leg1']) world.at(leg).failReads();
  await scene.close();
  await world.pass(30_000);
  assert.ok(scene.alarms().includes('replay-stopped'), scene.recent);
  assert.equal(world.events.filter((event) => event.startsWith('replay-stopped')).length, 1);
  for (let at = 0; at < scene.model.sectors; at += 64) await scene.put(at, 64);
  await world.pass(30_000);
  assert.ok(scene.alarms().includes('replay-stopped'), 'that cannot be read either');
  for (const leg of ['leg0', 'leg1']) world.at(leg).clearFaults();
  await scene.closed();
  assert.ok(!scene.alarms().includes('replay-stopped'));
  await scene.settle('replayed after all');
});

test('one record that no leg can read stops the replay: where is said, and that written anew it goes on', async () => {
  const scene = await inWindow({ seed: 97 });
  const { world } = scene;
  await scene.put(8, 2);
  scene.core.log?.overlay.forEachPiece(8, 2, (_start, sectors, _kind, location) => {
    const range = { offset: location * SECTOR, lengthBytes: sectors * SECTOR };
    for (const leg of ['leg0', 'leg1']) world.at(leg).failReads(range);
  });
  await scene.close();
  await world.pass(30_000);
  const place = /(\d+) bytes at byte (\d+) of the volume can be read on no leg/;
  const [, bytes, at] = (place.exec(world.v.status().story.why) ?? []).map(Number);
  assert.deepEqual({ bytes, at }, { bytes: 2 * SECTOR, at: 8 * SECTOR }, scene.recent);
  assert.match(scene.recent, place);
  await scene.put(8, 2);
  await scene.closed();
  await scene.settle('written anew');
});

test('the log is full and no leg can read a record of it: what it cannot take is refused until the replay goes on', async () => {
  const scene = await inWindow({ seed: 98, ...wide });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  // The other failure keeps the window open, so that the log really fills.
  await world.until(world.v.failDrive('3'));
  await fillLog(scene, 95);
  let held = scene.begin(0, 64);
  for (let i = 0; i < 4_000; i++) {
    await world.pass(0);
    await new Promise((resolve) => setImmediate(resolve));
    if (!held.answered) break;
    held = scene.begin((i % 8) * 64, 64);
  }
  assert.ok(!held.answered, 'full');
  for (const leg of ['leg0', 'leg1']) world.at(leg).failReads();
  await scene.close();
  assert.equal(await world.until(held.done), EIO);
  assert.equal(await world.until(scene.begin(64, 64).done), EIO);
  const how = { fua: false, noHole: false, fast: false };
  const zero = (): Promise<number> => world.until(world.v.zero(0 as never, 64 * SECTOR, how));
  let errno = await zero();
  // A record without payload: the last blocks take some.
  for (let i = 0; i < 100 && errno === 0; i++) errno = await zero();
  assert.equal(errno, EIO);
  assert.notEqual(scene.state, 'suspended');
  assert.match(world.v.status().story.next, /refused once it is full/);
  for (const leg of ['leg0', 'leg1']) world.at(leg).clearFaults();
  await scene.closed();
  await scene.check('gone on', 64, scene.model.sectors - 64);
});

test('no leg can be written, and the replay cannot read them: what cannot be taken is refused, and not held for ever', async () => {
  const scene = await inWindow({ seed: 96 });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  for (const leg of ['leg0', 'leg1']) world.at(leg).vanish();
  const held = scene.begin(0, 8);
  await scene.close();
  assert.equal(await world.until(held.done), EIO);
  assert.ok(scene.alarms().includes('replay-stopped'), scene.recent);
  assert.match(world.v.status().story.next, /Bring the legs back/);
});

/** Writes until the log is at least this full. */
async function fillLog(scene: Scene, percent: number): Promise<void> {
  const sectors = Math.min(256, scene.model.sectors);
  for (let i = 0; i < 1_000; i++) {
    const log = scene.world.v.status().log;
    assert.ok(log);
    if ((log.usedBytes * 100) / log.capacityBytes >= percent) return;
    await scene.put(scene.world.random.below(scene.model.sectors - sectors + 1), sectors);
  }
  assert.fail('the log does not fill');
}

test('the log fills, no second failure: said at 70 and 85 %, gone on without the drive at 95 %', async () => {
  const scene = await inWindow({ seed: 45, ...wide });
  const { world } = scene;
  await fillLog(scene, 70);
  await world.pass(1_500);
  assert.ok(scene.said('log-70') && !scene.said('log-85'), scene.recent);
  assert.equal(scene.core.window?.recall, false);
  await fillLog(scene, 85);
  await world.pass(1_500);
  assert.ok(scene.said('log-85') && !scene.said('log-95'), scene.recent);
  assert.equal(scene.core.window?.recall, true);
  assert.ok(scene.alarms().includes('recall'));
  assert.equal(scene.core.window?.state, 'open');
  await fillLog(scene, 95);
  await world.pass(1_500);
  await scene.closed();
  assert.equal(scene.state, 'degraded');
  await scene.check('thawed');
  const added = await world.until(world.v.addDrive('d1', false, false));
  assert.ok(added.ok, JSON.stringify(added));
  await scene.until('optimal');
  await scene.settle('the drive came back late');
});

for (const writers of [1, 8]) {
  test(`the log is full with ${writers} writers at once, no second failure: held writes are answered after the thaw`, async () => {
    const scene = await inWindow({ seed: 46, ...wide });
    const { world } = scene;
    await fillLog(scene, 90);
    const width = Math.floor(scene.model.sectors / 8);
    // More than what is left, before the ticker has had a look.
    const all = [];
    for (let round = 0; round < (writers === 1 ? 24 : 4); round++) {
      for (let writer = 0; writer < writers; writer++) all.push(scene.begin(writer * width, width));
      for (const { done } of all.slice(-writers)) assert.equal(await world.until(done), 0);
    }
    await scene.closed();
    await scene.check('after the thaw');
  });
}

test('the log is full and a second drive has failed: writes are held, reads go on, never thawed, freed by the return', async () => {
  const scene = await inWindow({ seed: 47, ...wide });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('0'));
  await fillLog(scene, 95);
  const held: ReturnType<Scene['begin']>[] = [];
  const width = 64;
  for (let i = 0; i < 4_000 && !held.some(({ answered }) => !answered); i++) {
    const write = scene.begin((i % 8) * width, width);
    await world.pass(0);
    await new Promise((resolve) => setImmediate(resolve));
    if (!write.answered) held.push(write);
  }
  assert.equal(held.length, 1);
  for (let i = 1; i < 4; i++) {
    const write = scene.begin(1024 + i * width, width);
    held.push(write);
  }
  await world.pass(120_000);
  assert.ok(
    held.every(({ answered }) => !answered),
    'held for as long as it takes',
  );
  assert.equal(scene.state, 'suspended');
  assert.ok(scene.alarms().includes('writes-held'), scene.alarms().join());
  assert.equal(scene.core.window?.state, 'open');
  assert.ok(scene.said('log-95'));
  await scene.check('what is in the log', 512 + 1, 256);
  await scene.flush();
  await scene.close();
  for (const { done } of held) assert.equal(await world.until(done), 0);
  await scene.closed();
  await scene.settle('after the return');
});

test('the log is full, a second drive has failed, the server is killed: writes are held again after the restart', async () => {
  const scene = await inWindow({ seed: 48, ...wide });
  const { world } = scene;
  await world.until(world.v.failDrive('0'));
  await fillLog(scene, 99);
  scene.begin(0, 256);
  await world.pass(3_000);
  scene.crash(false);
  await world.assemble();
  const held = scene.begin(0, 256);
  await world.pass(10_000);
  assert.equal(scene.core.window?.state, 'open');
  await scene.close();
  assert.equal(await world.until(held.done), 0);
  await scene.closed();
  await scene.settle('full over a restart');
});

test('trims and zeroes in a window are in the log too, and come out of a crash and the replay in order', async () => {
  const scene = await inWindow({ seed: 49 });
  const { world } = scene;
  const how = { fua: false, noHole: false, fast: false };
  await scene.put(8, 64);
  assert.equal(await world.until(world.v.zero((16 * SECTOR) as never, 32 * SECTOR, how)), 0);
  await scene.put(24, 4);
  const expected = async (where: string): Promise<void> => {
    const { errno, data } = await world.until(world.read(16 * SECTOR, 32 * SECTOR));
    assert.equal(errno, 0);
    const zeroes = (from: number, to: number): boolean =>
      data.subarray(from * SECTOR, to * SECTOR).every((byte) => byte === 0);
    assert.ok(zeroes(0, 8) && zeroes(12, 32) && !zeroes(8, 12), where);
  };
  await expected('in the window');
  scene.crash(false);
  await world.assemble();
  await expected('after a kill');
  await scene.closeAndWait();
  await expected('after the replay');
  scene.addsUp('after the replay');
});
