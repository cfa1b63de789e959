/**
 * A firmware update of many drives from outside, on the simulated drives of image files, with a host that writes all the
 * time: to the end, degraded from the start, with another drive failing meanwhile, and with the server killed at some steps
 * (LOCUM_LONG=1: at each; the unit tests of rollouts and runs have all of them in any case).
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutDrive, RolloutReport } from '../../src/core/rollout-report.ts';
import { BackgroundWriter, Ledger, ledgerBlockBytes } from '../support/ledger.ts';
import { locumPath } from '../support/locum.ts';
import {
  blankImage,
  mebi,
  refusedWith,
  type Scene,
  serverIn,
  volume,
  volumeIn,
} from './fixture.ts';

const NEW = '2.1';
const isLong = process.env['LOCUM_LONG'] === '1';

interface Stage extends Scene {
  readonly image: string;
  readonly spare: string;
  readonly ledger: Ledger;
  readonly writer: BackgroundWriter;
  rollout(): Promise<RolloutReport>;
  untilRollout(what: string, is: (rollout: RolloutReport) => boolean): Promise<RolloutReport>;
  /** The host stops, and everything that was acknowledged is there. */
  nothingLost(): Promise<void>;
  versions(): Promise<string[]>;
}

/** What the simulated drive of an image is not as usual; it answers soon after its activation. */
function simulate(image: string, as: object = {}): string {
  writeFileSync(`${image}.drive.json`, JSON.stringify({ activationMs: 0, ...as }));
  return image;
}

/** Firmware with this revision. */
function firmware(scene: Scene, revision: string): string {
  const image = scene.path(`firmware-${revision}.bin`);
  writeFileSync(image, `LOCUM-FIRMWARE ${revision}\n${'x'.repeat(20_000)}`);
  return image;
}

const MEMBER_BYTES = 8 * mebi;
const freshDrive = async (scene: Scene, name: string): Promise<string> =>
  simulate(await blankImage(scene.path(name), MEMBER_BYTES));

/** A RAID 5 of three drives with a spare, and a host that writes. */
async function stageIn(t: TestContext, as: object = {}): Promise<Stage> {
  const scene = await volumeIn(t, { members: 3, memberBytes: MEMBER_BYTES, logBytes: 32 * mebi });
  const { locum } = scene;
  const spare = await freshDrive(scene, 'spare.img');
  await locum.must('drive', 'add', volume, spare, '--spare');
  for (const drive of [...scene.drives, spare]) simulate(drive, as);
  const image = firmware(scene, NEW);
  const { sizeBytes } = await locum.statusOf(volume);
  const ledger = new Ledger(Math.floor(sizeBytes / ledgerBlockBytes));
  const connect = (): ReturnType<typeof locum.connect> => locum.connect(volume);
  const writer = new BackgroundWriter({ connect, ledger, inFlight: 2, pauseMs: 20, blocksMax: 2 });
  await writer.start();
  t.after(() => writer.stop());
  const rollout = async (): Promise<RolloutReport> => {
    const { rollouts } = (await locum.ask('/v1/rollouts')) as { rollouts: RolloutReport[] };
    return rollouts.at(-1)!;
  };
  return {
    ...scene,
    image,
    spare,
    ledger,
    writer,
    rollout,
    untilRollout: async (what, is) => {
      const limitMs = performance.now() + 120_000;
      for (;;) {
        const now = await rollout();
        if (is(now)) return now;
        assert.ok(performance.now() < limitMs, `never ${what}: ${JSON.stringify(now, null, 1)}`);
        await sleep(20);
      }
    },
    nothingLost: async () => {
      await writer.stop();
      // A server that is stopped in an orderly way says so to what it does not take any more.
      const errors = writer.errors.filter((error) => !error.includes('is being shut down'));
      assert.deepEqual(errors, []);
      assert.ok(writer.acknowledgedWrites > 0);
      const client = await locum.connect(volume);
      assert.deepEqual(await ledger.verify(client), []);
      await client.close();
    },
    versions: async () => {
      const { drives } = JSON.parse(await locum.must('firmware', 'inventory', '-o', 'json')) as {
        drives: { state: string; facts: { firmware: string } | null }[];
      };
      return drives.map(({ state, facts }) => `${state} ${facts?.firmware ?? '-'}`);
    },
  };
}

