/** Every command of the contract: what it asks of the server, and that words it does not know are one sentence. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { OperationName } from '../../../src/api/operations.ts';
import { operations } from '../../../src/api/operations.ts';
import { optimalStatus, sampleReport, sampleRun, sampleStatus } from '../api/samples.ts';
import { type FakeControl, sampleEvent } from '../http/fake-control.ts';
import { sceneWith } from './scene.ts';

const job = {
  kind: 'scrub',
  state: 'running',
  slot: null,
  doneBytes: 1,
  totalBytes: 4,
  bytesPerSecond: 1,
  mismatches: 0,
  reason: '',
};
const log = {
  uuid: 'u',
  epoch: 1,
  state: 'idle',
  capacityBytes: 100,
  usedBytes: 0,
  liveBytes: 0,
  records: 0,
  lastSequence: 0,
  committedThrough: 0,
  legs: [],
};
const check = {
  records: 3,
  bytes: 12_288,
  legs: [{ path: '/l', damagedRecords: 0, missingRecords: 0 }],
  damagedOnAllLegs: 0,
};
const plan = {
  allowed: true,
  drive: { slot: 1, path: '/srv/d1.img' },
  purpose: 'firmware',
  checks: [],
};

const replies: Record<OperationName, object> = {
  server: {},
  status: { volumes: [optimalStatus()] },
  volumeStatus: { volumes: [optimalStatus()] },
  volumeCreate: { volumes: [optimalStatus()] },
  volumeAssemble: { volumes: [optimalStatus()] },
  volumeStop: {},
  volumeDestroy: {},
  volumeExport: { name: 'v1', sizeBytes: 4096, listen: ['unix:/run/nbd.sock', 'tcp:[::1]:10809'] },
  driveAdd: { volumes: [optimalStatus()] },
  driveFail: { volumes: [optimalStatus()] },
  driveRemove: { volumes: [optimalStatus()] },
  driveReplace: { volumes: [optimalStatus()] },
  windowPlan: { plan },
  windowOpen: { window: sampleReport() },
  windowShow: { window: sampleReport(), run: null },
  windowRun: { run: sampleRun() },
  runList: { runs: [sampleRun()] },
  runShow: { run: sampleRun() },
  runRecall: { run: sampleRun() },
  windowClose: { window: sampleReport({ state: 'replaying' }) },
  windowAbort: { window: sampleReport({ state: 'replaying' }) },
  windowExtend: { window: sampleReport() },
  windowList: { windows: [sampleReport()] },
  windowHistory: {
    windows: [
      sampleReport({ state: 'closed', closedAt: '2026-01-01T00:10:00.000Z', outcome: 'returned' }),
    ],
  },
  // Their commands look first which update is meant: firmware.test.ts.
  rolloutStart: {},
  rolloutList: {},
  rolloutShow: {},
  rolloutPause: {},
  rolloutResume: {},
  rolloutStop: {},
  firmwareInventory: {},
  scrubStart: { job },
  scrubStop: { job: { ...job, state: 'stopped' } },
  scrubStatus: { job: { ...job, state: 'done' } },
  logShow: { log },
  logCheck: { check },
  logReplace: { volumes: [optimalStatus()] },
  logAdd: { volumes: [optimalStatus()] },
  events: { events: [sampleEvent()] },
};

function answerAll(control: FakeControl): void {
  for (const name of Object.keys(operations) as OperationName[]) control.reply(name, replies[name]);
}

/** Command line → operation and body. `@` stands for the working directory. */
const contract: [string, OperationName, object?][] = [
  [
    'volume create v1 --level 5 --drive a b --drive /c --log l0 --log l1 --chunk 128KiB --image-size 1GiB --log-size 64M --assume-clean',
    'volumeCreate',
    {
      name: 'v1',
      level: 5,
      drives: ['@/a', '@/b', '/c'],
      logs: ['@/l0', '@/l1'],
      chunkBytes: 131_072,
      imageSizeBytes: 2 ** 30,
      logSizeBytes: 2 ** 26,
      assumeClean: true,
      force: false,
    },
  ],
  [
    'volume create v1 --level 1 --drive a b --force',
    'volumeCreate',
    { name: 'v1', level: 1, drives: ['@/a', '@/b'], logs: [], assumeClean: false, force: true },
  ],
  [
    'volume assemble --drive a b --log l',
    'volumeAssemble',
    { drives: ['@/a', '@/b'], logs: ['@/l'], force: false },
  ],
  ['volume assemble v1', 'volumeAssemble', { name: 'v1', drives: [], logs: [], force: false }],
  ['volume ls', 'status'],
  ['volume show v1', 'volumeStatus'],
  ['volume stop v1', 'volumeStop', { forget: false, force: false }],
  ['volume destroy v1 --confirm v1', 'volumeDestroy', { confirm: 'v1' }],
  ['status', 'status'],
  ['status v1 -o json', 'volumeStatus'],
  ['drive ls', 'status'],
  ['drive ls v1', 'volumeStatus'],
  ['drive add v1 e --spare', 'driveAdd', { path: '@/e', spare: true, force: false }],
  ['drive fail v1 3', 'driveFail', { drive: '3' }],
  ['drive fail v1 6f1c', 'driveFail', { drive: '6f1c' }],
  ['drive fail v1 ./d3', 'driveFail', { drive: '@/d3' }],
  ['drive remove v1 here.img', 'driveRemove', { drive: '@/here.img' }],
  ['drive replace v1 3 --with e', 'driveReplace', { drive: '3', with: '@/e', force: false }],
  [
    'window plan v1 1 --for firmware',
    'windowPlan',
    { drive: '1', purpose: 'firmware', allowDegraded: false, allowSingleLog: false },
  ],
  [
    'window open v1 1 --for reset --max 90m --on-double-absence wait:90s --allow-degraded --allow-single-log',
    'windowOpen',
    {
      drive: '1',
      purpose: 'reset',
      maxMs: 5_400_000,
      onDoubleAbsence: 'wait',
      waitMs: 90_000,
      allowDegraded: true,
      allowSingleLog: true,
    },
  ],
  [
    'window open v1 1 --for diagnostics --on-double-absence error',
    'windowOpen',
    {
      drive: '1',
      purpose: 'diagnostics',
      onDoubleAbsence: 'error',
      waitMs: 0,
      allowDegraded: false,
      allowSingleLog: false,
    },
  ],
  [
    'window close v1 --drive n --verify full',
    'windowClose',
    { drivePath: '@/n', verify: 'full', rebuild: false },
  ],
  ['window close v1 --rebuild', 'windowClose', { rebuild: true }],
  ['window abort v1', 'windowAbort', {}],
  ['window extend v1 --by 10m', 'windowExtend', { byMs: 600_000 }],
  ['window show v1', 'windowShow'],
  ['window show v1 w16', 'windowShow'],
  ['window run v1 sdb --for firmware --image fw --detach', 'windowRun'],
  ['window ls', 'windowList'],
  ['window history', 'windowHistory'],
  ['scrub start v1 --repair', 'scrubStart', { repair: true }],
  ['scrub stop v1', 'scrubStop', {}],
  ['scrub status v1', 'scrubStatus'],
  ['log show v1', 'logShow'],
  ['log check v1', 'logCheck', {}],
  ['log replace v1 0 --with n', 'logReplace', { leg: '0', with: '@/n', force: false }],
  [
    'log replace v1 ./l0 --with /n --log-size 64MiB --force',
    'logReplace',
    { leg: '@/l0', with: '/n', sizeBytes: 2 ** 26, force: true },
  ],
  ['log add v1 a /b', 'logAdd', { logs: ['@/a', '/b'], force: false }],
  ['event ls', 'events'],
  ['export uri v1', 'volumeExport'],
];

