/** The ring itself: batches larger than the ring, cancelling, tasks, sockets, errors, closing. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { EAGAIN, EBADF, EBUSY, ECANCELED, EINTR } from '../../../src/base/errno.ts';
import { type Address, MIB } from '../../../src/base/units.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import { chooseIo } from '../../../src/io/choose.ts';
import { native } from '../../../src/io/native.ts';
import { Ring, type RingHandler } from '../../../src/io/uring.ts';

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Bench {
  readonly ring: Ring;
  readonly pool: BufferPool;
  readonly fd: number;
}

function benchOf(
  t: TestContext,
  options: ConstructorParameters<typeof Ring>[0] = {},
): Bench | null {
  const available = Ring.available();
  if (!available.ok) {
    t.skip(available.reason);
    return null;
  }
  const pool = new BufferPool({ sizeBytes: 4 * MIB });
  const ring = new Ring(options);
  ring.attachPool(pool);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'locum-ring-'));
  const fd = fs.openSync(path.join(directory, 'file'), 'w+');
  fs.writeSync(fd, Buffer.alloc(MIB, 'locum'));
  t.after(() => {
    ring.close();
    fs.closeSync(fd);
    fs.rmSync(directory, { recursive: true });
  });
  return { ring, pool, fd };
}

/** The result of one operation, as a promise. */
function result(prepare: (handler: RingHandler) => unknown): Promise<number> {
  return new Promise((resolve) => prepare({ complete: resolve }));
}

test('entering the ring is interrupted, or refused for now: everything is done later, once', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, pool, fd } = bench;
  const system = native();
  assert(system);
  const answers = [-EINTR, -EAGAIN, -EBUSY];
  const enter = system.ringEnter.bind(system);
  Object.defineProperty(system, 'ringEnter', {
    configurable: true,
    value: (...args: Parameters<typeof enter>) => answers.shift() ?? enter(...args),
  });
  t.after(() => Reflect.deleteProperty(system, 'ringEnter'));
  const address = pool.take(4096, 'engine');
  const read = await result((handler) => ring.prepRead(fd, address, 5, 0, handler));
  assert.equal(read, 5);
  assert.deepEqual(answers, []);
});

test('more operations than entries all complete, once each, not inside the prep', async (t) => {
  const bench = benchOf(t, { entries: 4, completionEntries: 8 });
  if (!bench) return;
  const { ring, pool, fd } = bench;
  const address = pool.take(4096, 'engine');
  const counts = new Array<number>(5000).fill(0);
  let preparing = true;
  await new Promise<void>((resolve) => {
    let left = counts.length;
    for (let i = 0; i < counts.length; i += 1) {
      ring.prepRead(fd, address, 512, (i % 2048) * 512, {
        complete: (errno) => {
          assert.equal(preparing, false, 'a handler runs in a turn');
          assert.equal(errno, 512);
          counts[i]! += 1;
          left -= 1;
          if (left === 0) resolve();
        },
      });
    }
    preparing = false;
  });
  await soon();
  assert.ok(counts.every((count) => count === 1));
  assert.equal(ring.inFlight, 0);
});

test('handlers may prepare more, and a long chain does not starve the event loop', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, pool, fd } = bench;
  const address = pool.take(4096, 'engine');
  let steps = 0;
  let immediates = 0;
  await new Promise<void>((resolve) => {
    const step: RingHandler = {
      complete: () => {
        steps += 1;
        if (steps === 1000) resolve();
        else ring.prepRead(fd, address, 512, 0, step);
      },
    };
    const tick = (): void => {
      immediates += 1;
      if (steps < 1000) setImmediate(tick);
    };
    setImmediate(tick);
    ring.prepRead(fd, address, 512, 0, step);
  });
  assert.ok(immediates > 10, `other work ran ${immediates} times`);
});

test('errors are negative errnos', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, pool } = bench;
  const address = pool.take(4096, 'engine');
  assert.equal(await result((handler) => ring.prepRead(9999, address, 512, 0, handler)), -EBADF);
  assert.equal(await result((handler) => ring.prepDatasync(9999, handler)), -EBADF);
});

test('memory outside the pool is refused before the kernel sees it', (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, fd } = bench;
  const nobody: RingHandler = { complete: () => {} };
  assert.throws(
    () => ring.prepRead(fd, (4 * MIB - 512) as Address, 1024, 0, nobody),
    /attached pool/,
  );
  assert.throws(() => ring.prepRead(fd, 0 as Address, 512, 0, nobody), /attached pool/);
});

