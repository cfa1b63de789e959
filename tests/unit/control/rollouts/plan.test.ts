/** The plan of a rollout, what is refused before anything is touched, spares that go wrong, and the inventory. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../../../src/api/errors.ts';
import type { Outcome } from '../../../../src/core/problems.ts';
import type { RolloutReport } from '../../../../src/core/rollout-report.ts';
import { driveOf, ended, halted, request, type Shelf, scene, states } from './shelf.ts';

function refusal(outcome: Outcome<unknown>): string {
  assert.ok(!outcome.ok);
  return explain(outcome.problem).message;
}

const untouched = (shelf: Shelf): void => assert.deepEqual(shelf.story, []);

test('the plan: in order, what is left out and why, the checks; nothing is touched', async (t) => {
  const { shelf, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', ''], ['s']);
  shelf.drive('b').firmware = 'B2';
  shelf.drive('s').health = 'failing';
  shelf.windowChecks.push({ id: 'WP008', title: 'x', result: 'warn', reason: 'shares', fix: '' });
  const planned = await rollouts().plan(request(['v1'], { soakMs: 600, task: { version: 'B2' } }));
  assert.ok(planned.ok);
  const { plan } = { plan: planned.value };
  assert.equal(plan.allowed, true);
  assert.equal(plan.version, 'B2');
  assert.equal(plan.soakTotalMs, 1200);
  assert.equal(plan.estimateMs, null);
  assert.deepEqual(
    plan.drives.map(({ path, action, note }) => [path, action, note]),
    [
      ['s', 'flash', ''],
      ['a', 'flash', ''],
      ['b', 'skip', 'it has B2 already'],
      ['', 'skip', 'it is missing'],
    ],
  );
  assert.deepEqual(
    plan.drives[0]!.checks.map(({ id, result }) => `${id} ${result}`),
    ['FW001 pass', 'FW002 pass', 'FW003 warn'],
  );
  assert.deepEqual(
    plan.drives[1]!.checks.map(({ id, result }) => `${id} ${result}`),
    ['FW001 pass', 'FW002 pass', 'FW003 pass', 'WP008 warn'],
  );
  untouched(shelf);
  assert.deepEqual(rollouts().all(), []);
});

test('drives by slot, path, name and uuid; one sentence for what is unknown or ambiguous', async (t) => {
  const { shelf, rollouts } = await scene(t);
  shelf.addVolume('v1', ['/d/a', '/d/b'], ['/d/s']);
  shelf.addVolume('v2', ['/d/x', '/d/y']);
  const paths = async (volumes: string[], ...drives: string[]): Promise<string[]> => {
    const planned = await rollouts().plan(request(volumes, { drives }));
    assert.ok(planned.ok, drives.join());
    return planned.value.drives.map(({ path }) => path);
  };
  assert.deepEqual(await paths(['v1'], '1'), ['/d/b']);
  assert.deepEqual(await paths(['v1', 'v2'], '/d/y', '/d/a'), ['/d/a', '/d/y']);
  assert.deepEqual(await paths(['v1'], 's'), ['/d/s']);
  assert.deepEqual(await paths(['v1', 'v2'], 'uuid-/d/x'), ['/d/x']);
  assert.match(refusal(await rollouts().plan(request(['v1'], { drives: ['9'] }))), /9/);
  assert.match(refusal(await rollouts().plan(request(['v1', 'v2'], { drives: ['0'] }))), /0.*2/);
  assert.match(refusal(await rollouts().plan(request(['v9']))), /v9/);
});

test('a model that fits some leaves the others out; one that fits none is refused', async (t) => {
  const { shelf, rollouts, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.drive('b').model = 'OTHER';
  const { id } = await start(request(['v1'], { task: { model: 'ACME' } }));
  assert.deepEqual(states(await until(id, ended, 'ended')), ['a done', 'b skipped']);
  shelf.story.length = 0;
  const none = await rollouts().start(request(['v1'], { task: { model: 'XYZ' } }));
  assert.match(refusal(none), /none of the 2 drives is of model XYZ/);
  untouched(shelf);
});

test('refused before anything is touched: a drive that does not answer, a tool that is missing, a window', async (t) => {
  const { shelf, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  shelf.drive('b').answers = false;
  assert.match(refusal(await rollouts().start(request(['v1']))), /does not answer.*\(b\)/);
  shelf.drive('b').answers = true;
  shelf.windowChecks.push({
    id: 'WP005',
    title: '',
    result: 'block',
    reason: 'slot 2 is failed',
    fix: '',
  });
  assert.match(
    refusal(await rollouts().start(request(['v1']))),
    /slot 2 is failed \(a, and 2 more\)/,
  );
  shelf.windowChecks.length = 0;
  shelf.missingTool = 'the tool hdparm is not installed';
  assert.match(refusal(await rollouts().start(request(['v1']))), /hdparm is not installed/);
  untouched(shelf);
  assert.deepEqual(rollouts().all(), []);
});

test('an image that changes in the middle is noticed by the next drive', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s', 's2']);
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  await until(id, (report) => driveOf(report, 's').state === 'soaking', 'the first one');
  shelf.imageSha = 'bb';
  shelf.nowMs += 60_000;
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /it has changed/);
  assert.deepEqual(states(report), ['s done', 's2 pending', 'a pending']);
  assert.equal(shelf.volumes.get('v1')!.drives.length, 3);
});

test('a download that activates is not activated again', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.stageActivates = true;
  shelf.addVolume('v1', ['a'], ['s']);
  const { id } = await start(request(['v1'], { drives: ['s'] }));
  assert.deepEqual(states(await until(id, ended, 'ended')), ['s done']);
  assert.deepEqual(shelf.story, ['release s', 'stage s', 'add s']);
});

for (const [what, prepare, reason, isBack] of [
  [
    'the tool failed',
    (shelf: Shelf) => void (shelf.flashResult = 'failed'),
    /the tool failed/,
    true,
  ],
  [
    'the version is as before',
    (shelf: Shelf) => void (shelf.drive('s').becomes = 'A1'),
    /still has A1/,
    true,
  ],
  [
    'another serial comes back',
    (shelf: Shelf) => {
      shelf.whileFlashing = async () => void (shelf.drive('s').serial = 'X');
    },
    /serial is X, it was S-s.*locum drive add v1 s --spare/,
    false,
  ],
  [
    'it does not come back',
    (shelf: Shelf) => {
      shelf.whileFlashing = async () => void (shelf.drive('s').answers = false);
    },
    /does not answer/,
    false,
  ],
] as const) {
  test(`a spare: ${what}`, async (t) => {
    const { shelf, start, until } = await scene(t);
    shelf.addVolume('v1', ['a'], ['s']);
    prepare(shelf);
    const { id } = await start(request(['v1']));
    const report = await until(id, halted, 'halted');
    assert.match(report.reason, reason);
    assert.notEqual(driveOf(report, 's').state, 'done');
    assert.equal(shelf.story.includes('add s'), isBack);
    assert.ok(!shelf.story.includes('run a'));
  });
}

test('a spare that was taken meanwhile is flashed as the member that it is', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s', 's2']);
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  await until(id, (report) => driveOf(report, 's').state === 'soaking', 'the first one');
  const taken = shelf.volumes.get('v1')!.drives.find(({ path }) => path === 's2')!;
  Object.assign(taken, { slot: 1, state: 'online' });
  shelf.nowMs += 60_000;
  await until(id, (report) => driveOf(report, 's2').state === 'soaking', 'the second one');
  assert.ok(shelf.story.includes('run s2'));
});

test('a drive that was replaced meanwhile: the new one is flashed, unless it is of another model', async (t) => {
  for (const model of ['ACME', 'OTHER']) {
    const { shelf, start, until } = await scene(t);
    shelf.addVolume('v1', ['a', 'b']);
    const { id } = await start(request(['v1'], { soakMs: 60_000 }));
    await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'the first one');
    Object.assign(shelf.member('v1', 1), { path: 'n', uuid: 'uuid-n' });
    shelf.drives.set('n', { ...shelf.drive('b'), path: 'n', model });
    shelf.nowMs += 60_000;
    const is = ({ drives }: RolloutReport): boolean =>
      ['soaking', 'skipped'].includes(drives[1]!.state);
    const { drives } = await until(id, is, 'its turn');
    assert.equal(shelf.story.includes('run n'), model === 'ACME');
    assert.equal(drives[1]!.note, model === 'ACME' ? '' : 'a OTHER is in its place now');
  }
});

test('the inventory: every drive, and why one cannot be asked', async (t) => {
  const { shelf, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', ''], ['s']);
  shelf.addVolume('v2', ['x', 'y']);
  shelf.member('v1', 1).state = 'away';
  shelf.drive('x').answers = false;
  const all = await rollouts().inventory(null);
  assert.ok(all.ok);
  assert.deepEqual(
    all.value.map(({ volume, path, state, facts, note }) => [
      volume,
      path,
      state,
      facts?.firmware ?? note,
    ]),
    [
      ['v1', 'a', 'online', 'A1'],
      ['v1', 'b', 'away', 'it is away: a window is open'],
      ['v1', '', 'missing', 'no drive is there'],
      ['v1', 's', 'spare', 'A1'],
      ['v2', 'x', 'online', 'x could not be opened: it does not answer.'],
      ['v2', 'y', 'online', 'A1'],
    ],
  );
  const some = await rollouts().inventory(['v2']);
  assert.ok(some.ok && some.value.length === 2);
  assert.match(refusal(await rollouts().inventory(['v9'])), /v9/);
});

test('a spare on a drive that carries somebody else is not flashed', async (t) => {
  const { shelf, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a'], ['s']);
  const check = {
    id: 'WP016',
    title: 'No member on the drive of a spare',
    result: 'block' as const,
    reason: 's2 of volume v2 is on the same drive',
    fix: '',
  };
  shelf.spareChecks.push(check);
  const refused = await rollouts().start(request(['v1']));
  assert.equal(!refused.ok && refused.problem.code, 'rollout-refused');
  assert.deepEqual(shelf.story, []);
});