const begin = (stage: Stage, ...more: string[]): Promise<string> =>
  stage.locum.must('firmware', 'update', volume, '--all', '--image', stage.image, ...more);

const isDone = ({ state }: RolloutReport): boolean => state === 'done';
const isHalted = ({ state }: RolloutReport): boolean => state === 'halted';
const states = ({ drives }: RolloutReport): string[] => drives.map((drive) => drive.state);

async function parityIsRight({ locum }: Scene): Promise<void> {
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
}

/** Of every member, and of the spare when there is one. */
async function allHave(stage: Stage, revision: string, spares: number): Promise<void> {
  const members = Array<string>(3).fill(`online ${revision}`);
  const expected = [...members, ...Array<string>(spares).fill(`spare ${revision}`)];
  assert.deepEqual(await stage.versions(), expected);
}

test('all drives of a volume in use: refusals, plan, an update that halts, the others, nothing to do', async (t) => {
  const stage = await stageIn(t);
  const { locum, image } = stage;
  const refuse = async (code: number, says: RegExp, ...words: string[]): Promise<void> => {
    refusedWith(await locum.run('firmware', 'update', ...words), code, says);
    assert.equal(await stage.rollout(), undefined);
  };
  const empty = stage.path('empty.bin');
  writeFileSync(empty, '');
  const all = [volume, '--all', '--image'];
  await refuse(2, /which drives of tank are meant/, volume, '--image', image);
  await refuse(3, /no volume named pool/, 'pool', '--all', '--image', image);
  await refuse(3, /9/, volume, '9', '--image', image);
  await refuse(4, /cannot be read/, ...all, stage.path('none.bin'));
  await refuse(4, /is empty/, ...all, empty);
  await refuse(4, /SHA-256/, ...all, image, '--sha256', '0'.repeat(64));
  await refuse(4, /none of the 4 drives is of model XYZ/, ...all, image, '--model', 'XYZ');
  refusedWith(await locum.run('firmware', 'status'), 3, /There is no firmware update/);

  const plan = await begin(stage, '--dry-run');
  assert.match(plan, /1\. +tank +spare .*spare\.img/);
  assert.match(plan, /4 drives would be flashed\. Nothing was changed/);
  await allHave(stage, '1.0', 1);

  const stubborn = stage.drives[1]!;
  simulate(stubborn, { faults: [{ at: 'activate', kind: 'unchanged' }] });
  const words = ['firmware', 'update', volume, '--all', '--image', image, '--soak', '0s'] as const;
  const { code, stdout } = await locum.run(...words);
  assert.equal(code, 1);
  for (const path of [stage.spare, stage.drives[0]]) {
    assert.match(stdout, new RegExp(`${path} \\(.*\\): 1\\.0 → ${NEW.replace('.', '\\.')}, done`));
  }
  assert.match(stdout, /halted {2}2 of 4 drives done, 1 not-applied/);
  assert.match(stdout, /NEXT [\s\S]*locum firmware resume/);
  const { alarms, story } = await locum.statusOf(volume);
  assert.ok(alarms.some((alarm) => alarm.code === 'update-halted' && /tank/.test(alarm.message)));
  assert.match(story.next, /locum firmware resume fw-/);
  const checked = await locum.run('status', '--check');
  assert.equal(checked.code, 1, checked.stdout);
  assert.match(checked.stdout, /WARNING - tank optimal: Firmware update fw-\w+ is halted/);
  await locum.must('firmware', 'stop');
  assert.equal((await locum.run('status', '--check')).code, 0);

  assert.equal((await locum.run(...words, '--no-stop-on-error')).code, 1);
  const over = await stage.rollout();
  assert.equal(over.state, 'done');
  assert.deepEqual(states(over), ['skipped', 'skipped', 'not-applied', 'done']);
  simulate(stubborn);
  assert.match(await begin(stage, '--soak', '0s'), /1 of 4 drives done, 3 skipped/);
  await allHave(stage, NEW, 1);
  assert.match(await begin(stage, '--soak', '0s'), /0 of 4 drives done, 4 skipped/);
  assert.match(await locum.must('firmware', 'status'), /it has 2\.1 already/);
  assert.equal((await locum.statusOf(volume)).state, 'optimal');
  await stage.nothingLost();
  await parityIsRight(stage);
});