test('a poll is woken by the event loop and can be cancelled', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, pool } = bench;
  const system = native()!;
  const view = new Uint8Array(8);
  const pair = system.function('int socketpair(int domain, int type, int protocol, void *pair)');
  assert.equal(pair(1, 1, 0, view), 0);
  const [near, far] = new Int32Array(view.buffer) as unknown as [number, number];
  const POLLIN = 1;
  let operation = -1;
  const cancelled = result((handler) => {
    operation = ring.prepPoll(near, POLLIN, handler);
  });
  await soon();
  await soon();
  ring.prepCancel(operation);
  assert.equal(await cancelled, -ECANCELED);

  const readable = result((handler) => ring.prepPoll(near, POLLIN, handler));
  const address = pool.take(4096, 'engine');
  pool.bytes.fill(65, address, address + 10);
  await soon();
  assert.equal(await result((handler) => ring.prepSend(far, address, 10, handler)), 10);
  assert.equal((await readable) & POLLIN, POLLIN);
  const into = pool.take(4096, 'engine');
  assert.equal(await result((handler) => ring.prepRecv(near, into, 4096, handler)), 10);
  assert.equal(pool.bytes[into + 9], 65);

  const received = result((handler) => ring.prepRecv(near, into, 4096, handler));
  await soon();
  assert.equal(system.close(far), 0);
  assert.equal(await received, 0, 'the end of the stream wakes a waiting recv');
  system.close(near);
});

test('a task runs before the submission, and what it prepares goes with it', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { ring, pool, fd } = bench;
  const address = pool.take(4096, 'engine');
  let runs = 0;
  const done = result((handler) => {
    ring.beforeSubmit({
      beforeSubmit: () => {
        runs += 1;
        ring.prepRead(fd, address, 5, 0, handler);
      },
    });
  });
  assert.equal(runs, 0);
  assert.equal(await done, 5);
  await soon();
  assert.equal(runs, 1);
  assert.equal(Buffer.from(pool.slice(address, 5)).toString(), 'locum');
});

test('a closed ring lets the process end and takes nothing more', (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  bench.ring.close();
  bench.ring.close();
  assert.throws(() => bench.ring.prepDatasync(bench.fd, { complete: () => {} }), /closed/);
});

test('a worker thread has its own ring and pool', async (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const { Worker } = await import('node:worker_threads');
  const source = (name: string): string =>
    pathToFileURL(path.join(import.meta.dirname, `../../../src/io/${name}`)).href;
  const code = `
    const { parentPort } = require('node:worker_threads');
    (async () => {
      const { Ring } = await import('${source('uring.js')}');
      const { BufferPool } = await import('${source('buffer-pool.js')}');
      const pool = new BufferPool({ sizeBytes: 4 << 20 });
      const ring = new Ring();
      ring.attachPool(pool);
      const fd = require('node:fs').openSync('/proc/self/exe', 'r');
      const address = pool.take(4096, 'engine');
      ring.prepRead(fd, address, 4, 0, { complete(result) {
        parentPort.postMessage([result, Buffer.from(pool.slice(address, 4)).toString('latin1')]);
        ring.close();
      } });
    })();
  `;
  const worker = new Worker(code, { eval: true });
  const ended = new Promise((resolve) => worker.on('exit', resolve));
  const answer = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  assert.deepEqual(answer, [4, '\x7fELF']);
  assert.equal(await ended, 0);
});

test('an exception in a handler ends the process, it is not swallowed', (t) => {
  const bench = benchOf(t);
  if (!bench) return;
  const source = pathToFileURL(path.join(import.meta.dirname, '../../../src/io/uring.js')).href;
  const code = `
    const { Ring } = await import('${source}');
    const ring = new Ring();
    ring.prepDatasync(9999, { complete() { throw new Error('a bug'); } });
    setTimeout(() => process.exit(0), 20_000);
  `;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
  });
  assert.notEqual(child.status, 0);
  assert.match(child.stderr, /a bug/);
});

test('the choice of I/O says why', () => {
  assert.deepEqual(chooseIo('node'), { io: 'node', reason: 'node:fs was asked for' });
  const auto = chooseIo('auto');
  assert.equal(auto.io, Ring.available().ok ? 'uring' : 'node');
  assert.notEqual(auto.reason, '');
});
