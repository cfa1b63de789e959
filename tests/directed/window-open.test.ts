/** Cases of the entry and of the open window that no other test holds (cases.ts has all of them). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO, ENOTSUP } from '../../src/base/errno.ts';
import type { VolumeOffset } from '../../src/base/units.ts';
import { SECTOR } from '../unit/engine/flat-model.ts';
import { KIB, MIB, Scene, SMALL_MEMBER_BYTES } from '../unit/engine/scene.ts';

test('6.1.2 a survivor cannot read a sector while the drive is away: that stripe waits, the drive is not failed', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: level });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.open('1', { onDoubleAbsence: 'wait', waitMs: 30_000 });
    world.at('d0').failReads({ offset: MIB, lengthBytes: SECTOR, errno: EIO, untilWritten: true });
    let answered = false;
    const held = world.read(0, SECTOR).then((read) => {
      answered = true;
      return read;
    });
    await world.pass(5_000);
    assert.equal(answered, false, 'held, not an error and nothing made up');
    assert.equal(world.v.status().drives[0]?.state, 'online', 'not failed for one sector');
    await scene.check('the rest', SECTOR_AFTER, 32);
    await scene.close();
    const { errno, data } = await world.until(held);
    assert.equal(errno, 0);
    scene.model.check(0, data, 'after the return');
    await scene.closed();
    await scene.settle(`RAID ${level}`);
  }
});

/** Behind the stripe of sector 0 on every level. */
const SECTOR_AFTER = 64;

test('6.1.5 a spare is there: the drive that is away does not get it, the one that failed gets it once the window is closed', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 10 + level, members: level === 1 ? 3 : 4 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    world.medium('spare', SMALL_MEMBER_BYTES);
    assert.ok((await world.until(world.v.addDrive('spare', true, false))).ok);
    const spares = (): string[] =>
      world.v
        .status()
        .drives.filter(({ state }) => state === 'spare')
        .map(({ path }) => path);
    await scene.open('1', { onDoubleAbsence: 'error' });
    await scene.fill(10);
    await world.pass(60_000);
    assert.deepEqual(spares(), ['spare'], 'planned absence');
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    await world.pass(60_000);
    assert.deepEqual(
      spares(),
      ['spare'],
      'nothing is rebuilt from a frozen volume that is not complete',
    );
    await scene.closeAndWait();
    await scene.until('optimal');
    const paths = world.v.status().drives.map(({ path, state }) => `${path} ${state}`);
    assert.deepEqual(paths.slice(0, 2), ['spare online', 'd1 online']);
    await scene.settle(`RAID ${level}`);
  }
});

test('6.2.5 bytes that are no whole sectors, over log and members: newest wins, and a read beside a write has no mixture', async () => {
  const scene = await Scene.make(5, { seed: 20 });
  const { world } = scene;
  const { random } = world;
  const bytes = scene.model.sectors * SECTOR;
  const flat = random.bytes(bytes);
  for (let at = 0; at < bytes; at += 16 * KIB)
    assert.equal(await world.until(world.write(at, flat.slice(at, at + 16 * KIB))), 0);
  await scene.open('1', { onDoubleAbsence: 'error' });
  const verify = async (where: string): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      const from = random.below(bytes - 9_000);
      const { errno, data } = await world.until(world.read(from, 1 + random.below(9_000)));
      assert.equal(errno, 0, where);
      assert.deepEqual(data, flat.slice(from, from + data.length), where);
    }
  };
  for (let i = 0; i < 60; i++) {
    const from = random.below(bytes - 3_000);
    const patch = random.bytes(1 + random.below(3_000));
    const [errno, beside] = await world.until(
      Promise.all([world.write(from, patch), world.read(from - (from % SECTOR), 4 * KIB)]),
    );
    assert.equal(errno, 0);
    const old = flat.slice();
    flat.set(patch, from);
    // Each sector is of before or of after, as a whole.
    for (let at = 0; at < beside.data.length; at += SECTOR) {
      const sector = beside.data.subarray(at, at + SECTOR);
      const start = from - (from % SECTOR) + at;
      const isOld = Buffer.compare(sector, old.subarray(start, start + SECTOR)) === 0;
      const isNew = Buffer.compare(sector, flat.subarray(start, start + SECTOR)) === 0;
      assert.ok(isOld || isNew, `a mixture at ${start}`);
    }
  }
  await verify('in the window');
  scene.crash(false);
  await world.assemble();
  await verify('after a kill');
  await scene.closeAndWait();
  await verify('after the replay');
  scene.addsUp('after the replay');
});

