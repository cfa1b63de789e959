/**
 * The command line as scripts see it: exit codes, JSON fields, and the commands that no other end-to-end test uses.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import type { VolumeStatus } from '../../src/core/status.ts';
import { exitCode } from '../support/locum.ts';
import { blankImage, mebi, refusedWith, stillServes, volume, volumeIn } from './fixture.ts';

test('status -o json has the fields that scripts depend on', async (t) => {
  const scene = await volumeIn(t);
  const reply = JSON.parse(await scene.locum.must('status', '-o', 'json')) as Record<
    string,
    unknown
  >;
  assert.equal(reply['apiVersion'], 'locum/v1');
  const status = await scene.locum.statusOf(volume);
  const fields = [
    'name',
    'uuid',
    'level',
    'state',
    'sizeBytes',
    'chunkBytes',
    'io',
    'redundancy',
    'writeHole',
    'drives',
    'log',
    'window',
    'jobs',
    'alarms',
  ];
  for (const field of fields) assert.ok(field in status, field);
  assert.equal(status.level, 5);
  assert.equal(status.chunkBytes, 64 * 1024);
  assert.deepEqual(status.redundancy, { canLose: 1 });
  assert.equal(status.window, null);
  assert.deepEqual(
    status.drives.map(({ slot, path, state, errors }) => ({ slot, path, state, errors })),
    scene.drives.map((path, slot) => ({
      slot,
      path,
      state: 'online',
      errors: { read: 0, write: 0 },
    })),
  );
  assert.deepEqual(
    status.log?.legs.map(({ path, state }) => ({ path, state })),
    scene.legs.map((path) => ({ path, state: 'online' })),
  );
  await scene.locum.must('window', 'open', volume, '1', '--for', 'reset', '--max', '10m');
  const { window } = await scene.locum.statusOf(volume);
  assert.equal(window?.purpose, 'reset');
  assert.equal(window?.drive.slot, 1);
  const lengthMs = Date.parse(window?.deadlineAt ?? '') - Date.parse(window?.openedAt ?? '');
  assert.ok(Math.abs(lengthMs - 600_000) < 2000);
});

test('status for people tells state, why and next; --check has an exit code', async (t) => {
  const { locum } = await volumeIn(t);
  const text = await locum.must('status');
  for (const word of ['STATE', 'optimal', volume]) assert.match(text, new RegExp(word));
  assert.equal((await locum.run('status', '--check')).code, 0);
  await locum.must('drive', 'fail', volume, '2');
  const degraded = await locum.must('status', volume);
  assert.match(degraded, /STATE[\s\S]*WHY[\s\S]*NEXT/);
  assert.notEqual((await locum.run('status', '--check')).code, 0);
});

test('window run: the command sees the drive, and its failure is passed on', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const run = ['window', 'run', volume, '1', '--for', 'firmware'];
  const proof = scene.path('proof');
  await locum.must(...run, '--', 'sh', '-c', `echo "$LOCUM_DRIVE_PATH" > ${proof}`);
  assert.equal((await readFile(proof, 'utf8')).trim(), scene.drives[1]);
  assert.equal((await locum.statusOf(volume)).state, 'optimal');

  const failed = await locum.run(...run, '--', 'false');
  assert.equal(failed.code, exitCode.failed);
  assert.equal((await locum.statusOf(volume)).window, null);
  const history = await locum.must('window', 'history', '-o', 'json');
  const { windows } = JSON.parse(history) as { windows: { purpose: string; state: string }[] };
  assert.equal(windows.length, 2);
  assert.ok(windows.every((it) => it.purpose === 'firmware' && it.state === 'closed'));
});

test('plan, extend, abort, show and ls of a window', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const plan = await locum.must(
    'window',
    'plan',
    volume,
    '2',
    '--for',
    'diagnostics',
    '-o',
    'json',
  );
  const { plan: answer } = JSON.parse(plan) as {
    plan: { allowed: boolean; checks: { id: string; result: string }[] };
  };
  assert.ok(answer.allowed);
  assert.ok(answer.checks.every((check) => check.id !== '' && check.result !== 'block'));
  await locum.must('window', 'open', volume, '2', '--for', 'diagnostics');
  await stillServes(scene);
  const before = (await locum.statusOf(volume)).window?.deadlineAt ?? '';
  await locum.must('window', 'extend', volume, '--by', '10m');
  const after = (await locum.statusOf(volume)).window?.deadlineAt ?? '';
  assert.ok(Math.abs(Date.parse(after) - Date.parse(before) - 600_000) < 2000);
  assert.match(await locum.must('window', 'show', volume), /diagnostics/);
  assert.match(await locum.must('window', 'ls'), new RegExp(volume));
  await locum.must('window', 'abort', volume, '--wait');
  const { windows } = JSON.parse(await locum.must('window', 'history', '-o', 'json')) as {
    windows: { state: string }[];
  };
  assert.equal(windows.at(-1)?.state, 'aborted');
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  await stillServes(scene);
});

test('a window that expires thaws: degraded, and the drive comes back with a short resync', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  await locum.must('window', 'open', volume, '1', '--for', 'firmware', '--max', '2s');
  await stillServes(scene);
  const isOver = (it: VolumeStatus): boolean => it.window === null && it.state !== 'replaying';
  const status = await locum.until(volume, 'thawed', isOver);
  assert.equal(status.state, 'degraded');
  await stillServes(scene);
  await locum.must('drive', 'add', volume, scene.drives[1] ?? '', '--wait');
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
});

test('drives: ls, spare, fail with a rebuild onto the spare, remove', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const spare = await blankImage(scene.path('spare.img'));
  await locum.must('drive', 'add', volume, spare, '--spare');
  assert.match(await locum.must('drive', 'ls', volume), /spare/);
  await locum.must('drive', 'fail', volume, '0');
  const rebuilt = await locum.until(
    volume,
    'rebuilt onto the spare',
    (it) => it.state === 'optimal' && it.drives.some((drive) => drive.path === spare),
  );
  assert.equal(rebuilt.redundancy.canLose, 1);
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
  await stillServes(scene);
});

test('a log can be looked at, a volume exported, stopped, assembled and destroyed', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  await locum.must('window', 'open', volume, '1', '--for', 'reset');
  await stillServes(scene);
  const { log } = JSON.parse(await locum.must('log', 'show', volume, '-o', 'json')) as {
    log: { records: number; capacityBytes: number };
  };
  assert.ok(log.records > 0 && log.capacityBytes > mebi);
  await locum.must('log', 'check', volume);
  await locum.must('window', 'close', volume, '--wait');

  const uri = (await locum.must('export', 'uri', volume)).trim();
  assert.equal(uri, `nbd+unix:///${volume}?socket=${locum.nbdPath}`);
  for (const consumer of ['qemu', 'nbd-client', 'nbdcopy']) {
    assert.match(await locum.must('export', 'uri', volume, '--for', consumer), new RegExp(volume));
  }
  assert.match(await locum.must('event', 'ls'), /window/);

  await locum.must('volume', 'stop', volume);
  await locum.must('volume', 'assemble', volume);
  await stillServes(scene);
  refusedWith(
    await locum.run('volume', 'destroy', volume, '--confirm', 'tonk'),
    exitCode.usage,
    /tonk|confirm/,
  );
  await stillServes(scene);
  await locum.must('volume', 'destroy', volume, '--confirm', volume);
  assert.match(await locum.must('volume', 'ls', '-o', 'json'), /"volumes": \[\]/);
});
