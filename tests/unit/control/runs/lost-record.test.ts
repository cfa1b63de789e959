/** The record of a run is damaged while its tool is at work: the run goes on from the copy, or nobody touches the drive. */

import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { explain } from '../../../../src/api/errors.ts';
import { Machine } from './machine.ts';

const closing = (machine: Machine) =>
  machine.control.handlers.windowClose({ params: { volume: 'tank' }, query: {}, body: {} });

const alarms = async (machine: Machine): Promise<string[]> =>
  (await machine.status('tank')).alarms.map(({ code, severity }) => `${code} ${severity}`);

async function killedWhileFlashing(machine: Machine): Promise<{ id: string; goOn: () => void }> {
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('stage');
  machine.kill();
  return { id, goOn: () => gate.open() };
}

const copyOf = (machine: Machine, id: string): string =>
  join(dirname(machine.recordFile(id)), id, 'record.json');

test('the record of a run is damaged: the run goes on from the copy, and says so', async (t) => {
  const machine = await Machine.boot(t);
  const { id, goOn } = await killedWhileFlashing(machine);
  writeFileSync(machine.recordFile(id), '{"version":1,');
  await machine.start();
  const refused = await closing(machine);
  assert.ok(!refused.ok && refused.problem.code === 'run-at-work');
  goOn();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run));
  assert.deepEqual(
    machine.tools.log.map((line) => line.split(' ')[0]),
    ['stage', 'activate'],
  );
  assert.ok(machine.kinds('tank').includes('run-record-restored'));
  assert.equal((await machine.status('tank')).state, 'optimal');
  await machine.verify('tank');
});

test('record and copy are damaged, the tool is still at work: the drive is not taken back before it has ended', async (t) => {
  const machine = await Machine.boot(t);
  const { id, goOn } = await killedWhileFlashing(machine);
  writeFileSync(machine.recordFile(id), '');
  writeFileSync(copyOf(machine, id), 'null');
  await machine.start();
  assert.equal(machine.control.runs.get(id), null);
  for (const ask of [
    closing(machine),
    machine.control.handlers.windowAbort({ params: { volume: 'tank' }, query: {}, body: {} }),
  ]) {
    const refused = await ask;
    assert.ok(!refused.ok, 'the drive was taken back');
    assert.equal(refused.problem.code, 'tool-at-work');
  }
  assert.deepEqual(await alarms(machine), ['run-tool-lost critical']);
  assert.ok(machine.kinds('tank').includes('run-tool-lost'));
  goOn();
  await machine.untilStatus(
    'tank',
    ({ alarms: said }) =>
      said.some(({ code }) => code === 'run-record-lost') &&
      machine.kinds('tank').includes('run-tool-ended'),
  );
  const closed = await closing(machine);
  assert.ok(closed.ok, JSON.stringify(closed));
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  assert.deepEqual(await alarms(machine), [], 'no window, nothing to say');
  await machine.verify('tank');
});

test('a tool that nobody knows the drive of keeps all volumes from drives: each says so, and there is a way out', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('other', 1);
  const { id, goOn } = await killedWhileFlashing(machine);
  writeFileSync(machine.recordFile(id), '');
  writeFileSync(copyOf(machine, id), 'null');
  await machine.start();
  const { handlers } = machine.control;
  const on = { params: { volume: 'other' }, query: {} };
  machine.medium('/dev/new');
  const add = () => handlers.driveAdd({ ...on, body: { path: '/dev/new', spare: true } });

  const refused = await add();
  assert.ok(!refused.ok && refused.problem.code === 'drive-perhaps-at-work');
  const file = machine.recordFile(`${id}.json.unreadable`).replace(/\.json$/, '');
  const { message, fix } = explain(refused.problem);
  assert.match(message, new RegExp(`the record of run ${id} is lost, and its tool \\(stage\\)`));
  assert.ok(fix.includes(`remove ${file}`), fix);
  const { alarms: said, story } = await machine.status('other');
  assert.deepEqual(
    said.map(({ code }) => code),
    ['run-tool-lost'],
  );
  assert.ok(story.next.includes(`remove ${file}`), story.next);
  assert.ok(machine.kinds('other').includes('run-tool-lost'));

  // What it has had it may have again, by hand as well.
  assert.ok((await handlers.volumeStop({ ...on, body: {} })).ok);
  const body = {
    drives: machine.drivesOf('other', 1),
    logs: ['/dev/other-leg0', '/dev/other-leg1'],
  };
  const assembled = await handlers.volumeAssemble({ params: {}, query: {}, body });
  assert.ok(assembled.ok, JSON.stringify(assembled));

  // Somebody has looked. The drive that is away stays away all the same.
  rmSync(file);
  const added = await add();
  assert.ok(added.ok, JSON.stringify(added));
  assert.deepEqual((await machine.status('other')).alarms, []);
  assert.deepEqual(await alarms(machine), ['run-tool-lost critical']);
  const open = await closing(machine);
  assert.ok(!open.ok && open.problem.code === 'tool-at-work');
  goOn();
  await machine.untilStatus('tank', ({ alarms: left }) => left.length === 0);
  assert.ok((await closing(machine)).ok);
});

test('the tool of a lost run ends before the volumes have been started: nobody is kept from a drive', async (t) => {
  const machine = await Machine.boot(t);
  const { id, goOn } = await killedWhileFlashing(machine);
  writeFileSync(machine.recordFile(id), '');
  writeFileSync(copyOf(machine, id), 'null');
  machine.medium('/dev/a');
  machine.medium('/dev/b');
  const body = { name: 'new', level: 1, drives: ['/dev/a', '/dev/b'], logs: [] };
  await machine.start(async ({ handlers }) => {
    const create = () => handlers.volumeCreate({ params: {}, query: {}, body });
    const refused = await create();
    assert.ok(!refused.ok && refused.problem.code === 'drive-perhaps-at-work');
    goOn();
    await machine.tools.idle();
    const created = await create();
    assert.ok(created.ok, JSON.stringify(created));
  });
});

test('a lost record is an alarm until somebody has removed what is left of it, and another run is not concerned', async (t) => {
  const machine = await Machine.boot(t);
  const { id, goOn } = await killedWhileFlashing(machine);
  goOn();
  writeFileSync(machine.recordFile(id), '');
  rmSync(copyOf(machine, id));
  await machine.start();
  await machine.untilStatus('tank', (status) =>
    status.alarms.some(({ code }) => code === 'run-record-lost'),
  );
  rmSync(machine.recordFile(`${id}.json.unreadable`).replace(/\.json$/, ''));
  assert.deepEqual(await alarms(machine), []);
  assert.ok((await closing(machine)).ok);
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
});

test('asked before the volumes have been started, a run whose tool is at work keeps its drive', async (t) => {
  const machine = await Machine.boot(t);
  const { id, goOn } = await killedWhileFlashing(machine);
  await machine.start(async (control) => {
    assert.equal(control.runs.isAtWork('tank')?.id, id);
    const again = await control.runs.start(machine.request('tank', '1'));
    assert.ok(!again.ok);
  });
  goOn();
  assert.equal((await machine.ended(id)).outcome, 'done');
});
