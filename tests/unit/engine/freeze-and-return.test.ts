/** What may fail while a window is being opened, while the drive returns, and when a thaw is about to begin. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WindowRequest } from '../../../src/engine/contract.ts';
import { FlatModel, SECTOR } from './flat-model.ts';
import { World } from './world.ts';

const KIB = 1024;
const METADATA = { offset: 0, lengthBytes: 1024 * KIB };
const CLOSE = { drivePath: null, verify: 'full', rebuild: false } as const;

const request = (drive: string, more: Partial<WindowRequest> = {}): WindowRequest => ({
  drive,
  purpose: 'firmware',
  maxMs: 60_000,
  onDoubleAbsence: 'wait',
  waitMs: 60_000,
  allowDegraded: false,
  allowSingleLog: false,
  ...more,
});

interface Scene {
  readonly world: World;
  readonly model: FlatModel;
}

async function scene(seed: number): Promise<Scene> {
  const world = new World({ seed });
  const volume = await world.create({ level: 5, chunkBytes: 4 * KIB });
  const model = new FlatModel(volume.sizeBytes / SECTOR);
  await fill({ world, model }, 40);
  return { world, model };
}

async function fill({ world, model }: Scene, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const sectors = 1 + world.random.below(24);
    const start = world.random.below(model.sectors - sectors);
    const { values, data } = model.invent(sectors);
    model.begin(start, values);
    assert.equal(await world.until(world.write(start * SECTOR, data)), 0, world.events.join('\n'));
    model.answered(start, values, false);
  }
}

async function readAll({ world, model }: Scene, where: string): Promise<void> {
  for (let start = 0; start < model.sectors; start += 64) {
    const sectors = Math.min(64, model.sectors - start);
    const { errno, data } = await world.until(world.read(start * SECTOR, sectors * SECTOR));
    assert.equal(errno, 0, `${where}: sector ${start} (${world.events.slice(-4).join(' | ')})`);
    model.check(start, data, where);
  }
}

const states = ({ world }: Scene): string[] => world.v.status().drives.map(({ state }) => state);

async function untilNoWindow({ world }: Scene): Promise<void> {
  for (let i = 0; i < 10_000 && world.v.status().window !== null; i++) await world.pass(20);
  assert.equal(world.v.status().window, null, world.events.join('\n'));
}

async function open(it: Scene, more: Partial<WindowRequest> = {}): Promise<void> {
  const opened = await it.world.until(it.world.v.openWindow(request('1', more)));
  assert.ok(opened.ok, JSON.stringify(opened));
}

/** The window was refused; the volume goes on in place, also after a restart. */
async function noWindow(it: Scene, expected: string[]): Promise<void> {
  const { world } = it;
  const opened = await world.until(world.v.openWindow(request('1')));
  assert.ok(!opened.ok && opened.problem.code === 'window-refused', JSON.stringify(opened));
  for (const medium of world.media.values()) medium.clearFaults();
  assert.deepEqual(states(it), expected);
  assert.equal(world.v.status().window, null);
  await fill(it, 20);
  await readAll(it, 'after the refusal');
  world.crash(false);
  it.model.crash(false);
  await world.assemble();
  assert.equal(world.v.status().window, null);
  assert.notEqual(world.v.status().state, 'halted');
  await readAll(it, 'after the restart');
}

test('another drive fails while the labels of a freeze are written: no window, and nothing is halted', async () => {
  const it = await scene(21);
  it.world.at('d2').failWrites(METADATA);
  await noWindow(it, ['online', 'online', 'failed', 'online']);
});

test('the drive that is about to leave fails: no window, and it is failed', async () => {
  const it = await scene(22);
  it.world.at('d1').failWrites(METADATA);
  await noWindow(it, ['online', 'failed', 'online', 'online']);
});