test('degraded from the start; then another drive fails while one is flashed: halted, told, resumed', async (t) => {
  const stage = await stageIn(t);
  const { locum, drives, spare } = stage;
  // Without the spare, which would take the place of the drive that fails.
  await locum.must('drive', 'remove', volume, spare);
  await rm(drives[2]!);
  await locum.until(volume, 'degraded', (status) => status.state === 'degraded');
  const words = ['firmware', 'update', volume, '--all', '--image', stage.image] as const;
  refusedWith(await locum.run(...words), 4, /nothing was touched: slot 2 .* is already failed/);
  await begin(stage, '--soak', '0s', '--allow-degraded');
  assert.deepEqual(states(await stage.rollout()), ['done', 'done', 'skipped']);
  const isOptimal = (): Promise<unknown> =>
    locum.until(volume, 'optimal', (status) => status.state === 'optimal');
  const first = await freshDrive(stage, 'first.img');
  await locum.must('drive', 'replace', volume, '2', '--with', first, '--wait');
  await isOptimal();

  const later = ['firmware', 'update', volume, '--all', '--image', firmware(stage, '2.2')];
  simulate(drives[1]!, { firmware: NEW, activationMs: 2_000 });
  await locum.must(...later, '--soak', '0s', '--detach');
  const isAway = ({ state, step }: RolloutDrive): boolean =>
    state === 'running' && ['stage', 'activate', 'identify'].includes(step);
  await stage.untilRollout('at work on the second drive', (now) => isAway(now.drives[1]!));
  await rm(first);
  const halted = await stage.untilRollout('halted', isHalted);
  assert.match(halted.reason, /slot 2 of tank is failed|second/i);
  assert.match(halted.next, /locum firmware resume fw-/);
  await stage.untilRollout('at rest', ({ drives: all }) =>
    all.every(({ state }) => state !== 'running'),
  );
  const more = await locum.run(...later);
  refusedWith(more, 4, /belongs to the firmware update fw-\w+ already, which is halted/);
  await locum.until(volume, 'degraded', (status) => status.state === 'degraded');
  const second = await freshDrive(stage, 'second.img');
  await locum.must('drive', 'replace', volume, '2', '--with', second, '--wait');
  await locum.must('firmware', 'resume', '--retry');
  assert.equal((await stage.rollout()).state, 'done');
  await allHave(stage, '2.2', 0);
  await stage.nothingLost();
  await parityIsRight(stage);
});

const steps = {
  'a spare that is released': ({ slot, step }: RolloutDrive) => slot === null && step !== '',
  'a spare that is asked what it is now': ({ slot, step }: RolloutDrive) =>
    slot === null && step === 'identify',
  'the freeze': ({ slot, step }: RolloutDrive) => slot !== null && step === 'open',
  'the download': ({ slot, step }: RolloutDrive) => slot !== null && step === 'stage',
  'the activation': ({ slot, step }: RolloutDrive) => slot !== null && step === 'activate',
  'the return': ({ slot, step }: RolloutDrive) =>
    slot !== null && ['identify', 'verify', 'return'].includes(step),
  'the soak': ({ slot, state }: RolloutDrive) => slot !== null && state === 'soaking',
} as const satisfies Record<string, (drive: RolloutDrive) => boolean>;

/** One with a spare, one with a tool at work, one between two drives. */
const everyday: readonly string[] = ['a spare that is released', 'the activation', 'the soak'];

test('killed, each time at another step: it goes on where it was, and every drive has it in the end', async (t) => {
  const stage = await stageIn(t, { activationMs: 300 });
  const { locum } = stage;
  const wanted = Object.entries(steps).filter(([what]) => isLong || everyday.includes(what));
  await begin(stage, '--soak', '300ms', '--detach');
  const first = await stage.rollout();
  const killedAt: string[] = [];
  for (const [what, is] of wanted) {
    const now = await stage.untilRollout(`at ${what}`, (it) => isDone(it) || it.drives.some(is));
    if (!isDone(now)) killedAt.push(what);
    await locum.stop('SIGKILL');
    await locum.start();
  }
  const over = await stage.untilRollout('done', isDone);
  assert.equal(over.id, first.id);
  // Short steps may be over before they are seen; the unit tests have each of them.
  assert.ok(killedAt.length >= wanted.length - 2, killedAt.join());
  t.diagnostic(`killed at ${killedAt.join(', ')}`);
  assert.deepEqual(states(over), Array<string>(4).fill('done'));
  await allHave(stage, NEW, 1);
  await stage.nothingLost();
  await parityIsRight(stage);
});

