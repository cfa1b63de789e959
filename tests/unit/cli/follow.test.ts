/** Commands that go on for a while: waiting, detaching, running a task in a window, watching. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { done, refuse } from '../../../src/core/problems.ts';
import type { RunReport } from '../../../src/core/run-report.ts';
import type { JobStatus, VolumeStatus } from '../../../src/core/status.ts';
import { optimalStatus, sampleReport, sampleRun, sampleStatus } from '../api/samples.ts';
import type { FakeControl } from '../http/fake-control.ts';
import { sceneWith } from './scene.ts';

const MIB = 2 ** 20;
const replay = (change: Partial<JobStatus> = {}): JobStatus => ({
  kind: 'replay',
  state: 'running',
  slot: null,
  doneBytes: 25 * MIB,
  totalBytes: 100 * MIB,
  bytesPerSecond: 50 * MIB,
  mismatches: 0,
  reason: '',
  ...change,
});
const replaying = (job: JobStatus): VolumeStatus => {
  const status = sampleStatus({ state: 'replaying', jobs: [job] });
  return { ...status, window: { ...status.window!, state: 'replaying' } };
};
const verify = { mode: 'recent', checkedBytes: 4 * MIB, differingStripes: 0 } as const;
const closed = sampleReport({
  state: 'closed',
  closedAt: '2026-01-01T00:06:00.000Z',
  outcome: 'returned',
  replayedBytes: 4096,
});

/** What `volumeStatus` answers in turn, the last one from then on. */
function answerInTurn(control: FakeControl, ...statuses: VolumeStatus[]): FakeControl {
  return control.answer('volumeStatus', () =>
    done({
      apiVersion: 'locum/v1',
      volumes: [statuses.length > 1 ? statuses.shift() : statuses[0]],
    }),
  );
}

test('window close --wait follows the replay to the end of the window', async (t) => {
  const { control, locum } = await sceneWith(t);
  const steps = [replaying(replay()), replaying(replay({ doneBytes: 80 * MIB })), optimalStatus()];
  control.reply('windowClose', { window: sampleReport({ state: 'replaying', verify }) });
  answerInTurn(control, ...steps).reply('windowHistory', { windows: [closed] });
  const { code, out, err } = await locum('window', 'close', 'v1', '--wait');
  assert.equal(code, 0, err);
  assert.equal(
    out,
    'Drive 1 (/srv/d1.img) is back and verified: 4 MiB compared, no difference. The log is being replayed.\n' +
      'replay  [=====>..................]  25.0%  25 MiB of 100 MiB  50 MiB/s  00:02 left\n' +
      'replay  [==================>.....]  80.0%  80 MiB of 100 MiB  50 MiB/s  00:00 left\n' +
      'Window w17 is closed (returned): 4 KiB logged, 4 KiB replayed.\n',
  );
});

test('window close and abort --wait: a closed window whose volume still says replaying is not the end', async (t) => {
  const { control, locum } = await sceneWith(t);
  for (const [word, operation, state] of [
    ['close', 'windowClose', 'closed'],
    ['abort', 'windowAbort', 'aborted'],
  ] as const) {
    const status = sampleStatus({ state: 'replaying', jobs: [] });
    const ending: VolumeStatus = { ...status, window: { ...status.window!, state } };
    control.reply(operation, { window: sampleReport({ state: 'replaying' }) });
    answerInTurn(control, ending, ending, optimalStatus()).reply('windowHistory', {
      windows: [closed],
    });
    control.asked.length = 0;
    const { code, err } = await locum('window', word, 'v1', '--wait');
    assert.equal(code, 0, err);
    const looks = control.asked.filter(({ name }) => name === 'volumeStatus');
    assert.equal(looks.length, 3, word);
  }
});

