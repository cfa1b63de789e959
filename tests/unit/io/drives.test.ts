/** One contract, all implementations: what every `Drive` promises, on all backends. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { EBADF, EIO, ENODEV, ENOENT, ENOTSUP, OK } from '../../../src/base/errno.ts';
import { type Address, type DriveOffset, KIB, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Drive, Part } from '../../../src/io/drive.ts';
import { MemoryMedium } from '../../../src/io/memory-drive.ts';
import { openDrive } from '../../../src/io/open-drive.ts';
import { Ring } from '../../../src/io/uring.ts';

const SIZE = 8 * MIB;
const at = (offset: number): DriveOffset => offset as DriveOffset;

interface Bench {
  readonly drive: Drive;
  readonly pool: BufferPool;
  /** The image file; null in memory. */
  readonly file: string | null;
  /** Opens the same drive again after it was closed. */
  readonly reopen: () => Promise<Drive>;
}

/** `tmpfs`: io_uring beside direct reads, as for an image in memory. */
type Backend = 'uring' | 'tmpfs' | 'node' | 'memory';
const backends: Backend[] = ['uring', 'tmpfs', 'node', 'memory'];
/** Those that have a file which others can see. */
const onFiles: Backend[] = ['uring', 'tmpfs', 'node'];

async function benchOf(
  t: TestContext,
  backend: Backend,
  poolBytes = 32 * MIB,
): Promise<Bench | null> {
  const pool = new BufferPool({ sizeBytes: poolBytes });
  if (backend === 'memory') {
    const medium = new MemoryMedium({ sizeBytes: SIZE });
    const open = (): Drive => medium.open('memory', pool);
    return { drive: open(), pool, file: null, reopen: () => Promise.resolve(open()) };
  }
  let ring: Ring | null = null;
  if (backend !== 'node') {
    const available = Ring.available();
    if (!available.ok) {
      t.skip(available.reason);
      return null;
    }
    ring = new Ring({ entries: 8 });
    ring.attachPool(pool);
  }
  if (backend === 'tmpfs' && !fs.existsSync('/dev/shm')) {
    t.skip('/dev/shm is not there');
    return null;
  }
  const home = backend === 'tmpfs' ? '/dev/shm' : os.tmpdir();
  const directory = fs.mkdtempSync(path.join(home, 'locum-drives-'));
  const file = path.join(directory, 'image');
  fs.writeFileSync(file, '');
  fs.truncateSync(file, SIZE);
  const open = async (): Promise<Drive> => {
    const outcome = await openDrive(file, { ring, buffers: pool });
    assert.ok(outcome.ok);
    return outcome.value;
  };
  const drive = await open();
  t.after(async () => {
    await drive.close();
    ring?.close();
    fs.rmSync(directory, { recursive: true });
  });
  return { drive, pool, file, reopen: open };
}

type Run = (t: TestContext, bench: Bench) => Promise<void>;

function contract(name: string, run: Run, on: readonly Backend[] = backends): void {
  for (const backend of on) {
    test(`${backend}: ${name}`, async (t) => {
      const bench = await benchOf(t, backend);
      if (bench) await run(t, bench);
    });
  }
}

function filled(pool: BufferPool, lengthBytes: number, seed: number): Address {
  const address = pool.take(lengthBytes, 'engine');
  assert.notEqual(address, 0);
  for (let i = 0; i < lengthBytes; i += 1)
    pool.bytes[address + i] = (i * 31 + (i >> 9) + seed) & 255;
  return address;
}

contract('what was written is read back, at any sector', async (_t, { drive, pool }) => {
  for (const [offset, lengthBytes] of [
    [0, 512],
    [512, 4096],
    [SIZE - 512, 512],
    [1 * MIB + 512, 1 * MIB],
    [3 * MIB, 4 * MIB],
  ] as const) {
    const written = filled(pool, lengthBytes, offset);
    const read = pool.take(lengthBytes, 'engine');
    assert.equal(await drive.write(at(offset), written, lengthBytes), OK);
    assert.equal(await drive.read(at(offset), read, lengthBytes), OK);
    assert.deepEqual(pool.slice(read, lengthBytes), pool.slice(written, lengthBytes));
    pool.give(written);
    pool.give(read);
  }
});

