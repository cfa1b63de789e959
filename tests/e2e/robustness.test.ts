/**
 * Rough treatment from outside: garbage on the NBD socket, clients that vanish, a full log, a leg that fails, and a log
 * that is missing at the start.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeStatus } from '../../src/core/status.ts';
import { exitCode } from '../support/locum.ts';
import { commandFlags, listExports, NbdClient, NbdError } from '../support/nbd-client.ts';
import { bothKinds, mebi, refusedWith, stillServes, volume, volumeIn } from './fixture.ts';

/** Sends bytes and waits until the server has had enough of them, or a moment has passed. */
async function send(path: string, bytes: Buffer): Promise<void> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'connect');
  socket.write(bytes);
  await Promise.race([once(socket, 'close'), sleep(100)]);
  socket.destroy();
}

function garbage(seed: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  let x = seed | 1;
  for (let index = 0; index < lengthBytes; index++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    bytes[index] = x >>> 24;
  }
  return bytes;
}

/** A good greeting and one option with an arbitrary head: the first thing after it is what the server must survive. */
function optionWith(code: number, claimedBytes: number, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(3, 0);
  head.writeBigUInt64BE(0x49484156454f5054n, 4);
  head.writeUInt32BE(code, 12);
  head.writeUInt32BE(claimedBytes, 16);
  return Buffer.concat([head, data]);
}

for (const io of bothKinds) {
  test(`${io}: garbage on the NBD socket hurts nobody else`, async (t) => {
    const scene = await volumeIn(t, { members: 3, legs: 0 }, { io });
    const { locum } = scene;
    const bystander = await locum.connect(volume);
    const block = Buffer.alloc(4096, 9);
    for (let seed = 1; seed <= 20; seed++) {
      const noise = garbage(seed, 1 + ((seed * 977) % 5000));
      await Promise.all([
        send(locum.nbdPath, noise),
        send(locum.nbdPath, Buffer.concat([Buffer.from([0, 0, 0, 3]), noise])),
        send(locum.nbdPath, optionWith(seed, noise.length, noise)),
        send(locum.nbdPath, optionWith(7, 0xffffffff, noise)),
        send(locum.nbdPath, optionWith(7, 4, Buffer.from([0xff, 0xff, 0xff, 0xff]))),
        bystander.write(seed * 4096, block),
      ]);
      assert.ok((await bystander.read(seed * 4096, 4096)).equals(block));
    }
    await bystander.close();
    assert.deepEqual(await listExports({ path: locum.nbdPath }), [volume]);
    await stillServes(scene);
  });

  test(`${io}: requests that cannot be served are answered, and the connection goes on`, async (t) => {
    const scene = await volumeIn(t, { members: 3, legs: 0 }, { io });
    const client = await scene.locum.connect(volume);
    const { sizeBytes } = client;
    const errno = async (request: Promise<unknown>): Promise<number> =>
      request.then(
        () => 0,
        (error: unknown) => (error instanceof NbdError ? error.errno : -1),
      );
    assert.equal(await errno(client.read(sizeBytes, 512)), 22);
    assert.equal(await errno(client.read(sizeBytes - 512, 1024)), 22);
    assert.equal(await errno(client.write(sizeBytes - 512, Buffer.alloc(1024))), 28);
    assert.equal(await errno(client.read(Number.MAX_SAFE_INTEGER, 512)), 22);
    assert.equal(await errno(client.read(0, 512, 0x8000)), 22);
    assert.equal(await errno(client.write(0, Buffer.alloc(512), commandFlags.fua)), 0);
    assert.equal((await client.read(0, 512)).length, 512);
    await client.close();
  });

  test(`${io}: clients that vanish in the middle leave nothing behind`, async (t) => {
    const scene = await volumeIn(t, { members: 3, legs: 0 }, { io });
    for (let round = 0; round < 10; round++) {
      const client = await scene.locum.connect(volume);
      const asked = Array.from({ length: 32 }, (_, index) =>
        index % 2 === 0
          ? client.read(index * mebi * 0.25, mebi * 0.25)
          : client.write(index * mebi * 0.25, Buffer.alloc(mebi * 0.25, round)),
      );
      const settled = Promise.allSettled(asked);
      await sleep(round);
      client.destroy();
      await settled;
    }
    await stillServes(scene);
  });

  test(`${io}: a full log without a second failure ends the window by thawing`, async (t) => {
    const scene = await volumeIn(t, { logBytes: 16 * mebi }, { io });
    const { locum } = scene;
    await locum.must('window', 'open', volume, '1', '--for', 'firmware');
    const client = await locum.connect(volume);
    const block = Buffer.alloc(64 * 1024, 0x77);
    for (let offset = 0; offset < 40 * mebi; offset += block.length) {
      await client.write(offset, block);
    }
    const isOver = (it: VolumeStatus): boolean => it.window === null && it.state !== 'replaying';
    const status = await locum.until(volume, 'out of its window', isOver);
    assert.equal(status.state, 'degraded');
    assert.equal(status.drives[1]?.state === 'online', false);
    assert.ok((await client.read(36 * mebi, block.length)).equals(block));
    await client.close();
    const events = await locum.must('event', 'ls', '-o', 'json');
    assert.match(events, /log-70/);
    assert.match(events, /log-85/);
  });

  test(`${io}: a full log with a second failure holds writes until the drive is back`, async (t) => {
    const scene = await volumeIn(t, { logBytes: 16 * mebi }, { io });
    const { locum, drives } = scene;
    await locum.must('window', 'open', volume, '1', '--for', 'firmware');
    await rm(drives[3] ?? '');
    await locum.until(volume, 'told of it', (it) => it.drives[3]?.state === 'failed');
    const client = await locum.connect(volume);
    const block = Buffer.alloc(64 * 1024, 0x78);
    let acknowledged = 0;
    const writing = (async () => {
      for (let offset = 0; offset < 40 * mebi; offset += block.length) {
        await client.write(offset, block);
        acknowledged++;
      }
    })();
    await locum.until(volume, 'holding writes', (it) =>
      it.alarms.some(({ code }) => code === 'writes-held'),
    );
    const held = acknowledged;
    await sleep(500);
    assert.equal(acknowledged, held, 'writes are held');
    assert.ok(held < (40 * mebi) / block.length);
    assert.notEqual((await locum.statusOf(volume)).window, null, 'it never thaws');
    await locum.must('window', 'close', volume, '--wait');
    await writing;
    assert.ok((await client.read(39 * mebi, block.length)).equals(block));
    await client.close();
  });

  test(`${io}: reads that need two absent drives answer at once when told to`, async (t) => {
    const scene = await volumeIn(t, {}, { io });
    const { locum, drives } = scene;
    const words = ['window', 'open', volume, '1', '--for', 'reset'];
    await locum.must(...words, '--on-double-absence', 'error');
    await rm(drives[3] ?? '');
    await locum.until(volume, 'told of it', (it) => it.drives[3]?.state === 'failed');
    const client = await locum.connect(volume);
    await assert.rejects(client.read(0, 192 * 1024), (error: unknown) => {
      assert.ok(error instanceof NbdError);
      assert.equal(error.errno, 5);
      return true;
    });
    await client.write(0, Buffer.alloc(192 * 1024, 1));
    assert.ok((await client.read(0, 192 * 1024)).equals(Buffer.alloc(192 * 1024, 1)));
    await client.close();
    await locum.must('window', 'close', volume, '--wait');
  });
}

