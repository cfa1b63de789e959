/** Opening drives: what is refused and why, what is exclusive, what is made, what is recognised. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { KIB, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import { createImage } from '../../../src/io/create-image.ts';
import type { Drive } from '../../../src/io/drive.ts';
import { major, minor } from '../../../src/io/drive-users.ts';
import { lockBeside } from '../../../src/io/file-lock.ts';
import { foreignContent, UNREADABLE_CONTENT } from '../../../src/io/foreign-content.ts';
import type { DriveProblem, IoOutcome } from '../../../src/io/io-outcome.ts';
import { MemoryMedium } from '../../../src/io/memory-drive.ts';
import { openDrive } from '../../../src/io/open-drive.ts';
import { placeOf } from '../../../src/io/place.ts';

const pool = new BufferPool({ sizeBytes: 4 * MIB });
const backend = { ring: null, buffers: pool };

function scratch(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'locum-open-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function problemOf(outcome: IoOutcome<unknown>): DriveProblem {
  assert.ok(!outcome.ok, 'refused');
  return outcome.problem;
}

function driveOf(outcome: IoOutcome<Drive>): Drive {
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.value;
}

test('what is not there or not a drive is refused by name', async (t) => {
  const directory = scratch(t);
  const missing = path.join(directory, 'missing');
  assert.equal(problemOf(await openDrive(missing, backend)).code, 'drive-path-missing');
  assert.equal(problemOf(await openDrive(`${missing}/x`, backend)).code, 'drive-path-missing');
  assert.deepEqual(problemOf(await openDrive(directory, backend)), {
    code: 'drive-not-a-drive',
    detail: { path: directory, found: 'a directory' },
  });
  const pipe = path.join(directory, 'pipe');
  spawnSync('mkfifo', [pipe]);
  assert.equal(problemOf(await openDrive(pipe, backend)).detail.found, 'a named pipe');
  assert.equal(problemOf(await openDrive('/dev/null', backend)).detail.found, 'a character device');
});

test('a file that may not be written is refused', async (t) => {
  const file = path.join(scratch(t), 'image');
  fs.writeFileSync(file, Buffer.alloc(8192));
  fs.chmodSync(file, 0o444);
  if (process.getuid?.() === 0) {
    if (spawnSync('chattr', ['+i', file]).status !== 0)
      return t.skip('root writes to everything here');
    t.after(() => spawnSync('chattr', ['-i', file]));
  }
  assert.equal(problemOf(await openDrive(file, backend)).code, 'drive-not-writable');
  spawnSync('chattr', ['-i', file]);
});

test('the size is what the file has, in whole sectors', async (t) => {
  const file = path.join(scratch(t), 'image');
  fs.writeFileSync(file, Buffer.alloc(10_000));
  const drive = driveOf(await openDrive(file, backend));
  assert.equal(drive.sizeBytes, 9728);
  assert.equal(drive.blockBytes, 512);
  await drive.close();
});

test('a drive is opened once: by any name, in this process or another', async (t) => {
  const directory = scratch(t);
  const file = path.join(directory, 'image');
  fs.writeFileSync(file, Buffer.alloc(8192));
  fs.symlinkSync(file, path.join(directory, 'other-name'));
  const drive = driveOf(await openDrive(file, backend));
  for (const name of [file, path.join(directory, 'other-name')]) {
    assert.equal(problemOf(await openDrive(name, backend)).code, 'drive-busy');
  }
  await drive.close();

  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; read line'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const failed = await new Promise((resolve) => {
    holder.on('error', resolve);
    holder.stdout.once('data', () => resolve(null));
  });
  if (failed) return t.skip('flock is not installed');
  assert.equal(problemOf(await openDrive(file, backend)).code, 'drive-busy');
  const gone = new Promise((resolve) => holder.on('exit', resolve));
  holder.stdin.end('\n');
  await gone;
  await driveOf(await openDrive(file, backend)).close();
});

test('without flock a file beside the image holds the lock; a dead owner holds nothing', (t) => {
  const lock = path.join(scratch(t), 'image.locum-lock');
  const release = lockBeside(lock);
  assert.ok(release);
  assert.equal(lockBeside(lock), null);
  release();
  assert.equal(fs.existsSync(lock), false);

  const sleeper = spawnSync('sh', ['-c', 'cat /proc/$$/stat'], { encoding: 'utf8' }).stdout;
  const fields = sleeper.slice(sleeper.lastIndexOf(')') + 2).split(' ');
  const deadPid = sleeper.split(' ')[0];
  fs.writeFileSync(lock, `${deadPid} ${fields[19]}\n`);
  const again = lockBeside(lock);
  assert.ok(again, 'the process that wrote it is gone');
  again();
  fs.writeFileSync(lock, `${process.pid} 1\n`);
  assert.ok(lockBeside(lock), 'the same number, started at another time');
});

test('a block device in use is refused with its user', async (t) => {
  const mounted = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => ({ point: line.split(' ')[4], source: line.split(' - ')[1]?.split(' ')[1] }))
    .find(({ source }) => source?.startsWith('/dev/') && fs.existsSync(source));
  if (!mounted?.source) return t.skip('nothing is mounted from a block device');
  const problem = problemOf(await openDrive(mounted.source, backend));
  assert.equal(problem.code, 'drive-mounted');
  assert.equal(typeof problem.detail.mountPoint, 'string');
});

test('a loop device is a block device, exclusive, and one thing with its file', async (t) => {
  const file = path.join(scratch(t), 'image');
  fs.writeFileSync(file, Buffer.alloc(4 * MIB));
  const attached = spawnSync('losetup', ['--find', '--show', file], { encoding: 'utf8' });
  if (attached.status !== 0) return t.skip('loop devices are not to be had here');
  const loop = attached.stdout.trim();
  t.after(() => spawnSync('losetup', ['--detach', loop]));
  assert.equal(problemOf(await openDrive(file, backend)).detail.by, loop);
  const [ofLoop, ofFile] = [await placeOf(loop), await placeOf(file)];
  assert.equal(ofLoop.identity, ofFile.identity);

  const drive = driveOf(await openDrive(loop, backend));
  assert.equal(drive.sizeBytes, 4 * MIB);
  assert.equal(problemOf(await openDrive(loop, backend)).code, 'drive-busy');
  const address = pool.take(8192, 'engine');
  const odd = (address + 100) as typeof address;
  pool.bytes.fill(9, odd, odd + 512);
  assert.equal(await drive.write(512 as never, odd, 512), 0, 'memory need not be aligned');
  pool.bytes.fill(0, address, address + 8192);
  assert.equal(await drive.read(512 as never, odd, 512), 0);
  assert.ok(pool.slice(odd, 512).every((byte) => byte === 9));
  pool.give(address);
  assert.equal(await drive.probe(), 0);
  await drive.close();
  await driveOf(await openDrive(loop, backend)).close();
});

test('device numbers are taken apart as Linux puts them together', () => {
  const make = (high: number, low: number): number =>
    (low % 256) + high * 256 + Math.floor(low / 256) * 2 ** 20;
  for (const [high, low] of [
    [8, 1],
    [259, 3],
    [7, 300],
    [253, 1_000_000],
  ] as const) {
    assert.deepEqual([major(make(high, low)), minor(make(high, low))], [high, low]);
  }
});

test('places tell one thing from another', async (t) => {
  const directory = scratch(t);
  const [a, b] = ['a', 'b'].map((name) => path.join(directory, name)) as [string, string];
  fs.writeFileSync(a, '');
  fs.writeFileSync(b, '');
  fs.linkSync(a, `${a}-link`);
  const [ofA, ofB, ofLink] = [await placeOf(a), await placeOf(b), await placeOf(`${a}-link`)];
  assert.notEqual(ofA.identity, ofB.identity);
  assert.equal(ofA.identity, ofLink.identity);
  assert.equal(ofA.disk, null);
  assert.equal(ofA.file, ofB.file);
  const missing = await placeOf(path.join(directory, 'missing'));
  assert.equal(missing.file, ofA.file);
});

test('an image is made in full or not at all', async (t) => {
  const directory = scratch(t);
  const file = path.join(directory, 'image');
  assert.deepEqual(await createImage(file, 3 * MIB), { ok: true, value: undefined });
  const stat = fs.statSync(file);
  assert.equal(stat.size, 3 * MIB);
  assert.ok(stat.blocks * 512 >= 3 * MIB, 'allocated, not sparse');

  assert.equal(problemOf(await createImage(file, MIB)).code, 'drive-has-data');
  assert.equal(fs.statSync(file).size, 3 * MIB, 'what was there is untouched');

  const huge = path.join(directory, 'huge');
  const problem = problemOf(await createImage(huge, 2 ** 52));
  assert.equal(problem.code, 'space-missing');
  assert.ok(Number(problem.detail.freeBytes) > 0);
  assert.equal(fs.existsSync(huge), false);

  const nowhere = path.join(directory, 'no/such/image');
  assert.equal(problemOf(await createImage(nowhere, MIB)).code, 'drive-path-missing');
});

test('foreign contents have names', async () => {
  const SIZE = MIB;
  const cases: [name: string, offset: number, bytes: Iterable<number>][] = [
    ['an XFS file system', 0, Buffer.from('XFSB')],
    ['a btrfs file system', 65_600, Buffer.from('_BHRfS_M')],
    ['swap space', 4086, Buffer.from('SWAPSPACE2')],
    ['a LUKS encrypted volume', 0, [...Buffer.from('LUKS'), 0xba, 0xbe]],
    ['an LVM physical volume', 512, Buffer.from('LABELONE')],
    ['a ZFS pool member', 128 * KIB + 3 * KIB, [0x0c, 0xb1, 0xba, 0x00]],
    ['a Linux md 1.2 member', 4096, [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]],
    ['a Linux md 1.1 member', 0, [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]],
    ['a Linux md 1.0 member', SIZE - 8192, [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]],
    ['a Linux md 0.90 member', SIZE - 65_536, [0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0]],
    ['an NTFS file system', 3, Buffer.from('NTFS    ')],
    ['a FAT file system', 82, Buffer.from('FAT32   ')],
    ['an ISO 9660 file system', 32_769, Buffer.from('CD001')],
    ['a qcow2 image', 0, [...Buffer.from('QFI'), 0xfb]],
    ['a GPT partition table', 512, Buffer.from('EFI PART')],
    ['a GPT partition table', SIZE - 512, Buffer.from('EFI PART')],
  ];
  for (const [name, offset, bytes] of cases) {
    const medium = new MemoryMedium({ sizeBytes: SIZE });
    const drive = medium.open('foreign', pool);
    assert.equal(await foreignContent(drive, pool), null);
    medium.overwrite(offset, Uint8Array.from(bytes));
    assert.equal(await foreignContent(drive, pool), name);
  }
});

test('a tiny drive has no recognised contents, one that cannot be read is not called empty, and nothing is kept', async () => {
  const medium = new MemoryMedium({ sizeBytes: 512 });
  const drive = medium.open('tiny', pool);
  const freeBytes = pool.freeBytes;
  assert.equal(await foreignContent(drive, pool), null);
  medium.failReads();
  assert.equal(await foreignContent(drive, pool), UNREADABLE_CONTENT);
  assert.equal(pool.freeBytes, freeBytes);
  // Its front is empty; of its end nobody knows.
  const large = new MemoryMedium({ sizeBytes: MIB });
  large.failReads({ offset: MIB - 512, lengthBytes: 512 });
  assert.equal(await foreignContent(large.open('large', pool), pool), UNREADABLE_CONTENT);
});

for (const [tool, args, name] of [
  ['mkfs.ext4', ['-q', '-F'], 'an ext4 file system'],
  ['mkfs.ext2', ['-q', '-F'], 'an ext2 file system'],
  ['mkfs.btrfs', ['-q', '-f'], 'a btrfs file system'],
  ['mkswap', [], 'swap space'],
] as const) {
  test(`what ${tool} makes is recognised`, async (t) => {
    const file = path.join(scratch(t), 'image');
    fs.writeFileSync(file, '');
    fs.truncateSync(file, 128 * MIB);
    const made = spawnSync(tool, [...args, file], {
      env: { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` },
    });
    if (made.error) return t.skip(`${tool} is not installed`);
    assert.equal(made.status, 0, String(made.stderr));
    const drive = driveOf(await openDrive(file, backend));
    assert.equal(await foreignContent(drive, pool), name);
    await drive.close();
  });
}

test('without koffi everything works through node:fs', (t) => {
  const file = path.join(scratch(t), 'image');
  const source = (name: string): string =>
    pathToFileURL(path.join(import.meta.dirname, `../../../src/io/${name}.js`)).href;
  // native.ts refuses other systems before it looks for koffi.
  const code = `
    import fs from 'node:fs';
    Object.defineProperty(process, 'platform', { value: 'freebsd' });
    const { chooseIo } = await import('${source('choose')}');
    const { BufferPool } = await import('${source('buffer-pool')}');
    const { createImage } = await import('${source('create-image')}');
    const { openDrive } = await import('${source('open-drive')}');
    const out = [chooseIo('auto').io, chooseIo('uring').io];
    const file = ${JSON.stringify(file)};
    out.push((await createImage(file, 1 << 20)).ok);
    const buffers = new BufferPool({ sizeBytes: 1 << 20 });
    const first = await openDrive(file, { ring: null, buffers });
    const second = await openDrive(file, { ring: null, buffers });
    out.push(first.ok, second.ok, fs.existsSync(file + '.locum-lock'));
    const address = buffers.take(4096, 'engine');
    out.push(await first.value.write(0, address, 4096), await first.value.flush());
    await first.value.close();
    out.push(fs.existsSync(file + '.locum-lock'));
    console.log(JSON.stringify(out));
  `;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
  });
  assert.equal(child.stdout.trim(), '["node",null,true,true,false,true,0,0,false]', child.stderr);
  assert.ok(fs.statSync(file).blocks * 512 >= MIB, 'allocated by writing zeroes');
});