test('6.2.6 a fast zero is fast only where it becomes a record; a trim reads as zeroes, and so it is on every member', async () => {
  const scene = await Scene.make(5, { seed: 21 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const fast = { fua: false, noHole: false, fast: true };
  const zero = (): Promise<number> =>
    world.until(world.v.zero((8 * SECTOR) as VolumeOffset, 64 * SECTOR, fast));
  assert.equal(await zero(), ENOTSUP, 'direct');
  await scene.open('1', { onDoubleAbsence: 'error' });
  assert.equal(await zero(), 0, 'in the window');
  assert.equal(
    await world.until(world.v.trim((96 * SECTOR) as VolumeOffset, 64 * SECTOR, true)),
    0,
  );
  const expected = async (where: string): Promise<void> => {
    for (const from of [8, 96]) {
      const { errno, data } = await world.until(world.read(from * SECTOR, 64 * SECTOR));
      assert.equal(errno, 0, where);
      assert.ok(
        data.every((byte) => byte === 0),
        where,
      );
    }
  };
  await expected('in the window');
  await scene.closeAndWait();
  await expected('replayed');
  scene.addsUp('replayed');
});

test('6.2.9 the only leg fails with no drive failed: what was acknowledged is brought home, or refused, never made up', async () => {
  for (const how of ['takes no writes', 'is pulled out'] as const) {
    const scene = await Scene.make(5, { seed: 22, legs: 1 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.open('1', { allowSingleLog: true, onDoubleAbsence: 'error' });
    await scene.fill(20);
    await scene.flush();
    const leg = world.at('leg0');
    if (how === 'takes no writes') leg.failWrites({ errno: EIO });
    else leg.vanish();
    const held = scene.begin(0, 16);
    await world.pass(5_000);
    if (how === 'takes no writes') {
      assert.equal(await world.until(held.done), 0);
      await scene.closed();
      assert.equal(scene.state, 'degraded', 'thawed from what the leg still answers');
      await scene.check(how);
      continue;
    }
    assert.notEqual(await world.until(held.done), 0, 'nothing is acknowledged that is nowhere');
    assert.ok(['suspended', 'halted'].includes(scene.state), scene.state);
    assert.ok((await scene.checkWhatAnswers(how)) > 0, 'what only the leg has is an error');
    leg.reappear();
    scene.crash(false);
    await world.assemble();
    // The thaw that could not read its log goes on.
    await scene.closed();
    await scene.check('the leg is back');
    await scene.settle('the leg is back');
  }
});

test('6.2.15 the wall clock jumps: a window ends when its time has passed, not before, and a jump back gives no time', async () => {
  const scene = await Scene.make(5, { seed: 23 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  const HOUR = 3_600_000;
  await scene.open('1', { maxMs: HOUR });
  const { clock } = world;
  const wall = clock.wallMs.bind(clock);
  for (const jumpMs of [24 * HOUR, -24 * HOUR]) {
    clock.wallMs = () => wall() + jumpMs;
    await world.pass(HOUR / 4);
    assert.equal(scene.core.window?.state, 'open', `wall clock ${jumpMs / HOUR} h off`);
  }
  // Half of the time is used up. The next server starts with a wall clock that went back a day.
  scene.crash(false);
  const next = world.clock;
  const nextWall = next.wallMs.bind(next);
  next.wallMs = () => nextWall() - 24 * HOUR;
  await world.assemble();
  await world.pass(HOUR / 4);
  assert.equal(scene.core.window?.state, 'open');
  await world.pass(HOUR / 2);
  await scene.closed();
  assert.equal(scene.state, 'degraded', 'it ended in time');
  await scene.check('thawed');
});
