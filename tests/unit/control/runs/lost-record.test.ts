/** The record of a run is damaged while its tool is at work: the run goes on from the copy, or nobody touches the drive. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { readKept, removeKept, writeKept } from '../../../../src/control/kept-records.ts';
import type { RunRecord } from '../../../../src/control/runs/run-record.ts';
import { RunStore } from '../../../../src/control/runs/run-store.ts';
import { Machine } from './machine.ts';

const closing = (machine: Machine) =>
  machine.control.handlers.windowClose({ params: { volume: 'tank' }, query: {}, body: {} });

const alarms = async (machine: Machine): Promise<string[]> =>
  (await machine.status('tank')).alarms.map(({ code, severity }) => `${code} ${severity}`);

async function killedWhileFlashing(machine: Machine): Promise<{ id: string; goOn: () => void }> {
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const gate = machine.tools.gate('stage');
  const { id } = await machine.run('tank', '1');
  await gate.arrived;
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

test('records kept twice: either file will do, neither is lost and said, at every start', async (t) => {
  const folder = mkdtempSync('/tmp/locum-kept-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const parse = (text: string): { id: string } | null => {
    try {
      return JSON.parse(text) as { id: string };
    } catch {
      return null;
    }
  };
  const look = async () => {
    const { kept, lost } = await readKept(folder, parse);
    return [
      kept.map(({ record, isCopy }) => `${record.id}${isCopy ? ' of the copy' : ''}`),
      lost.map((one) => `${one.id}${one.isNews ? ' new' : ''} ${one.outputs.length}`),
    ];
  };
  for (const id of ['a', 'b', 'c']) await writeKept(folder, id, JSON.stringify({ id }));
  writeFileSync(join(folder, 'b.json'), '{');
  writeFileSync(join(folder, 'c.json'), '{');
  writeFileSync(join(folder, 'c', 'record.json'), '{');
  writeFileSync(join(folder, 'c', 'stage.log.pid'), '1\n');
  assert.deepEqual(await look(), [['a', 'b of the copy'], ['c new 1']]);
  assert.deepEqual(await look(), [['a', 'b'], ['c 1']]);
  await removeKept(folder, 'b');
  await removeKept(folder, 'c');
  assert.deepEqual(await look(), [['a'], []]);
  assert.deepEqual(readdirSync(folder).toSorted(), ['a', 'a.json']);
});

test('the last record of a run that could not be written is written as soon as it can be', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id } = await machine.run('tank', '1');
  await machine.ended(id);
  await machine.untilOnFile(id);
  const record = JSON.parse(readFileSync(machine.recordFile(id), 'utf8')) as RunRecord;
  const folder = mkdtempSync('/tmp/locum-retry-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const said: string[] = [];
  const store = await RunStore.open(folder, (reason) => void said.push(reason), 10);
  mkdirSync(join(folder, `${id}.json.new`));
  record.phase = 'replaying';
  assert.equal(await store.add(record), false, 'it is not begun');
  rmSync(join(folder, `${id}.json.new`), { recursive: true });
  assert.ok(await store.add(record));
  mkdirSync(join(folder, `${id}.json.new`));
  record.phase = 'ended';
  assert.equal(await store.save(record), false);
  assert.match(store.unwritten ?? '', /cannot be written/);
  rmSync(join(folder, `${id}.json.new`), { recursive: true });
  while (store.unwritten !== null) await delay(5);
  const kept = JSON.parse(readFileSync(join(folder, `${id}.json`), 'utf8')) as RunRecord;
  assert.equal(kept.phase, 'ended');
  assert.equal(said.length, 2, said.join());
  await store.close();
});

test('a record that cannot be written is an alarm until it can be, whatever becomes of other ones', async (t) => {
  const folder = mkdtempSync('/tmp/locum-records-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = await RunStore.open(folder, () => {}, 5);
  const record = (id: string) =>
    ({ phase: 'working', report: { id, steps: [], startedAt: '' } }) as unknown as RunRecord;
  const [one, other] = [record('one'), record('other')];
  assert.ok((await store.add(one)) && (await store.add(other)));
  // A directory where the new file is to be: not even root writes there.
  const inTheWay = join(folder, 'one.json.new');
  mkdirSync(inTheWay);
  one.phase = 'recalled';
  other.phase = 'recalled';
  assert.deepEqual([await store.save(one), await store.save(other)], [false, true]);
  assert.match(store.unwritten ?? '', /record of run one cannot be written/);
  rmSync(inTheWay, { recursive: true });
  while (store.unwritten !== null) await delay(2);
  assert.match(readFileSync(join(folder, 'one.json'), 'utf8'), /recalled/);
  await store.close();
});
