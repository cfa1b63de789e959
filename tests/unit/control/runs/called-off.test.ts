/** A window with a run is called off: what is answered is what happens, in each phase, and it outlives a kill. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from './machine.ts';

const callOff = async (machine: Machine): Promise<string> => {
  const on = { params: { volume: 'tank' }, query: {}, body: {} };
  const aborted = await machine.control.handlers.windowAbort(on);
  return aborted.ok ? (aborted.value.note ?? 'no word') : aborted.problem.code;
};

test('called off under a tool, and killed right after the answer: the next step is left out all the same', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  const said = await callOff(machine);
  assert.match(said, /the tool at work on \/dev\/tank-d1 \(stage\) is let finish/);
  machine.kill();
  await machine.start();
  assert.equal(await callOff(machine), said, 'once more');
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled', run.sentence);
  assert.deepEqual(machine.tools.log, ['stage /dev/tank-d1']);
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('called off before anything was begun: no tool at work is spoken of', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const gate = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await gate.arrived;
  const said = callOff(machine);
  gate.open();
  assert.match(await said, /^Called off: \/dev\/tank-d1 is being taken back\.$/);
  assert.equal((await machine.ended(id)).outcome, 'recalled');
  assert.deepEqual(machine.tools.log, []);
});

test('called off while the drive does not answer: there is nothing left to call off, and it is said so', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate', { answerLimitMs: 50 });
  machine.tools.drive('/dev/tank-d1').isGone = true;
  gate.open();
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  const said = await callOff(machine);
  assert.match(said, /nothing left to call off.*as soon as that has said who it is/);
  machine.tools.drive('/dev/tank-d1').isGone = false;
  assert.equal((await machine.ended(id)).outcome, 'done');
});

test('called off after the volume went on without the drive: it is not said to be back', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate', { window: { maxMs: 4_000 } });
  machine.tools.drive('/dev/tank-d1').isGone = true;
  await machine.untilStatus('tank', ({ window, state }) => window === null && state === 'degraded');
  gate.open();
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  assert.equal(await callOff(machine), 'window-none');
  machine.tools.drive('/dev/tank-d1').isGone = false;
  assert.equal((await machine.ended(id)).outcome, 'drive-lost');
});