test('on a terminal the line is redrawn, and gone at the end', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  terminal.interactive = true;
  control.reply('windowAbort', { window: sampleReport({ state: 'replaying' }) });
  const steps = [replaying(replay()), optimalStatus()];
  answerInTurn(control, ...steps).reply('windowHistory', { windows: [closed] });
  const { out } = await locum('window', 'abort', 'v1', '--wait');
  assert.match(out, /25\.0%.*left\r\u001b\[K/);
  assert.match(out, /replayed\.\n$/);
});

test('a window that is called off with a run on it: the drive is not called back, what the run does is said', async (t) => {
  const { control, locum } = await sceneWith(t);
  const note = 'Called off: the tool at work on /dev/sdb (stage) is let finish.';
  control.reply('windowAbort', { window: sampleReport({ state: 'open' }), note });
  const { out } = await locum('window', 'abort', 'v1');
  assert.equal(out, `${note} \`locum window show v1\` tells how far it is.\n`);
});

test('a wait that takes too long ends with 6, and says that the work goes on', async (t) => {
  const { control, locum } = await sceneWith(t);
  control
    .reply('windowClose', { window: sampleReport({ state: 'replaying' }) })
    .reply('volumeStatus', { volumes: [replaying(replay())] });
  const { code, err } = await locum('window', 'close', 'v1', '--wait', '--timeout', '3s');
  assert.equal(code, 6);
  assert.match(err, /given up after 3s; what was waited for goes on: the replay/);
});

test('Ctrl-C detaches and says so', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  control.reply('driveReplace', { volumes: [optimalStatus()] }).reply('volumeStatus', {
    volumes: [optimalStatus({ jobs: [replay({ kind: 'rebuild', slot: 3 })] })],
  });
  let sleeps = 0;
  terminal.onSleep = () => {
    sleeps += 1;
    if (sleeps === 3) terminal.interrupt();
  };
  const { code, err } = await locum('drive', 'replace', 'v1', '3', '--with', '/new', '--wait');
  assert.equal(code, 0);
  assert.match(err, /^Detached: the rebuild goes on in the server\./);
});

test('a job that fails while it is waited for is a failure', async (t) => {
  const { control, locum } = await sceneWith(t);
  control.reply('driveAdd', { volumes: [optimalStatus()] }).reply('volumeStatus', {
    volumes: [
      optimalStatus({
        jobs: [replay({ kind: 'rebuild', state: 'failed', reason: 'drive 3 is gone' })],
      }),
    ],
  });
  const { code, err } = await locum('drive', 'add', 'v1', '/new', '--wait');
  assert.equal(code, 1);
  assert.match(err, /drive 3 is gone/);
});

const asked = (control: Awaited<ReturnType<typeof sceneWith>>['control']): string[] =>
  control.asked.map(({ name }) => name).filter((name) => name !== 'volumeStatus');

const endedRun = (change: Partial<RunReport> = {}): RunReport =>
  sampleRun({
    state: 'ended',
    step: 'close',
    outcome: 'done',
    sentence: '/srv/d1.img went from firmware A1 to B2.',
    endedAt: '2026-01-01T00:06:00.000Z',
    ...change,
  });