contract(
  'many operations at once all come back, each with its own bytes',
  async (_t, { drive, pool }) => {
    const work = Array.from({ length: 500 }, async (_, i) => {
      const written = filled(pool, 4096, i);
      assert.equal(await drive.write(at(i * 4096), written, 4096), OK);
      const read = pool.take(4096, 'engine');
      assert.equal(await drive.read(at(i * 4096), read, 4096), OK);
      assert.deepEqual(pool.slice(read, 4096), pool.slice(written, 4096));
      pool.give(written);
      pool.give(read);
    });
    await Promise.all(work);
  },
);

contract('parts are gathered, more of them than one call takes', async (_t, { drive, pool }) => {
  const parts: Part[] = [];
  const source = filled(pool, 2 * MIB, 5);
  const expected = new Uint8Array(2500 * 512);
  for (let i = 0; i < 2500; i += 1) {
    const from = ((i * 37) % 4096) * 512;
    parts.push({ address: (source + from) as Address, lengthBytes: 512 });
    expected.set(pool.slice((source + from) as Address, 512), i * 512);
  }
  const freeBytes = pool.freeBytes;
  assert.equal(await drive.writeParts(at(1536), parts), OK);
  assert.equal(pool.freeBytes, freeBytes, 'nothing of the pool is kept');
  const read = pool.take(expected.length, 'engine');
  assert.equal(await drive.read(at(1536), read, expected.length), OK);
  assert.deepEqual(pool.slice(read, expected.length), expected);
});

contract('parts are written also when the pool has nothing left', async (_t, { drive, pool }) => {
  const source = filled(pool, 8192, 9);
  const parts = [0, 4096].map((from) => ({
    address: (source + from) as Address,
    lengthBytes: 4096,
  }));
  const hoard: Address[] = [];
  for (;;) {
    const address = pool.take(4096, 'engine');
    if (address === 0) break;
    hoard.push(address);
  }
  assert.equal(await drive.writeParts(at(4096), parts), OK);
  const read = hoard.pop()!;
  assert.equal(await drive.read(at(8192), read, 4096), OK);
  assert.deepEqual(pool.slice(read, 4096), pool.slice(parts[1]!.address, 4096));
});

contract('flush and probe answer on a healthy drive', async (_t, { drive }) => {
  assert.equal(await drive.flush(), OK);
  assert.equal(await drive.probe(), OK);
});

contract(
  'a punched range reads as zeroes, or punching is not to be had',
  async (_t, { drive, pool }) => {
    const address = filled(pool, 64 * KIB, 1);
    assert.equal(await drive.write(at(0), address, 64 * KIB), OK);
    const errno = await drive.punch(at(8192), 16 * KIB);
    if (errno === ENOTSUP) return;
    assert.equal(errno, OK);
    const before = pool.slice(address, 64 * KIB).slice();
    before.fill(0, 8192, 8192 + 16 * KIB);
    assert.equal(await drive.read(at(0), address, 64 * KIB), OK);
    assert.deepEqual(pool.slice(address, 64 * KIB), before);
  },
);

contract(
  'after close every call answers EBADF, and the drive can be opened again',
  async (_t, bench) => {
    const { drive, pool } = bench;
    const address = filled(pool, 4096, 77);
    assert.equal(await drive.write(at(4096), address, 4096), OK);
    await drive.close();
    assert.equal(await drive.read(at(0), address, 4096), EBADF);
    assert.equal(await drive.write(at(0), address, 4096), EBADF);
    assert.equal(await drive.flush(), EBADF);
    const again = await bench.reopen();
    const read = pool.take(4096, 'engine');
    assert.equal(await again.read(at(4096), read, 4096), OK);
    assert.deepEqual(pool.slice(read, 4096), pool.slice(address, 4096));
    await again.close();
  },
);