test('pause, a restart, resume and stop; Ctrl-C detaches', async (t) => {
  // So that some are left when a slow machine has said stop.
  const stage = await stageIn(t, { activationMs: 1_000 });
  const { locum } = stage;
  const words = ['firmware', 'update', volume, '--all', '--image', stage.image, '--soak', '0s'];
  const followed = spawn(locumPath, words, { env: locum.environment() });
  let said = '';
  followed.stderr.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const left = once(followed, 'exit');
  await stage.untilRollout('begun', (now) => now?.drives.some(({ state }) => state === 'running'));
  // Its handler of Ctrl-C is there once it has told something.
  await once(followed.stdout, 'data');
  followed.kill('SIGINT');
  assert.deepEqual(await left, [0, null]);
  assert.match(said, /Detached: the update goes on in the server/);
  assert.match(await locum.must('firmware', 'pause'), /paused by the administrator/);
  const paused = await stage.untilRollout('at rest', ({ drives }) =>
    drives.every(({ state }) => state !== 'running' && state !== 'soaking'),
  );
  assert.equal(paused.state, 'paused');
  await locum.stop('SIGTERM');
  await locum.start();
  assert.equal((await stage.rollout()).state, 'paused');
  await locum.must('firmware', 'resume', '--detach');
  const count = paused.drives.filter(({ state }) => state === 'done').length;
  await stage.untilRollout('another one begun', ({ drives }) =>
    drives.some(({ state }, index) => state === 'running' && index >= count),
  );
  await locum.must('firmware', 'stop', volume);
  const over = await stage.untilRollout('over', ({ endedAt }) => endedAt !== null);
  assert.equal(over.state, 'stopped');
  assert.ok(over.drives.some(({ state }) => state === 'pending'));
  assert.ok(over.drives.every(({ state }) => state === 'pending' || state === 'done'));
  refusedWith(await locum.run('firmware', 'resume'), 4, /is stopped/);
  await stage.nothingLost();
});

test('a drive with members of two volumes is flashed once; both freeze for it', async (t) => {
  const scene = await serverIn(t);
  const { locum } = scene;
  for (const name of ['a', 'p1', 'x', 'p2']) await freshDrive(scene, `${name}.img`);
  for (const part of ['p1', 'p2'])
    writeFileSync(scene.path(`${part}.img.drive.json`), '{ "partOf": "both.img" }');
  for (const [name, other, part] of [
    ['v1', 'a', 'p1'],
    ['v2', 'x', 'p2'],
  ] as const) {
    const logs = [0, 1].flatMap((leg) => ['--log', scene.path(`${name}-log${leg}.img`)]);
    const drives = [other, part].flatMap((one) => ['--drive', scene.path(`${one}.img`)]);
    const size = ['--log-size', String(16 * mebi)];
    await locum.must('volume', 'create', name, '--level', '1', ...drives, ...logs, ...size);
    await locum.until(name, 'optimal', (status) => status.state === 'optimal');
  }
  simulate(scene.path('both.img'));
  const image = firmware(scene, NEW);
  await locum.must('firmware', 'update', 'v1', 'v2', '--all', '--image', image, '--soak', '0s');
  const { rollouts } = (await locum.ask('/v1/rollouts')) as { rollouts: RolloutReport[] };
  const { drives, state } = rollouts[0]!;
  assert.equal(state, 'done');
  assert.deepEqual(
    drives.map(({ path, volumes }) => [basename(path), volumes]),
    [
      ['a.img', ['v1']],
      ['both.img', ['v1', 'v2']],
      ['x.img', ['v2']],
    ],
  );
  const { runs } = (await locum.ask('/v1/runs')) as { runs: { volumes: string[] }[] };
  assert.deepEqual(
    runs.map(({ volumes }) => volumes.length).toSorted((one, two) => one - two),
    [1, 1, 2],
  );
});
