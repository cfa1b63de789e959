/** A server that dies at any point of a rollout: the next one goes on where it was, and no drive is flashed twice for it. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { RolloutRecord } from '../../../../src/control/rollouts/rollout-record.ts';
import { driveOf, ended, halted, request, scene, states } from './shelf.ts';

/** Drive a of two was at work when the server died; the next one runs. */
async function killedInTheFirstRun(t: TestContext) {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.plans.set('a', { outcome: 'done', waits: true });
  const { id } = await start(request(['v1']));
  await until(id, () => shelf.reports.length === 1, 'begun');
  await restart();
  return { shelf, until, id };
}

test('killed while a run is at work: the run goes on by itself, the rollout after it', async (t) => {
  const { shelf, until, id } = await killedInTheFirstRun(t);
  shelf.endRun('a', 'done');
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['a done', 'b done']);
  assert.deepEqual(shelf.story, ['run a', 'run b']);
});

for (const [outcome, what] of [
  ['recalled', 'before the task began'],
  ['not-applied', 'between two steps of the task'],
  ['failed', 'in a step of the task'],
] as const) {
  test(`broken off by the restart ${what}: the drive is begun anew`, async (t) => {
    const { shelf, until, id } = await killedInTheFirstRun(t);
    shelf.plans.delete('a');
    shelf.endRun('a', outcome);
    const report = await until(id, ended, 'ended');
    assert.deepEqual(states(report), ['a done', 'b done']);
    assert.deepEqual(shelf.story, ['run a', 'run a', 'run b']);
  });
}

test('killed before the end of a run was on record: the next drive waits until it has ended again', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'soaking');
  // The rollout knows that it has ended; the run itself has yet to find that out.
  const [run] = shelf.reports;
  Object.assign(run!, { outcome: null, state: 'running' });
  await restart();
  shelf.nowMs += 60_000;
  await until(
    id,
    ({ reason }) => reason === `It waits: run ${run!.id} is under way on v1.`,
    'waits',
  );
  assert.deepEqual(shelf.story, ['run a']);
  shelf.endRun('a', 'done');
  await until(id, (report) => driveOf(report, 'b').state === 'soaking', 'the next one');
});

test('the same outcome without a restart, or of a drive that is lost, halts', async (t) => {
  const { shelf, until, id } = await killedInTheFirstRun(t);
  shelf.endRun('a', 'drive-lost');
  assert.deepEqual(states(await until(id, halted, 'halted')), ['a failed', 'b pending']);
});

test('begun anew after a restart, a bad end is a bad end', async (t) => {
  const { shelf, until, id } = await killedInTheFirstRun(t);
  shelf.plans.set('a', { outcome: 'failed' });
  shelf.endRun('a', 'recalled');
  assert.deepEqual(states(await until(id, halted, 'halted')), ['a failed', 'b pending']);
  assert.deepEqual(shelf.story, ['run a', 'run a']);
});

test('a drive whose runs are broken off again and again is given up in the end', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a']);
  shelf.plans.set('a', { outcome: 'done', waits: true });
  const { id } = await start(request(['v1']));
  for (let life = 1; life <= 5; life += 1) {
    await until(id, () => shelf.reports.length === life, `begun ${life} times`);
    await until(
      id,
      (report) => driveOf(report, 'a').runId === shelf.reports[life - 1]!.id,
      'on record',
    );
    await restart();
    shelf.endRun('a', 'recalled');
  }
  assert.deepEqual(states(await until(id, halted, 'halted')), ['a pending']);
});

function onRecord(folder: string): RolloutRecord {
  const [name] = readdirSync(join(folder, 'rollouts')).filter((file) => file.endsWith('.json'));
  return JSON.parse(readFileSync(join(folder, 'rollouts', name!), 'utf8')) as RolloutRecord;
}

test('what begins is on record before: a run, the release of a spare, each step on it', async (t) => {
  const { shelf, start, until, folder } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  const seen: string[] = [];
  shelf.onBegin = (what) => {
    const { report, spares } = onRecord(folder);
    const { phase, step } = spares['0'] ?? { phase: 'none', step: '' };
    seen.push(`${what}: ${report.drives.map(({ state }) => state).join()} ${phase} ${step}`.trim());
  };
  const { id } = await start(request(['v1']));
  await until(id, ended, 'ended');
  assert.deepEqual(seen, [
    'release s: running,pending released',
    'stage s: running,pending begun stage',
    'activate s: running,pending begun activate',
    'run a: done,running none',
  ]);
});