contract('close waits for what is in flight', async (_t, { drive, pool }) => {
  const address = filled(pool, 1 * MIB, 3);
  let settled = 0;
  for (let i = 0; i < 7; i += 1) {
    void drive.write(at(i * MIB), address, MIB).then((errno) => {
      assert.equal(errno, OK);
      settled += 1;
    });
  }
  await drive.close();
  assert.equal(settled, 7);
});

contract('a transfer beyond the end is a bug', async (_t, { drive, pool }) => {
  const address = pool.take(4096, 'engine');
  assert.throws(() => drive.read(at(SIZE), address, 512), /lies on the drive/);
  assert.throws(() => drive.write(at(SIZE - 512), address, 1024), /lies on the drive/);
  return Promise.resolve();
});

contract(
  'a file that has shrunk answers EIO, not old or made-up bytes',
  async (_t, bench) => {
    assert.ok(bench.file);
    fs.truncateSync(bench.file, 4 * MIB);
    const address = bench.pool.take(8192, 'engine');
    assert.equal(await bench.drive.read(at(4 * MIB - 4096), address, 8192), EIO);
    assert.equal(await bench.drive.read(at(5 * MIB), address, 8192), EIO);
  },
  onFiles,
);

contract(
  'probe notices that the path leads elsewhere or nowhere',
  async (_t, bench) => {
    assert.ok(bench.file);
    fs.renameSync(bench.file, `${bench.file}.away`);
    assert.equal(await bench.drive.probe(), ENOENT);
    fs.writeFileSync(bench.file, 'another');
    assert.equal(await bench.drive.probe(), ENODEV);
    fs.renameSync(`${bench.file}.away`, bench.file);
    assert.equal(await bench.drive.probe(), OK);
  },
  onFiles,
);

test('drives that hang hold every thread of libuv: a probe of another drive is answered all the same', async (t) => {
  const bench = await benchOf(t, 'uring');
  if (bench === null) return;
  // Opening a pipe that nobody writes to waits, on one of four threads each.
  const pipes = Array.from({ length: 4 }, (_, at) => `${bench.file}.pipe${at}`);
  for (const pipe of pipes) assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const opening = pipes.map((pipe) => fs.promises.open(pipe, 'r'));
  try {
    let isLooked = false;
    void fs.promises.stat('/').then(() => {
      isLooked = true;
    });
    assert.equal(await bench.drive.probe(), OK);
    fs.renameSync(bench.file!, `${bench.file}.away`);
    assert.equal(await bench.drive.probe(), ENOENT);
    fs.renameSync(`${bench.file}.away`, bench.file!);
    assert.equal(isLooked, false, 'the threads are all held, or this tests nothing');
  } finally {
    // Held until all are through: a thread may only now begin to open its pipe.
    const writers = pipes.map((pipe) => fs.openSync(pipe, 'r+'));
    for (const handle of await Promise.all(opening)) await handle.close();
    for (const writer of writers) fs.closeSync(writer);
  }
});

contract(
  'after close another program can lock it at once, before not',
  async (t, bench) => {
    assert.ok(bench.file);
    const lock = (): number | null =>
      spawnSync('flock', ['--nonblock', '--exclusive', bench.file!, 'true']).status;
    if (spawnSync('flock', ['--version']).error) return t.skip('flock is not installed');
    const address = bench.pool.take(MIB, 'engine');
    let { drive } = bench;
    for (let round = 0; round < 10; round += 1) {
      const writes = [0, 1, 2].map((i) => drive.write(at(i * MIB), address, MIB));
      assert.equal(lock(), 1, 'locked while open');
      const closed = drive.close();
      await Promise.all(writes);
      await closed;
      assert.equal(lock(), 0, 'free once close has resolved');
      drive = await bench.reopen();
    }
    await drive.close();
  },
  onFiles,
);
