/**
 * What ends a window while its run goes on, besides another drive that fails: a log that fills up (85 %: the drive is wanted
 * back; 95 %: the volume goes on without it), and a volume that somebody stops in an orderly way.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunReport, RunStep } from '../../../../src/core/run-report.ts';
import { Machine } from './machine.ts';

const resultOf = (run: RunReport, name: RunStep): string =>
  run.steps.findLast(({ step }) => step === name)?.result ?? 'never';

/** The host writes until the log is so full; some of what it writes is counted a little later. */
async function fill(machine: Machine, percent: number): Promise<void> {
  const count = 64;
  const places = Math.floor(machine.sectors('tank') / count);
  for (let index = 0; index < 4_000; index++) {
    const { log, window } = await machine.status('tank');
    if (window === null || (log!.usedBytes * 100) / log!.capacityBytes >= percent) return;
    assert.equal(await machine.write('tank', (index % places) * count, count), 0);
  }
  assert.fail(JSON.stringify(await machine.status('tank'), null, 1));
}

/** Full enough for the drive to be wanted back, and that was said. */
async function fillUntilWanted(machine: Machine): Promise<void> {
  await fill(machine, 86);
  await machine.untilStatus(
    'tank',
    ({ window, alarms }) => window?.recall === true && alarms.some(({ code }) => code === 'log-85'),
  );
}

async function wholeAgain(machine: Machine): Promise<void> {
  await machine.untilStatus('tank', ({ state, window }) => state === 'optimal' && window === null);
  await machine.verify('tank');
  await machine.scrub('tank');
}

test('the log is 85 % full before the task has begun: the drive is brought back at once', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await check.arrived;
  await fillUntilWanted(machine);
  check.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
  assert.equal(run.begun, false);
  assert.deepEqual(machine.tools.log, [], 'nothing touched the drive');
  await wholeAgain(machine);
});

test('the log is 85 % full during the download: it is let finish, the activation is left out', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  await fillUntilWanted(machine);
  await machine.untilRecalled(id);
  assert.equal(machine.control.runs.get(id)?.step, 'stage', 'still at work');
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
  assert.deepEqual([resultOf(run, 'stage'), resultOf(run, 'activate')], ['done', 'skipped']);
  await wholeAgain(machine);
});

test('the log is 85 % full during a test: it is stopped', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id } = await machine.runUpTo('diagnose', { purpose: 'diagnostics' });
  await fillUntilWanted(machine);
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
  assert.equal(resultOf(run, 'diagnose'), 'interrupted');
  await wholeAgain(machine);
});

test('the log is 95 % full while a tool is at work: the volume goes on, the tool is let finish', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate');
  await fill(machine, 96);
  await machine.untilStatus('tank', ({ state, window }) => state === 'degraded' && window === null);
  await machine.writeSome('tank', 10);
  assert.equal(machine.control.runs.get(id)?.state, 'running', 'the tool is still at work');
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'drive-lost', JSON.stringify(run, null, 1));
  assert.equal(resultOf(run, 'activate'), 'done');
  assert.match(run.sentence, /went on without .* back by a resync/);
  await wholeAgain(machine);
});

test('a volume that is stopped under a run: the run waits, and goes on when it is started again', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('activate', { answerLimitMs: 100 });
  await machine.writeSome('tank', 20);
  const on = { params: { volume: 'tank' }, query: {} };
  const stopped = await machine.control.handlers.volumeStop({ ...on, body: {} });
  assert.ok(stopped.ok, JSON.stringify(stopped));
  gate.open();
  const waiting = await machine.untilRun(id, ({ state }) => state !== 'running');
  assert.equal(waiting.state, 'waiting');
  assert.match(waiting.sentence, /volume tank is not running/);
  assert.match(waiting.next, /locum volume assemble tank/);
  const body = { name: 'tank', drives: [], logs: [] };
  const started = await machine.control.handlers.volumeAssemble({ params: {}, query: {}, body });
  assert.ok(started.ok, JSON.stringify(started));
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.equal(run.after?.firmware, 'B2');
  await wholeAgain(machine);
});