test('a leg that vanishes in a window: the other one goes on, and it is an alarm', async (t) => {
  const scene = await volumeIn(t);
  const { locum, legs } = scene;
  await locum.must('window', 'open', volume, '1', '--for', 'reset');
  await stillServes(scene);
  await rm(legs[0] ?? '');
  const status = await locum.until(volume, 'told of the leg', (it) =>
    Boolean(it.log?.legs.some((leg) => leg.state !== 'online')),
  );
  assert.ok(status.alarms.length > 0);
  await stillServes(scene);
  await locum.must('window', 'close', volume, '--wait');
  await stillServes(scene);
});

test('without the log of an open window the volume does not start, and says why', async (t) => {
  const scene = await volumeIn(t);
  const { locum, legs } = scene;
  await locum.must('window', 'open', volume, '1', '--for', 'reset');
  await stillServes(scene);
  await locum.stop('SIGKILL');
  for (const leg of legs) await rename(leg, `${leg}.hidden`);
  await locum.start();
  await assert.rejects(
    NbdClient.connect({ path: locum.nbdPath, exportName: volume }),
    'nothing is served',
  );
  const refusal = await locum.run('volume', 'assemble', volume);
  refusedWith(refusal, exitCode.refused, /log/);
  await rename(`${legs[0] ?? ''}.hidden`, legs[0] ?? '');
  await locum.must('volume', 'assemble', volume);
  await stillServes(scene);
  await locum.must('window', 'close', volume, '--wait');
  await stillServes(scene);
});