test('while the record cannot be written no drive is begun; resumed when it can', async (t) => {
  const { shelf, start, until, folder, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b'], ['s']);
  const { id } = await start(request(['v1'], { soakMs: 60_000, drives: ['a', 'b'] }));
  await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'soaking');
  const store = join(folder, 'rollouts');
  renameSync(store, `${store}-away`);
  writeFileSync(store, '');
  shelf.nowMs += 60_000;
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /the record of firmware update .* cannot be written/);
  assert.deepEqual(states(report), ['a done', 'b pending']);
  assert.deepEqual(shelf.story, ['run a']);
  assert.ok(shelf.events.some((event) => event.includes('cannot be written')));
  const codes = (): string[] =>
    rollouts()
      .concerns('v1')
      .map(({ alarm }) => alarm!.code);
  assert.deepEqual(codes(), ['update-unrecorded', 'update-halted']);
  const still = await rollouts().resume(id, { retry: false, allowDegraded: false });
  assert.ok(!still.ok && still.problem.code === 'rollout-unrecorded');
  await until(id, halted, 'halted again');
  rmSync(store);
  renameSync(`${store}-away`, store);
  await rollouts().resume(id, { retry: false, allowDegraded: false });
  await until(id, (now) => driveOf(now, 'b').state === 'soaking', 'b flashed');
  assert.deepEqual(codes(), []);
});

test('paused, then stopped while there is no room to write that down: it is so, and is not said to be otherwise', async (t) => {
  const { shelf, start, until, folder, rollouts, restart } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.plans.set('a', { outcome: 'done', waits: true });
  const { id } = await start(request(['v1']));
  await until(id, (report) => driveOf(report, 'a').step === 'stage', 'a at work');
  const store = join(folder, 'rollouts');
  renameSync(store, `${store}-away`);
  writeFileSync(store, '');
  for (const [state, act] of [
    ['paused', () => rollouts().pause(id)],
    ['stopped', () => rollouts().stop(id)],
  ] as const) {
    const refused = await act();
    assert.equal(!refused.ok && refused.problem.code, 'rollout-unrecorded');
    assert.equal(!refused.ok && refused.problem.detail?.state, state);
    const now = rollouts().get(id);
    assert.equal(now.ok && now.value.state, state);
  }
  shelf.endRun('a', 'done');
  await until(id, ended, 'ended');
  assert.deepEqual(shelf.story, ['run a']);
  rmSync(store);
  renameSync(`${store}-away`, store);
  await until(id, () => rollouts().concerns('v1').length === 0, 'on record');
  await restart();
  const later = rollouts().get(id);
  assert.equal(later.ok && later.value.state, 'stopped');
  assert.deepEqual(shelf.story, ['run a']);
});

/** The record as it would be, had the server died at another moment. */
function rewrite(folder: string, change: (record: RolloutRecord) => void): void {
  const [name] = readdirSync(join(folder, 'rollouts')).filter((file) => file.endsWith('.json'));
  const path = join(folder, 'rollouts', name!);
  const record = JSON.parse(readFileSync(path, 'utf8')) as RolloutRecord;
  change(record);
  writeFileSync(path, JSON.stringify(record));
}

test('killed between the record and the run: begun anew; between the run and the record: found', async (t) => {
  for (const hasRun of [false, true]) {
    const { shelf, start, until, restart, folder, rollouts } = await scene(t);
    shelf.addVolume('v1', ['a', 'b']);
    shelf.plans.set('a', { outcome: 'done', waits: true });
    const { id } = await start(request(['v1']));
    await until(id, () => shelf.reports.length === 1, 'begun');
    await rollouts().close();
    rewrite(folder, ({ report }) => {
      report.drives[0]!.step = '';
    });
    if (!hasRun) shelf.reports.length = 0;
    shelf.plans.delete('a');
    await restart();
    if (hasRun) shelf.endRun('a', 'done');
    assert.deepEqual(states(await until(id, ended, 'ended')), ['a done', 'b done']);
    assert.equal(shelf.story.filter((line) => line === 'run a').length, hasRun ? 1 : 2);
  }
});

test('killed in the soak: it is soaked to its end, not from its beginning', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  const { drives } = await until(
    id,
    (report) => driveOf(report, 'a').state === 'soaking',
    'soaking',
  );
  shelf.nowMs += 30_000;
  await restart();
  const after = await until(
    id,
    (report) => driveOf(report, 'a').state === 'soaking',
    'still soaking',
  );
  assert.equal(after.drives[0]!.soakUntil, drives[0]!.soakUntil);
  shelf.nowMs += 30_000;
  await until(id, (report) => driveOf(report, 'b').state === 'soaking', 'the next one');
});

