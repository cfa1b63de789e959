/**
 * A volume may go on without its drive while a tool is at work on it: by its time limit, or for a log that is full. Until
 * the tool is through the drive is written to by nobody, and then the run brings it back.
 */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Machine } from './machine.ts';

const on = (volume: string) => ({ params: { volume }, query: {} });

/** The download of drive 1 of tank goes on, and tank goes on without the drive. */
async function thawed(t: TestContext) {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  await machine.create('other', 1);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('stage', { window: { maxMs: 5_000 } });
  await machine.untilStatus('tank', ({ window, state }) => window === null && state === 'degraded');
  await machine.untilRecalled(id);
  await machine.writeSome('tank', 10);
  const add = async (volume: string, spare: boolean, force = false): Promise<string> => {
    const body = { path: path!, spare, force };
    const added = await machine.control.handlers.driveAdd({ ...on(volume), body });
    return added.ok ? 'added' : added.problem.code;
  };
  return { machine, id, gate, path: path!, add };
}

test('a drive in the middle of a download is not given back to the volume that went on without it', async (t) => {
  const { machine, id, gate, path, add } = await thawed(t);
  assert.equal(await add('tank', false), 'drive-at-work');
  assert.equal(await add('tank', true, true), 'drive-at-work');
  const { driveReplace } = machine.control.handlers;
  const replaced = await driveReplace({ ...on('tank'), body: { drive: '0', with: path } });
  assert.equal(!replaced.ok && replaced.problem.code, 'drive-at-work');
  assert.equal(machine.at(path).isOpen, false);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'drive-lost');
  assert.match(run.sentence, /back by a resync/);
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('a drive in the middle of a download, its place taken by another one, is given to no other volume', async (t) => {
  const { machine, id, gate, path, add } = await thawed(t);
  machine.medium('/dev/new');
  const { driveReplace } = machine.control.handlers;
  const replaced = await driveReplace({ ...on('tank'), body: { drive: '1', with: '/dev/new' } });
  assert.ok(replaced.ok, JSON.stringify(replaced));
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  assert.equal(await add('other', true), 'drive-at-work');
  assert.equal(await add('other', true, true), 'drive-at-work');
  assert.equal(machine.at(path).isOpen, false);
  gate.open();
  const run = await machine.untilRun(id, ({ state }) => state === 'waiting');
  assert.match(run.next, /locum drive add tank .* --spare/);
  assert.equal(await add('other', true, true), 'added', 'the tool is through with it');
});

test('the server killed in between: a drive in the middle of a download is still given to nobody', async (t) => {
  const { machine, id, gate, path, add } = await thawed(t);
  machine.kill();
  await machine.start();
  assert.equal(await add('tank', false), 'drive-at-work');
  assert.equal(await add('other', true, true), 'drive-at-work');
  assert.equal(machine.at(path).isOpen, false);
  gate.open();
  assert.equal((await machine.ended(id)).outcome, 'drive-lost');
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
});

/** Where the report of the window goes, and the record of the run. */
function withoutRoom(state: string, id: string): { makeRoom: (next: string) => void } {
  const reports = join(state, 'windows.jsonl');
  const kept = readFileSync(reports, 'utf8');
  rmSync(reports);
  mkdirSync(reports);
  mkdirSync(join(state, 'runs', `${id}.json.new`));
  return {
    makeRoom: (folder) => {
      rmSync(join(folder, 'windows.jsonl'), { recursive: true });
      writeFileSync(join(folder, 'windows.jsonl'), kept);
      rmSync(join(folder, 'runs', `${id}.json.new`), { recursive: true });
    },
  };
}

test('no room for the word that the volume went on alone, and a kill: the drive is brought back all the same', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 5_000 } });
  const { makeRoom } = withoutRoom(machine.life.state, id);
  await machine.untilStatus('tank', ({ window, state }) => window === null && state === 'degraded');
  await machine.writeSome('tank', 10);
  machine.kill();
  makeRoom(dirname(dirname(machine.recordFile(id))));
  await machine.start();
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'drive-lost', run.sentence);
  assert.match(run.sentence, /back by a resync/);
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('room again before the server ends: what became of the window is on record', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 5_000 } });
  const { makeRoom } = withoutRoom(machine.life.state, id);
  await machine.untilStatus('tank', ({ window, alarms }) => {
    const unrecorded = alarms.some(({ code }) => code === 'windows-unrecorded');
    return window === null && unrecorded;
  });
  makeRoom(machine.life.state);
  const reports = join(machine.life.state, 'windows.jsonl');
  await machine.untilRun(id, () => readFileSync(reports, 'utf8').includes('"thawed"'));
  await machine.untilStatus('tank', ({ alarms }) =>
    alarms.every(({ code }) => code !== 'windows-unrecorded'),
  );
  gate.open();
  await machine.ended(id);
});

test('a volume that shares the drive is started again while the tool is at work', async (t) => {
  const machine = await Machine.boot(t);
  for (const [index, volume] of ['a', 'b'].entries()) {
    const paths = [0, 1, 2, 3].map((disk) => `/dev/disk${disk}p${index + 1}`);
    for (const [disk, path] of paths.entries()) machine.disks.set(path, `disk${disk}`);
    await machine.create(volume, 5, paths);
  }
  const gate = machine.tools.gate('stage');
  const { id } = await machine.run('a', 'disk2');
  await gate.arrived;
  const { handlers } = machine.control;
  assert.ok((await handlers.volumeStop({ ...on('b'), body: {} })).ok);
  const body = { name: 'b', drives: [], logs: [] };
  const started = await handlers.volumeAssemble({ params: {}, query: {}, body });
  assert.ok(started.ok, JSON.stringify(started));
  gate.open();
  assert.equal((await machine.ended(id)).outcome, 'done');
});
