/** A rollout from its beginning to its end: order, canary, soak, what is left out, what halts it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { driveOf, ended, halted, NEW, request, scene, states } from './shelf.ts';

test('every drive, the spare first, one at a time, with the new version in the end', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c'], ['s']);
  const { id } = await start(request(['v1']));
  const report = await until(id, ended, 'ended');
  assert.equal(report.state, 'done');
  assert.deepEqual(states(report), ['s done', 'a done', 'b done', 'c done']);
  assert.deepEqual(shelf.story, [
    'release s',
    'stage s',
    'activate s',
    'add s',
    'run a',
    'run b',
    'run c',
  ]);
  for (const drive of report.drives) {
    assert.equal(drive.firmwareBefore, 'A1');
    assert.equal(drive.firmwareAfter, NEW);
  }
  assert.equal(shelf.volumes.get('v1')!.drives.at(-1)!.state, 'spare');
  assert.ok(shelf.events.some((event) => event.includes('rollout-done')));
});

test('a canary alone, then the volumes side by side', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.addVolume('v2', ['x', 'y']);
  for (const path of ['a', 'b', 'x', 'y']) shelf.plans.set(path, { outcome: 'done', waits: true });
  const { id } = await start(request(['v1', 'v2']));
  await until(id, () => shelf.reports.length === 1, 'the canary begun');
  await until(id, (report) => driveOf(report, 'a').step === 'stage', 'looked at');
  assert.deepEqual(shelf.story, ['run a']);
  shelf.endRun('a', 'done');
  await until(id, () => shelf.reports.length === 3, 'two side by side');
  assert.deepEqual(shelf.story, ['run a', 'run b', 'run x']);
  shelf.endRun('x', 'done');
  await until(id, () => shelf.reports.length === 4, 'the next of v2');
  shelf.endRun('y', 'done');
  shelf.endRun('b', 'done');
  assert.equal((await until(id, ended, 'ended')).state, 'done');
});

test('the next drive waits for the soak of the one before, and for a volume at rest', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  const soaking = await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'soaking');
  assert.equal(driveOf(soaking, 'a').soakUntil, new Date(shelf.nowMs + 60_000).toISOString());
  shelf.nowMs += 59_000;
  await until(id, () => true, 'looked');
  assert.deepEqual(shelf.story, ['run a']);
  shelf.volumes.get('v1')!.state = 'resyncing';
  shelf.nowMs += 1_000;
  const waiting = await until(id, (report) => driveOf(report, 'a').state === 'soaking', 'waiting');
  assert.deepEqual(shelf.story, ['run a']);
  assert.equal(waiting.state, 'running');
  shelf.volumes.get('v1')!.state = 'optimal';
  await until(id, (report) => driveOf(report, 'b').state === 'soaking', 'the next one');
  assert.deepEqual(shelf.story, ['run a', 'run b']);
  shelf.nowMs += 60_000;
  const report = await until(id, ended, 'ended');
  assert.equal(report.state, 'done');
});

test('a drive that says another version after the soak halts the rollout', async (t) => {
  const { shelf, until, soaking } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const id = await soaking();
  shelf.drive('a').firmware = 'A1';
  shelf.nowMs += 60_000;
  const report = await until(id, halted, 'halted');
  assert.deepEqual(states(report), ['a failed', 'b pending']);
  assert.match(report.reason, /after the soak it has A1, not B2/);
  assert.match(report.next, /firmware resume .* firmware stop/);
});

test('a name that became another drive in the soak says nothing about the one that was flashed', async (t) => {
  for (const isThere of [true, false]) {
    const { shelf, until, soaking } = await scene(t);
    shelf.addVolume('v1', ['a', 'b']);
    const id = await soaking();
    const flashed = { ...shelf.drive('a'), path: 'z', answers: isThere };
    shelf.drives.set('z', flashed);
    // As well as can be, and with the very version: but it is somebody else's.
    Object.assign(shelf.drive('a'), { serial: 'SOMEBODY', firmware: NEW });
    shelf.nowMs += 60_000;
    if (isThere) {
      const next = await until(id, ({ drives }) => drives[1]!.state === 'soaking', 'the next one');
      assert.deepEqual(states(next), ['z done', 'b soaking']);
    } else {
      const report = await until(id, halted, 'halted');
      assert.deepEqual(states(report), ['a failed', 'b pending']);
      assert.match(
        report.reason,
        /at a is not the drive that was flashed.* its serial is SOMEBODY/,
      );
    }
  }
});

test('a drive that is silent for a moment after its soak: no other one is asked for that', async (t) => {
  const { shelf, until, soaking } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const id = await soaking();
  const drive = shelf.drive('a');
  let asked = 0;
  Object.defineProperty(drive, 'answers', { get: () => (asked += 1) > 2 });
  shelf.nowMs += 60_000;
  const next = await until(id, ({ drives }) => drives[1]!.state === 'soaking', 'the next one');
  assert.deepEqual(states(next), ['a done', 'b soaking']);
  assert.equal(shelf.searches, 0);
});

test('new errors in the soak halt it, and say so of the drive', async (t) => {
  const { shelf, until, soaking } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  const id = await soaking();
  shelf.member('v1', 0).errors.read = 2;
  const report = await until(id, halted, 'halted');
  assert.equal(driveOf(report, 'a').state, 'failed');
  assert.match(report.reason, /2 new I\/O errors on a of v1/);
});

test('a drive that is failing after the soak halts it; one that was failing before does not', async (t) => {
  for (const before of ['ok', 'failing'] as const) {
    const { shelf, until, soaking } = await scene(t);
    shelf.addVolume('v1', ['a']);
    shelf.drive('a').health = before;
    const id = await soaking();
    shelf.drive('a').health = 'failing';
    shelf.nowMs += 60_000;
    const report = await until(id, ({ state }) => state !== 'running', 'over');
    assert.equal(report.state, before === 'ok' ? 'halted' : 'done');
  }
});

test('a second failure halts it, names the drive and what to do', async (t) => {
  const { shelf, start, until, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c', 'd']);
  shelf.plans.set('a', { outcome: 'done', meanwhile: () => shelf.fail('v1', 3) });
  const { id } = await start(request(['v1']));
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /the drive in slot 3 of v1 is failed: pulled/);
  assert.match(report.next, /locum drive replace v1 3 --with NEW_DRIVE/);
  await until(id, (now) => driveOf(now, 'a').state === 'done', 'a let finish');
  assert.deepEqual(shelf.story, ['run a']);

  // Taken as it is: the others go, the failed one is left out.
  assert.ok((await rollouts().resume(id, { retry: false, allowDegraded: true })).ok);
  const over = await until(id, ended, 'ended');
  assert.deepEqual(states(over), ['a done', 'b done', 'c done', 'd skipped']);
  assert.equal(over.allowDegraded, true);
});

test('a second failure says more than the recall that follows from it', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  shelf.plans.set('a', { outcome: 'recalled', meanwhile: () => shelf.fail('v1', 2) });
  const { id } = await start(request(['v1']));
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /slot 2 of v1 is failed/);
  assert.deepEqual(states(report), ['a pending', 'b pending', 'c pending']);
});

test('a drive that is lost says more than the hole it leaves', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  shelf.plans.set('a', { outcome: 'drive-lost', meanwhile: () => shelf.fail('v1', 0) });
  const { id } = await start(request(['v1'], { stopOnError: false }));
  const report = await until(id, halted, 'halted');
  assert.equal(driveOf(report, 'a').state, 'failed');
  assert.deepEqual(shelf.story, ['run a']);
});

for (const [outcome, state] of [
  ['not-applied', 'not-applied'],
  ['failed', 'failed'],
  ['unhealthy', 'failed'],
] as const) {
  test(`${outcome} halts it; with --no-stop-on-error it goes on`, async (t) => {
    for (const stopOnError of [true, false]) {
      const { shelf, start, until, rollouts } = await scene(t);
      shelf.addVolume('v1', ['a', 'b']);
      shelf.plans.set('a', { outcome });
      const { id } = await start(request(['v1'], { stopOnError }));
      if (!stopOnError) {
        const report = await until(id, ended, 'ended');
        assert.deepEqual(states(report), [`a ${state}`, 'b done']);
        continue;
      }
      const report = await until(id, halted, 'halted');
      assert.deepEqual(states(report), [`a ${state}`, 'b pending']);
      assert.match(report.reason, new RegExp(`^a \\(slot 0 of v1\\): the run was ${outcome}`));
      assert.match(report.next, /^Look at it\. .*--retry/);
      shelf.plans.delete('a');
      assert.ok((await rollouts().resume(id, { retry: true, allowDegraded: false })).ok);
      assert.deepEqual(states(await until(id, ended, 'ended')), ['a done', 'b done']);
    }
  });
}

test('a refused run halts it with the check that says no; the drive stays pending', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  const check = {
    id: 'WP007',
    title: '',
    result: 'block',
    reason: 'one leg only',
    fix: 'log replace',
  } as const;
  shelf.refusals.set('b', { code: 'window-refused', detail: {}, checks: [check] });
  const { id } = await start(request(['v1']));
  const report = await until(id, halted, 'halted');
  assert.deepEqual(states(report), ['a done', 'b pending']);
  assert.match(report.reason, /one leg only/);
  assert.match(report.next, /log replace/);
});

test('what has the version is left out: by --version, or because this image made it of this model', async (t) => {
  const { shelf, start, until, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  shelf.drive('b').firmware = NEW;
  const { id } = await start(request(['v1'], { task: { version: NEW } }));
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['a done', 'b skipped', 'c done']);
  assert.match(driveOf(report, 'b').note, /has B2 already/);

  shelf.reports[0]!.endedAt = new Date(shelf.nowMs + 2_000).toISOString();
  shelf.reports[1]!.endedAt = new Date(shelf.nowMs + 4_000).toISOString();
  shelf.drive('b').firmware = 'A1';
  const planned = await rollouts().plan(request(['v1'], { soakMs: 1_000 }));
  assert.ok(planned.ok && planned.value.estimateMs === 4_000, 'by what the two took');
  shelf.drive('b').firmware = NEW;

  const again = await start(request(['v1']));
  const nothing = await until(again.id, ended, 'ended');
  assert.deepEqual(states(nothing), ['a skipped', 'b skipped', 'c skipped']);
  assert.deepEqual(shelf.story, ['run a', 'run c']);
});

test('without --version, what the canary became is known for the others', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.drive('b').firmware = NEW;
  const { id } = await start(request(['v1']));
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['a done', 'b skipped']);
});

test('a drive with members of two volumes is flashed once, with both to itself', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.wholes.set('p1', 'p').set('p2', 'p');
  shelf.addVolume('v1', ['a', 'p1']);
  shelf.addVolume('v2', ['x', 'p2']);
  const { id } = await start(request(['v1', 'v2']));
  const report = await until(id, ended, 'ended');
  assert.deepEqual(states(report), ['a done', 'p done', 'x done']);
  assert.deepEqual(driveOf(report, 'p').volumes, ['v1', 'v2']);
  assert.equal(shelf.story.filter((line) => line === 'run p').length, 1);
});

test('degraded from the start: the failed one is left out, all others are flashed', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  shelf.fail('v1', 1);
  const window = { ...request(['v1']).window, allowDegraded: true };
  const { id } = await start(request(['v1'], { window }));
  const report = await until(id, ended, 'ended');
  assert.equal(report.state, 'done');
  assert.deepEqual(states(report), ['a done', 'b skipped', 'c done']);
  assert.match(driveOf(report, 'b').note, /it is failed/);
});

test('pause lets the drive at work finish, resume goes on, stop is for good', async (t) => {
  const { shelf, start, until, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  for (const path of ['a', 'b']) shelf.plans.set(path, { outcome: 'done', waits: true });
  const { id } = await start(request(['v1']));
  await until(id, () => shelf.reports.length === 1, 'begun');
  assert.ok((await rollouts().pause(id)).ok);
  shelf.endRun('a', 'done');
  const paused = await until(id, (report) => driveOf(report, 'a').state === 'done', 'a finished');
  assert.equal(paused.state, 'paused');
  assert.match(paused.next, /firmware resume/);
  assert.equal(shelf.reports.length, 1);
  assert.ok((await rollouts().resume(id, { retry: false, allowDegraded: false })).ok);
  await until(id, () => shelf.reports.length === 2, 'the next one');
  assert.ok((await rollouts().stop(id)).ok);
  const stopped = await until(id, ({ state }) => state === 'stopped', 'stopped');
  assert.equal(stopped.endedAt, null, 'b is still at work');
  const taken = await rollouts().start(request(['v1']));
  assert.ok(!taken.ok && taken.problem.code === 'rollout-exists');
  shelf.endRun('b', 'done');
  const over = await until(id, ended, 'ended');
  assert.deepEqual(states(over), ['a done', 'b done', 'c pending']);
  for (const command of ['pause', 'stop'] as const) {
    const refused = await rollouts()[command](id);
    assert.ok(!refused.ok && refused.problem.code === 'rollout-wrong-state');
  }
  const unknown = await rollouts().pause('fw-no');
  assert.ok(!unknown.ok && unknown.problem.code === 'rollout-unknown');
});

test('one rollout a volume, two of different volumes side by side', async (t) => {
  const { shelf, start, until, rollouts } = await scene(t);
  shelf.addVolume('v1', ['a']);
  shelf.addVolume('v2', ['x']);
  shelf.plans.set('a', { outcome: 'done', waits: true });
  const first = await start(request(['v1']));
  const refused = await rollouts().start(request(['v2', 'v1']));
  assert.ok(!refused.ok && refused.problem.code === 'rollout-exists');
  const second = await start(request(['v2']));
  await until(second.id, ended, 'ended');
  shelf.endRun('a', 'done');
  await until(first.id, ended, 'ended');
});

test('a drive that meets new errors while another one soaks halts everything', async (t) => {
  const { shelf, until, soaking } = await scene(t);
  shelf.addVolume('v1', ['a', 'b', 'c']);
  const id = await soaking();
  shelf.member('v1', 2).errors.read = 3;
  const report = await until(id, halted, 'halted');
  assert.match(report.reason, /3 new I\/O errors on c/);
  shelf.nowMs += 60_000;
  await until(id, (now) => driveOf(now, 'a').state === 'done', 'soaked');
  assert.deepEqual(shelf.story, ['run a'], 'nothing more is begun');
});

test('a member that comes back from its run under another name is looked at there after the soak', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.plans.set('a', { outcome: 'done', waits: true });
  const { id } = await start(request(['v1'], { soakMs: 60_000 }));
  await until(id, () => shelf.reports.length === 1, 'begun');
  const before = shelf.drive('a');
  shelf.drives.set('z', { ...before, path: 'z', firmware: NEW });
  before.answers = false;
  shelf.member('v1', 0).path = 'z';
  shelf.endRun('a', 'done', 'z');
  const soaking = await until(id, (report) => report.drives[0]!.state === 'soaking', 'soaking');
  assert.equal(soaking.drives[0]!.path, 'z');
  shelf.nowMs += 60_000;
  const next = await until(id, (report) => driveOf(report, 'b').state === 'soaking', 'the next');
  assert.deepEqual(states(next), ['z done', 'b soaking']);
});

test('a drive that was put off is tried again by a plain resume, and told so', async (t) => {
  const { shelf, start, until } = await scene(t);
  shelf.addVolume('v1', ['a', 'b']);
  shelf.plans.set('a', { outcome: 'refused' });
  const { id } = await start(request(['v1']));
  const putOff = await until(id, halted, 'halted');
  assert.deepEqual(states(putOff), ['a pending', 'b pending']);
  assert.match(putOff.next, new RegExp(`firmware resume ${id}\` tries it again`));
  assert.doesNotMatch(putOff.next, /--retry/);
});
