/**
 * The server is killed at every step of a run, and started again: the run goes on or the drive is brought back, the record
 * of what had begun is there, and so is everything that was acknowledged.
 */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { RunRecord } from '../../../../src/control/runs/run-record.ts';
import type { RunReport, RunStep } from '../../../../src/core/run-report.ts';
import { Machine } from './machine.ts';

const resultsOf = (run: RunReport): string[] =>
  run.steps.map(({ step, result }) => `${step} ${result}`);

type Stop = 'check' | 'stage' | 'activate' | 'probe' | 'verify';

async function killedAt(machine: Machine, stop: Stop): Promise<{ id: string; goOn: () => void }> {
  const { tools } = machine;
  const stage = tools.gate('stage');
  const gate = stop === 'check' ? tools.gateCheckAfterPlan() : null;
  const other = stop === 'activate' || stop === 'verify' ? tools.gate(stop) : null;
  const { id } = await machine.run('tank', '1');
  if (gate !== null) {
    await gate.arrived;
    machine.kill();
    return { id, goOn: () => gate.open() };
  }
  await stage.arrived;
  if (stop === 'stage') {
    machine.kill();
    return { id, goOn: () => stage.open() };
  }
  const activate = other ?? tools.gate('activate');
  stage.open();
  await activate.arrived;
  const late = other ?? tools.gate('probe');
  // Asked before each step, too: here it is the question after the last one.
  if (other === null) activate.open();
  await late.arrived;
  machine.kill();
  return { id, goOn: () => late.open() };
}

const cases: [Stop, string, readonly string[]][] = [
  ['check', 'recalled', ['plan done', 'open done', 'return done', 'replay done', 'close done']],
  ['stage', 'done', ['stage done', 'activate done', 'identify done', 'verify done']],
  ['activate', 'done', ['stage done', 'activate done', 'identify done', 'verify done']],
  ['probe', 'done', ['activate done', 'identify interrupted', 'identify done', 'verify done']],
  ['verify', 'done', ['verify interrupted', 'identify done', 'verify done', 'return done']],
];

for (const [stop, outcome, expected] of cases) {
  test(`killed at ${stop}: ${outcome}`, async (t) => {
    const machine = await Machine.boot(t);
    await machine.create('tank', 5);
    await machine.writeSome('tank', 20);
    const { id, goOn } = await killedAt(machine, stop);
    await machine.start();
    assert.equal(machine.control.runs.get(id)?.begun, stop !== 'check', 'as it was on record');
    await machine.writeSome('tank', 10);
    goOn();
    const run = await machine.ended(id);
    assert.equal(run.outcome, outcome, JSON.stringify(run, null, 1));
    const results = resultsOf(run);
    for (const one of expected) assert.ok(results.includes(one), `${one}: ${results.join(', ')}`);
    const begun = machine.tools.log.map((line) => line.split(' ')[0]);
    assert.deepEqual(begun, stop === 'check' ? [] : ['stage', 'activate'], 'nothing is done twice');
    assert.equal((await machine.status('tank')).state, 'optimal');
    await machine.verify('tank');
    await machine.scrub('tank');
  });
}

test('killed at stage, and nobody knows how the tool ended: the drive decides', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.knowsHowItEnded = false;
  const { id, goOn } = await killedAt(machine, 'stage');
  await machine.start();
  goOn();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'failed', 'the firmware is what it was');
  assert.ok(resultsOf(run).includes('stage interrupted'));
  assert.match(run.sentence, /server was stopped/);
  await machine.verify('tank');
});

test('killed at activate, and nobody knows how the tool ended: the drive has the new firmware', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.knowsHowItEnded = false;
  const { id, goOn } = await killedAt(machine, 'activate');
  goOn();
  await machine.start();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run));
});

for (const step of ['open', 'return', 'replay', 'close'] as const satisfies RunStep[]) {
  test(`killed while it is at "${step}"`, async (t) => {
    const machine = await Machine.boot(t);
    await machine.create('tank', 5);
    await machine.writeSome('tank', 20);
    const gate = machine.tools.gate('stage');
    const { id } = await machine.run('tank', '1');
    if (step !== 'open') {
      await gate.arrived;
      await machine.writeSome('tank', 40);
      gate.open();
    }
    await machine.untilRun(id, (run) => run.step === step || run.state === 'ended');
    const before = machine.control.runs.get(id)!;
    machine.kill();
    gate.open();
    await machine.start();
    const run = await machine.ended(id);
    assert.equal(run.outcome, step === 'open' ? 'recalled' : 'done', JSON.stringify(run, null, 1));
    // The step that is being begun may not be on record yet; nothing of it was done then.
    assert.ok(run.steps.length >= before.steps.length - 1, 'no step is forgotten');
    await machine.untilStatus('tank', ({ state }) => state === 'optimal');
    await machine.verify('tank');
    await machine.scrub('tank');
  });
}

test('killed while a test runs: it is begun anew', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.knowsHowItEnded = false;
  const { id, gate } = await machine.runUpTo('diagnose', { purpose: 'diagnostics' });
  machine.kill();
  gate.open();
  await machine.start();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done');
  const tests = resultsOf(run).filter((one) => one.startsWith('diagnose'));
  assert.deepEqual(tests, ['diagnose interrupted', 'diagnose done']);
});

test('killed before the first command, and the image is changed by then: nothing is touched', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const gate = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await gate.arrived;
  machine.kill();
  // As on record in the moment between "it begins" and the step.
  const file = machine.recordFile(id);
  const record = JSON.parse(await readFile(file, 'utf8')) as RunRecord;
  record.phase = 'working';
  record.report.begun = true;
  await writeFile(file, JSON.stringify(record));
  machine.tools.imageSha256 = 'cd';
  gate.open();
  await machine.start();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'failed', JSON.stringify(run, null, 1));
  assert.match(run.sentence, /image was changed after the plan/);
  assert.deepEqual(machine.tools.log, []);
  assert.ok(resultsOf(run).includes('stage skipped'));
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('killed while a drive is exchanged: it is waited for again', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id } = await machine.run('tank', '1', {
    purpose: 'replacement',
    newDrivePath: '/dev/new',
  });
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  machine.kill();
  machine.at(drives[1]!).vanish();
  await machine.start();
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  machine.medium('/dev/new');
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('an orderly stop during a run: the tool is left alone, and the next server goes on', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('activate');
  await machine.stop();
  gate.open();
  await machine.start();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  await machine.verify('tank');
});

test('a server that is killed again and again gets there in the end', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id } = await machine.run('tank', '1');
  for (let life = 0; life < 5; life++) {
    await new Promise((resolve) => setTimeout(resolve, life * 13));
    machine.kill();
    await machine.start();
  }
  const run = await machine.ended(id);
  assert.ok(
    ['done', 'recalled', 'failed', 'not-applied'].includes(run.outcome ?? ''),
    run.sentence,
  );
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
});
