/** The medium of tests must itself be right: what it loses, what it keeps, what it fails. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { EIO, ENODEV, OK } from '../../../src/base/errno.ts';
import { type DriveOffset, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import { MemoryMedium } from '../../../src/io/memory-drive.ts';

const at = (offset: number): DriveOffset => offset as DriveOffset;
const pool = new BufferPool({ sizeBytes: 4 * MIB });
const address = pool.take(64 * 1024, 'engine');
const fresh = (): MemoryMedium => new MemoryMedium({ sizeBytes: MIB });
const fill = (value: number): void => void pool.bytes.fill(value, address, address + 65_536);
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a power cut drops what was not flushed, and only that', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  fill(1);
  assert.equal(await drive.write(at(0), address, 4096), OK);
  assert.equal(await drive.flush(), OK);
  fill(2);
  assert.equal(await drive.write(at(0), address, 512), OK);
  assert.equal(await drive.write(at(4096), address, 512), OK);
  assert.equal(medium.bytes[0], 2);
  medium.powerCut();
  assert.equal(medium.bytes[0], 1);
  assert.equal(medium.bytes[4096], 0);
});

test('a flush covers what was answered before it was called, nothing later', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  fill(1);
  const early = drive.write(at(0), address, 512);
  const flush = drive.flush();
  assert.deepEqual(await Promise.all([early, flush]), [OK, OK]);
  medium.powerCut();
  assert.equal(medium.bytes[0], 0, 'the write was still in flight when flush was called');
});

test('a crash keeps what was answered; the old handle is dead', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  fill(1);
  await drive.write(at(0), address, 512);
  let answered = false;
  void drive.write(at(512), address, 512).then(() => {
    answered = true;
  });
  medium.crash();
  assert.equal(medium.isOpen, false);
  void drive.read(at(0), address, 512).then(() => {
    answered = true;
  });
  await soon();
  assert.equal(answered, false);
  assert.equal(medium.bytes[0], 1);
  assert.equal(medium.bytes[512], 0);
});

test('chance decides about the rest, at sectors, the same for the same chance', async () => {
  const images: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    const medium = fresh();
    const drive = medium.open('a', pool);
    fill(7);
    for (let i = 0; i < 8; i += 1) await drive.write(at(i * 65_536), address, 65_536);
    let state = 9;
    medium.powerCut(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    });
    let image = '';
    for (let sector = 0; sector < 1024; sector += 1) {
      const bytes = medium.bytes.subarray(sector * 512, sector * 512 + 512);
      assert.ok(
        bytes.every((byte) => byte === bytes[0]),
        'a sector is whole',
      );
      image += bytes[0];
    }
    images.push(image);
  }
  assert.equal(images[0], images[1]);
  assert.ok(images[0]!.includes('07') && images[0]!.includes('70'), 'some torn');
});

test('faults strike by range, kind and count; latent errors go when rewritten', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  medium.failReads({ offset: 4096, lengthBytes: 4096, count: 1 });
  assert.equal(await drive.read(at(0), address, 4096), OK);
  assert.equal(await drive.read(at(0), address, 8192), EIO);
  assert.equal(await drive.read(at(0), address, 8192), OK);

  medium.failReads({ offset: 8192, lengthBytes: 4096, untilWritten: true });
  assert.equal(await drive.read(at(8192), address, 512), EIO);
  assert.equal(await drive.write(at(8192), address, 512), OK);
  assert.equal(await drive.read(at(8192), address, 512), OK);
  assert.equal(await drive.read(at(8704), address, 512), EIO);

  medium.failWrites({ errno: 28 });
  assert.equal(await drive.write(at(0), address, 512), 28);
  medium.failFlush({ count: 1 });
  assert.equal(await drive.flush(), EIO);
  assert.equal(await drive.flush(), OK);
  medium.clearFaults();
  assert.equal(await drive.write(at(0), address, 512), OK);
});

test('what hangs takes effect when it is released', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  medium.hang('write');
  fill(5);
  let errno: number | null = null;
  const write = drive.write(at(0), address, 512).then((result) => {
    errno = result;
  });
  assert.equal(await drive.read(at(4096), address, 512), OK);
  await soon();
  assert.equal(errno, null);
  fill(6);
  medium.release();
  await write;
  assert.equal(errno, OK);
  assert.equal(medium.bytes[0], 6, 'with what the buffer holds then');
});

test('a vanished drive answers ENODEV until it is back', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  medium.vanish();
  assert.equal(await drive.read(at(0), address, 512), ENODEV);
  assert.equal(await drive.probe(), ENODEV);
  medium.reappear();
  assert.equal(await drive.probe(), OK);
});

test('snapshots and clones are independent of what follows', async () => {
  const medium = fresh();
  const drive = medium.open('a', pool);
  fill(1);
  await drive.write(at(0), address, 512);
  const snapshot = medium.snapshot();
  const clone = medium.clone();
  fill(2);
  await drive.write(at(0), address, 512);
  assert.equal(clone.bytes[0], 1);
  medium.restore(snapshot);
  assert.equal(medium.bytes[0], 1);
});
