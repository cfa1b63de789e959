/**
 * One drive, one command: `locum window run` from outside, on image files, each of which is a simulated drive whose sidecar
 * (IMAGE.drive.json) says what firmware it has and what faults.
 */

import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunReport } from '../../src/core/run-report.ts';
import { BackgroundWriter, Ledger } from '../support/ledger.ts';
import { exitCode } from '../support/locum.ts';
import {
  blankImage,
  createArguments,
  mebi,
  refusedWith,
  type Scene,
  type Shape,
  stillServes,
  volume,
  volumeIn,
} from './fixture.ts';

const MEMBER_BYTES = 8 * mebi;
/** What is done in the middle of a tool's work is done in time on a slow machine as well. */
const SLOW_MS = 6_000;
const onDrive = ['window', 'run', volume, '1', '--for'];

async function firmware(scene: Scene, revision: string): Promise<string> {
  const path = scene.path(`fw-${revision}.bin`);
  await writeFile(path, `LOCUM-FIRMWARE ${revision}\n${'x'.repeat(4000)}`);
  return path;
}

/** Changes what the sidecar of a drive says; what it does not say is as of a new drive. */
async function sidecar(image: string, change: object): Promise<void> {
  const path = `${image}.drive.json`;
  const before = await readFile(path, 'utf8').catch(() => '{}');
  await writeFile(path, JSON.stringify({ ...JSON.parse(before), ...change }));
}

/** A volume whose drives answer soon after an activation, and are tested in no time. */
async function quickIn(t: TestContext, shape: Shape = {}): Promise<Scene> {
  const scene = await volumeIn(t, { memberBytes: MEMBER_BYTES, ...shape });
  await sidecar(scene.drives[1]!, { activationMs: 0, selfTestMs: 100 });
  return scene;
}

async function lastRun(scene: Scene, name = volume): Promise<RunReport> {
  const text = await scene.locum.must('window', 'show', name, '-o', 'json');
  const { run } = JSON.parse(text) as { run: RunReport | null };
  assert.ok(run, text);
  return run;
}

async function untilRun(scene: Scene, what: string, is: (run: RunReport) => boolean) {
  for (let round = 0; round < 600; round++) {
    const { runs } = (await scene.locum.ask('/v1/runs')) as { runs: RunReport[] };
    const run = runs.at(-1);
    if (run && is(run)) return run;
    await sleep(100);
  }
  assert.fail(`the run is not ${what}: ${JSON.stringify(await lastRun(scene), null, 1)}`);
}

/** A server that is killed before it has begun its tool has nothing to go on with. */
async function untilToolAtWork(scene: Scene): Promise<void> {
  const { id } = await untilRun(scene, 'staging', ({ step }) => step === 'stage');
  const path = join(scene.locum.state, 'runs', `${id}.json`);
  for (let round = 0; round < 600; round++) {
    const record = JSON.parse(await readFile(path, 'utf8')) as { process: object | null };
    if (record.process !== null) return;
    await sleep(100);
  }
  assert.fail(`no tool is on record: ${JSON.stringify(await lastRun(scene), null, 1)}`);
}

const ended = (scene: Scene): Promise<RunReport> =>
  untilRun(scene, 'ended', ({ state }) => state === 'ended');

async function underLoad(scene: Scene, act: () => Promise<void>): Promise<void> {
  const ledger = new Ledger(4 * 1024);
  const writer = new BackgroundWriter({
    connect: () => scene.locum.connect(volume),
    ledger,
    inFlight: 4,
    pauseMs: 2,
    blocksMax: 8,
  });
  await writer.start();
  await act();
  await writer.stop();
  const client = await scene.locum.connect(volume);
  assert.deepEqual(await ledger.verify(client), []);
  await client.close();
  assert.deepEqual(writer.errors, []);
}

