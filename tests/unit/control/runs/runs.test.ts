/** Runs over the real engine on drives in memory: each purpose from the plan to the end, and what is met on the way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunReport } from '../../../../src/core/run-report.ts';
import { Machine } from './machine.ts';

test('firmware: plan, open, stage, activate, identify, verify, return, replay, close', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('activate');
  await machine.writeSome('tank', 20);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.deepEqual(
    run.steps.map(({ step, result }) => `${step} ${result}`),
    [
      'plan done',
      'open done',
      'stage done',
      'activate done',
      'identify done',
      'verify done',
      'return done',
      'replay done',
      'close done',
    ],
  );
  assert.match(run.sentence, /from firmware A1 to B2/);
  assert.equal(run.before?.firmware, 'A1');
  assert.equal(run.after?.firmware, 'B2');
  assert.ok(run.loggedBytes > 0 && run.replayedBytes > 0);
  assert.deepEqual(machine.tools.log, [`stage ${drives[1]}`, `activate ${drives[1]}`]);
  assert.equal((await machine.status('tank')).state, 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
  const kinds = machine.kinds('tank');
  for (const kind of ['run-started', 'run-step', 'run-ended'])
    assert.ok(kinds.includes(kind), kind);
});

test('the drive is named by slot, path, short name or the beginning of its uuid', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { drives } = await machine.status('tank');
  for (const name of ['1', path!, 'tank-d1', drives[1]!.uuid.slice(0, 13)]) {
    const { id, drive } = await machine.run('tank', name, { rehearsal: true });
    assert.equal(drive.slot, 1, name);
    await machine.ended(id);
  }
  assert.equal(await machine.refused('tank', 'sdz'), 'drive-unknown');
  assert.equal(await machine.refused('tonk', '1'), 'volume-unknown');
});

test('a rehearsal does everything but touch the drive', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id } = await machine.run('tank', '1', { rehearsal: true });
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'rehearsed');
  assert.equal(run.begun, false);
  assert.deepEqual(machine.tools.log, []);
  const skipped = run.steps.filter(({ result }) => result === 'skipped').map(({ step }) => step);
  assert.deepEqual(skipped, ['stage', 'activate']);
  assert.ok(run.steps.some(({ step, result }) => step === 'verify' && result === 'done'));
  assert.equal(run.windowIds.length, 1, 'the window was real');
});

test('a rehearsed replacement leaves the new drive alone', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.medium('/dev/new');
  const over = { purpose: 'replacement', newDrivePath: '/dev/new', rehearsal: true } as const;
  const run = await machine.ended((await machine.run('tank', '1', over)).id);
  assert.equal(run.outcome, 'rehearsed');
  assert.equal((await machine.status('tank')).drives[1]?.path, path);
  assert.equal(machine.at('/dev/new').counts.write, 0);
});

test('what the drive says afterwards decides, not the tool', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.tools.drive(path!).next = 'A1';
  const unchanged = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(unchanged.outcome, 'not-applied');
  machine.tools.drive(path!).next = 'B2';
  const other = await machine.ended((await machine.run('tank', '1', { version: 'C3' })).id);
  assert.equal(other.outcome, 'failed');
  assert.match(other.sentence, /B2, and C3/);
  machine.tools.results.set('stage', { result: 'failed', exitStatus: 9, reason: 'exit status 9' });
  const failed = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(failed.outcome, 'failed');
  assert.equal(failed.steps.find(({ step }) => step === 'stage')?.exitStatus, 9);
  assert.equal((await machine.status('tank')).state, 'optimal', 'and it is back all the same');
});

test('a tool that hangs is ended, and the drive is asked', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const timedOut = { result: 'timed-out', exitStatus: null, reason: 'over its limit' } as const;
  machine.tools.results.set('activate', timedOut);
  machine.tools.drive(path!).isGone = false;
  const { id } = await machine.run('tank', '1');
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'failed');
  assert.match(run.sentence, /over its limit/);
});

test('a drive that is gone after its activation is waited for; one that is another is not taken', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  await machine.writeSome('tank', 10);
  const drive = machine.tools.drive(path!);
  const { id, gate } = await machine.runUpTo('activate', { answerLimitMs: 100 });
  drive.isGone = true;
  gate.open();
  const gone = await machine.untilRun(id, ({ state }) => state === 'waiting');
  assert.match(gone.sentence, /does not answer/);
  assert.match(gone.next, /safe in its window/);
  assert.ok(machine.kinds('tank').includes('run-waiting'));
  await machine.writeSome('tank', 10);
  drive.isGone = false;
  const { serial } = drive;
  drive.serial = 'SOMEBODY';
  const other = await machine.untilRun(id, (run) => /serial is SOMEBODY/.test(run.sentence));
  assert.equal(other.state, 'waiting');
  assert.equal((await machine.status('tank')).window?.state, 'open');
  drive.serial = serial;
  drive.capacityBytes -= 512;
  await machine.untilRun(id, (run) => /capacity is 999488/.test(run.sentence));
  drive.capacityBytes += 512;
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done');
  assert.equal(run.state, 'ended');
  await machine.verify('tank');
});

test('an image that vanishes between the plan and the first step: nothing was touched', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await check.arrived;
  machine.tools.checkRefusal = 'it is not there any more';
  check.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'refused');
  assert.equal(run.begun, false);
  assert.match(run.sentence, /not there any more/);
  assert.deepEqual(machine.tools.log, []);
  assert.equal(await machine.refused('tank', '1'), 'argument-invalid', 'and before the freeze');
  assert.equal((await machine.status('tank')).window, null);
});

test('an image that is changed between the plan and the first step: nothing was touched', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const check = machine.tools.gateCheckAfterPlan();
  const { id } = await machine.run('tank', '1');
  await check.arrived;
  machine.tools.imageSha256 = 'cd';
  check.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'refused');
  assert.match(
    run.sentence,
    /Nothing was done to .*: the image was changed after the plan\. .* cd/,
  );
  assert.deepEqual(machine.tools.log, []);
  const { state, window } = await machine.status('tank');
  assert.deepEqual([state, window], ['optimal', null]);
  await machine.verify('tank');
});

test('a long self-test and a scan have a day, and end before their window does', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const minutes = 60_000;
  const cases = [
    [{ test: 'short' }, 30, 25],
    [{ test: 'long' }, 1_440, 1_435],
    [{ test: 'scan' }, 1_440, 1_435],
    [{ test: 'scan', maxMs: 60 * minutes }, 60, 55],
    [{ test: 'long', maxMs: 4 * minutes }, 4, 2],
    [{ test: 'long', commandLimitMs: 7 * minutes }, 1_440, 7],
    [{ command: 'badblocks' }, 30, 30],
  ] as const;
  for (const [over, windowMinutes, testMinutes] of cases) {
    const { windowRun, windowShow } = machine.control.handlers;
    const body = { drive: '1', purpose: 'diagnostics' as const, ...over };
    const on = { params: { volume: 'tank' }, query: {} };
    const started = await windowRun({ ...on, body });
    assert.ok(started.ok, JSON.stringify(started));
    await machine.ended(started.value.run.id);
    const shown = await windowShow({ ...on, body: {} });
    assert.ok(shown.ok);
    const { openedAt, deadlineAt } = shown.value.window!;
    const lastsMs = Date.parse(deadlineAt) - Date.parse(openedAt);
    assert.equal(Math.round(lastsMs / minutes), windowMinutes, JSON.stringify(over));
    const limitMs = machine.tools.limitsMs.at(-1)!;
    assert.equal(Math.ceil(limitMs / minutes), testMinutes, JSON.stringify(over));
  }
});

test('a freeze that is refused has no steps of a return', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  const gate = machine.tools.gate('probe');
  const starting = machine.run('tank', '1');
  await gate.arrived;
  // Well when it was planned, and not when it is to be frozen.
  machine.at(drives[3]!).vanish();
  await machine.untilStatus('tank', ({ state }) => state === 'degraded');
  gate.open();
  const run = await machine.ended((await starting).id);
  assert.equal(run.outcome, 'refused', JSON.stringify(run, null, 1));
  assert.deepEqual(
    run.steps.map(({ step, result }) => `${step} ${result}`),
    ['plan done', 'open failed'],
  );
});

test('what commands printed is kept on file, and shown', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id } = await machine.run('tank', '1');
  await machine.ended(id);
  await machine.untilOnFile(id);
  for (const restarts of [false, true]) {
    if (restarts) {
      await machine.stop();
      await machine.start();
    }
    const printed = (run: RunReport | null): string[] =>
      run?.steps.map(({ output }) => output).filter((output) => output !== '') ?? [];
    assert.deepEqual(printed(machine.control.runs.get(id)), []);
    const shown = await machine.control.handlers.runShow({
      params: { run: id },
      query: {},
      body: {},
    });
    assert.ok(shown.ok);
    assert.deepEqual(printed(shown.value.run), ['stage: ok\n', 'activate: ok\n', 'verify: ok\n']);
    const on = { params: { volume: 'tank' }, query: {}, body: {} };
    const window = await machine.control.handlers.windowShow(on);
    assert.ok(window.ok);
    assert.equal(printed(window.value.run).length, 3);
  }
});

test('a drive that does not read well after its task is back, and said to be bad', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  machine.tools.drive(path!).isUnreadable = true;
  const run = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(run.outcome, 'failed');
  assert.match(run.sentence, /sector 7/);
});

test('a test that finds something', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.results.set('diagnose', {
    result: 'failed',
    exitStatus: 1,
    reason: 'a read element failed.',
  });
  const run = await machine.ended((await machine.run('tank', '1', { purpose: 'diagnostics' })).id);
  assert.equal(run.outcome, 'unhealthy');
  assert.match(run.next, /--for replacement/);
});

test('one drive of a volume at a time, whoever asks; a tool at work is not taken the drive from', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('stage');
  assert.equal(await machine.refused('tank', '1'), 'run-exists');
  assert.equal(await machine.refused('tank', '2'), 'run-exists');
  const { handlers } = machine.control;
  const on = { params: { volume: 'tank' }, query: {} };
  const closed = await handlers.windowClose({ ...on, body: {} });
  assert.equal(!closed.ok && closed.problem.code, 'run-at-work');
  const shown = await handlers.windowShow({ ...on, body: {} });
  assert.ok(shown.ok);
  assert.equal(shown.value.run?.id, id);
  assert.equal(shown.value.window?.state, 'open');
  const aborted = await handlers.windowAbort({ ...on, body: {} });
  assert.ok(aborted.ok, JSON.stringify(aborted));
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled');
  assert.match(run.sentence, /called it off/);
  assert.deepEqual(machine.tools.log, [`stage ${run.drive.path}`], 'the activation was left out');
  assert.equal(machine.control.runs.recall(id, 'again').ok, false);
  assert.equal(machine.control.runs.recall('nobody', 'x').ok, false);
  const later = await handlers.windowShow({ ...on, query: { id }, body: {} });
  assert.equal(later.ok && later.value.window?.outcome, 'returned');
});

test('two runs asked for at once: one of them is refused', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  const both = await Promise.all([
    machine.control.runs.start(machine.request('tank', '1')),
    machine.control.runs.start(machine.request('tank', '2')),
  ]);
  const [first] = both.flatMap((one) => (one.ok ? [one.value] : []));
  assert.equal(both.filter(({ ok }) => ok).length, 1, JSON.stringify(both));
  await machine.ended(first!.id);
});

test('a window whose time is over under a run: the volume goes on, and gets the drive by a resync', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('stage', { window: { maxMs: 5_000 } });
  await machine.writeSome('tank', 10);
  await machine.untilStatus('tank', ({ window, state }) => window === null && state === 'degraded');
  assert.equal(machine.control.runs.get(id)?.state, 'running', 'the tool is let finish');
  await machine.writeSome('tank', 10);
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'drive-lost');
  assert.match(run.sentence, /went on without .* back by a resync/);
  await machine.untilStatus('tank', ({ state }) => state === 'optimal');
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('an operator closes the window while a run waits: the run takes note', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate', { answerLimitMs: 50 });
  machine.tools.drive(path!).serial = 'SOMEBODY';
  gate.open();
  const stuck = await machine.untilRun(id, ({ state }) => state === 'waiting' || state === 'ended');
  assert.equal(stuck.state, 'waiting');
  const closed = await machine.control.handlers.windowClose({
    params: { volume: 'tank' },
    query: {},
    body: {},
  });
  assert.ok(closed.ok, JSON.stringify(closed));
  const run = await machine.ended(id);
  assert.equal(run.state, 'ended');
  assert.equal((await machine.status('tank')).state, 'optimal');
});

test('replacement: the new drive is blank, is rebuilt from the frozen volume and caught up', async (t) => {
  const machine = await Machine.boot(t);
  const drives = await machine.create('tank', 5);
  await machine.writeSome('tank', 30);
  machine.medium('/dev/foreign');
  machine.tools.contents.set('/dev/foreign', 'an ext4 file system');
  const over = { purpose: 'replacement', newDrivePath: '/dev/foreign' } as const;
  assert.equal(await machine.refused('tank', '1', over), 'window-refused');
  const same = { purpose: 'replacement', newDrivePath: drives[1]! } as const;
  assert.equal(await machine.refused('tank', '1', same), 'window-refused');
  machine.medium('/dev/new');
  const replacement = { purpose: 'replacement', newDrivePath: '/dev/new' } as const;
  const shareBytes = (await machine.status('tank')).sizeBytes / 3;
  machine.tools.sizes.set('/dev/new', shareBytes - 512);
  assert.equal(await machine.refused('tank', '1', replacement), 'window-refused');
  assert.equal((await machine.status('tank')).state, 'optimal', 'refused before the freeze');
  machine.tools.sizes.set('/dev/new', shareBytes);
  const { id } = await machine.run('tank', '1', replacement);
  await machine.writeSome('tank', 30);
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.match(run.sentence, /tank-d1 was replaced by \/dev\/new and rebuilt/);
  assert.equal(run.before?.serial, `S-${drives[1]}`);
  assert.equal(run.after?.serial, 'S-/dev/new', 'who has its place is on record');
  const status = await machine.status('tank');
  assert.equal(status.drives[1]?.path, '/dev/new');
  await machine.verify('tank');
  await machine.scrub('tank');
});

test('replacement: a drive that turns out to be foreign is refused, and the old one can come back', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  await machine.writeSome('tank', 10);
  const { id } = await machine.run('tank', '1', {
    purpose: 'replacement',
    newDrivePath: '/dev/new',
  });
  await machine.untilRun(id, ({ state }) => state === 'waiting');
  machine.tools.contents.set('/dev/new', 'an ext4 file system');
  machine.medium('/dev/new');
  const refused = await machine.untilRun(id, ({ sentence }) => /does not take/.test(sentence));
  assert.match(refused.sentence, /ext4/);
  assert.match(refused.next, /window abort tank/);
  await machine.control.handlers.windowAbort({ params: { volume: 'tank' }, query: {}, body: {} });
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
  assert.match(run.sentence, /tank-d1 was brought back/);
  await machine.verify('tank');
});

test('a command of the user is told everything, and runs under the name of its step', async (t) => {
  const machine = await Machine.boot(t);
  machine.tools.stageActivates = true;
  const [, path] = await machine.create('tank', 5);
  const { id } = await machine.run('tank', '1', { command: 'flash "$LOCUM_DRIVE_PATH"' });
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done');
  const [told] = machine.tools.environments;
  const { LOCUM_RUN, LOCUM_WINDOW, LOCUM_MEMBER_UUID, ...rest } = told!;
  assert.deepEqual([LOCUM_RUN, LOCUM_WINDOW], [id, run.windowIds[0]]);
  assert.equal(LOCUM_MEMBER_UUID, run.drive.uuid);
  assert.deepEqual(rest, {
    LOCUM_VOLUME: 'tank',
    LOCUM_VOLUMES: 'tank',
    LOCUM_DRIVE_PATH: path,
    LOCUM_MEMBER_PATH: path,
    LOCUM_SLOT: '1',
    LOCUM_IMAGE: '/srv/fw.bin',
    LOCUM_STEP: 'stage',
  });
});

test('a read test that cannot even be begun says nothing of the drive, and nobody is told to replace it', async (t) => {
  const machine = await Machine.boot(t);
  await machine.create('tank', 5);
  machine.tools.noReadTest = 'its output cannot be written: EACCES';
  const run = await machine.ended((await machine.run('tank', '1')).id);
  assert.equal(run.outcome, 'done', JSON.stringify(run));
  assert.doesNotMatch(run.next, /replace/);
  assert.match(run.sentence, /It was not read afterwards: its output cannot be written: EACCES\.$/);
  assert.match(run.steps.find(({ step }) => step === 'verify')?.note ?? '', /EACCES/);
});

test('a drive that takes its time to start: not all others are asked each time whether they are it', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  const { id, gate } = await machine.runUpTo('activate');
  machine.tools.drive(path!).isGone = true;
  gate.open();
  await machine.untilRun(id, () => machine.tools.silences >= 12);
  const { silences, searches } = machine.tools;
  assert.ok(searches >= 1 && searches <= silences / 4, `${searches} for ${silences}`);
  machine.tools.drive(path!).isGone = false;
  assert.equal((await machine.ended(id)).outcome, 'done');
});

test('a drive that comes back under another name is found by what it says of itself', async (t) => {
  const machine = await Machine.boot(t);
  const [, path] = await machine.create('tank', 5);
  await machine.writeSome('tank', 20);
  const { id, gate } = await machine.runUpTo('activate');
  await machine.writeSome('tank', 20);
  // The name belongs to nobody now, and the drive has another one.
  const drive = machine.tools.drive(path!);
  machine.media.set('/dev/moved', machine.at(path!));
  machine.media.delete(path!);
  machine.tools.drives.set('/dev/moved', { ...drive, firmware: 'B2' });
  drive.isGone = true;
  gate.open();
  const run = await machine.ended(id);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.match(
    run.steps.find(({ step }) => step === 'identify')?.note ?? '',
    /at \/dev\/moved now/,
  );
  assert.equal(run.drive.path, '/dev/moved', 'everybody is told the new name');
  assert.match(run.sentence, /^\/dev\/moved went from firmware A1 to B2/);
  const status = await machine.status('tank');
  assert.equal(status.drives[1]?.path, '/dev/moved');
  await machine.verify('tank');
  await machine.scrub('tank');
});
