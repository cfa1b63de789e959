/** A name is no drive: what must not happen when a path means another drive than it did, or when the drive is not alone. */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { refuse } from '../../../../src/core/problems.ts';
import { Machine } from './machine.ts';

test('the name of the drive became that of another one while it was frozen: nothing touches it', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await check.arrived;
  const drive = machine.tools.drive(path!);
  const { serial } = drive;
  drive.serial = 'SOMEBODY';
  check.open();
  const run = await machine.untilRun(id, ({ step }) => step === 'return' || step === 'close');
  assert.equal(run.begun, false);
  drive.serial = serial;
  const end = await machine.ended(id);
  assert.equal(end.outcome, 'refused');
  assert.match(end.sentence, /not the drive that was asked for: its serial is SOMEBODY/);
  assert.deepEqual(machine.tools.log, []);
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('another member answers at the path after the freeze: nothing touches it', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.tools.membersAt.set(path!, 'another');
  const run = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(run.outcome, 'refused');
  assert.match(run.sentence, /not the member that left/);
  assert.deepEqual(machine.tools.log, []);
});

test('the name changed between two steps: the second one is left out, and the drive is found again', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  const drive = machine.tools.drive(path!);
  const { serial } = drive;
  drive.serial = 'SOMEBODY';
  gate.open();
  await machine.untilRun(id, ({ step }) => step === 'identify');
  drive.serial = serial;
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'failed');
  assert.match(run.sentence, /its serial is SOMEBODY/);
  assert.deepEqual(machine.tools.log, [`stage ${path}`]);
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('a part of the drive is mounted: refused before anything is frozen', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.used = refuse('drive-mounted', { path: '/dev/sdb3', mountPoint: '/home' });
  assert.equal(await machine.refused('tank', '1'), 'window-refused');
  const planned = await machine.control.handlers.windowPlan({
    params: { volume: 'tank' },
    query: {},
    body: { drive: '1', purpose: 'firmware' },
  });
  assert.ok(planned.ok);
  const check = planned.value.plan.checks.find(({ id }) => id === 'WP015');
  assert.equal(check?.result, 'block');
  assert.match(check.reason, /\/home/);
});

test('a volume that went on without the drive is not given what answers in its place', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  await machine.writeSome('tank', 10);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 5_000 } });
  const drive = machine.tools.drive(path!);
  const { serial } = drive;
  drive.serial = 'SOMEBODY';
  gate.open();
  await machine.untilStatus('tank', ({ window, state }) => window === null && state === 'degraded');
  const waits = await machine.untilRun(
    id,
    ({ state, step }) => state === 'waiting' && step === 'return',
  );
  assert.match(waits.sentence, /is not the drive that left/);
  assert.equal((await machine.status('tank')).state, 'degraded', 'nobody was offered to it');
  drive.serial = serial;
  const run = await machine.ended(id);
  assert.match(run.sentence, /back by a resync/);
  assert.equal(run.after?.firmware, 'B2');
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
});

test('a spare took the place of the drive that was away: it is named in what to do with it', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.medium('/dev/spare');
  const on = { params: { volume: 'tank' }, query: {} };
  const body = { path: '/dev/spare', spare: true };
  assert.ok((await machine.control.handlers.driveAdd({ ...on, body })).ok);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 5_000 } });
  await machine.untilStatus('tank', (it) => it.window === null && it.state === 'optimal');
  gate.open();
  const waits = await machine.untilRun(id, ({ sentence }) => /taken its place/.test(sentence));
  assert.match(waits.sentence, /Another drive, \/dev\/spare,/);
  assert.ok(waits.next.includes(`locum drive add tank ${path} --spare`), waits.next);
});

test('the record of a step cannot be written: the step is not begun', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  // A directory where the new file is to be: not even root writes there.
  const inTheWay = join(machine.life.state, 'runs', `${id}.json.new`);
  mkdirSync(inTheWay);
  const late = machine.tools.gate('verify');
  gate.open();
  await late.arrived;
  const { alarms } = await machine.status('tank');
  assert.ok(alarms.some(({ code }) => code === 'run-unrecorded'));
  rmSync(inTheWay, { recursive: true });
  late.open();
  const run = await machine.ended(id);
  await machine.untilStatus('tank', (status) =>
    status.alarms.every(({ code }) => code !== 'run-unrecorded'),
  );
  assert.equal(run.outcome, 'failed', JSON.stringify(run));
  assert.match(run.sentence, /record of run .* cannot be written/);
  assert.equal(machine.tools.log.length, 1, 'the activation was not begun');
  assert.ok(machine.trouble.some((line) => line.includes('cannot be written')));
});