test('a window that was called off ends as aborted, with everything on the drives', async () => {
  const it = await scene(23);
  await open(it);
  await fill(it, 20);
  const aborted = await it.world.until(it.world.v.abortWindow());
  assert.ok(aborted.ok, JSON.stringify(aborted));
  await untilNoWindow(it);
  const report = it.world.v.windowReport();
  assert.ok(report.ok && report.value.state === 'aborted', JSON.stringify(report));
  assert.equal(it.world.v.status().state, 'optimal');
  await readAll(it, 'called off');
});

test('a blank drive fails while it is made: away again, and the one that left is still welcome', async () => {
  const it = await scene(24);
  const { world } = it;
  await open(it);
  await fill(it, 20);
  world.medium('new', 1280 * KIB);
  world.at('new').failWrites({ offset: 1100 * KIB, lengthBytes: 64 * KIB });
  const refused = await world.until(world.v.closeWindow({ ...CLOSE, drivePath: 'new' }));
  assert.ok(!refused.ok);
  assert.deepEqual(states(it), ['online', 'away', 'online', 'online']);
  const { window, alarms } = world.v.status();
  assert.equal(window?.state, 'open');
  assert.deepEqual(
    alarms.filter(({ code }) => code === 'second-failure' || code === 'recall'),
    [],
  );
  await fill(it, 10);
  const closed = await world.until(world.v.closeWindow({ ...CLOSE, drivePath: 'd1' }));
  assert.ok(closed.ok, JSON.stringify(closed));
  await untilNoWindow(it);
  assert.equal(world.v.status().state, 'optimal');
  await readAll(it, 'after the return');
});

test('another drive fails while the returned one is compared: what is left counts', async () => {
  const it = await scene(25);
  const { world } = it;
  await open(it);
  await fill(it, 20);
  world.at('d2').hang('read');
  const closing = world.v.closeWindow(CLOSE);
  await world.pass(1_500);
  assert.equal(world.v.status().window?.state, 'returning');
  world.at('d2').vanish();
  const closed = await world.until(closing);
  assert.ok(closed.ok, `${JSON.stringify(closed)} ${world.events.join('\n')}`);
  await untilNoWindow(it);
  assert.deepEqual(states(it), ['online', 'online', 'failed', 'online']);
  await readAll(it, 'after the return');
});

test('a member fails while host I/O is drained for a thaw: the window stays open', async () => {
  const it = await scene(26);
  const { world } = it;
  await open(it);
  await fill(it, 20);
  // A read that hangs on d2 keeps the thaw from beginning until its deadline fails d2.
  await world.pass(56_000);
  world.at('d2').hang('read');
  const reads = Promise.all(
    Array.from({ length: 8 }, (_, i) => world.read(i * 64 * KIB, 64 * KIB)),
  );
  await world.pass(20_000);
  const { window, alarms } = world.v.status();
  assert.equal(window?.state, 'open', world.events.join('\n'));
  assert.deepEqual(states(it), ['online', 'away', 'failed', 'online']);
  assert.ok(window.recall);
  assert.ok(alarms.some(({ code }) => code === 'window-overdue'));
  assert.ok(!world.events.some((event) => event.startsWith('window-thawing')));
  world.at('d2').release();
  const closed = await world.until(world.v.closeWindow(CLOSE));
  assert.ok(closed.ok, JSON.stringify(closed));
  await world.until(reads);
  await untilNoWindow(it);
  await readAll(it, 'after the return');
});

test('a drive that was out before the window restores nothing, and is not asked for', async () => {
  const it = await scene(27);
  const { world } = it;
  assert.ok((await world.until(world.v.failDrive('3'))).ok);
  await fill(it, 20);
  await open(it, { allowDegraded: true });
  const { window, alarms, story } = world.v.status();
  assert.deepEqual(window?.restoredBy, [[1]]);
  assert.deepEqual(
    alarms.filter(({ severity }) => severity === 'critical').map(({ code }) => code),
    ['drive-failed'],
  );
  assert.match(story.next, /locum window close tank --wait$/);
});
