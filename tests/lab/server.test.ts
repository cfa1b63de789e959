/**
 * The whole server before the same court: volumes made by Locum are assembled by the kernel, also after a window with a
 * second failure and a rebuild; arrays made by mdadm are served by Locum, and go back.
 */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Locum, shortFolder } from '../support/locum.ts';
import type { NbdClient } from '../support/nbd-client.ts';
import { blankImages, inLab, skipWithoutLab } from './lab.ts';

const MEBI = 2 ** 20;
const IMAGE_BYTES = 24 * MEBI;

async function serverIn(t: TestContext): Promise<{ locum: Locum; folder: string }> {
  const scratch = await shortFolder();
  const folder = scratch.path;
  const locum = new Locum(join(folder, 'state'));
  t.after(async () => {
    await locum.stop('SIGKILL');
    await scratch.remove();
  });
  await locum.start();
  return { locum, folder };
}

async function withClient<T>(
  locum: Locum,
  volume: string,
  work: (client: NbdClient) => Promise<T>,
): Promise<T> {
  const client = await locum.connect(volume);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

async function digestOf(locum: Locum, volume: string): Promise<string> {
  const { sizeBytes } = await locum.statusOf(volume);
  const hash = createHash('sha256');
  await withClient(locum, volume, async (client) => {
    for (let offset = 0; offset < sizeBytes; offset += MEBI) {
      hash.update(await client.read(offset, Math.min(MEBI, sizeBytes - offset)));
    }
  });
  return hash.digest('hex');
}

/** Large and small pieces anywhere, several at a time. */
async function scribble(locum: Locum, volume: string, pieces: number): Promise<void> {
  const { sizeBytes } = await locum.statusOf(volume);
  await withClient(locum, volume, async (client) => {
    for (let piece = 0; piece < pieces; piece += 8) {
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const lengthBytes =
            512 * (1 + (randomBytes(2).readUInt16LE() % (index === 0 ? 1024 : 24)));
          const room = (sizeBytes - lengthBytes) / 512;
          const offset = 512 * Math.floor((randomBytes(4).readUInt32LE() / 2 ** 32) * room);
          await client.write(offset, randomBytes(lengthBytes));
        }),
      );
    }
    await client.flush();
  });
}

const levels = [1, 3, 4, 5] as const;
const membersOf = (level: number): number => (level === 1 ? 2 : level === 5 ? 4 : 3);

test('volumes of every level: to the kernel after a window with a second failure, and back', async (t) => {
  if (skipWithoutLab(t)) return;
  const { locum, folder } = await serverIn(t);
  const images = new Map<number, string[]>();
  for (const level of levels) {
    const drives = blankImages(folder, `raid${level}-`, membersOf(level), IMAGE_BYTES);
    const logs = [0, 1].map((leg) => join(folder, `raid${level}-log${leg}.img`));
    images.set(level, drives);
    await locum.must(
      ...['volume', 'create', `raid${level}`, '--level', String(level)],
      ...drives.flatMap((path) => ['--drive', path]),
      ...logs.flatMap((path) => ['--log', path]),
      ...['--log-size', '16MiB'],
    );
    await locum.until(`raid${level}`, 'optimal', ({ state }) => state === 'optimal');
    await scribble(locum, `raid${level}`, 80);
  }

  // Window, second failure, return, rebuild: on every volume. Copies of the members while the window is open.
  const frozen: string[] = [];
  for (const level of levels) {
    const name = `raid${level}`;
    const drives = images.get(level)!;
    await locum.must('window', 'open', name, '0', '--for', 'firmware');
    await scribble(locum, name, 40);
    for (const path of drives) {
      copyFileSync(path, `${path}.frozen`);
      frozen.push(`${path}.frozen`);
    }
    rmSync(drives[1]!);
    await locum.until(name, 'aware', ({ drives: all }) => all[1]?.state !== 'online');
    await scribble(locum, name, 40);
    await locum.must('window', 'close', name, '--wait');
    await scribble(locum, name, 24);
    const fresh = blankImages(folder, `fresh${level}-`, 1, IMAGE_BYTES)[0]!;
    await locum.must('drive', 'replace', name, '1', '--with', fresh, '--wait');
    await locum.until(name, 'optimal', ({ state }) => state === 'optimal');
    drives[1] = fresh;
    await scribble(locum, name, 24);
  }
  const digests = await Promise.all(levels.map((level) => digestOf(locum, `raid${level}`)));
  for (const level of levels) await locum.must('volume', 'stop', `raid${level}`);

  const counts = levels.map((level) => String(membersOf(level)));
  const refusals = await inLab('md-kernel.sh', frozen, ['refuse', ...counts]);
  const all = levels.flatMap((level) => images.get(level)!);
  const checked = await inLab('md-kernel.sh', all, ['recheck', ...counts]);
  for (const [group, level] of levels.entries()) {
    assert.equal(refusals.get(`state-${group}`), 'refused', `RAID ${level} in a window`);
    assert.equal(checked.get(`mismatches-${group}`), '0', `RAID ${level}`);
    assert.match(checked.get(`state-${group}`) ?? '', / 0$/, 'not degraded');
    assert.equal(checked.get(`digest-${group}`), digests[group], `RAID ${level}`);
  }

  // What the kernel writes is what Locum reads, and its parity is right for us as well.
  const written = await inLab('md-kernel.sh', all, ['write', ...counts]);
  for (const [group, level] of levels.entries()) {
    const name = `raid${level}`;
    const logs = [0, 1].flatMap((leg) => ['--log', join(folder, `raid${level}-log${leg}.img`)]);
    await locum.must(
      'volume',
      'assemble',
      name,
      ...images.get(level)!.flatMap((path) => ['--drive', path]),
      ...logs,
    );
    assert.equal(await digestOf(locum, name), written.get(`digest-${group}`), name);
    assert.equal((await locum.statusOf(name)).state, 'optimal');
    await assertScrubbed(locum, name);
  }
});

async function assertScrubbed(locum: Locum, name: string): Promise<void> {
  await locum.must('scrub', 'start', name, '--wait');
  assert.match(await locum.must('scrub', 'status', name, '-o', 'json'), /"mismatches": 0\b/);
}

test('arrays made by mdadm are served by Locum, with a window, and go back to the kernel', async (t) => {
  if (skipWithoutLab(t)) return;
  const { locum, folder } = await serverIn(t);
  const images = blankImages(folder, 'md', 12, IMAGE_BYTES);
  const made = await inLab('md-create.sh', images);
  const groups = [images.slice(0, 4), images.slice(4, 6), images.slice(6, 9), images.slice(9, 12)];
  const names = ['five', 'one', 'four', 'bare'];
  const digests: string[] = [];
  for (const [group, drives] of groups.entries()) {
    const name = names[group]!;
    const arguments_ = drives.flatMap((path) => ['--drive', path]);
    await locum.must('volume', 'assemble', ...(group === 0 ? [] : [name]), ...arguments_);
    assert.equal(await digestOf(locum, name), made.get(`digest-${group}`), name);
    await scribble(locum, name, 80);
    await assertScrubbed(locum, name);
    digests.push(await digestOf(locum, name));
    await locum.must('volume', 'stop', name);
  }
  const checked = await inLab('md-kernel.sh', images, ['recheck', '4', '2', '3', '3']);
  for (const group of groups.keys()) {
    assert.equal(checked.get(`mismatches-${group}`), '0', names[group]);
    assert.equal(checked.get(`digest-${group}`), digests[group], names[group]);
  }
});
