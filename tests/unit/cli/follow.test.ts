/** Commands that go on for a while: waiting, detaching, running a task in a window, watching. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { done, refuse } from '../../../src/core/problems.ts';
import type { JobStatus, VolumeStatus } from '../../../src/core/status.ts';
import { optimalStatus, sampleReport, sampleStatus } from '../api/samples.ts';
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

test('window close --wait follows the replay to the end of the window', async (t) => {
  const { control, locum } = await sceneWith(t);
  const steps = [replaying(replay()), replaying(replay({ doneBytes: 80 * MIB })), optimalStatus()];
  control
    .reply('windowClose', { window: sampleReport({ state: 'replaying', verify }) })
    .answer('volumeStatus', () =>
      done({ apiVersion: 'locum/v1', volumes: [steps.length > 1 ? steps.shift() : steps[0]] }),
    )
    .reply('windowHistory', { windows: [closed] });
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

test('on a terminal the line is redrawn, and gone at the end', async (t) => {
  const { control, terminal, locum } = await sceneWith(t);
  terminal.interactive = true;
  const steps = [replaying(replay()), optimalStatus()];
  control
    .reply('windowAbort', { window: sampleReport({ state: 'replaying' }) })
    .answer('volumeStatus', () =>
      done({ apiVersion: 'locum/v1', volumes: [steps.length > 1 ? steps.shift() : steps[0]] }),
    )
    .reply('windowHistory', { windows: [closed] });
  const { out } = await locum('window', 'abort', 'v1', '--wait');
  assert.match(out, /25\.0%.*left\r\u001b\[K/);
  assert.match(out, /replayed\.\n$/);
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

function withWindow(control: Awaited<ReturnType<typeof sceneWith>>['control']): void {
  control
    .reply('windowOpen', { window: sampleReport() })
    .reply('windowClose', { window: sampleReport({ state: 'replaying', verify }) })
    .reply('volumeStatus', { volumes: [optimalStatus()] })
    .reply('windowHistory', { windows: [closed] });
}

test('window run: the command learns all about the window, then it is closed', async (t) => {
  const { state, control, locum } = await sceneWith(t);
  withWindow(control);
  const script =
    'echo "$LOCUM_VOLUME $LOCUM_WINDOW $LOCUM_DRIVE_PATH $LOCUM_SLOT $LOCUM_MEMBER_UUID $1" > told';
  const { code, out, err } = await locum(
    'window',
    'run',
    'v1',
    '1',
    '--for',
    'firmware',
    '--',
    'sh',
    '-c',
    script,
    'sh',
    '--for',
  );
  assert.equal(code, 0, err);
  assert.equal(
    readFileSync(join(state, 'told'), 'utf8'),
    'v1 w17 /srv/d1.img 1 11aa0000-0000-4000-8000-000000000001 --for\n',
  );
  const asked = control.asked.map(({ name }) => name).filter((name) => name !== 'volumeStatus');
  assert.deepEqual(asked, ['windowOpen', 'windowClose', 'windowHistory']);
  assert.match(out, /is away for firmware[\s\S]*closed \(returned\)/);
});

test('window run: a command that fails, or cannot be started, is passed on after the drive is back', async (t) => {
  const { control, locum } = await sceneWith(t);
  withWindow(control);
  for (const [words, says] of [
    [['sh', '-c', 'exit 7'], /exit code 7/],
    [['sh', '-c', 'kill -KILL $$'], /SIGKILL/],
    [['/no/such/tool'], /could not be started/],
  ] as const) {
    control.asked.length = 0;
    const { code, err } = await locum('window', 'run', 'v1', '1', '--for', 'reset', '--', ...words);
    assert.equal(code, 1);
    assert.match(err, says);
    assert.ok(control.bodyOf('windowClose'), 'the drive was brought back');
  }
});

test('window run: a refused window runs nothing', async (t) => {
  const { state, control, locum } = await sceneWith(t);
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
  control.answer('windowOpen', () =>
    refuse('window-refused', { volume: 'v1', drive: '1' }, checks),
  );
  const { code, err } = await locum(
    'window',
    'run',
    'v1',
    '1',
    '--for',
    'reset',
    '--',
    'touch',
    'ran',
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
  assert.throws(() => readFileSync(join(state, 'ran')));
});

test('window run: a drive that takes a while to come back is waited for, one that differs is not', async (t) => {
  const { control, locum } = await sceneWith(t);
  withWindow(control);
  let tries = 0;
  control.answer('windowClose', () => {
    tries += 1;
    return tries < 4
      ? refuse('window-drive-absent', { path: '/srv/d1.img' })
      : done({ apiVersion: 'locum/v1', window: sampleReport({ state: 'replaying' }) });
  });
  const words = ['window', 'run', 'v1', '1', '--for', 'reset', '--', 'true'];
  const patient = await locum(...words);
  assert.equal(patient.code, 0);
  assert.equal(tries, 4);
  assert.match(patient.err, /Waiting up to 2m/);
  control.answer('windowClose', () =>
    refuse('window-verify-mismatch', { path: '/srv/d1.img', stripes: 3 }),
  );
  const refused = await locum(...words);
  assert.equal(refused.code, 4);
  assert.match(refused.err, /3 stripes differ/);
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
