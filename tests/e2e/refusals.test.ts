/**
 * Bad input of every kind: one clear sentence, the right exit code, and nothing changed. "Nothing" is checked on the
 * files: the images offered hash the same before and after, and the server tells the same of its volumes.
 */

import assert from 'node:assert/strict';
import { copyFile, readFile, stat } from 'node:fs/promises';
import test, { type TestContext } from 'node:test';
import type { VolumeStatus } from '../../src/core/status.ts';
import { exitCode } from '../support/locum.ts';
import { findProgram, mustRun, runProgram } from '../support/processes.ts';
import {
  blankImage,
  createArguments,
  digestOf,
  mebi,
  overwrite,
  refusedWith,
  type Scene,
  serverIn,
  stillServes,
  volume,
  volumeIn,
} from './fixture.ts';

/** Runs the command; it must be refused, and leave the files as they are. */
async function refused(
  scene: Scene,
  words: readonly string[],
  code: number,
  says: RegExp,
  untouched: readonly string[] = [],
): Promise<void> {
  const before = await Promise.all(untouched.map(digestOf));
  const told = await volumesOf(scene);
  refusedWith(await scene.locum.run(...words), code, says);
  assert.deepEqual(await Promise.all(untouched.map(digestOf)), before, 'an image was changed');
  assert.deepEqual(await volumesOf(scene), told);
}

/** Name and state of every volume and drive that the server knows. */
async function volumesOf({ locum }: Scene): Promise<unknown> {
  const { volumes } = (await locum.ask('/v1/volumes')) as { volumes: VolumeStatus[] };
  return volumes.map(({ name, drives }) => [
    name,
    drives.map(({ slot, path, state }) => [slot, path, state]),
  ]);
}

/** Two blank images, and the words that would make a mirror of them. */
async function mirror(scene: Scene, ...more: readonly string[]): Promise<[string[], string[]]> {
  const drives = [await blankImage(scene.path('x0.img')), await blankImage(scene.path('x1.img'))];
  const words = ['volume', 'create', 'other', '--level', '1'];
  return [[...words, ...drives.flatMap((path) => ['--drive', path]), ...more], drives];
}

async function stopped(scene: Scene): Promise<void> {
  await scene.locum.must('volume', 'stop', volume, '--forget');
}

const assembleWords = (scene: Scene, drives = scene.drives, legs = scene.legs): string[] => [
  'volume',
  'assemble',
  ...drives.flatMap((path) => ['--drive', path]),
  ...legs.flatMap((path) => ['--log', path]),
];

test('words that do not fit', async (t) => {
  const scene = await serverIn(t);
  const { notFound, usage, refused: no } = exitCode;
  await refused(scene, ['volume', 'show', 'nobody'], notFound, /no volume named nobody/i);
  await refused(scene, ['status', 'nobody'], notFound, /nobody/);
  await refused(scene, ['window', 'close', 'nobody'], notFound, /nobody/);
  await refused(scene, ['volume', 'destroy', 'nobody', '--confirm', 'nobody'], notFound, /nobody/);
  await refused(scene, ['no-such-command'], usage, /unknown command/);
  await refused(scene, ['volume', 'create', 'x'], usage, /--level/);
  const [words, drives] = await mirror(scene);
  const changed = (from: string, to: string): string[] =>
    words.map((word) => (word === from ? to : word));
  await refused(scene, changed('other', '../etc'), usage, /name/, drives);
  await refused(scene, changed('1', '2'), usage, /level/i, drives);
  await refused(scene, [...words, '--chunk', '5KiB'], usage, /chunk/i, drives);
  await refused(scene, [...words, '--chunk', 'many'], usage, /many/, drives);
  await refused(scene, [...words, '--drive', drives[0] ?? ''], usage, /twice/, drives);
  await refused(scene, changed('1', '5'), usage, /at least/, drives);
  await refused(
    scene,
    [...words, '--drive', scene.path('gone.img')],
    notFound,
    /gone\.img/,
    drives,
  );
  await refused(scene, [...words, '--drive', '/dev/null'], no, /dev\/null/, drives);
});

