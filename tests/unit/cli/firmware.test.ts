/** `locum firmware`: what each command asks of the server, and what people are shown. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type {
  InventoryDrive,
  PlannedDrive,
  RolloutDrive,
  RolloutPlan,
  RolloutReport,
} from '../../../src/core/rollout-report.ts';
import { optimalStatus } from '../api/samples.ts';
import { sceneWith } from './scene.ts';

const drive = (change: Partial<RolloutDrive> = {}): RolloutDrive => ({
  volumes: ['v1'],
  slot: 0,
  path: '/dev/sda',
  uuid: 'u0',
  model: 'ACME',
  serial: 'S0',
  firmwareBefore: '1.0',
  firmwareAfter: '',
  state: 'pending',
  step: '',
  runId: null,
  startedAt: null,
  soakUntil: null,
  endedAt: null,
  note: '',
  ...change,
});
const image = { path: '/srv/fw.bin', sizeBytes: 4096, sha256: 'ab'.repeat(32) };
const rollout = (change: Partial<RolloutReport> = {}): RolloutReport => ({
  id: 'fw-1',
  state: 'running',
  reason: '',
  next: '',
  image,
  version: null,
  model: null,
  command: null,
  canary: 1,
  soakMs: 600_000,
  stopOnError: true,
  allowDegraded: false,
  requestedBy: 'root@host',
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
  leftMs: null,
  drives: [drive()],
  ...change,
});
const planned = (change: Partial<PlannedDrive> = {}): PlannedDrive => ({
  volumes: ['v1'],
  slot: 0,
  path: '/dev/sda',
  uuid: 'u0',
  model: 'ACME',
  serial: 'S0',
  firmware: '1.0',
  action: 'flash',
  note: '',
  checks: [],
  ...change,
});
const plan = (change: Partial<RolloutPlan> = {}): RolloutPlan => ({
  allowed: true,
  image,
  version: '2.0',
  drives: [planned()],
  soakTotalMs: 600_000,
  estimateMs: null,
  ...change,
});

async function firmwareScene(t: Parameters<typeof sceneWith>[0]) {
  const scene = await sceneWith(t);
  scene.control
    .reply('status', { volumes: [optimalStatus(), optimalStatus({ name: 'v2' })] })
    .reply('rolloutStart', { plan: null, rollout: rollout() })
    .reply('rolloutList', { rollouts: [rollout()] })
    .reply('rolloutPause', { rollout: rollout({ state: 'paused' }) })
    .reply('rolloutResume', { rollout: rollout() })
    .reply('rolloutStop', { rollout: rollout({ state: 'stopped' }) })
    .reply('firmwareInventory', { drives: [] });
  return scene;
}

test('update: what names a volume is a volume, the rest are drives of them; defaults are the server’s', async (t) => {
  const { state, control, locum } = await firmwareScene(t);
  writeFileSync(join(state, 'here.img'), '');
  const body = async (line: string): Promise<Record<string, unknown>> => {
    const { code, err } = await locum(...`firmware update ${line} --detach`.split(' '));
    assert.equal(code, 0, err);
    return control.bodyOf('rolloutStart') as Record<string, unknown>;
  };
  const all = await body('v1 v2 --all --image fw.bin');
  assert.deepEqual([all['volumes'], all['drives']], [['v1', 'v2'], []]);
  assert.equal(all['image'], join(state, 'fw.bin'));
  for (const name of ['canary', 'soakMs', 'maxMs', 'sha256', 'version', 'model', 'command'])
    assert.ok(!(name in all), name);
  const sum = 'AB'.repeat(32);
  const given = await body(
    `v1 2 here.img 6f1c --image /fw --sha256 ${sum} --to-version 2 --model X --canary 3 --soak 90s ` +
      '--max 1h --no-stop-on-error --allow-degraded --allow-single-log --command flash',
  );
  const { requestedBy, ...rest } = given;
  assert.match(String(requestedBy), /^.+@.+$/);
  assert.deepEqual(rest, {
    volumes: ['v1'],
    drives: ['2', join(state, 'here.img'), '6f1c'],
    image: '/fw',
    sha256: sum.toLowerCase(),
    version: '2',
    model: 'X',
    command: 'flash',
    commandDirectory: state,
    canary: 3,
    soakMs: 90_000,
    maxMs: 3_600_000,
    stopOnError: false,
    allowDegraded: true,
    allowSingleLog: true,
    dryRun: false,
  });
});

test('update: neither DRIVE nor --all, both, or no volume: one sentence, and nothing is begun', async (t) => {
  const { control, locum } = await firmwareScene(t);
  for (const [line, says] of [
    ['v1 --image fw', /It is not clear which drives of v1 are meant\.\n.*--all/],
    ['v1 0 --all --image fw', /--all was given, and 0 as well/],
    ['v9 --all --image fw', /no volume named v9/],
  ] as const) {
    const { code, err } = await locum(...`firmware update ${line}`.split(' '));
    assert.ok(code === 2 || code === 3, line);
    assert.match(err, says, line);
  }
  const without = await locum('firmware', 'update', 'v1', '--all');
  assert.equal(without.code, 2);
  assert.match(without.err, /--image/);
  assert.ok(!control.asked.some(({ name }) => name === 'rolloutStart'));
});

test('--dry-run: numbered, what is left out and why, each warning once, and the verdict as exit code', async (t) => {
  const { control, locum } = await firmwareScene(t);
  const warn = {
    id: 'WP009',
    title: 'Room',
    result: 'warn',
    reason: 'little',
    fix: 'more',
  } as const;
  const drives = [
    planned({ slot: null, path: '/dev/sdz' }),
    planned({ checks: [warn] }),
    planned({ slot: 1, path: '/dev/sdb', volumes: ['v1', 'v2'], checks: [warn] }),
    planned({
      slot: 2,
      path: '/dev/sdc',
      firmware: '2.0',
      action: 'skip',
      note: 'it has 2.0 already',
    }),
  ];
  control.reply('rolloutStart', { plan: plan({ drives }), rollout: null });
  const words = ['firmware', 'update', 'v1', '--all', '--image', 'fw', '--dry-run'];
  const { code, out } = await locum(...words);
  assert.equal(code, 0);
  assert.match(out, /1\. +v1 +spare +\/dev\/sdz +ACME +S0 +1\.0 → 2\.0/);
  assert.match(out, /3\. +v1\+v2 +1 +\/dev\/sdb/);
  assert.match(out, /- +v1 +2 +\/dev\/sdc .* left out: it has 2\.0 already/);
  assert.equal(out.match(/WP009/g)?.length, 1);
  assert.match(out, /WP009 {2}Room \(\/dev\/sda, \/dev\/sdb\)/);
  assert.match(out, /the first one alone, then one drive at a time per volume/);
  assert.match(out, /Time: 10m of soak; what a drive takes is known after the first one/);
  assert.match(out, /3 drives would be flashed\. Nothing was changed\.\n$/);
  assert.equal((control.bodyOf('rolloutStart') as { dryRun: boolean }).dryRun, true);

  const block = { ...warn, result: 'block' as const };
  const refused = plan({ allowed: false, version: null, drives: [planned({ checks: [block] })] });
  control.reply('rolloutStart', { plan: { ...refused, estimateMs: 900_000 }, rollout: null });
  const no = await locum(...words, '--canary', '0');
  assert.equal(no.code, 4);
  assert.match(
    no.out,
    /→ \(new\)[\s\S]*BLOCK[\s\S]*Order: one drive[\s\S]*about 15m, by[\s\S]*would be refused/,
  );
  const nothing = plan({ drives: [planned({ action: 'skip', note: 'x' })] });
  control.reply('rolloutStart', { plan: nothing, rollout: null });
  assert.match((await locum(...words)).out, /There is nothing to do\. Nothing was changed/);
});

test('followed: a line for each thing that becomes of a drive, and the result as exit code', async (t) => {
  const { control, terminal, locum } = await firmwareScene(t);
  const steps: Partial<RolloutDrive>[] = [
    { state: 'running', step: 'stage' },
    { state: 'soaking', firmwareAfter: '2.0', soakUntil: '2026-01-01T00:05:30.000Z' },
    { state: 'done', firmwareAfter: '2.0' },
  ];
  let step = 0;
  const show = (): void => {
    const change = steps[Math.min(step, steps.length - 1)]!;
    const isOver = step >= steps.length;
    control.reply('rolloutShow', {
      rollout: rollout({
        drives: [drive(change)],
        ...(isOver ? { state: 'done' as const, endedAt: 'x' } : {}),
      }),
    });
    step += 1;
  };
  show();
  terminal.onSleep = show;
  const { code, out } = await locum('firmware', 'update', 'v1', '--all', '--image', 'fw');
  assert.equal(code, 0);
  assert.match(
    out,
    /sda \(slot 0 of v1\): at work\n.*1\.0 → 2\.0, back and being watched\n.*1\.0 → 2\.0, done\n/,
  );
  assert.match(out, /firmware update fw-1 {2}done {2}1 of 1 drive done\n/);

  terminal.onSleep = () => {};
  const halted = rollout({
    state: 'halted',
    reason: 'it broke',
    next: 'mend it',
    drives: [drive({ state: 'failed', note: 'it broke' }), drive({ slot: null, note: 'recalled' })],
  });
  control.reply('rolloutShow', { rollout: halted });
  const bad = await locum('firmware', 'resume');
  assert.equal(bad.code, 1);
  assert.match(bad.out, /failed: it broke\n.*\(spare of v1\): put off: recalled/);
  assert.match(bad.out, /WHY +it broke\n +NEXT +mend it\n$/);
});

test('Ctrl-C detaches and says how to find it again', async (t) => {
  const { control, terminal, locum } = await firmwareScene(t);
  terminal.interactive = true;
  const working = rollout({
    drives: [drive({ state: 'running', step: 'activate' })],
    leftMs: 90_000,
  });
  control.reply('rolloutShow', { rollout: working });
  terminal.onSleep = () => terminal.interrupt();
  const { code, out, err } = await locum('firmware', 'update', 'v1', '--all', '--image', 'fw');
  assert.equal(code, 0);
  assert.match(out, /0 of 1 drive done, about 1m30s left {2}\/dev\/sda running activate/);
  assert.match(err, /Detached: .*firmware status fw-1 --watch.*firmware pause fw-1/);
});

test('status: the latest, by id, by volume; --watch until it has ended', async (t) => {
  const { control, terminal, locum } = await firmwareScene(t);
  const waiting = rollout({
    id: 'fw-2',
    reason: 'It waits: v2 is resyncing.',
    drives: [
      drive({
        volumes: ['v2'],
        state: 'soaking',
        firmwareAfter: '2',
        soakUntil: '2026-01-01T00:06:00.000Z',
      }),
      drive({ volumes: ['v2'], slot: 1, state: 'skipped', note: 'it has 2 already' }),
    ],
  });
  const old = rollout({ id: 'fw-0', state: 'done', endedAt: 'x' });
  control.reply('rolloutList', { rollouts: [old, waiting] });
  const latest = await locum('firmware', 'status');
  assert.match(latest.out, /fw-2 .*running.* 0 of 2 drives done, 1 skipped/);
  assert.match(latest.out, /watched for 1m more/);
  assert.match((await locum('firmware', 'status', 'v1')).out, /fw-0/);
  assert.match((await locum('firmware', 'status', 'fw-0')).out, /fw-0/);
  assert.equal((await locum('firmware', 'status', 'v9')).code, 3);
  control.reply('rolloutList', { rollouts: [rollout(), waiting] });
  const both = await locum('firmware', 'pause');
  assert.equal(both.code, 2);
  assert.match(both.err, /there are several: fw-1, fw-2/);

  control.reply('rolloutList', { rollouts: [waiting] });
  terminal.onSleep = () =>
    control.reply('rolloutList', { rollouts: [{ ...waiting, endedAt: 'x' }] });
  const watched = await locum('firmware', 'status', '--watch', '-o', 'json');
  assert.equal(watched.out.trim().split('\n').length, 2);
  terminal.onSleep = () => terminal.interrupt();
  control.reply('rolloutList', { rollouts: [waiting] });
  terminal.interactive = true;
  assert.match((await locum('firmware', 'status', '--watch')).out, /fw-2/);
});

test('pause, stop, resume --detach, and JSON of all that answer', async (t) => {
  const { control, locum } = await firmwareScene(t);
  for (const [words, operation] of [
    ['pause', 'rolloutPause'],
    ['stop fw-1', 'rolloutStop'],
    ['resume v1 --retry --allow-degraded --detach', 'rolloutResume'],
    ['inventory', 'firmwareInventory'],
    ['inventory v1', 'firmwareInventory'],
    ['status', 'rolloutList'],
    ['update v1 --all --image f --detach', 'rolloutStart'],
  ] as const) {
    const { code, err } = await locum('firmware', ...words.split(' '));
    assert.equal(code, 0, err);
    assert.equal(control.asked.at(-1)!.name, operation);
    const json = await locum('firmware', ...words.split(' '), '-o', 'json');
    assert.equal((JSON.parse(json.out) as { apiVersion: string }).apiVersion, 'locum/v1');
  }
  await locum('firmware', 'resume', '--retry', '--detach');
  assert.deepEqual(control.bodyOf('rolloutResume'), { retry: true, allowDegraded: false });
});

test('inventory: each drive, and how many of each model have which version', async (t) => {
  const { control, locum } = await firmwareScene(t);
  const facts = (path: string, firmware: string) => ({
    path,
    transport: 'ata' as const,
    model: 'ACME',
    serial: 'S',
    firmware,
    capacityBytes: 1,
    logicalBlockBytes: 512,
    physicalBlockBytes: 512,
    health: 'ok' as const,
    healthNote: '',
  });
  const entry = (slot: number | null, path: string, firmware: string | null): InventoryDrive => ({
    volume: 'v1',
    slot,
    path,
    uuid: '',
    state: 'online',
    facts: firmware === null ? null : facts(path, firmware),
    note: firmware === null ? 'it does not answer' : '',
  });
  const drives = [
    entry(0, 'a', '1'),
    entry(1, 'b', '2'),
    entry(2, 'c', '2'),
    entry(null, 'd', null),
  ];
  control.reply('firmwareInventory', { drives });
  const { out } = await locum('firmware', 'inventory');
  assert.match(out, /v1 +0 +a +ACME +S +1 +ata +ok +online/);
  assert.match(out, /v1 +spare +d +- +- +- +- +- +online +it does not answer/);
  assert.match(out, /ACME {3}2 × 2, 1 × 1\n$/);
});
