/**
 * What a client can do to a server by being slow, greedy or silent: nothing that others would
 * notice.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../../src/base/units.ts';
import { checkRequest } from '../../../src/nbd/check-request.ts';
import { bytes } from './handshake-wire.ts';
import * as rig from './session-rig.ts';
import { pattern, Rig, request, settle, simpleReplies, write } from './session-rig.ts';

const { FLUSH, READ, WRITE } = rig;
const small = { poolBytes: 4 * MIB, sizeBytes: MIB };

test('half a request is waited for 30 seconds, an idle connection for ever', async () => {
  const it = new Rig(small);
  const idle = it.connect();
  const half = it.connect();
  half.feed(request(READ, 1, 0, 512).subarray(0, 27));
  await settle();
  it.clock.advance(29_000);
  await settle();
  assert.equal(half.isClosed, false);
  it.clock.advance(3_000);
  await settle();
  assert.deepEqual(it.closings, ['half-sent request']);
  it.clock.advance(3_600_000);
  await settle();
  assert.equal(idle.isClosed, false);
  await it.finish();
});

test('half a payload is waited for as long as it grows by a megabyte in 30 seconds', async () => {
  const it = new Rig();
  const stream = it.connect();
  stream.feed(request(WRITE, 1, 0, 8 * MIB));
  const data = pattern(MIB, 1);
  for (let second = 0; second < 100; second += 20) {
    stream.feed(data);
    await settle();
    it.clock.advance(20_000);
  }
  await settle();
  assert.equal(stream.isClosed, false);
  for (let second = 0; second < 40; second += 1) {
    stream.feed(data.subarray(0, 1));
    await settle();
    it.clock.advance(1_000);
  }
  await settle();
  assert.deepEqual(it.closings, ['half-sent request']);
  await it.finish();
});

test('a refused payload is waited for in the same way', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.feed(request(WRITE, 1, 0, 2 * MIB), pattern(100, 1));
  await settle();
  it.clock.advance(32_000);
  await settle();
  assert.deepEqual(it.closings, ['half-sent request']);
  await it.finish();
});

test('a client that takes no replies is dropped after 60 seconds, and stops being read before', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.takesReplies = false;
  for (let cookie = 0; cookie < 100; cookie += 1) stream.feed(request(READ, cookie, 0, 512));
  await settle();
  assert.equal(stream.receiving, false, 'flow control: nothing is asked for');
  assert.ok(it.pool.freeBytes > 2 * MIB);
  it.clock.advance(59_000);
  await settle();
  assert.equal(stream.isClosed, false);
  it.clock.advance(3_000);
  await settle();
  assert.deepEqual(it.closings, ['replies are not taken']);
  await it.finish();
});

test('a client that takes its replies late gets all of them', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.takesReplies = false;
  const count = 500;
  for (let cookie = 0; cookie < count; cookie += 1)
    stream.feed(request(READ, cookie, 512 * cookie, 512));
  await settle();
  stream.takesReplies = true;
  stream.drain();
  await settle();
  const sizes = new Map(Array.from({ length: count }, (_, cookie) => [cookie, 512]));
  assert.equal(simpleReplies(stream.output, sizes).size, count);
  await it.finish();
});

test('greedy connections leave memory for the others', async () => {
  const it = new Rig({ poolBytes: 16 * MIB, sizeBytes: 16 * MIB });
  const greedy = Array.from({ length: 6 }, () => it.connect());
  for (const stream of greedy) {
    stream.takesReplies = false;
    for (let cookie = 0; cookie < 64; cookie += 1) stream.feed(request(READ, cookie, 0, MIB));
  }
  await settle();
  const modest = it.connect();
  modest.feed(request(READ, 1, 0, 4096), write(2, 0, pattern(4096, 1)));
  await settle();
  assert.equal(simpleReplies(modest.output, new Map([[1, 4096]])).size, 2);
  for (const stream of greedy) stream.breakDown();
  await settle();
  await it.finish();
});

test('twelve deaf clients and two hundred that stop in the middle stall nobody', async () => {
  const it = new Rig({ poolBytes: 64 * MIB, sizeBytes: 64 * MIB });
  const rough = Array.from({ length: 212 }, () => it.connect());
  await settle();
  for (const [index, stream] of rough.entries()) {
    stream.takesReplies = false;
    if (index < 12) {
      for (let cookie = 0; cookie < 64; cookie += 1) stream.feed(request(READ, cookie, 0, MIB));
    } else if (index % 2 === 0) stream.feed(request(READ, 1, 0, 4096));
    else stream.feed(request(WRITE, 1, 0, 65_536), pattern(100, index));
  }
  for (let turn = 0; turn < 5; turn += 1) await settle();
  const victim = it.connect();
  await settle();
  for (let cookie = 0; cookie < 64; cookie += 2) {
    victim.feed(request(READ, cookie, 4096 * cookie, 4096));
    victim.feed(write(cookie + 1, 4096 * cookie, pattern(4096, cookie)));
  }
  await settle();
  const reads = new Map(Array.from({ length: 32 }, (_, index) => [2 * index, 4096]));
  assert.equal(simpleReplies(victim.output, reads).size, 64);
  assert.equal(rough.filter(({ isClosed }) => isClosed).length, 0, 'they hold what they have');
  for (const stream of rough) stream.breakDown();
  await settle();
  await it.finish();
});

test('connections that were busy once do not keep the pool', async () => {
  const it = new Rig({ poolBytes: 16 * MIB, sizeBytes: MIB });
  const data = pattern(65_536, 1);
  const streams = Array.from({ length: 60 }, () => it.connect());
  for (const stream of streams) {
    for (let cookie = 0; cookie < 4; cookie += 1) stream.feed(write(cookie, 0, data));
    await settle();
    assert.equal(simpleReplies(stream.output).size, 4);
  }
  assert.ok(it.pool.freeBytes > 7 * MIB, `${it.pool.freeBytes} bytes are free`);
  const long = it.connect();
  const freeBytes = it.pool.freeBytes;
  long.feed(request(WRITE, 1, 0, MIB));
  await settle();
  assert.ok(it.pool.freeBytes <= freeBytes - MIB, 'a long request is served beside them');
  long.breakDown();
  await it.finish();
});

test('who finds the pool empty waits, and goes on when something comes back', async () => {
  const it = new Rig({ poolBytes: 4 * MIB, sizeBytes: MIB });
  const taken = [];
  const stream = it.connect();
  await settle();
  for (;;) {
    const address = it.pool.take(4096, 'client');
    if (address === 0) break;
    taken.push(address);
  }
  const data = pattern(4096, 1);
  stream.feed(request(FLUSH, 1, 0, 0), write(2, 0, data), request(FLUSH, 3, 0, 0));
  await settle();
  assert.equal(simpleReplies(stream.output).size, 1);
  const closing = it.connect();
  await settle();
  for (const address of taken) it.pool.give(address);
  await settle();
  assert.equal(simpleReplies(stream.output).size, 3);
  assert.deepEqual(Buffer.from(it.device.bytes.subarray(0, 4096)), data);
  closing.breakDown();
  await settle();
  await it.finish();
});

test('a connection that breaks while it waits for memory gives back what comes', async () => {
  const it = new Rig({ poolBytes: 8 * MIB, sizeBytes: 4 * MIB });
  const stream = it.connect();
  await settle();
  const taken = [];
  for (;;) {
    const address = it.pool.take(4096, 'client');
    if (address === 0) break;
    taken.push(address);
  }
  stream.feed(write(1, 0, pattern(2 * MIB, 1)));
  await settle();
  stream.breakDown();
  await settle();
  assert.deepEqual(it.closings, ['broken']);
  for (const address of taken) it.pool.give(address);
  await it.finish();
});

test('long writes that need the same memory follow one another', async () => {
  const it = new Rig({ poolBytes: 16 * MIB, sizeBytes: 16 * MIB });
  const data = pattern(4 * MIB, 9);
  const streams = Array.from({ length: 8 }, () => it.connect());
  for (const stream of streams) stream.feed(write(1, 0, data));
  for (let turn = 0; turn < 10; turn += 1) await settle();
  for (const stream of streams) assert.equal(simpleReplies(stream.output).get(1)?.errno, 0);
  await it.finish();
});

test('a payload larger than the pool allows is refused, not waited for', async () => {
  const it = new Rig({ poolBytes: 4 * MIB, sizeBytes: 16 * MIB });
  const stream = it.connect();
  stream.feed(write(1, 0, pattern(2 * MIB, 1)), request(FLUSH, 2, 0, 0));
  await settle();
  const replies = simpleReplies(stream.output);
  assert.deepEqual([replies.get(1)?.errno, replies.get(2)?.errno], [22, 0]);
  await it.finish();
});

/** The largest write, in sectors, that passes when clients share so much. */
function largestWriteBytes(shareableBytes: number): number {
  const negotiated = { exportName: '', structured: false, allocationContextId: 0, aligned: false };
  const passes = (lengthBytes: number): boolean => {
    const write = { type: WRITE, flags: 0, offsetBytes: 0, lengthBytes };
    return checkRequest(write, negotiated, 64 * MIB, shareableBytes) === 0;
  };
  let [passing, refused] = [0, (64 * MIB) / 512 + 1];
  while (refused - passing > 1) {
    const middle = Math.floor((passing + refused) / 2);
    if (passes(middle * 512)) passing = middle;
    else refused = middle;
  }
  return passing * 512;
}