test('each command asks the server for exactly one thing', async (t) => {
  const { state, control, locum } = await sceneWith(t);
  answerAll(control);
  writeFileSync(join(state, 'here.img'), '');
  for (const [line, operation, body] of contract) {
    control.asked.length = 0;
    const { code, err } = await locum(...line.split(' '));
    assert.equal(code, 0, `${line}: ${err}`);
    assert.equal(err, '', line);
    assert.deepEqual(
      control.asked.map(({ name }) => name),
      [operation],
      line,
    );
    if (!body) continue;
    const expected = JSON.parse(JSON.stringify(body).replaceAll('@', state)) as object;
    assert.deepEqual(control.asked[0]!.body, expected, line);
  }
});

test('every operation is reached by a command', () => {
  const reached = new Set(contract.map(([, operation]) => operation));
  const others = (Object.keys(operations) as OperationName[]).filter(
    (name) => !reached.has(name) && !/^(rollout|firmware)/.test(name),
  );
  // The run of a volume is followed once it was begun, and called back by `window abort`.
  assert.deepEqual(others, ['server', 'runList', 'runShow', 'runRecall'], 'only for programs');
});

test('-o json on every command that answers, and it is the reply itself', async (t) => {
  const { control, locum } = await sceneWith(t);
  answerAll(control);
  for (const [line, operation] of contract) {
    const { code, out, err } = await locum(
      ...line.split(' ').filter((word) => !['-o', 'json'].includes(word)),
      '-o',
      'json',
    );
    assert.equal(code, 0, `${line}: ${err}`);
    const document = JSON.parse(out) as Record<string, unknown>;
    assert.equal(document['apiVersion'], 'locum/v1', line);
    if (line.startsWith('drive ls')) continue;
    for (const [key, value] of Object.entries(replies[operation]))
      assert.deepEqual(document[key], value, `${line}: ${key}`);
  }
});