test('drives that may not be taken', async (t) => {
  const scene = await volumeIn(t);
  const { refused: no } = exitCode;
  const [words, drives] = await mirror(scene);

  const member = scene.drives[0] ?? '';
  await refused(scene, [...words, '--drive', member], no, /belongs to|in use|member/, drives);
  const leg = scene.legs[0] ?? '';
  await refused(scene, [...words, '--drive', leg], no, /log|in use|belongs/, drives);
  await refused(scene, [...words, '--log', member], no, /member|in use|belongs/, drives);

  const small = await blankImage(scene.path('small.img'), 64 * 1024);
  await refused(scene, [...words, '--drive', small], no, /too small/, [...drives, small]);

  // A partition table with one entry, as any partitioner leaves it.
  const full = await blankImage(scene.path('full.img'));
  const entry = Buffer.from('00202100833f0500000800000078000000', 'hex').subarray(0, 16);
  await overwrite(full, 446, entry);
  await overwrite(full, 510, Buffer.from([0x55, 0xaa]));
  await refused(scene, [...words, '--drive', full], no, /full\.img/, [...drives, full]);

  // Bytes that no table of signatures knows are somebody's data all the same.
  const unknown = await blankImage(scene.path('unknown.img'));
  await overwrite(unknown, 20_000, Buffer.from('ledger of 1987'));
  await refused(scene, [...words, '--drive', unknown], no, /unknown\.img/, [...drives, unknown]);

  const replace = ['drive', 'replace', volume, '3', '--with'];
  await refused(scene, [...replace, full], no, /full\.img/, [full]);
  await refused(scene, [...replace, small], no, /small/, [small]);
  await refused(scene, [...replace, member], no, /member|in use|belongs|slot/);
  await stillServes(scene);
});

test('a file system is not overwritten, unless --force says so', async (t) => {
  if (!findProgram('mkfs.ext4')) return t.skip('mkfs.ext4 is not installed');
  const scene = await serverIn(t);
  const [words, drives] = await mirror(scene);
  await mustRun(findProgram('mkfs.ext4') ?? '', ['-q', drives[1] ?? '']);
  await refused(scene, words, exitCode.refused, /ext4/, drives);
  await scene.locum.must(...words, '--force');
});

test('a member of an array that mdadm made is not overwritten', async (t) => {
  const scene = await volumeIn(t, { legs: 0 });
  await stopped(scene);
  const [words, drives] = await mirror(scene);
  const member = scene.drives[0] ?? '';
  await refused(
    scene,
    [...words, '--drive', member],
    exitCode.refused,
    /RAID|array|volume|member/,
    [...drives, member],
  );
});

test('a drive that is mounted', async (t) => {
  const loop = await loopDevice(t);
  if (typeof loop !== 'string') return t.skip(loop.reason);
  const scene = await serverIn(t);
  const [words, drives] = await mirror(scene);
  await refused(
    scene,
    [...words, '--drive', loop, '--force'],
    exitCode.refused,
    /mounted|in use/,
    drives,
  );
});

async function loopDevice(t: TestContext): Promise<string | { reason: string }> {
  if (process.getuid?.() !== 0) return { reason: 'needs root for a loop device' };
  if (!findProgram('mkfs.ext4')) return { reason: 'mkfs.ext4 is not installed' };
  const folder = (await mustRun('mktemp', ['-d'])).stdout.trim();
  const image = await blankImage(`${folder}/fs.img`);
  await mustRun(findProgram('mkfs.ext4') ?? '', ['-q', image]);
  const attached = await runProgram('losetup', ['-f', '--show', image]);
  if (attached.code !== 0) return { reason: `no loop device: ${attached.stderr.trim()}` };
  const loop = attached.stdout.trim();
  await mustRun('mkdir', [`${folder}/mnt`]);
  const mounted = await runProgram('mount', [loop, `${folder}/mnt`]);
  t.after(async () => {
    await runProgram('umount', [`${folder}/mnt`]);
    await runProgram('losetup', ['-d', loop]);
    await runProgram('rm', ['-rf', folder]);
  });
  return mounted.code === 0 ? loop : { reason: `cannot mount: ${mounted.stderr.trim()}` };
}