test('firmware: flashed under load, on record; the same image again is not applied', async (t) => {
  const scene = await quickIn(t, { logBytes: 64 * mebi });
  const { locum } = scene;
  const image = await firmware(scene, '2.0');
  const run = [...onDrive, 'firmware', '--image', image];
  const rehearsed = await locum.run(...run, '--rehearse');
  assert.equal(rehearsed.code, exitCode.done, rehearsed.stderr);
  await underLoad(scene, async () => {
    const done = await locum.run(...run);
    assert.equal(done.code, exitCode.done, `${done.stdout}${done.stderr}`);
    assert.match(done.stdout, /from firmware 1\.0 to 2\.0/);
  });
  const report = await lastRun(scene);
  assert.equal(report.outcome, 'done');
  assert.equal(report.before?.firmware, '1.0');
  assert.equal(report.after?.firmware, '2.0');
  assert.match(report.requestedBy, /.@./);
  assert.equal(report.image?.path, image);
  assert.ok(report.loggedBytes > 0);
  const again = await locum.run(...run);
  assert.equal(again.code, exitCode.failed);
  assert.match(again.stderr, /still 2\.0/);
  await locum.stop();
  await locum.start();
  const shown = await locum.must('window', 'show', volume, report.id);
  assert.match(
    shown,
    /before[\s\S]*firmware 1\.0[\s\S]*after[\s\S]*firmware 2\.0[\s\S]*stage +done/,
  );
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
});

test('another drive fails while the drive is being flashed: the activation is left out', async (t) => {
  const scene = await quickIn(t, { logBytes: 64 * mebi });
  const { locum, drives } = scene;
  await sidecar(drives[1]!, { faults: [{ at: 'stage', kind: 'slow', ms: SLOW_MS }] });
  const image = await firmware(scene, '2.0');
  await underLoad(scene, async () => {
    await locum.must(...onDrive, 'firmware', '--image', image, '--detach');
    await untilRun(scene, 'staging', ({ step }) => step === 'stage');
    await locum.must('drive', 'fail', volume, '2');
    const run = await ended(scene);
    assert.equal(run.outcome, 'recalled', JSON.stringify(run, null, 1));
    assert.equal(run.after?.firmware, '1.0');
  });
  await locum.must('drive', 'add', volume, drives[2]!, '--wait');
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
});

test('kill -9 of the server while the drive is being flashed: the tool ends, the run goes on', async (t) => {
  const scene = await quickIn(t);
  const { locum, drives } = scene;
  await sidecar(drives[1]!, { faults: [{ at: 'stage', kind: 'slow', ms: SLOW_MS }] });
  const image = await firmware(scene, '2.0');
  await locum.must(...onDrive, 'firmware', '--image', image, '--detach');
  await untilToolAtWork(scene);
  await stillServes(scene);
  await locum.stop('SIGKILL');
  await locum.start();
  const run = await ended(scene);
  assert.equal(run.outcome, 'done', JSON.stringify(run, null, 1));
  assert.equal(run.after?.firmware, '2.0');
  await stillServes(scene);
  assert.equal((await locum.statusOf(volume)).state, 'optimal');
});

test('refused before the freeze, with one sentence: no image, an empty one, a wrong checksum', async (t) => {
  const scene = await quickIn(t);
  const run = [...onDrive, 'firmware', '--image'];
  const empty = scene.path('empty.bin');
  await writeFile(empty, '');
  const image = await firmware(scene, '2.0');
  refusedWith(
    await scene.locum.run(...run, scene.path('none')),
    exitCode.refused,
    /cannot be read/,
  );
  refusedWith(await scene.locum.run(...run, empty), exitCode.refused, /empty/);
  const digest = ['--sha256', 'ab'.repeat(32)];
  refusedWith(await scene.locum.run(...run, image, ...digest), exitCode.refused, /SHA-256/);
  const model = ['--model', 'Other'];
  refusedWith(await scene.locum.run(...run, image, ...model), exitCode.refused, /model/);
  refusedWith(await scene.locum.run(...onDrive, 'firmware'), exitCode.usage, /image/);
  const { window } = await scene.locum.statusOf(volume);
  assert.equal(window, null);
  await stillServes(scene);
});