test('the drive was mounted while the volume was freezing: nothing touches it', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await check.arrived;
  machine.tools.used = refuse('drive-mounted', { path: '/dev/sdb', mountPoint: '/home' });
  check.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'refused');
  assert.match(run.sentence, /has come into use since the plan: .*\/home/);
  assert.deepEqual(machine.tools.log, []);
  assert.equal(machine.tools.lastOurs, null, 'nothing of it is ours while the server has let go');
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('the drive was mounted between download and activation: it is not activated', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  machine.tools.used = refuse('drive-mounted', { path: '/dev/sdb', mountPoint: '/home' });
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'failed');
  assert.match(run.sentence, /\/home/);
  assert.deepEqual(machine.tools.log, [`stage ${path}`]);
});

test('another program opened the drive while it was away: nothing touches it', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.tools.busy.add(path!);
  const run = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(run.outcome, 'refused');
  assert.match(run.sentence, /in use by another program/);
  assert.deepEqual(machine.tools.log, []);
  assert.equal((await machine.status('tank')).state, 'optimal');
});

/** The drive in slot 1 of tank is a partition of sdb, the other one is free; a volume `other` has nothing on it. */
async function withPartitions(t: TestContext): Promise<Machine> {
  const machine = await Machine.boot(t);
  machine.disks.set('/dev/sdb1', 'sdb');
  machine.disks.set('/dev/sdb2', 'sdb');
  await machine.create('tank', 5, ['/dev/a', '/dev/sdb1', '/dev/c', '/dev/d']);
  await machine.create('other', 1);
  machine.medium('/dev/sdb2');
  return machine;
}

test('a free part of the drive cannot be given to a volume while its members are away', async (t) => {
  const machine = await withPartitions(t);
  const { id, gate } = await machine.runUpTo('stage');
  const add = (volume: string) =>
    machine.control.handlers.driveAdd({
      params: { volume },
      query: {},
      body: { path: '/dev/sdb2', spare: true },
    });
  for (const volume of ['other', 'tank']) {
    const refused = await add(volume);
    assert.ok(!refused.ok, `it was given to ${volume}`);
    assert.equal(refused.problem.code, 'drive-at-work');
  }
  gate.open();
  assert.equal((await machine.ended(id)).outcome, 'done');
  while (!(await add('other')).ok) await delay(5);
});

test('the volume went on without the drive: what is advised then, a new disk under its name, is taken', async (t) => {
  const machine = await withPartitions(t);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 5_000 } });
  machine.tools.drive('/dev/sdb').isGone = true;
  gate.open();
  const waits = await machine.untilRun(id, ({ next }) =>
    next.includes('locum drive add tank PATH'),
  );
  assert.equal(waits.state, 'waiting');
  await machine.untilStatus('tank', ({ window }) => window === null);
  machine.medium('/dev/sdb');
  const on = { params: { volume: 'tank' }, query: {} };
  const added = await machine.control.handlers.driveAdd({ ...on, body: { path: '/dev/sdb' } });
  assert.ok(added.ok, JSON.stringify(added));
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
});

test('nor while a server is started that finds the tool still at work, and its volumes are not there yet', async (t) => {
  const machine = await withPartitions(t);
  const { id, gate } = await machine.runUpTo('stage');
  machine.kill();
  const given: string[] = [];
  await machine.start(async ({ handlers }) => {
    for (const path of ['/dev/sdb2', '/dev/sdb']) {
      const on = { params: { volume: 'other' }, query: {} };
      const added = await handlers.driveAdd({ ...on, body: { path, force: true } });
      given.push(added.ok ? 'added' : added.problem.code);
    }
  });
  assert.deepEqual(given, ['drive-at-work', 'drive-at-work']);
  gate.open();
  assert.equal((await machine.ended(id)).outcome, 'done');
  for (const volume of ['tank', 'other'])
    assert.equal((await machine.status(volume)).state, 'optimal');
});
