/**
 * The main job from outside, on both kinds of I/O: a drive is away, another one fails, the server is killed, the drive
 * returns, and every byte that was ever acknowledged is there.
 */

import assert from 'node:assert/strict';
import { readdir, readlink, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackgroundWriter, Ledger, ledgerBlockBytes } from '../support/ledger.ts';
import { blankImage, bothKinds, mebi, type Scene, volume, volumeIn } from './fixture.ts';

const quietBytes = mebi;

function writerFor(scene: Scene, ledger: Ledger): BackgroundWriter {
  const connect = (): ReturnType<typeof scene.locum.connect> => scene.locum.connect(volume);
  return new BackgroundWriter({ connect, ledger, inFlight: 4, pauseMs: 15, blocksMax: 4 });
}

async function openFiles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  return Promise.all(
    (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')),
  );
}

async function killAndRestart({ locum }: Scene): Promise<void> {
  await locum.stop('SIGKILL');
  await locum.start();
  const status = await locum.statusOf(volume);
  assert.equal(status.window?.state, 'open');
}

for (const io of bothKinds) {
  for (const level of [1, 3, 4, 5]) {
    test(`RAID ${level}, ${io}: away, second failure, kill, return: nothing acknowledged is lost`, async (t) => {
      const members = level === 1 ? 2 : 4;
      const scene = await volumeIn(t, { level, members }, { io });
      const { locum, drives } = scene;
      const away = 1;
      const failing = level === 1 ? 0 : 3;
      const { sizeBytes, io: ioInUse } = await locum.statusOf(volume);
      assert.equal(ioInUse, io);

      const ledger = new Ledger((sizeBytes - quietBytes) / ledgerBlockBytes);
      const writer = writerFor(scene, ledger);
      const quiet = Buffer.alloc(quietBytes, 0x51);
      const client = await locum.connect(volume);
      await client.write(sizeBytes - quietBytes, quiet);
      await client.close();
      await writer.start();
      await sleep(300);

      await locum.must('window', 'open', volume, String(away), '--for', 'firmware');
      const opened = await openFiles(locum.server.pid);
      assert.ok(!opened.includes(drives[away] ?? ''), 'the drive that is away is closed');
      assert.ok(opened.includes(drives[failing] ?? ''), 'the others are open');
      await rename(drives[away] ?? '', scene.path('elsewhere.img'));
      await sleep(300);

      // With both members of a mirror gone nothing is left to start from, so that one is killed before.
      if (level === 1) await killAndRestart(scene);
      await rm(drives[failing] ?? '');
      const failed = await locum.until(volume, 'told of the failure', (status) =>
        status.drives.some((it) => it.slot === failing && it.state === 'failed'),
      );
      assert.equal(failed.state, 'frozen');
      assert.ok(failed.alarms.length > 0, 'a second failure is an alarm');

      if (level !== 1) await killAndRestart(scene);
      const before = writer.acknowledgedWrites;
      for (let i = 0; i < 600 && writer.acknowledgedWrites === before; i++) await sleep(100);
      assert.ok(writer.acknowledgedWrites > before, 'writing goes on after the restart');

      const reader = await locum.connect(volume);
      let isAnswered = false;
      const held = reader.read(sizeBytes - quietBytes, quietBytes).finally(() => {
        isAnswered = true;
      });
      held.catch(() => undefined);
      await sleep(500);
      assert.equal(isAnswered, false, 'a read that needs both is held');

      await rename(scene.path('elsewhere.img'), drives[away] ?? '');
      await locum.must('window', 'close', volume, '--wait');
      assert.ok((await held).equals(quiet), 'and answered right when the drive is back');
      await reader.close();
      await writer.stop();
      assert.deepEqual(writer.errors, []);

      const checker = await locum.connect(volume);
      assert.deepEqual(await ledger.verify(checker), []);
      const fresh = await blankImage(scene.path('fresh.img'));
      await locum.must('drive', 'replace', volume, String(failing), '--with', fresh, '--wait');
      const optimal = await locum.until(volume, 'optimal', (it) => it.state === 'optimal');
      assert.equal(optimal.window, null);
      assert.equal(optimal.redundancy.canLose, 1);
      await locum.must('scrub', 'start', volume, '--wait');
      const scrub = await locum.must('scrub', 'status', volume, '-o', 'json');
      assert.match(scrub, /"mismatches": 0\b/);
      assert.deepEqual(await ledger.verify(checker), []);
      await checker.close();
    });
  }
}
