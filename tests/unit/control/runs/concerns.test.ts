/** A run that waits for somebody is an alarm of its volumes for as long as it waits. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { withConcerns } from '../../../../src/control/concerns.ts';
import type { VolumeStatus } from '../../../../src/core/status.ts';
import { Machine } from './machine.ts';

const codes = ({ alarms }: VolumeStatus): string[] =>
  alarms.map(({ code }) => code).filter((code) => code !== 'leg-shares-file-system');

test('a drive that answers as another one: an alarm, and the next step, until it is the right one', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  await machine.create('other', 1);
  const { id, gate } = await machine.runUpTo('activate');
  const atWork = await machine.status('tank');
  assert.deepEqual(codes(atWork), []);
  assert.match(atWork.story.next, /^Its run \(firmware, activate\) brings the drive/);
  const drive = machine.tools.drive(path!);
  const { serial } = drive;
  drive.serial = 'SOMEBODY';
  gate.open();
  const run = await machine.untilRun(id, ({ state }) => state === 'waiting');
  const status = await machine.status('tank');
  assert.deepEqual(codes(status), ['run-waiting']);
  const [alarm] = status.alarms;
  assert.equal(alarm?.severity, 'warning');
  assert.match(alarm!.message, /serial is SOMEBODY.* Bring the drive that left/);
  assert.equal(status.story.next, run.next);
  assert.deepEqual(codes(await machine.status('other')), [], 'of this volume only');

  // Over a restart of the server as well.
  machine.kill();
  await machine.start();
  await machine.untilStatus('tank', (now) => codes(now).includes('run-waiting'));

  const verify = machine.tools.gate('verify');
  drive.serial = serial;
  await verify.arrived;
  assert.deepEqual(codes(await machine.status('tank')), [], 'gone as soon as it is over');
  verify.open();
  assert.equal((await machine.ended(id)).outcome, 'done');
  const { story } = await machine.status('tank');
  assert.equal(story.next, 'Nothing to do.');
});

test('a run waits, and then the log is filling up: what is next is still what it waits for', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate');
  const drive = machine.tools.drive(path!);
  const { capacityBytes } = drive;
  drive.capacityBytes = 4_096;
  gate.open();
  const run = await machine.untilRun(id, ({ state }) => state === 'waiting');
  assert.match(run.next, /Undo the change of capacity.* window close tank --drive PATH --rebuild/);
  const log = { code: 'log-70', severity: 'warning', message: 'The log is 76 % full.' } as const;
  const close = 'When the drive is ready: locum window close tank --wait';
  const { alarms, story, ...rest } = await machine.status('tank');
  const said = withConcerns(
    { ...rest, alarms: [log], story: { ...story, next: close } },
    alarms.map((alarm) => ({ alarm, next: run.next })),
  );
  assert.equal(said.story.next, run.next);
  drive.capacityBytes = capacityBytes;
  await machine.ended(id);
});

test('worse than a run that waits: the volume itself says what is next', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate');
  machine.tools.drive(drives[1]!).serial = 'SOMEBODY';
  machine.at(drives[3]!).vanish();
  await machine.untilStatus('tank', ({ window }) => window?.recall === true);
  gate.open();
  const run = await machine.untilRun(id, ({ state }) => state === 'waiting');
  const status = await machine.status('tank');
  assert.deepEqual(codes(status), ['second-failure', 'recall', 'run-waiting']);
  assert.notEqual(status.story.next, run.next);
  machine.tools.drive(drives[1]!).serial = `S-${drives[1]}`;
  await machine.ended(id);
});

test('a volume that was stopped on purpose, under a run that waits: to be started first', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const on = { params: { volume: 'tank' }, query: {} };
  const { id } = await machine.run('tank', '1', {
    purpose: 'replacement',
    newDrivePath: '/dev/new',
  });
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  const stopped = await machine.control.handlers.volumeStop({ ...on, body: { force: true } });
  assert.ok(stopped.ok, JSON.stringify(stopped));
  const status = await machine.status('tank');
  assert.deepEqual(codes(status), ['volume-stopped', 'run-waiting']);
  assert.match(status.story.next, /volume assemble/, 'first of all');
});

test('a list of volumes that cannot be written is an alarm of each, until it can be', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  // A directory where the new file is to be: not even root writes there.
  const inTheWay = join(machine.life.state, 'volumes.json.new');
  mkdirSync(inTheWay);
  await machine.create('other', 1);
  for (const volume of ['tank', 'other']) {
    const { alarms } = await machine.status(volume);
    assert.match(
      alarms.at(-1)?.message ?? '',
      /volumes\.json cannot be written to .*: .*Make room/,
    );
  }
  const said = machine.trouble.filter((line) => line.startsWith('volumes.json'));
  assert.equal(said.length, 1, said.join());
  rmSync(inTheWay, { recursive: true });
  await machine.untilStatus('tank', (status) => codes(status).length === 0);
  assert.match(readFileSync(join(machine.life.state, 'volumes.json'), 'utf8'), /"other"/);
});

test('room is made for the list of volumes when none runs any more: it is written all the same', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const inTheWay = join(machine.life.state, 'volumes.json.new');
  mkdirSync(inTheWay);
  assert.ok((await machine.control.handlers.volumeStop({ ...on, body: {} })).ok);
  assert.ok(codes(await machine.status('tank')).includes('volumes-unrecorded'));
  rmSync(inTheWay, { recursive: true });
  await machine.untilStatus('tank', (status) => !codes(status).includes('volumes-unrecorded'));
  assert.match(readFileSync(join(machine.life.state, 'volumes.json'), 'utf8'), /"stopped": true/);
});

test('a run of a volume that was stopped, or does not answer, is shown all the same', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id } = await machine.run('tank', '1');
  await machine.ended(id);
  const { handlers } = machine.control;
  assert.ok((await handlers.volumeStop({ ...on, body: {} })).ok);
  const shown = await handlers.windowShow({ ...on, body: {} });
  assert.ok(shown.ok, JSON.stringify(shown));
  assert.equal(shown.value.run?.id, id);
  assert.equal(shown.value.window?.outcome, 'returned');
});

test('the open window of a volume that was stopped is shown as it was seen last, and not an older one', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { handlers } = machine.control;
  const body = { drive: '1', purpose: 'firmware' as const };
  const earlier = await handlers.windowOpen({ ...on, body });
  assert.ok(earlier.ok, JSON.stringify(earlier));
  assert.ok((await handlers.windowClose({ ...on, body: {} })).ok);
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  const opened = await handlers.windowOpen({ ...on, body });
  assert.ok(opened.ok, JSON.stringify(opened));
  const live = await handlers.windowShow({ ...on, body: {} });
  assert.ok(live.ok && live.value.stale === undefined, JSON.stringify(live));
  const stopped = await handlers.volumeStop({ ...on, body: { force: true } });
  assert.ok(stopped.ok, JSON.stringify(stopped));
  const shown = await handlers.windowShow({ ...on, body: {} });
  assert.ok(shown.ok, JSON.stringify(shown));
  assert.equal(shown.value.window?.id, opened.value.window.id);
  assert.equal(shown.value.stale, true);
});

const on = { params: { volume: 'tank' }, query: {} };

test('another drive fails under a tool: that its run goes on is said before what could be done by hand', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  machine.at(drives[3]!).vanish();
  await machine.writeSome('tank', 5);
  const { story, alarms } = await machine.untilStatus(
    'tank',
    (status) => codes(status).includes('second-failure') && codes(status).includes('recall'),
  );
  for (const { message } of alarms) assert.doesNotMatch(message, /window close/);
  const second = alarms.find(({ code }) => code === 'second-failure');
  assert.match(second!.message, /tank-d1 back: its run does that by itself; or this one: locum/);
  assert.match(
    story.next,
    /^Its run \(firmware, stage\) brings .* Or bring the other drive back: /,
  );
  assert.doesNotMatch(story.next, /window close/, 'which is refused');
  gate.open();
  await machine.ended(id);
});

test('another drive fails under a tool while the record of its run finds no room: nothing is advised that is refused', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  const inTheWay = join(machine.life.state, 'runs', `${id}.json.new`);
  while (existsSync(inTheWay)) await delay(2);
  mkdirSync(inTheWay);
  machine.at(drives[0]!).vanish();
  await machine.writeSome('tank', 5);
  const { story } = await machine.untilStatus('tank', (status) =>
    ['second-failure', 'run-unrecorded'].every((code) => codes(status).includes(code)),
  );
  assert.match(story.next, /^Its run \(firmware, stage\) brings the drive back by itself/);
  assert.doesNotMatch(story.next, /window close/);
  rmSync(inTheWay, { recursive: true });
  gate.open();
  await machine.ended(id);
});

test('a rehearsal says what it does, and not what a download does', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const said = async (over: Parameters<Machine['run']>[2]): Promise<Set<string>> => {
    const { id } = await machine.run('tank', '1', over);
    const all = new Set<string>();
    while (machine.control.runs.get(id)?.state !== 'ended') {
      const [next] = machine.control.runs.concerns('tank');
      if (next?.alarm === null) all.add(next.next);
      await delay(0);
    }
    return all;
  };
  const rehearsed = await said({ rehearsal: true });
  assert.ok(rehearsed.size > 0);
  for (const next of rehearsed) {
    assert.match(next, /^Its run \(rehearsal of firmware, /);
    assert.doesNotMatch(next, /tool has ended/);
  }
});