test('window run: the server does it, and this side follows it step by step', async (t) => {
  const { state, control, terminal, locum } = await sceneWith(t);
  const steps = [
    sampleRun(),
    sampleRun({ step: 'activate', steps: sampleRun().steps.concat(sampleRun().steps[2]!) }),
  ];
  control
    .reply('windowRun', { run: sampleRun() })
    .reply('volumeStatus', { volumes: [sampleStatus()] })
    .answer('runShow', () => done({ apiVersion: 'locum/v1', run: steps.shift() ?? endedRun() }));
  const words = ['window', 'run', 'v1', '1', '--for', 'firmware'];
  const { code, out, err } = await locum(...words, '--image', 'fw.bin', '--to-version', 'B2');
  assert.equal(code, 0, err);
  const body = control.bodyOf('windowRun')!;
  assert.equal(body['image'], `${state}/fw.bin`);
  assert.equal(body['version'], 'B2');
  assert.equal(body['rehearsal'], false);
  assert.match(String(body['requestedBy']), /.@./);
  assert.deepEqual(asked(control), ['windowRun', 'runShow', 'runShow', 'runShow']);
  assert.match(out, /d1\.img: stage .* of .*log 25 % .*left\n.*activate/s);
  assert.match(out, /A1 to B2/);
  terminal.interactive = true;
  steps.push(sampleRun());
  const live = await locum(...words, '--image', 'fw.bin');
  assert.match(live.out, /stage[^\n]*\r\u001b\[K/, 'redrawn in its line');
});

test('window run -- COMMAND: the words go to the shell of the server as they are', async (t) => {
  const { state, control, locum } = await sceneWith(t);
  control.reply('windowRun', { run: sampleRun() }).reply('runShow', { run: endedRun() });
  const words = ['window', 'run', 'v1', '1', '--for', 'reset', '--max', '10m', '--'];
  const { code } = await locum(...words, 'sh', '-c', `echo "$LOCUM_SLOT" it's`, '--for');
  assert.equal(code, 0);
  const { command, commandDirectory, maxMs } = control.bodyOf('windowRun')!;
  assert.equal(command, `sh -c 'echo "$LOCUM_SLOT" it'\\''s' --for`);
  assert.equal(commandDirectory, state);
  assert.equal(maxMs, 600_000);
});

test('window run: what came of it is the exit code, with the sentence and the next step', async (t) => {
  const { control, locum } = await sceneWith(t);
  control.reply('windowRun', { run: sampleRun() });
  for (const [outcome, exitCode] of [
    ['done', 0],
    ['rehearsed', 0],
    ['not-applied', 1],
    ['failed', 1],
    ['unhealthy', 1],
    ['recalled', 1],
    ['drive-lost', 1],
    ['refused', 4],
  ] as const) {
    const run = endedRun({ outcome, sentence: `It is ${outcome}.`, next: 'Look at it.' });
    control.reply('runShow', { run });
    const words = ['window', 'run', 'v1', '1', '--for', 'reset'];
    const { code, err } = await locum(...words);
    assert.equal(code, exitCode, outcome);
    assert.equal(err, exitCode === 0 ? '' : `locum: It is ${outcome}.\n  next: Look at it.\n`);
    const json = await locum(...words, '-o', 'json');
    assert.deepEqual(JSON.parse(json.out), { apiVersion: 'locum/v1', run });
    assert.equal(json.code, exitCode);
  }
});

test('window run: Ctrl-C detaches and says how to look again; --detach does not even begin to wait', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  control
    .reply('windowRun', { run: sampleRun() })
    .reply('volumeStatus', { volumes: [sampleStatus()] })
    .reply('runShow', { run: sampleRun() });
  terminal.onSleep = () => terminal.interrupt();
  const words = ['window', 'run', 'v1', '1', '--for', 'firmware', '--image', 'fw.bin'];
  const { code, err } = await locum(...words);
  assert.equal(code, 0);
  assert.match(err, /Detached: the run goes on[\s\S]*locum window show v1/);
  control.asked.length = 0;
  const detached = await locum(...words, '--detach');
  assert.equal(detached.code, 0);
  assert.match(detached.out, /locum window show v1[\s\S]*locum window abort v1/);
  assert.deepEqual(asked(control), ['windowRun']);
});