test('words that are not understood: one sentence, exit code 2, and the server is not asked', async (t) => {
  const { control, locum } = await sceneWith(t);
  const lines: [string, RegExp][] = [
    ['volme ls', /unknown command 'volme'.*volume/],
    ['volume ls --colour', /unknown option '--colour'/],
    ['volume show', /missing required argument 'name'/],
    ['volume create v1 --drive a', /--level/],
    ['volume create v1 --level five --drive a', /whole number/],
    ['volume create v1 --level 5 --drive a --chunk 64kB', /64kB.*64KiB/],
    ['volume destroy v1', /--confirm/],
    ['window open v1 1', /--for/],
    ['window open v1 1 --for holiday', /holiday.*firmware/],
    ['window open v1 1 --for reset --max 30', /'30'.*30m/],
    ['window open v1 1 --for reset --on-double-absence wait:60', /wait:60s/],
    ['window open v1 1 2 --for reset', /too many arguments/],
    ['window run v1 1', /--for/],
    ['window run v1 1 --for diagnostics --test deep', /deep.*short/],
    ['window close v1 --verify hard', /hard.*recent/],
    ['export uri v1 --for vmware', /vmware.*qemu/],
    ['status -o yaml', /yaml.*json/],
    ['serve --io fast', /fast.*uring/],
    ['event ls --limit -1', /whole number/],
  ];
  for (const [line, says] of lines) {
    const { code, out, err } = await locum(...line.split(' '));
    assert.equal(code, 2, line);
    assert.equal(out, '', line);
    assert.match(err, says, line);
    assert.match(err, /^locum: [^\n]*\.\n$/, `${line}: ${err}`);
  }
  assert.deepEqual(control.asked, []);
});

test('a pool too small for a long read: the server does not start with it', async (t) => {
  const { locum } = await sceneWith(t);
  const { code, err } = await locum('serve', '--limit', 'poolBytes=4194304');
  assert.equal(code, 2);
  assert.match(err, /poolBytes=4194304.*at least 8388608/);
});

