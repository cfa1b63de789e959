/** The main job: a drive away, a second one lost, nothing acknowledged lost. Each test is named after the accident. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { WindowRequest } from '../../../src/engine/contract.ts';
import { FlatModel, SECTOR } from './flat-model.ts';
import { World } from './world.ts';

const KIB = 1024;

const request = (drive: string): WindowRequest => ({
  drive,
  purpose: 'firmware',
  maxMs: 30 * 60_000,
  onDoubleAbsence: 'wait',
  waitMs: 60_000,
  allowDegraded: false,
  allowSingleLog: false,
});

async function fill(world: World, model: FlatModel, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const sectors = 1 + world.random.below(24);
    const start = world.random.below(model.sectors - sectors);
    const { values, data } = model.invent(sectors);
    model.begin(start, values);
    const errno = await world.until(world.write(start * SECTOR, data));
    assert.equal(errno, 0, world.events.join('\n'));
    model.answered(start, values, false);
  }
}

async function readAll(world: World, model: FlatModel, where: string): Promise<void> {
  const step = 64;
  for (let start = 0; start < model.sectors; start += step) {
    const sectors = Math.min(step, model.sectors - start);
    const { errno, data } = await world.until(world.read(start * SECTOR, sectors * SECTOR));
    assert.equal(errno, 0, `${where}: sector ${start} (${world.events.slice(-4).join(' | ')})`);
    model.check(start, data, where);
  }
}

async function closeAndWait(world: World): Promise<void> {
  const closed = await world.until(
    world.v.closeWindow({ drivePath: null, verify: 'recent', rebuild: false }),
  );
  assert.ok(closed.ok, JSON.stringify(closed));
  for (let i = 0; i < 10_000 && world.v.status().window !== null; i++) await world.pass(20);
  assert.equal(world.v.status().window, null, world.events.join('\n'));
}

async function untilState(world: World, state: string): Promise<void> {
  for (let i = 0; i < 10_000 && world.v.status().state !== state; i++) await world.pass(50);
  assert.equal(world.v.status().state, state, world.events.join('\n'));
}

for (const level of [1, 3, 4, 5]) {
  test(`RAID ${level}: a second drive fails while the first is away`, async () => {
    const world = new World({ members: level === 1 ? 3 : 4, seed: level });
    const volume = await world.create({
      level,
      chunkBytes: level === 5 ? 8 * KIB : null,
      name: 'tank',
    });
    const model = new FlatModel(volume.sizeBytes / SECTOR);
    await fill(world, model, 60);
    const opened = await world.until(volume.openWindow(request('1')));
    assert.ok(opened.ok, JSON.stringify(opened));
    assert.equal(world.at('d1').isOpen, false, 'the drive that is away is closed');
    const frozen = ['d0', 'd2'].map((path) => world.at(path).bytes.slice(1024 * KIB));
    await fill(world, model, 60);
    await readAll(world, model, 'window open');
    await world.until(volume.failDrive('2'));
    await fill(world, model, 60);
    assert.deepEqual(world.at('d0').bytes.slice(1024 * KIB), frozen[0], 'a frozen member changed');
    await closeAndWait(world);
    await readAll(world, model, 'after the return');
    assert.equal(volume.status().state, 'degraded');
    world.medium('d9', 1280 * KIB);
    const replaced = await world.until(volume.replaceDrive('2', 'd9', false));
    assert.ok(replaced.ok, JSON.stringify(replaced));
    await untilState(world, 'optimal');
    await readAll(world, model, 'after the rebuild');
    const scrub = await volume.startScrub(false);
    assert.ok(scrub.ok);
    await world.pass(5_000);
    const result = volume.scrubStatus();
    assert.ok(result.ok && result.value.state === 'done', JSON.stringify(result));
    assert.equal(result.value.mismatches, 0);
  });
}

test('the server is killed in the middle of the window with two drives absent', async () => {
  const world = new World({ seed: 11 });
  await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(world.v.sizeBytes / SECTOR);
  await fill(world, model, 50);
  assert.ok((await world.until(world.v.openWindow(request('1')))).ok);
  await fill(world, model, 50);
  world.at('d3').vanish();
  await world.pass(3_000);
  assert.equal(world.v.status().drives[3]?.state, 'failed');
  await fill(world, model, 50);
  world.crash(false);
  model.crash(false);
  const volume = await world.assemble();
  assert.equal(volume.status().state, 'frozen');
  await fill(world, model, 20);
  await closeAndWait(world);
  await readAll(world, model, 'after kill and return');
  assert.equal(volume.status().state, 'degraded');
});

test('the drive never comes back: the window expires and the volume thaws', async () => {
  const world = new World({ seed: 12 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 50);
  assert.ok((await world.until(volume.openWindow({ ...request('1'), maxMs: 60_000 }))).ok);
  await fill(world, model, 50);
  await world.pass(120_000);
  assert.equal(volume.status().window, null, world.events.join('\n'));
  assert.equal(volume.status().state, 'degraded');
  await readAll(world, model, 'after the thaw');
  // It comes back later with a short resync by bitmap.
  const added = await world.until(volume.addDrive('d1', false, false));
  assert.ok(added.ok, JSON.stringify(added));
  await untilState(world, 'optimal');
  await readAll(world, model, 'after the re-add');
  assert.ok(world.events.some((event) => event.startsWith('rebuild-started')));
});

test('a window that expires with a second drive failed holds on and never thaws', async () => {
  const world = new World({ seed: 13 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 20);
  assert.ok((await world.until(volume.openWindow({ ...request('1'), maxMs: 60_000 }))).ok);
  world.at('d2').vanish();
  await world.pass(300_000);
  assert.equal(volume.status().window?.state, 'open');
  assert.ok(volume.status().alarms.some(({ code }) => code === 'window-overdue'));
  await closeAndWait(world);
  await readAll(world, model, 'after the late return');
});

test('a second drive that takes no writes is found out before the thaw, not by it', async () => {
  const world = new World({ seed: 13 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 20);
  assert.ok((await world.until(volume.openWindow({ ...request('1'), maxMs: 30_000 }))).ok);
  await fill(world, model, 20);
  // While the volume is frozen nobody writes to it, so nobody can know.
  world.at('d2').failWrites({ errno: EIO });
  await world.pass(300_000);
  assert.equal(volume.status().window?.state, 'open', world.events.join('\n'));
  assert.ok(world.events.some((event) => event.startsWith('second-failure')));
  await closeAndWait(world);
  await readAll(world, model, 'after the late return');
});

test('the second drive comes back first: it is as good as the one that is away', async () => {
  const world = new World({ seed: 14 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 40);
  assert.ok((await world.until(volume.openWindow(request('0')))).ok);
  world.at('d2').vanish();
  await world.pass(2_500);
  assert.equal(volume.status().drives[2]?.state, 'failed');
  const held = world.read(0, volume.sizeBytes > 256 * KIB ? 256 * KIB : volume.sizeBytes);
  await world.pass(1_000);
  assert.ok((volume.status().window?.heldReads ?? 0) > 0, 'reads that need both wait');
  world.at('d2').reappear();
  const { errno, data } = await world.until(held);
  assert.equal(errno, 0);
  model.check(0, data, 'held read');
  await readAll(world, model, 'one back');
});

test('a blank drive comes back: rebuilt from the frozen drives, then replayed', async () => {
  const world = new World({ seed: 15 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 40);
  assert.ok((await world.until(volume.openWindow({ ...request('1'), purpose: 'replacement' }))).ok);
  await fill(world, model, 40);
  world.medium('new', 1280 * KIB);
  const closed = await world.until(
    volume.closeWindow({ drivePath: 'new', verify: 'recent', rebuild: false }),
  );
  assert.ok(closed.ok, JSON.stringify(closed));
  await untilState(world, 'optimal');
  await readAll(world, model, 'after the replacement');
});

test('the drive was written to while it was away: refused, then rebuilt on request', async () => {
  const world = new World({ seed: 16 });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill(world, model, 60);
  assert.ok((await world.until(volume.openWindow(request('1')))).ok);
  const garbage = world.random.bytes(64 * KIB);
  world.at('d1').overwrite(1024 * KIB + 16 * KIB, garbage);
  const refused = await world.until(
    volume.closeWindow({ drivePath: null, verify: 'full', rebuild: false }),
  );
  assert.ok(!refused.ok);
  assert.equal(refused.problem.code, 'window-verify-mismatch');
  assert.equal(volume.status().window?.state, 'open');
  await fill(world, model, 20);
  const closed = await world.until(
    volume.closeWindow({ drivePath: null, verify: 'full', rebuild: true }),
  );
  assert.ok(closed.ok, JSON.stringify(closed));
  await untilState(world, 'optimal');
  await readAll(world, model, 'after the rebuild');
});