test('window run: what it waits for is said once, and a server that restarts is waited for', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  const waiting = sampleRun({
    state: 'waiting',
    sentence: 'It does not answer.',
    next: 'Reseat it.',
  });
  const looks = [waiting, waiting, null, null, endedRun()];
  control
    .reply('windowRun', { run: sampleRun() })
    .reply('volumeStatus', { volumes: [sampleStatus()] })
    .answer('runShow', () => {
      const run = looks.shift();
      return run
        ? done({ apiVersion: 'locum/v1', run })
        : refuse('server-unreachable', { socket: '/s' });
    });
  const words = ['window', 'run', 'v1', '1', '--for', 'reset'];
  const { code, err } = await locum(...words);
  assert.equal(code, 0);
  assert.equal(err, 'WAITING: It does not answer.\n  next: Reseat it.\n');
  control.answer('runShow', () => refuse('server-unreachable', { socket: '/s' }));
  const gone = await locum(...words);
  assert.equal(gone.code, 5);
  control.reply('runShow', { run: sampleRun() });
  const late = await locum(...words, '--timeout', '5s');
  assert.equal(late.code, 6);
  assert.match(late.err, /the run/);
  void terminal;
});

test('window run: a refused run runs nothing, and its checks are shown', async (t) => {
  const { control, locum } = await sceneWith(t);
  const checks = [
    { id: 'WP001', title: 'No other window is open', result: 'pass', reason: '', fix: '' },
    {
      id: 'WP007',
      title: 'The log has two legs',
      result: 'block',
      reason: 'it has one',
      fix: 'add a leg, or --allow-single-log',
    },
  ] as const;
  control.answer('windowRun', () => refuse('window-refused', { volume: 'v1', drive: '1' }, checks));
  const { code, err } = await locum(
    'window',
    'run',
    'v1',
    '1',
    '--for',
    'reset',
    '--',
    'touch',
    'x',
  );
  assert.equal(code, 4);
  assert.equal(
    err,
    'locum: The window for drive 1 was refused by its checks: WP007.\n' +
      '  BLOCK  WP007  The log has two legs\n' +
      '         why:  it has one\n' +
      '         fix:  add a leg, or --allow-single-log\n' +
      '  next: Nothing was changed. Clear the checks, then try again; `locum window plan` runs them at any time.\n',
  );
});

test('window show: the record of a run, with what its commands printed, made harmless', async (t) => {
  const { control, locum } = await sceneWith(t);
  const run = endedRun();
  run.steps[2] = {
    ...run.steps[2]!,
    result: 'done',
    command: 'sg_write_buffer -I fw.bin /dev/sdb',
    exitStatus: 0,
    output: 'line 1\nline \u001b[2J2\n',
  };
  control.reply('windowShow', { window: null, run });
  const { code, out } = await locum('window', 'show', 'v1', 'r3');
  assert.equal(code, 0);
  assert.equal(control.asked.at(-1)?.query['id'], 'r3');
  assert.match(out, /run r3\n[\s\S]*asked by +root@host[\s\S]*stage +done[\s\S]*exit 0/);
  assert.match(out, /\| line 1\n {4}\| line \[2J2\n/);
  assert.match(out, /what: +\/srv\/d1\.img went from/);
});

test('window plan: exit code 4 when it would be refused, and the checks in any case', async (t) => {
  const { control, locum } = await sceneWith(t);
  const check = {
    id: 'WP003',
    title: 'Members are in sync',
    result: 'block',
    reason: 'resyncing',
    fix: 'wait',
  };
  const plan = {
    allowed: false,
    drive: { slot: 1, path: '/srv/d1.img' },
    purpose: 'firmware',
    checks: [check],
  };
  control.reply('windowPlan', { plan });
  const { code, out } = await locum('window', 'plan', 'v1', '1', '--for', 'firmware');
  assert.equal(code, 4);
  assert.match(out, /BLOCK {2}WP003[\s\S]*1 check says no\. Nothing was changed\.\n$/);
});

test('status --watch prints what changes, until Ctrl-C', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  control.reply('status', { volumes: [optimalStatus()] });
  let sleeps = 0;
  terminal.onSleep = () => {
    sleeps += 1;
    if (sleeps === 2) control.reply('status', { volumes: [sampleStatus()] });
    if (sleeps === 4) terminal.interrupt();
  };
  const { code, out } = await locum('status', '--watch', '-o', 'json');
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).volumes[0].state),
    ['optimal', 'frozen'],
  );
});