test('paused and halted stay so over a restart, with their reason', async (t) => {
  const { shelf, start, until, restart, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.plans.set('a', { outcome: 'not-applied' });
  const { id } = await start(request(['v1']));
  const before = await until(id, halted, 'halted');
  await restart();
  const after = await until(id, halted, 'halted');
  assert.equal(after.reason, before.reason);
  // In the status of the volume for as long.
  const [concern, ...others] = rollouts().concerns('v1');
  assert.deepEqual(others, []);
  assert.deepEqual([concern?.alarm!.code, concern?.alarm!.severity], ['update-halted', 'warning']);
  assert.ok(concern!.alarm!.message.startsWith(`Firmware update ${id} is halted: ${after.reason}`));
  assert.equal(concern!.next, after.next);
  assert.deepEqual(rollouts().concerns('v2'), []);
  assert.ok((await rollouts().resume(id, { retry: false, allowDegraded: false })).ok);
  await until(id, ended, 'ended');
  assert.deepEqual(rollouts().concerns('v1'), []);
});

test('errors counted before a restart are not missed after it: counters begin again', async (t) => {
  const { shelf, until, restart, soaking } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.member('v1', 1).errors.read = 5;
  const id = await soaking();
  shelf.member('v1', 1).errors.read = 1;
  await restart();
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /1 new I\/O error on b/);
});

test('killed with a spare released, and not yet touched: it comes back, and is begun anew', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  const held = new Promise<void>(() => {});
  shelf.whileFlashing = () => held;
  const { id } = await start(request(['v1']));
  await until(id, () => shelf.story.includes('stage s'), 'at work');
  shelf.whileFlashing = async () => {};
  await restart();
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['s done', 'a done']);
  assert.deepEqual(shelf.story, [
    'release s',
    'stage s',
    // The first server is gone; the drive said that nothing has come of it.
    'add s',
    'release s',
    'stage s',
    'activate s',
    'add s',
    'run a',
  ]);
});

test('a tool that finished while no server was there: the spare says so', async (t) => {
  const { shelf, start, until, restart } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  const held = new Promise<void>(() => {});
  shelf.whileFlashing = () => held;
  const { id } = await start(request(['v1']));
  await until(id, () => shelf.story.includes('stage s'), 'at work');
  shelf.drive('s').firmware = shelf.drive('s').becomes;
  await restart();
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['s done', 'a done']);
  assert.deepEqual(shelf.story, ['release s', 'stage s', 'add s', 'run a']);
});

test('a record that cannot be read, with its copy, is said, and an alarm until somebody has looked', async (t) => {
  const { shelf, restart, folder, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a']);
  const file = join(folder, 'rollouts', 'fw-1.json');
  writeFileSync(file, '{');
  mkdirSync(join(folder, 'rollouts', 'fw-1'));
  writeFileSync(join(folder, 'rollouts', 'fw-1', 'spare-0-stage.log.pid'), '7');
  shelf.orphan = { pid: 7, startTicks: 1 };
  await restart();
  assert.deepEqual(rollouts().all(), []);
  assert.ok(shelf.events.some((event) => event.startsWith('v1 rollout-record-lost warning')));
  const [concern] = rollouts().concerns('v1');
  assert.equal(concern?.alarm!.code, 'update-record-lost');
  assert.match(concern.alarm.message, /Wait until its tool has ended \(process 7\)/);
  assert.equal(shelf.orphanAtWork()?.pid, 7, 'whatever spare it has, nobody is given it');
  shelf.orphan = null;
  assert.equal(shelf.orphanAtWork(), null);
  assert.doesNotMatch(rollouts().concerns('v1')[0]!.alarm!.message, /process/);
  await restart();
  assert.equal(rollouts().concerns('v1').length, 1, 'still there after another start');
  rmSync(`${file}.unreadable`);
  assert.deepEqual(rollouts().concerns('v1'), []);
});

test('the record is damaged while a spare is out: it goes on from the copy, and the spare comes back', async (t) => {
  const { shelf, start, until, restart, folder, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  shelf.whileFlashing = () => new Promise<void>(() => {});
  const { id } = await start(request(['v1']));
  await until(id, () => shelf.story.includes('stage s'), 'at work');
  await rollouts().close();
  shelf.drive('s').firmware = shelf.drive('s').becomes;
  writeFileSync(join(folder, 'rollouts', `${id}.json`), '');
  await restart();
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['s done', 'a done']);
  assert.equal(shelf.volumes.get('v1')!.drives.at(-1)!.state, 'spare');
  assert.ok(shelf.events.some((event) => event.startsWith('v1 rollout-record-restored')));
});
