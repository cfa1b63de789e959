/**
 * Another drive fails at every step of a run. Before the task has begun the drive is brought back at once; after that the
 * step at work is let finish. In every case everything that was acknowledged is there afterwards.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RunReport, RunStep } from '../../../../src/core/run-report.ts';
import type { Purpose } from '../../../../src/core/status.ts';
import { Machine } from './machine.ts';

type Stop = 'probe' | 'stage' | 'activate' | 'reset' | 'diagnose' | 'verify';

/** Stops a run at the beginning of a step, and lets it go on. */
async function stoppedAt(
  t: TestContext,
  purpose: Purpose,
  stop: Stop,
  level: number,
): Promise<{ machine: Machine; drives: string[]; id: string; goOn: () => void }> {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', level);
  await machine.writeSome('tank', 15);
  // The drive is asked when a run is planned and before each step; the question to stop at comes after the task.
  const gateNow = stop !== 'probe';
  const gate = gateNow ? machine.tools.gate(stop) : null;
  const before = gateNow ? null : machine.tools.gate('activate');
  const { id } = await machine.run('tank', '1', { purpose });
  if (gate !== null) {
    await gate.arrived;
    return { machine, drives, id, goOn: () => gate.open() };
  }
  await before?.arrived;
  const late = machine.tools.gate('probe');
  before?.open();
  await late.arrived;
  return { machine, drives, id, goOn: () => late.open() };
}

async function wellAgain(machine: Machine, drives: readonly string[], lost: number): Promise<void> {
  machine.at(drives[lost]!).reappear();
  await machine.untilStatus('tank', ({ window }) => window === null);
  const { drives: now } = await machine.status('tank');
  if (now[lost]?.state !== 'online') {
    const added = await machine.control.handlers.driveAdd({
      params: { volume: 'tank' },
      query: {},
      body: { path: drives[lost]! },
    });
    // Or it is being taken back by itself at this moment.
    const isBack = added.ok || ['drive-in-other-volume', 'drive-busy'].includes(added.problem.code);
    assert.ok(isBack, JSON.stringify(added));
  }
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
}

const resultOf = (run: RunReport, name: RunStep): string =>
  run.steps.findLast(({ step }) => step === name)?.result ?? 'never';

const cases: [Purpose, Stop, string, (run: RunReport) => void][] = [
  [
    'firmware',
    'stage',
    'recalled',
    (run) => {
      assert.equal(resultOf(run, 'stage'), 'done', 'let finish');
      assert.equal(resultOf(run, 'activate'), 'skipped', 'left out');
    },
  ],
  ['firmware', 'activate', 'done', (run) => assert.equal(resultOf(run, 'activate'), 'done')],
  ['firmware', 'probe', 'done', (run) => assert.equal(run.after?.firmware, 'B2')],
  ['firmware', 'verify', 'done', (run) => assert.equal(resultOf(run, 'verify'), 'done')],
  ['reset', 'reset', 'done', (run) => assert.equal(resultOf(run, 'reset'), 'done', 'let finish')],
  ['reset', 'verify', 'done', () => {}],
  [
    'diagnostics',
    'diagnose',
    'recalled',
    (run) => assert.equal(resultOf(run, 'diagnose'), 'interrupted', 'stopped'),
  ],
  ['diagnostics', 'verify', 'done', () => {}],
];

for (const level of [1, 5]) {
  const lost = level === 1 ? 0 : 2;
  for (const [purpose, stop, outcome, check] of cases) {
    test(`RAID ${level}, ${purpose}: another drive fails at ${stop}: ${outcome}`, async (t) => {
      const { machine, drives, id, goOn } = await stoppedAt(t, purpose, stop, level);
      machine.at(drives[lost]!).vanish();
      await machine.untilStatus('tank', ({ window }) => window?.recall === true);
      await machine.writeSome('tank', 10);
      const waiting = machine.control.runs.get(id);
      assert.equal(waiting?.begun, true);
      // A test ends by itself: it is stopped.
      if (stop !== 'diagnose') goOn();
      const run = await machine.ended(id);
      assert.equal(run.outcome, outcome, JSON.stringify(run, null, 1));
      check(run);
      await machine.verify('tank');
      await wellAgain(machine, drives, lost);
    });
  }

  test(`RAID ${level}, firmware: another drive fails before the task begins: recalled at once`, async (t) => {
    const machine = await Machine.boot(t);
    const drives = await machine.create('tank', level);
    await machine.writeSome('tank', 15);
    // The last check before the task is the place to fail at: the windows are open by then.
    const check = machine.tools.gateCheckAfterPlan();
    const { id } = await machine.run('tank', '1');
    await check.arrived;
    machine.at(drives[lost]!).vanish();
    await machine.untilStatus('tank', ({ window }) => window?.recall === true);
    check.open();
    const run = await machine.ended(id);
    assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
    assert.equal(run.begun, false);
    assert.deepEqual(machine.tools.log, [], 'nothing touched the drive');
    await machine.verify('tank');
    await wellAgain(machine, drives, lost);
  });

  test(`RAID ${level}, replacement: another drive fails while the drive is out: the old one comes back`, async (t) => {
    const machine = await Machine.boot(t);
    const drives = await machine.create('tank', level);
    await machine.writeSome('tank', 15);
    const { id } = await machine.run('tank', '1', {
      purpose: 'replacement',
      newDrivePath: '/dev/new',
    });
    await machine.untilRun(id, ({ step, state }) => step === 'exchange' && state === 'waiting');
    await machine.writeSome('tank', 10);
    machine.at(drives[lost]!).vanish();
    const run = await machine.ended(id);
    assert.equal(run.outcome, 'recalled');
    await machine.verify('tank');
    await wellAgain(machine, drives, lost);
  });

  test(`RAID ${level}: another drive fails while the drive is compared, and while the log is replayed`, async (t) => {
    for (const phase of ['return', 'replay'] as const) {
      const machine = await Machine.boot(t);
      const drives = await machine.create('tank', level);
      await machine.writeSome('tank', 30);
      const { id, gate } = await machine.runUpTo('verify');
      await machine.writeSome('tank', 30);
      gate.open();
      await machine.untilRun(id, (run) => run.step === phase || run.state === 'ended');
      machine.at(drives[lost]!).vanish();
      const run = await machine.ended(id);
      assert.equal(run.outcome, 'done', `${phase}: ${JSON.stringify(run, null, 1)}`);
      await machine.verify('tank');
      await wellAgain(machine, drives, lost);
    }
  });
}