test('windows that may not be opened', async (t) => {
  const scene = await volumeIn(t, { memberBytes: 32 * mebi }, slowRebuild);
  const { locum } = scene;
  const open = (drive: string): string[] => ['window', 'open', volume, drive, '--for', 'firmware'];
  await refused(scene, open('9'), exitCode.notFound, /9/);
  await refused(scene, ['window', 'close', volume], exitCode.notFound, /no open window/);
  await refused(scene, ['window', 'extend', volume, '--by', '1m'], exitCode.notFound, /no open/);

  await locum.must(...open('1'));
  await refused(scene, open('2'), exitCode.refused, /refused[\s\S]*WP001/);
  await refused(scene, ['drive', 'fail', volume, '1'], exitCode.refused, /away/);
  assert.equal((await locum.statusOf(volume)).window?.drive.slot, 1);
  await locum.must('window', 'close', volume, '--wait');

  await locum.must('drive', 'fail', volume, '3');
  const plan = await locum.run('window', 'plan', volume, '1', '--for', 'firmware');
  assert.equal(plan.code, exitCode.refused);
  const refusal = await locum.run(...open('1'));
  refusedWith(refusal, exitCode.refused, /refused/);
  assert.match(refusal.stderr, /--allow-degraded/, 'the fix is named');
  await locum.must(...open('1'), '--allow-degraded');
  await locum.must('window', 'close', volume, '--wait');

  const fresh = await blankImage(scene.path('fresh.img'), 32 * mebi);
  await locum.must('drive', 'replace', volume, '3', '--with', fresh);
  await refused(scene, open('1'), exitCode.refused, /refused/);
  await stillServes(scene);
});

/** 2 MiB a second: a rebuild that lasts as long as the test needs it. */
const slowRebuild = { serveArgs: ['--limit', `sweepBytesPerSecond=${2 * mebi}`] };

test('a log with one leg needs to be allowed; no log at all is refused', async (t) => {
  const one = await volumeIn(t, { legs: 1 });
  const words = ['window', 'open', volume, '1', '--for', 'reset'];
  const refusal = await one.locum.run(...words);
  refusedWith(refusal, exitCode.refused, /refused/);
  assert.match(refusal.stderr, /--allow-single-log/);
  await one.locum.must(...words, '--allow-single-log');

  const none = await volumeIn(t, { legs: 0 });
  await refused(none, words, exitCode.refused, /log/);
});

test('a drive that comes back as another one', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const close = ['window', 'close', volume];
  await locum.must('window', 'open', volume, '1', '--for', 'firmware');
  const real = scene.drives[1] ?? '';

  const small = scene.path('small.img');
  await copyFile(real, small);
  await mustRun('truncate', ['-s', '8M', small]);
  await refused(scene, [...close, '--drive', small], exitCode.refused, /smaller/, [small, real]);
  const gone = scene.path('gone.img');
  await refused(scene, [...close, '--drive', gone], exitCode.refused, /gone\.img/, [real]);

  const foreign = await volumeOf(scene, 'foreign');
  await refused(scene, [...close, '--drive', foreign], exitCode.refused, /belongs to|foreign/, [
    real,
    foreign,
  ]);

  const status = await locum.statusOf(volume);
  assert.equal(status.window?.state, 'open', 'the window is still open');
  await locum.must(...close, '--wait');
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
});

test('a blank drive that comes back is no error: it is rebuilt from the frozen volume', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  await stillServes(scene);
  await locum.must('window', 'open', volume, '1', '--for', 'replacement');
  await stillServes(scene);
  const blank = await blankImage(scene.path('blank.img'));
  const old = await digestOf(scene.drives[1] ?? '');
  await locum.must('window', 'close', volume, '--drive', blank, '--wait');
  const status = await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  assert.equal(status.drives[1]?.path, blank);
  assert.equal(await digestOf(scene.drives[1] ?? ''), old, 'the old drive is left alone');
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
  await stillServes(scene);
});

/** A member of another volume, which is stopped again. */
async function volumeOf(scene: Scene, name: string): Promise<string> {
  await scene.locum.must(...createArguments(scene, name, { legs: 0, more: ['--assume-clean'] }));
  await scene.locum.must('volume', 'stop', name, '--forget');
  return scene.path(`${name}-drive1.img`);
}

test('a drive that comes back changed is noticed and not taken in', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const client = await locum.connect(volume);
  for (let offset = 0; offset < client.sizeBytes; offset += mebi) {
    await client.write(offset, Buffer.alloc(mebi, offset / mebi + 1));
  }
  await client.close();
  await locum.must('window', 'open', volume, '1', '--for', 'diagnostics');
  const path = scene.drives[1] ?? '';
  const { size } = await stat(path);
  await overwrite(path, size - 4 * mebi, Buffer.alloc(mebi, 0xee));
  const changed = await digestOf(path);
  const refusal = await locum.run('window', 'close', volume, '--verify', 'full', '--wait');
  refusedWith(refusal, exitCode.refused, /does not agree|different/);
  assert.equal(await digestOf(path), changed, 'nothing was written to it');
  assert.equal((await locum.statusOf(volume)).window?.state, 'open');
  await locum.must('window', 'close', volume, '--rebuild', '--wait');
  await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
  await locum.must('scrub', 'start', volume, '--wait');
  assert.match(await locum.must('scrub', 'status', volume, '-o', 'json'), /"mismatches": 0\b/);
});

