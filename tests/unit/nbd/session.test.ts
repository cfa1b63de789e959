/** Transmission over a stream in memory: what every command does, and how a connection ends. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../../src/base/units.ts';
import { bytes, u32, u64 } from './handshake-wire.ts';
import * as rig from './session-rig.ts';
import { chunks, pattern, Rig, request, settle, simpleReplies, write } from './session-rig.ts';

const { CACHE, DISC, FLUSH, READ, STATUS, TRIM, WRITE, ZEROES } = rig;
const FUA = 1;
const DF = 4;
const REQ_ONE = 8;
const FAST = 16;
const small = { poolBytes: 4 * MIB, sizeBytes: MIB };

test('every command, with simple replies', async () => {
  const it = new Rig(small);
  const stream = it.connect(bytes('first'));
  const data = pattern(5000, 1);
  stream.feed(write(1, 100, data), request(FLUSH, 2, 0, 0));
  await settle();
  stream.feed(request(READ, 3, 99, 5002), request(CACHE, 4, 0, 4096));
  await settle();
  stream.feed(request(TRIM, 5, 0, 4096), request(ZEROES, 6, 4096, 100, FUA));
  await settle();
  stream.feed(request(READ, 7, 4096, 2000));
  await settle();
  const [first, ...output] = stream.output;
  assert.equal(first?.toString(), 'first');
  const replies = simpleReplies(
    output,
    new Map([
      [3, 5002],
      [7, 2000],
    ]),
  );
  assert.deepEqual([...replies.keys()], [1, 2, 3, 4, 5, 6, 7]);
  assert.ok([...replies.values()].every(({ errno }) => errno === 0));
  assert.deepEqual(replies.get(3)?.data, bytes([0], data, [0]));
  assert.deepEqual(
    replies.get(7)?.data,
    bytes(Buffer.alloc(100), data.subarray(4096), Buffer.alloc(996)),
  );
  await it.finish();
});

test('every command, with structured replies', async () => {
  const it = new Rig({ ...small, structured: true, allocation: true });
  const stream = it.connect();
  const data = pattern(4096, 1);
  stream.feed(write(1, 8192, data, FUA));
  await settle();
  stream.feed(request(READ, 2, 8192, 4096, DF), request(READ, 3, MIB - 1, 2));
  stream.feed(request(STATUS, 4, 4096, 3 * 4096), request(STATUS, 5, 4096, 8192, REQ_ONE));
  stream.feed(request(STATUS, 6, 0, MIB), request(WRITE, 7, MIB, 1, 0, bytes('x')));
  await settle();
  const all = chunks(stream.output);
  assert.deepEqual(all.get(1), [{ type: -1, done: true, payload: bytes(u32(0)) }]);
  assert.deepEqual(all.get(2), [{ type: 1, done: true, payload: bytes(u64(8192), data) }]);
  assert.equal(all.get(3)?.[0]?.type, 0x8001);
  assert.equal(all.get(3)?.[0]?.payload.readUInt32BE(0), 22);
  const hole = (length: number) => bytes(u32(length), u32(3));
  const full = (length: number) => bytes(u32(length), u32(0));
  const status = (...extents: Uint8Array[]) => [
    { type: 5, done: true, payload: bytes(u32(1), ...extents) },
  ];
  assert.deepEqual(all.get(4), status(hole(4096), full(4096), hole(4096)));
  assert.deepEqual(all.get(5), status(hole(4096)));
  assert.deepEqual(all.get(6), status(hole(8192), full(4096), hole(MIB - 12288)));
  assert.equal(all.get(7)?.[0]?.payload.readUInt32BE(0), 28);
  await it.finish();
});

test('a status of many extents comes in one chunk that fits its buffer', async () => {
  const it = new Rig({ sizeBytes: 16 * MIB, structured: true, allocation: true });
  for (let at = 0; at < 16 * MIB; at += 8192) {
    await it.device.zero(at as never, 4096, { fua: false, noHole: true, fast: false });
  }
  const stream = it.connect();
  stream.feed(request(STATUS, 1, 0, 16 * MIB), request(STATUS, 2, 0, 15 * 8192));
  await settle();
  const all = chunks(stream.output);
  assert.equal(all.get(1)?.[0]?.payload.length, 4 + 8 * Math.floor((4096 - 24) / 8));
  assert.equal(all.get(2)?.[0]?.payload.length, 4 + 8 * 30);
  await it.finish();
});

test('wrong requests are refused one by one, and the stream stays in step', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  const cases: [Uint8Array, number][] = [];
  const add = (
    errno: number,
    type: number,
    offset: number,
    length: number,
    flags = 0,
    payload = bytes(),
  ) => cases.push([request(type, cases.length, offset, length, flags, payload), errno]);
  add(22, READ, MIB - 1, 2);
  add(22, READ, MIB, 1);
  add(22, READ, 2 ** 53 - 1, 4096);
  add(22, READ, 0, 64 * MIB + 1);
  add(22, READ, 0, 0);
  add(22, READ, 0, 512, DF);
  add(22, READ, 0, 512, 32);
  add(28, WRITE, MIB - 1, 2, 0, bytes('xy'));
  add(28, WRITE, MIB, 600, 0, pattern(600, 1));
  add(22, WRITE, 0, 0);
  add(22, WRITE, 0, 4, DF, bytes('abcd'));
  add(22, WRITE, 0, 4, 0x8000, bytes('abcd'));
  add(28, ZEROES, 1, MIB);
  add(28, ZEROES, 0, 0xffffffff);
  add(22, ZEROES, 0, 4, DF);
  add(22, TRIM, 1, MIB);
  add(22, TRIM, 0, 4, FAST);
  add(22, CACHE, 1, MIB);
  add(22, FLUSH, 1, 0);
  add(22, FLUSH, 0, 1);
  add(22, STATUS, 0, 512);
  add(22, 8, 0, 0);
  add(22, 0xffff, 0, 0);
  add(0, FLUSH, 0, 0, FUA);
  add(0, CACHE, 0, 512, FUA);
  const overflow = bytes(
    u32(0x25609513),
    [0, 0, 0, READ],
    u64(cases.length),
    Buffer.alloc(8, 0xff),
    u32(4096),
  );
  cases.push([overflow, 22]);
  stream.feed(...cases.map(([wire]) => wire));
  await settle();
  const replies = simpleReplies(stream.output);
  cases.forEach(([, errno], cookie) =>
    assert.equal(replies.get(cookie)?.errno, errno, `case ${cookie}`),
  );
  assert.ok(it.device.bytes.every((byte) => byte === 0));
  await it.finish();
});

test('who asked for block sizes keeps to them', async () => {
  const it = new Rig({ ...small, aligned: true });
  const stream = it.connect();
  stream.feed(request(READ, 1, 1, 512), request(READ, 2, 512, 513), write(3, 5, pattern(512, 1)));
  stream.feed(request(READ, 4, 512, 512));
  await settle();
  const replies = simpleReplies(stream.output, new Map([[4, 512]]));
  assert.deepEqual(
    [1, 2, 3, 4].map((cookie) => replies.get(cookie)?.errno),
    [22, 22, 22, 0],
  );
  await it.finish();
});

test('errors of the device become errors of the protocol', async () => {
  const it = new Rig(small);
  const errnos: [number, number][] = [
    [1, 1],
    [5, 5],
    [12, 12],
    [22, 22],
    [27, 28],
    [28, 28],
    [30, 1],
    [108, 108],
    [110, 5],
    [75, 5],
    [95, 5],
  ];
  const stream = it.connect();
  for (const [cookie, [given, expected]] of errnos.entries()) {
    it.device.before = () => given;
    stream.feed(request(READ, cookie, 0, 512));
    await settle();
    assert.equal(simpleReplies(stream.output).get(cookie)?.errno, expected, `errno ${given}`);
  }
  it.device.before = () => 95;
  stream.feed(request(ZEROES, 50, 0, 512), request(ZEROES, 51, 0, 512, FAST));
  stream.feed(request(TRIM, 52, 0, 512), request(CACHE, 53, 0, 512));
  await settle();
  const replies = simpleReplies(stream.output);
  assert.deepEqual(
    [50, 51, 52, 53].map((cookie) => replies.get(cookie)?.errno),
    [5, 95, 0, 0],
  );
  await it.finish();
});

test('EOVERFLOW and ENOTSUP of a device reach nobody who did not ask for DF or FAST_ZERO', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  for (const [index, given] of [75, 95].entries()) {
    it.device.before = () => given;
    const cookie = 10 * index;
    stream.feed(write(cookie, 0, pattern(512, 1)), request(FLUSH, cookie + 1, 0, 0));
    stream.feed(request(TRIM, cookie + 2, 0, 512), request(ZEROES, cookie + 3, 0, 512));
    await settle();
  }
  const replies = simpleReplies(stream.output);
  const errnos = [0, 1, 2, 3, 10, 11, 12, 13].map((cookie) => replies.get(cookie)?.errno);
  assert.deepEqual(errnos, [5, 5, 5, 5, 5, 5, 0, 5]);
  await it.finish();
});

for (const structured of [false, true]) {
  const kind = structured ? 'structured' : 'simple';

  test(`long reads and writes go in pieces, ${kind}`, async () => {
    const it = new Rig({ structured });
    const stream = it.connect();
    const length = 5 * MIB + 777;
    const data = pattern(length, 3);
    stream.feed(write(1, 333, data, FUA), request(FLUSH, 2, 0, 0));
    await settle();
    assert.equal(it.device.flushes, 2, 'FUA of a long write is one flush');
    stream.feed(
      request(READ, 3, 333, length),
      request(READ, 4, 0, 333),
      request(READ, 5, 333, length),
    );
    await settle();
    if (structured) {
      const all = chunks(stream.output);
      for (const cookie of [3, 5]) {
        const parts = all.get(cookie) ?? [];
        assert.equal(parts.length, 6);
        for (const [index, { type, payload }] of parts.entries()) {
          assert.equal(type, 1);
          assert.equal(Number(payload.readBigUInt64BE(0)), 333 + index * MIB);
        }
        assert.deepEqual(bytes(...parts.map(({ payload }) => payload.subarray(8))), data);
      }
    } else {
      const replies = simpleReplies(
        stream.output,
        new Map([
          [3, length],
          [4, 333],
          [5, length],
        ]),
      );
      assert.deepEqual(replies.get(3)?.data, data);
      assert.deepEqual(replies.get(5)?.data, data);
      assert.deepEqual(
        [...replies.keys()].sort((one, other) => one - other),
        [1, 2, 3, 4, 5],
      );
    }
    await it.finish();
  });

  test(`an error late in a long read, ${kind}`, async () => {
    const it = new Rig({ structured });
    const stream = it.connect();
    it.device.before = (_operation, offset) => (offset >= 2 * MIB ? 5 : 0);
    stream.feed(request(READ, 1, 0, 4 * MIB));
    await settle();
    if (structured) {
      const parts = chunks(stream.output).get(1) ?? [];
      assert.deepEqual(
        parts.map(({ type, done }) => [type, done]),
        [
          [1, false],
          [1, false],
          [0x8002, true],
        ],
      );
      assert.equal(
        Number(parts[2]?.payload.readBigUInt64BE((parts[2]?.payload.length ?? 0) - 8)),
        2 * MIB,
      );
      assert.equal(stream.isClosed, false);
    } else {
      // The header said that all is well; only the end of the connection can say otherwise.
      assert.equal(stream.isClosed, true);
      assert.deepEqual(it.closings, ['an error after the reply had begun']);
    }
    await it.finish();
  });

  test(`an error at the beginning of a long read, ${kind}`, async () => {
    const it = new Rig({ structured });
    const stream = it.connect();
    it.device.before = () => 5;
    stream.feed(request(READ, 1, 0, 4 * MIB), request(FLUSH, 2, 0, 0));
    await settle();
    const all = chunks(stream.output);
    assert.deepEqual([all.get(1)?.length, all.get(1)?.[0]?.type], [1, structured ? 0x8002 : -1]);
    assert.equal(stream.isClosed, false);
    await it.finish();
  });
}

test('a long read that fails while its beginning is still on its way does not go on in buffers given back', async () => {
  const it = new Rig({ structured: true });
  const stream = it.connect();
  await settle();
  stream.takesReplies = false;
  const offsets: number[] = [];
  it.device.before = (operation, offset) => {
    if (operation === 'read') offsets.push(offset);
    return offset === MIB ? 5 : 0;
  };
  stream.feed(request(READ, 1, 0, 3 * MIB));
  await settle();
  stream.takesReplies = true;
  stream.drain();
  await settle();
  assert.deepEqual(offsets, [0, MIB], 'nothing is read behind the error');
  const replies = chunks(stream.output).get(1);
  assert.deepEqual(
    replies?.map(({ type, done }) => [type, done]),
    [
      [1, false],
      [0x8002, true],
    ],
  );
  await it.finish();
});

test('a flush behind a long FUA write that the device breaks off is an error of that write', async () => {
  const it = new Rig();
  const stream = it.connect();
  it.device.flush = () => {
    throw new Error('broken');
  };
  stream.feed(write(1, 0, pattern(2 * MIB, 1), FUA), write(2, 0, pattern(512, 2)));
  await settle();
  const replies = simpleReplies(stream.output);
  assert.deepEqual([replies.get(1)?.errno, replies.get(2)?.errno], [5, 0]);
  assert.equal(it.faults.splice(0).length, 1);
  await it.finish();
});

test('a read that must not be fragmented is not, or overflows', async () => {
  const it = new Rig({ structured: true });
  const stream = it.connect();
  stream.feed(request(READ, 1, 0, MIB, DF), request(READ, 2, 0, MIB + 1, DF));
  await settle();
  const all = chunks(stream.output);
  assert.deepEqual([all.get(1)?.length, all.get(1)?.[0]?.type], [1, 1]);
  assert.equal(all.get(2)?.[0]?.payload.readUInt32BE(0), 75);
  await it.finish();
});

test('requests run at the same time and are answered as they finish; a cookie may be used twice', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  let release = (): void => {};
  const stuck = new Promise<number>((resolve) => {
    release = () => resolve(0);
  });
  it.device.before = (_operation, offset) => (offset === 0 ? stuck : 0);
  stream.feed(request(READ, 7, 0, 512), request(READ, 8, 512, 512), request(CACHE, 7, 512, 512));
  await settle();
  const before = Buffer.concat(stream.output).length;
  assert.equal(before, 16 + 512 + 16);
  release();
  await settle();
  assert.equal(Buffer.concat(stream.output).length, before + 16 + 512);
  await it.finish();
});

test('a write is applied only when all of it is there', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  const data = pattern(300_000, 5);
  const wire = write(1, 0, data);
  stream.feed(wire.subarray(0, -1));
  await settle();
  assert.ok(it.device.bytes.every((byte) => byte === 0));
  stream.feed(wire.subarray(-1));
  await settle();
  assert.deepEqual(Buffer.from(it.device.bytes.subarray(0, data.length)), data);
  stream.feed(write(2, 0, pattern(5000, 6)).subarray(0, 3000));
  stream.end();
  await settle();
  assert.deepEqual(Buffer.from(it.device.bytes.subarray(0, data.length)), data);
  assert.deepEqual(it.closings, ['']);
  await it.finish();
});

test('any cutting into packets gives the same volume', async () => {
  for (const step of [1, 13, 28, 29, 4096, 40_000]) {
    const it = new Rig(small);
    const one = pattern(700, 1);
    const two = pattern(60_000, 2);
    const wire = bytes(
      write(1, 0, one),
      write(2, MIB, one),
      write(3, 5000, two),
      request(READ, 4, 0, 700),
    );
    const stream = it.connect(bytes(), wire.subarray(0, step));
    for (let at = step; at < wire.length && step > 20; at += step) {
      stream.feed(wire.subarray(at, at + step));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (step <= 20) for (const byte of wire.subarray(step, 3000)) stream.feed(Uint8Array.of(byte));
    if (step <= 20) stream.feed(wire.subarray(3000));
    await settle();
    assert.deepEqual(simpleReplies(stream.output, new Map([[4, 700]])).size, 4);
    assert.deepEqual(Buffer.from(it.device.bytes.subarray(5000, 65_000)), two);
    await it.finish();
  }
});

test('DISC: everything outstanding is answered, then the stream ends', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  const slow = () => new Promise<number>((resolve) => setTimeout(resolve, 20, 0));
  it.device.before = slow;
  const reads = Array.from({ length: 64 }, (_, cookie) => request(READ, cookie, 512 * cookie, 512));
  stream.feed(...reads, request(DISC, 0, 0, 0), request(READ, 99, 0, 512));
  await settle();
  assert.equal(stream.finished, false);
  while (!stream.finished) await new Promise((resolve) => setTimeout(resolve, 5));
  const sizes = new Map(reads.map((_, cookie) => [cookie, 512]));
  assert.equal(simpleReplies(stream.output, sizes).size, 64);
  assert.equal(stream.isClosed, false);
  stream.end();
  await settle();
  assert.equal(stream.isClosed, true);
  assert.deepEqual(it.closings, ['']);
  await it.finish();
});

test('a client that stays after DISC is let go', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.feed(request(DISC, 0, 0, 0), pattern(100_000, 1));
  await settle();
  it.clock.advance(4000);
  await settle();
  assert.deepEqual(it.closings, ['']);
  await it.finish();
});

test('half-close: the rest is answered', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.feed(request(READ, 1, 0, 512), request(FLUSH, 2, 0, 0), bytes('par'));
  stream.end();
  await settle();
  assert.equal(simpleReplies(stream.output, new Map([[1, 512]])).size, 2);
  assert.deepEqual(it.closings, ['']);
  await it.finish();
});

test('what breaks the protocol ends the connection', async () => {
  const cases: [Uint8Array, string][] = [
    [bytes(u32(0x25609514), Buffer.alloc(24)), 'wrong request magic'],
    [request(WRITE, 1, 0, 64 * MIB + 1), 'payload too long'],
  ];
  for (const [wire, reason] of cases) {
    const it = new Rig(small);
    const stream = it.connect();
    stream.feed(request(FLUSH, 1, 0, 0), wire);
    await settle();
    assert.deepEqual(it.closings, [reason]);
    await it.finish();
  }
});

test('a broken stream in the middle of everything leaves nothing behind', async () => {
  const it = new Rig({ limits: { requestsInFlight: 8 } });
  const stream = it.connect();
  const finishers: (() => void)[] = [];
  it.device.before = () => new Promise((resolve) => finishers.push(() => resolve(0)));
  const data = pattern(3 * MIB, 1);
  stream.feed(write(1, 0, data), request(READ, 2, 0, 5 * MIB), request(READ, 3, 0, 512));
  stream.feed(write(4, 0, data).subarray(0, 2 * MIB));
  await settle();
  stream.breakDown();
  await settle();
  assert.deepEqual(it.closings, [], 'the device is still at work');
  while (finishers.length > 0) {
    finishers.shift()?.();
    await settle();
  }
  assert.deepEqual(Buffer.from(it.device.bytes.subarray(0, data.length)), data);
  assert.deepEqual(it.closings, ['broken']);
  await it.finish();
});

test('a late write of a dead connection is not executed after a newer one was answered', async () => {
  const it = new Rig(small);
  const release: (() => void)[] = [];
  const held = (): Promise<number> => new Promise((resolve) => release.push(() => resolve(0)));
  // The first write is held in the volume; a later one would pass at once.
  it.device.before = (operation) => (operation === 'write' && release.length === 0 ? held() : 0);
  const dead = it.connect();
  dead.feed(write(1, 4096, pattern(8192, 1)), write(2, 8192, pattern(512, 2)));
  await settle();
  dead.breakDown();
  await settle();
  const alive = it.connect();
  alive.feed(write(1, 8192, pattern(8192, 3)), request(ZEROES, 2, 10_000, 100));
  alive.feed(request(TRIM, 3, 12_288, 512), write(4, 0, pattern(4096, 4)));
  await settle();
  assert.deepEqual([...simpleReplies(alive.output).keys()], [4], 'what does not overlap goes on');
  release[0]?.();
  await settle();
  assert.equal(simpleReplies(alive.output).size, 4);
  const expected = Buffer.from(pattern(8192, 3));
  expected.fill(0, 10_000 - 8192, 10_100 - 8192);
  expected.fill(0, 4096, 4608);
  assert.deepEqual(Buffer.from(it.device.bytes.subarray(8192, 16_384)), expected);
  assert.deepEqual(
    Buffer.from(it.device.bytes.subarray(4096, 8192)),
    pattern(8192, 1).subarray(0, 4096),
  );
  await it.finish();
});

test('a payload that may still be arriving keeps its buffer until the stream is closed', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  stream.feed(write(1, 0, pattern(300_000, 1)).subarray(0, 200_000));
  await settle();
  assert.equal(stream.receiving, true);
  stream.breakDown();
  await settle();
  // The pool notices on handing out a buffer that somebody wrote to it while it was free.
  const again = it.connect();
  again.feed(write(1, 0, pattern(300_000, 2)));
  await settle();
  assert.equal(simpleReplies(again.output).get(1)?.errno, 0);
  await it.finish();
});

test('shutdown answers what is in flight and refuses the rest', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  let release = (): void => {};
  it.device.before = () => new Promise((resolve) => (release = () => resolve(0)));
  stream.feed(request(READ, 1, 0, 512));
  await settle();
  const shut = it.group.shutdown(10_000);
  stream.feed(request(READ, 2, 0, 512), write(3, 0, pattern(512, 1)));
  await settle();
  assert.deepEqual(
    [...simpleReplies(stream.output).values()].map(({ errno }) => errno),
    [108, 108],
  );
  release();
  await settle();
  assert.equal(stream.finished, true);
  stream.end();
  await shut;
  assert.equal(simpleReplies(stream.output, new Map([[1, 512]])).size, 3);
  assert.deepEqual(it.closings, ['']);
  const late = it.connect();
  await settle();
  assert.equal(late.isClosed, true);
  await it.finish();
});

test('shutdown does not wait for ever', async () => {
  const it = new Rig(small);
  const stream = it.connect();
  it.device.before = (_operation, offset) => (offset === 0 ? new Promise(() => {}) : 0);
  stream.feed(request(READ, 2, 512, 512));
  await settle();
  stream.takesReplies = false;
  stream.feed(request(READ, 3, 512, 512));
  await settle();
  const shut = it.group.shutdown(10_000);
  it.clock.advance(10_000);
  await shut;
  assert.deepEqual(it.closings, ['shut down']);
  await it.finish();
});

test('a bug of the device ends in an error reply and a report', async () => {
  for (const broken of [
    () => Promise.reject(new Error('bug')),
    () => {
      throw new Error('bug');
    },
  ]) {
    const it = new Rig(small);
    const stream = it.connect();
    it.device.read = broken as never;
    it.device.write = broken as never;
    it.device.flush = broken as never;
    it.device.extents = broken as never;
    stream.feed(request(READ, 1, 0, 512), write(2, 0, pattern(512, 1)), request(FLUSH, 3, 0, 0));
    await settle();
    const replies = simpleReplies(stream.output);
    assert.deepEqual(
      [1, 2, 3].map((cookie) => replies.get(cookie)?.errno),
      [5, 5, 5],
    );
    assert.equal(it.faults.length, 3);
    it.faults.length = 0;
    await it.finish();
  }
});
