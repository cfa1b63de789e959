/**
 * Which volumes froze together is on record in two steps. What a server that is killed finds there at its next start decides
 * whether it takes drives back: it must never do so under a tool, or in a window in which somebody works.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Machine } from './machine.ts';

const on = (volume: string) => ({ params: { volume }, query: {} });
const body = { drive: '2', purpose: 'firmware' } as const;
const half = JSON.stringify({ groups: [{ volumes: ['a', 'b'], complete: false }] });

/** Volumes `a` and `b`, four disks with a partition for each. */
async function shared(t: TestContext): Promise<Machine> {
  const machine = await Machine.boot(t);
  for (const [index, volume] of ['a', 'b'].entries()) {
    const paths = [0, 1, 2, 3].map((disk) => `/dev/disk${disk}p${index + 1}`);
    for (const [disk, path] of paths.entries()) machine.disks.set(path, `disk${disk}`);
    await machine.create(volume, 5, paths);
    await machine.writeSome(volume, 15);
  }
  return machine;
}

const groupsFile = (machine: Machine): string => join(machine.life.state, 'window-groups.json');

/** Of the server that is started next. */
const nextFile = (machine: Machine, id: string): string =>
  join(dirname(dirname(machine.recordFile(id))), 'window-groups.json');

/** From the moment at which the first half of it is on file, nothing more can be written. */
function blockSecondWrite(machine: Machine): { unblock: () => void } {
  const file = groupsFile(machine);
  let isOver = false;
  const look = (): void => {
    if (isOver) return;
    if (existsSync(file) && readFileSync(file, 'utf8').includes('false')) mkdirSync(`${file}.new`);
    else setImmediate(look);
  };
  look();
  return {
    unblock: () => {
      isOver = true;
      rmSync(`${file}.new`, { recursive: true, force: true });
    },
  };
}

async function untilClosed(machine: Machine): Promise<void> {
  for (const volume of ['a', 'b']) {
    await machine.untilStatus(
      volume,
      ({ window, state }) => window === null && state === 'optimal',
    );
    await machine.verify(volume);
  }
}

test('no room for the word that all have frozen: no window is open, and no tool begins', async (t) => {
  const machine = await shared(t);
  const { unblock } = blockSecondWrite(machine);
  const { id } = await machine.run('a', 'disk2');
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'refused', JSON.stringify(run, null, 1));
  assert.match(JSON.stringify(run), /window-groups\.json cannot be written/);
  assert.deepEqual(machine.tools.log, []);
  await untilClosed(machine);
  unblock();
  const again = await machine.ended((await machine.run('a', 'disk2')).id);
  assert.equal(again.outcome, 'done', JSON.stringify(again, null, 1));
});

test('no room for it, by hand: refused, with where there is none; a window of one volume has to wait for it as well', async (t) => {
  const machine = await shared(t);
  await machine.create('tank', 5);
  const { unblock } = blockSecondWrite(machine);
  const { windowOpen } = machine.control.handlers;
  const opened = await windowOpen({ ...on('a'), body });
  assert.equal(!opened.ok && opened.problem.code, 'state-unusable');
  assert.equal(!opened.ok && opened.problem.detail?.path, machine.life.state);
  await untilClosed(machine);
  // What is on file says that a and b are half frozen: the next start would end any window of theirs.
  const alone = await windowOpen({ ...on('tank'), body });
  assert.equal(!alone.ok && alone.problem.code, 'state-unusable');
  const { window, alarms } = await machine.status('tank');
  assert.equal(window, null);
  assert.ok(alarms.some(({ code }) => code === 'windows-unrecorded'));
  unblock();
  await machine.untilStatus('tank', (now) =>
    now.alarms.every(({ code }) => code !== 'windows-unrecorded'),
  );
  assert.ok((await windowOpen({ ...on('tank'), body })).ok);
  assert.equal(readFileSync(groupsFile(machine), 'utf8').includes('false'), false);
});

test('half a group on file, killed while a tool is at work: the windows stay open until it has ended', async (t) => {
  const machine = await shared(t);
  const gate = machine.tools.gate('stage');
  const { id } = await machine.run('a', 'disk2');
  await gate.arrived;
  machine.kill();
  writeFileSync(nextFile(machine, id), half);
  await machine.start();
  for (const volume of ['a', 'b']) {
    assert.equal((await machine.status(volume)).window?.state, 'open', volume);
    await machine.writeSome(volume, 5);
  }
  assert.equal(machine.at('/dev/disk2p1').isOpen, false);
  assert.equal(machine.at('/dev/disk2p2').isOpen, false);
  gate.open();
  assert.equal((await machine.ended(id)).outcome, 'done');
  await untilClosed(machine);
});

test('half a group on file, killed under a tool whose record is lost: the windows stay open', async (t) => {
  const machine = await shared(t);
  const gate = machine.tools.gate('stage');
  const { id } = await machine.run('a', 'disk2');
  await gate.arrived;
  machine.kill();
  writeFileSync(nextFile(machine, id), half);
  writeFileSync(machine.recordFile(id), '');
  writeFileSync(join(dirname(machine.recordFile(id)), id, 'record.json'), 'null');
  await machine.start();
  for (const volume of ['a', 'b'])
    assert.equal((await machine.status(volume)).window?.state, 'open', volume);
  assert.equal(machine.at('/dev/disk2p1').isOpen, false);
  gate.open();
});

test('half a freeze is undone once: a window that is opened later outlives the next kill', async (t) => {
  const machine = await shared(t);
  const { id } = await machine.run('a', 'disk2');
  await machine.ended(id);
  machine.kill();
  writeFileSync(nextFile(machine, id), half);
  await machine.start();
  assert.equal(readFileSync(groupsFile(machine), 'utf8').includes('false'), false);
  for (const disk of [0, 1, 2, 3]) machine.disks.delete(`/dev/disk${disk}p2`);
  assert.ok((await machine.control.handlers.windowOpen({ ...on('a'), body })).ok);
  machine.kill();
  await machine.start();
  assert.equal((await machine.status('a')).window?.state, 'open');
});