test('members that do not belong together are not assembled', async (t) => {
  const scene = await volumeIn(t);
  const { locum } = scene;
  const old = scene.path('old.img');
  await stopped(scene);
  await copyFile(scene.drives[2] ?? '', old);
  const foreign = await volumeOf(scene, 'foreign');
  const withOther = (path: string, slot = 2): string[] =>
    scene.drives.map((drive, index) => (index === slot ? path : drive));
  const untouched = [...scene.drives, ...scene.legs, old, foreign];
  const no = exitCode.refused;
  await refused(
    scene,
    assembleWords(scene, withOther(foreign)),
    no,
    /one volume|foreign/,
    untouched,
  );
  const twice = assembleWords(scene, [...scene.drives, old]);
  await refused(scene, twice, no, /copy|older|same/, untouched);
  const few = scene.drives.slice(0, 2);
  await refused(scene, assembleWords(scene, few), no, /missing|cannot start/, untouched);
  await locum.must(...assembleWords(scene));
  await stillServes(scene);
});

test('an old copy of a member is never taken for the member', async (t) => {
  const scene = await volumeIn(t);
  const { locum, drives } = scene;
  await stopped(scene);
  const old = scene.path('old.img');
  await copyFile(drives[2] ?? '', old);
  await locum.must(...assembleWords(scene));
  await stillServes(scene);
  await stopped(scene);
  const withOld = drives.map((drive, slot) => (slot === 2 ? old : drive));
  const before = [...drives, old];
  await refused(scene, assembleWords(scene, withOld), exitCode.refused, /older/, before);
  // The others alone go on without it; it is not touched.
  await locum.must(...assembleWords(scene, withOld), '--force');
  const client = await locum.connect(volume);
  assert.ok((await client.read(512 * 1024, 8192)).equals(Buffer.alloc(8192, 0x3c)));
  await client.close();
  assert.equal((await locum.statusOf(volume)).state, 'degraded');
});

const superblockOffset = 4096;

/** Where the data begins on a member: sectors at byte 128 of the superblock. */
async function dataOffset(path: string): Promise<number> {
  const bytes = await readFile(path);
  return Number(bytes.readBigUInt64LE(superblockOffset + 128)) * 512;
}

test('corrupt superblock, label and log', async (t) => {
  const scene = await volumeIn(t);
  const { locum, drives, legs } = scene;
  await locum.must('window', 'open', volume, '1', '--for', 'firmware');
  await stillServes(scene);
  await locum.stop('SIGKILL');
  await locum.start();
  await stopped(scene);
  const no = exitCode.refused;
  const all = [...drives, ...legs];
  const present = drives.filter((_, slot) => slot !== 1);

  const damaged = async (
    path: string,
    offset: number,
    length: number,
  ): Promise<() => Promise<void>> => {
    const bytes = (await readFile(path)).subarray(offset, offset + length);
    await overwrite(path, offset, Buffer.alloc(length, 0xa7));
    return () => overwrite(path, offset, bytes);
  };

  const first = drives[0] ?? '';
  const words = assembleWords(scene, present);
  let repair = await damaged(first, superblockOffset + 64, 64);
  await refused(scene, words, no, /superblock.*damaged|damaged.*superblock/i, all);
  await repair();

  const start = await dataOffset(first);
  repair = await damaged(first, start - 256 * 1024, 256 * 1024);
  await refused(scene, words, no, /label/i, all);
  await repair();

  await refused(scene, assembleWords(scene, present, []), no, /log/, all);
  const repairs = await Promise.all(legs.map((path) => damaged(path, 0, 2 * mebi)));
  await refused(scene, words, no, /log/, all);
  for (const undo of repairs) await undo();

  await locum.must(...words);
  await stillServes(scene);
  await locum.must('window', 'close', volume, '--drive', drives[1] ?? '', '--wait');
});

test('no server', async (t) => {
  const scene = await serverIn(t);
  await scene.locum.stop();
  refusedWith(await scene.locum.run('status'), exitCode.noServer, /No server answers/);
});