test('a long request was admitted that an idle pool could never serve, and those behind it waited for ever', async () => {
  for (const poolMib of [8, 16, 32, 64, 128, 256]) {
    for (const stepMib of [0.5, 1.5, 3, 5, 9]) {
      const where = `pool ${poolMib} MiB, step ${stepMib} MiB`;
      const poolBytes = poolMib * MIB;
      const it = new Rig({ poolBytes, stepBytes: stepMib * MIB, sizeBytes: 64 * MIB });
      const largestBytes = largestWriteBytes(it.pool.shareableBytes);
      assert.ok(largestBytes > poolBytes / 8, `${where}: half of a pool is left to clients`);
      const [writer, tooLong, reader] = [it.connect(), it.connect(), it.connect()];
      await settle();
      if (largestBytes < 64 * MIB) tooLong.feed(request(WRITE, 1, 0, largestBytes + 512));
      await settle();
      const refused = simpleReplies(tooLong.output).get(1)?.errno;
      assert.equal(refused, largestBytes < 64 * MIB ? 22 : undefined, where);
      const freeBytes = it.pool.freeBytes;
      writer.feed(request(WRITE, 1, 0, largestBytes));
      await settle();
      assert.ok(freeBytes - it.pool.freeBytes >= largestBytes, `${where}: its buffers are there`);
      writer.breakDown();
      await settle();
      reader.takesReplies = false;
      const idleBytes = it.pool.freeBytes;
      reader.feed(request(READ, 1, 0, 64 * MIB));
      await settle();
      assert.equal(
        idleBytes - it.pool.freeBytes,
        2 * MIB,
        `${where}: a long read holds two pieces`,
      );
      reader.breakDown();
      await settle();
      await it.finish();
    }
  }
});

test('thousands of outstanding requests are legal and bounded', async () => {
  const it = new Rig(small);
  let most = 0;
  it.device.before = () => {
    most = Math.max(most, it.device.inFlight);
    return new Promise((resolve) => setImmediate(resolve, 0));
  };
  const stream = it.connect();
  const one = request(READ, 1, 0, 512);
  stream.feed(bytes(...Array.from({ length: 20_000 }, () => one)));
  while (Buffer.concat(stream.output).length < 20_000 * 528) await settle();
  assert.equal(most, 64);
  await it.finish();
});
