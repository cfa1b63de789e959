/** The record of a run is damaged while its tool is at work: the run goes on from the copy, or nobody touches the drive. */

import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
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
  await machine.untilStatus('tank', (status) =>
    status.alarms.some(({ code }) => code === 'run-record-lost'),
  );
  assert.ok(machine.kinds('tank').includes('run-tool-ended'));
  const closed = await closing(machine);
  assert.ok(closed.ok, JSON.stringify(closed));
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  assert.deepEqual(await alarms(machine), [], 'no window, nothing to say');
  await machine.verify('tank');
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