test('no server: exit code 5 and how to start one', async (t) => {
  const { locum } = await sceneWith(t);
  const { code, out, err } = await locum('status', '--state', '/tmp/locum-nowhere');
  assert.equal(code, 5);
  assert.equal(out, '');
  assert.match(err, /^locum: No server answers at \/tmp\/locum-nowhere\/control\.sock/);
  assert.match(err, /locum serve --state \/tmp\/locum-nowhere/);
});

test('unknown volume: exit code 3; with -o json the problem is also on standard output', async (t) => {
  const { locum } = await sceneWith(t);
  const { code, out, err } = await locum('status', 'v2', '-o', 'json');
  assert.equal(code, 3);
  assert.equal((JSON.parse(out) as { problem: { code: string } }).problem.code, 'volume-unknown');
  assert.match(err, /^locum: There is no volume/);
});

test('help: examples first, on standard output, exit code 0', async (t) => {
  const { locum } = await sceneWith(t);
  for (const words of [
    ['--help'],
    ['window', '--help'],
    ['window', 'run', '--help'],
    ['volume', 'create', '-h'],
  ]) {
    const { code, out } = await locum(...words);
    assert.equal(code, 0, words.join(' '));
    assert.match(out, /^Examples:\n {2}locum /, words.join(' '));
  }
  const { code, out } = await locum('--version');
  assert.equal(code, 0);
  assert.match(out, /^\d+\.\d+\.\d+\n$/);
});

test('--state before and after the command', async (t) => {
  const { state, control, terminal, locum } = await sceneWith(t);
  answerAll(control);
  assert.equal((await locum('--state', state, 'status')).code, 0);
  assert.equal((await locum('status', '--state', state)).code, 0);
  terminal.cwd = '/tmp';
  assert.equal((await locum('status', '--state', state.replace('/tmp/', ''))).code, 0, 'relative');
});

test('status --check speaks Nagios', async (t) => {
  const { control, locum } = await sceneWith(t);
  const critical = {
    code: 'drive-failed',
    severity: 'critical' as const,
    message: 'Slot 3 | failed\nbadly',
  };
  const stopped = { code: 'volume-stopped', severity: 'info' as const, message: 'On request.' };
  const waiting = { code: 'run-waiting', severity: 'warning' as const, message: 'Plug it in.' };
  const cases: [object[], number, string][] = [
    [[optimalStatus({ state: 'halted', alarms: [stopped] })], 0, 'LOCUM OK - 1 volume optimal\n'],
    [
      [optimalStatus({ state: 'halted', alarms: [stopped, waiting] })],
      1,
      'LOCUM WARNING - v1 halted: Plug it in.\n',
    ],
    [[optimalStatus({ alarms: [waiting] })], 1, 'LOCUM WARNING - v1 optimal: Plug it in.\n'],
    [[optimalStatus()], 0, 'LOCUM OK - 1 volume optimal\n'],
    [[], 0, 'LOCUM OK - no volumes\n'],
    [[sampleStatus()], 1, 'LOCUM WARNING - v1 frozen: A window for firmware is open.\n'],
    [
      [optimalStatus(), sampleStatus({ name: 'v2', alarms: [critical] })],
      2,
      'LOCUM CRITICAL - v2 frozen: Slot 3 / failed badly\n',
    ],
    [
      [optimalStatus({ state: 'suspended' })],
      2,
      'LOCUM CRITICAL - v1 suspended: All data is protected.\n',
    ],
  ];
  for (const [volumes, code, line] of cases) {
    control.reply('status', { volumes });
    assert.deepEqual(await locum('status', '--check'), { code, out: line, err: '' });
  }
  assert.equal((await locum('status', 'v9', '--check')).code, 3);
  assert.equal((await locum('status', '--check', '--state', '/tmp/locum-nowhere')).code, 3);
});