test('a tool that floods is cut short, one that hangs is ended; another drive that answers is waited for', async (t) => {
  const scene = await quickIn(t);
  const { locum, drives } = scene;
  const image = await firmware(scene, '2.0');
  const run = [...onDrive, 'firmware', '--image', image];
  await sidecar(drives[1]!, { faults: [{ at: 'stage', kind: 'flood', ms: 2_000, times: 1 }] });
  await locum.must(...run, '--detach');
  await untilRun(scene, 'staging', ({ step }) => step === 'stage');
  await stillServes(scene);
  assert.equal((await ended(scene)).outcome, 'done');
  const flooded = await lastRun(scene);
  const { output } = flooded.steps.find(({ step }) => step === 'stage')!;
  assert.match(output, /left out[\s\S]*stored in slot/, 'its beginning and its end');
  const kept = await readFile(join(locum.state, 'runs', `${flooded.id}.json`), 'utf8');
  assert.ok(kept.length < 2 ** 18, `the record has ${kept.length} characters`);
  for (const name of await readdir(join(locum.state, 'runs', flooded.id))) {
    const { size } = await stat(join(locum.state, 'runs', flooded.id, name));
    assert.ok(size < 4 * mebi, `${name} has ${size} bytes`);
  }

  await sidecar(drives[1]!, {
    firmware: '1.0',
    faults: [{ at: 'stage', kind: 'hang', times: 1 }],
  });
  // The read test afterwards has as long.
  const hung = await locum.run(...run, '--command-limit', '5s');
  assert.equal(hung.code, exitCode.failed, `${hung.stdout}${hung.stderr}`);
  assert.match(hung.stderr, /task failed/);
  await stillServes(scene);

  const { serial } = (await lastRun(scene)).before!;
  await sidecar(drives[1]!, { faults: [{ at: 'activate', kind: 'other-serial', times: 1 }] });
  await locum.must(...run, '--detach');
  const waiting = await untilRun(scene, 'waiting', ({ state }) => state === 'waiting');
  assert.match(waiting.sentence, /not the drive that left.*serial/);
  assert.match(await locum.must('window', 'show', volume), /waiting \(identify\)[\s\S]*next:/);
  await stillServes(scene);
  await sidecar(drives[1]!, { serial });
  assert.equal((await ended(scene)).outcome, 'done');
});

test('diagnostics, reset and replacement', async (t) => {
  const scene = await quickIn(t);
  const { locum, drives } = scene;
  await locum.must(...onDrive, 'diagnostics', '--test', 'short');
  await locum.must(...onDrive, 'diagnostics', '--test', 'scan');
  await locum.must(...onDrive, 'reset');
  await sidecar(drives[1]!, { faults: [{ at: 'diagnose', kind: 'failing' }] });
  const bad = await locum.run(...onDrive, 'diagnostics');
  assert.equal(bad.code, exitCode.failed, `${bad.stdout}${bad.stderr}`);
  assert.match(bad.stderr, /found something/);
  await stillServes(scene);
  const replace = [...onDrive, 'replacement', '--with'];
  const foreign = await locum.run(...replace, drives[2]!);
  refusedWith(foreign, exitCode.refused, /WP014/);
  await locum.must(...replace, await blankImage(scene.path('new.img'), MEMBER_BYTES));
  const status = await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  assert.equal(status.drives[1]?.path, scene.path('new.img'));
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
});

test('two volumes on the partitions of one drive: one command, both freeze and both return', async (t) => {
  const scene = await quickIn(t);
  const { locum, drives } = scene;
  await locum.must(...createArguments(scene, 'second', { memberBytes: MEMBER_BYTES }));
  await locum.until('second', 'optimal', (it) => it.state === 'optimal');
  const other = scene.path('second-drive3.img');
  await sidecar(other, { partOf: drives[1] });
  const image = await firmware(scene, '2.0');
  const plan = await locum.must('window', 'plan', volume, '1', '--for', 'firmware');
  assert.match(plan, /\(volume second\)/);
  await locum.must(...onDrive, 'firmware', '--image', image);
  const run = await lastRun(scene, 'second');
  assert.deepEqual(run.volumes, [volume, 'second']);
  assert.equal(run.outcome, 'done');
  for (const name of [volume, 'second']) {
    assert.equal((await locum.statusOf(name)).state, 'optimal');
  }
});
