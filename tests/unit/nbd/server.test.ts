/** Acceptor, streams and sessions over real sockets, on io_uring and on node:net. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { KIB, MIB } from '../../../src/base/units.ts';
import type { NbdLimits } from '../../../src/nbd/limits.ts';
import { MemoryDevice } from '../../clients/memory-device.ts';
import { type IoKind, ioKinds, ioMissing, MemoryServer } from '../../clients/memory-server.ts';
import { listExports, NbdClient } from '../../support/nbd-client.ts';
import { bytes, clientFlags, infoData, option } from './handshake-wire.ts';
import { pattern, request } from './session-rig.ts';

interface Setup {
  readonly server: MemoryServer;
  readonly device: MemoryDevice;
  readonly path: string;
  readonly port: number;
}

const SIZE = 32 * MIB;

/** Everything is given back, and nothing went wrong inside, or the test fails. */
const withServer = async (
  t: TestContext,
  io: IoKind,
  body: (setup: Setup) => Promise<void>,
  limits: Partial<NbdLimits> = {},
): Promise<void> => {
  const missing = ioMissing(io);
  if (missing !== null) return t.skip(missing);
  const folder = await mkdtemp(join(tmpdir(), 'locum-nbd-'));
  const path = join(folder, 'nbd.sock');
  const server = await MemoryServer.start({
    io,
    listen: [
      { kind: 'unix', path },
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
    ],
    limits,
    makeDevice: (pool) => new MemoryDevice(pool, SIZE, 'v1'),
  });
  const freeBytes = server.pool.freeBytes;
  const tcp = server.addresses[1];
  const port = tcp?.kind === 'tcp' ? tcp.port : 0;
  try {
    await body({ server, device: server.device as MemoryDevice, path, port });
  } finally {
    await server.close();
    await rm(folder, { recursive: true });
  }
  assert.deepEqual(server.faults, []);
  assert.equal(server.pool.freeBytes, freeBytes);
  assert.equal(server.acceptor.connectionCount, 0);
};

/** A connection in transmission, as raw bytes; what the server says first is swallowed. */
const raw = async (path: string, structured = false): Promise<Socket> => {
  const socket = connect({ path });
  socket.on('error', () => {});
  const options = structured ? [option(8)] : [];
  socket.write(bytes(clientFlags(3), ...options, option(7, infoData('v1'))));
  const expected = 18 + (structured ? 20 : 0) + 20 + 12 + 20;
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    const count = (chunk: Buffer): void => {
      received += chunk.length;
      if (received < expected) return;
      socket.removeListener('data', count);
      resolve();
    };
    socket.on('data', count);
    socket.once('close', () => reject(new Error('closed in the handshake')));
  });
  assert.equal(received, expected);
  socket.pause();
  return socket;
};

const ended = (socket: Socket): Promise<Buffer> =>
  new Promise((resolve) => {
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.on('close', () => resolve(Buffer.concat(parts)));
    socket.resume();
  });

const until = async (condition: () => boolean): Promise<void> => {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

for (const io of ioKinds) {
  test(`${io}: list, connect by name and without, unix and TCP`, (t) =>
    withServer(t, io, async ({ path, port }) => {
      assert.deepEqual(await listExports({ path }), ['v1']);
      for (const target of [{ path }, { host: '127.0.0.1', port }]) {
        for (const exportName of ['v1', '']) {
          const client = await NbdClient.connect({ ...target, exportName });
          assert.equal(client.sizeBytes, SIZE);
          await client.close();
        }
        await assert.rejects(NbdClient.connect({ ...target, exportName: 'other' }));
      }
    }));

  for (const structured of [false, true]) {
    const kind = structured ? 'structured' : 'simple';
    test(`${io}: random requests, many at a time, against a flat array, ${kind}`, (t) =>
      withServer(t, io, async ({ path, port, device }) => {
        const seed = 20 + Number(structured);
        let state = seed;
        const random = (below: number): number => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          return Math.floor((state / 2 ** 32) * below);
        };
        device.before = () =>
          random(3) > 0 ? 0 : new Promise((resolve) => setTimeout(resolve, random(4), 0));
        const model = Buffer.alloc(SIZE);
        const exportName = 'v1';
        const clients = [
          await NbdClient.connect({ path, exportName, structured }),
          await NbdClient.connect({ path, exportName, structured }),
          await NbdClient.connect({ host: '127.0.0.1', port, exportName, structured }),
        ];
        const busy: { from: number; to: number }[] = [];
        const one = async (): Promise<void> => {
          const lengths = [512, 4096, 512 * (1 + random(200)), 512 * (1 + random(5000))];
          const length = lengths[random(lengths.length)] as number;
          const from = 512 * random((SIZE - length) / 512 + 1);
          const range = { from, to: from + length };
          if (busy.some((other) => other.from < range.to && range.from < other.to)) return;
          busy.push(range);
          const client = clients[random(clients.length)] as NbdClient;
          const kindOf = random(10);
          if (kindOf < 4) {
            const data = pattern(length, state);
            await client.write(from, data, random(4) === 0 ? 1 : 0);
            data.copy(model, from);
          } else if (kindOf === 4) {
            await client.zero(from, length, random(2) * 2);
            model.fill(0, range.from, range.to);
          } else if (kindOf === 5) {
            await client.flush();
          } else {
            const data = await client.read(from, length);
            assert.ok(data.equals(model.subarray(range.from, range.to)), `seed ${seed} at ${from}`);
          }
          busy.splice(busy.indexOf(range), 1);
        };
        const worker = async (): Promise<void> => {
          for (let count = 0; count < 40; count += 1) await one();
        };
        await Promise.all(Array.from({ length: 24 }, worker));
        assert.ok(model.equals(device.bytes), `seed ${seed}`);
        const ends = clients.map((client) => client.close());
        await Promise.all(ends);
      }));
  }

  test(`${io}: what was sent ahead of GO's answer is not lost`, (t) =>
    withServer(t, io, async ({ path, device }) => {
      const data = pattern(200_000, 1);
      const socket = connect({ path });
      const all = ended(socket);
      const go = bytes(clientFlags(3), option(7, infoData('v1')));
      const write = bytes(request(1, 1, 0, data.length), data);
      socket.write(bytes(go, write, request(0, 2, 0, data.length), request(2, 3, 0, 0)));
      const output = await all;
      const read = output.subarray(18 + 20 + 12 + 20);
      assert.equal(read.length, 16 + 16 + data.length);
      assert.ok(data.equals(device.bytes.subarray(0, data.length)));
    }));

  test(`${io}: DISC answers everything outstanding`, (t) =>
    withServer(t, io, async ({ path }) => {
      const socket = await raw(path);
      const all = ended(socket);
      const reads = Array.from({ length: 64 }, (_, index) =>
        request(0, index, index * 65536, 65536),
      );
      socket.write(bytes(...reads, request(2, 0, 0, 0)));
      assert.equal((await all).length, 64 * (16 + 65536));
    }));

  test(`${io}: half-close answers the rest, then ends`, (t) =>
    withServer(t, io, async ({ path }) => {
      const socket = await raw(path);
      const all = ended(socket);
      const reads = Array.from({ length: 200 }, (_, index) => request(0, index, 0, 4096));
      socket.end(bytes(...reads));
      assert.equal((await all).length, 200 * (16 + 4096));
    }));

  test(`${io}: 650 000 unread reads cost the server nothing, and others go on`, (t) =>
    withServer(t, io, async ({ path, server, device }) => {
      const socket = await raw(path);
      const block = bytes(...Array.from({ length: 1000 }, () => request(0, 1, 0, 4096)));
      const before = process.memoryUsage().rss;
      let most = 0;
      device.before = () => {
        most = Math.max(most, device.inFlight);
        return 0;
      };
      let refused = false;
      for (let count = 0; count < 650 && !refused; count += 1) refused = !socket.write(block);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.ok(refused, 'the socket is full because nobody reads it');
      assert.ok(most <= 64);
      assert.ok(server.pool.bytes.length - server.pool.freeBytes < 40 * MIB);
      assert.ok(process.memoryUsage().rss - before < 100 * MIB);
      const other = await NbdClient.connect({ path, exportName: 'v1' });
      await other.write(0, pattern(MIB, 3));
      assert.ok((await other.read(0, MIB)).equals(pattern(MIB, 3)));
      await other.close();
      socket.destroy();
    }));

  test(`${io}: clients that vanish in the middle of everything`, (t) =>
    withServer(t, io, async ({ path, server }) => {
      for (let round = 0; round < 60; round += 1) {
        const socket = await raw(path, round % 2 === 1);
        const reads = Array.from({ length: 64 }, () => request(0, 1, 0, 128 * KIB));
        const writes = bytes(request(1, 2, MIB, 300_000), pattern(100_000 + round * 5000, round));
        socket.write(bytes(...reads.slice(0, round), request(0, 7, 0, 8 * MIB), writes));
        if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (round % 3 === 1) await new Promise((resolve) => socket.resume().once('data', resolve));
        socket.destroy();
      }
      await until(() => server.acceptor.connectionCount === 0);
      const client = await NbdClient.connect({ path, exportName: 'v1' });
      await client.flush();
      await client.close();
    }));

  test(`${io}: connect and close, in every phase`, (t) =>
    withServer(t, io, async ({ path, port, server }) => {
      const handshake = bytes(clientFlags(3), option(8), option(3), option(7, infoData('v1')));
      for (let length = 0; length <= handshake.length; length += 1) {
        const socket = connect(length % 2 === 0 ? { path } : { host: '127.0.0.1', port });
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('connect', resolve));
        socket.write(handshake.subarray(0, length));
        if (length % 6 === 1) socket.resetAndDestroy();
        else socket.destroy();
      }
      await until(() => server.acceptor.connectionCount === 0);
      assert.ok(server.group.connectionCount === 0);
    }));

  test(`${io}: a shutdown ends every connection`, (t) =>
    withServer(t, io, async ({ path, server }) => {
      const sockets = [await raw(path), await raw(path), await raw(path, true)];
      const ends = sockets.map(ended);
      sockets[0]?.write(request(0, 1, 0, 4096));
      await Promise.all([server.group.shutdown(5000), ...ends]);
      assert.deepEqual(server.endings, ['', '', '']);
    }));

  test(`${io}: one address has its own limit, and leaves the rest to others`, (t) =>
    withServer(
      t,
      io,
      async ({ path, port, server }) => {
        const silent = [connect({ host: '127.0.0.1', port }), connect({ host: '127.0.0.1', port })];
        await until(() => server.acceptor.connectionCount === 2);
        const exportName = 'v1';
        await assert.rejects(NbdClient.connect({ host: '127.0.0.1', port, exportName }));
        assert.deepEqual(server.refusals, ['too many connections from this address']);
        const other = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' });
        await until(() => server.acceptor.connectionCount === 3);
        // A unix socket's peers have no address.
        const locals = await Promise.all(
          [0, 1, 2].map(() => NbdClient.connect({ path, exportName })),
        );
        for (const socket of [...silent, other]) socket.destroy();
        await until(() => server.acceptor.connectionCount === 3);
        const again = await NbdClient.connect({ host: '127.0.0.1', port, exportName });
        await Promise.all([...locals, again].map((client) => client.close()));
        await until(() => server.acceptor.connectionCount === 0);
      },
      { connectionsPerAddress: 2 },
    ));

  test(`${io}: limits of connections, and of the time of a handshake`, (t) =>
    withServer(
      t,
      io,
      async ({ path, server }) => {
        const exportName = 'v1';
        const one = await NbdClient.connect({ path, exportName });
        const two = await NbdClient.connect({ path, exportName });
        await assert.rejects(NbdClient.connect({ path, exportName }), 'two of an export');
        const silent = [connect({ path }), connect({ path })];
        await until(() => server.acceptor.connectionCount === 4);
        await assert.rejects(NbdClient.connect({ path, exportName }), 'four in all');
        await Promise.all(silent.map(ended));
        assert.equal(
          server.refusals.filter((reason) => reason === 'handshake timed out').length,
          2,
        );
        await one.close();
        await until(() => server.acceptor.connectionCount === 1);
        const three = await NbdClient.connect({ path, exportName });
        await Promise.all([two.close(), three.close()]);
      },
      { connectionCount: 4, connectionsPerExport: 2, handshakeMs: 300 },
    ));
}

test('a socket file left by a dead server is taken over, one of a living server is not', async (t) => {
  await withServer(t, 'node', async ({ server, path }) => {
    await assert.rejects(server.acceptor.listen({ kind: 'unix', path }), /EADDRINUSE/);
  });
});
