/**
 * The client suite against the memory server, on both kinds of I/O; or against NBD_TEST_SOCKET, if
 * that is set.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientTests, missingFor } from './client-suite.ts';
import { MemoryDevice } from './memory-device.ts';
import { ioKinds, ioMissing, MemoryServer } from './memory-server.ts';

const SIZE_BYTES = 96 * 1024 * 1024;
const givenSocket = process.env['NBD_TEST_SOCKET'];
const givenExport = process.env['NBD_TEST_EXPORT'] ?? '';

for (const client of givenSocket ? clientTests : []) {
  test(`${givenSocket}: ${client.name}`, async (t) => {
    const missing = missingFor(client);
    if (missing !== null) return t.skip(missing);
    const folder = await mkdtemp(join(tmpdir(), 'locum-clients-'));
    try {
      const socketPath = givenSocket ?? '';
      await client.body(t, { socketPath, exportName: givenExport, folder });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

for (const io of givenSocket ? [] : ioKinds) {
  for (const client of clientTests) {
    test(`${io}: ${client.name}`, async (t) => {
      const missing = ioMissing(io) ?? missingFor(client);
      if (missing !== null) return t.skip(missing);
      const folder = await mkdtemp(join(tmpdir(), 'locum-clients-'));
      const socketPath = join(folder, 'nbd.sock');
      const server = await MemoryServer.start({
        io,
        listen: [{ kind: 'unix', path: socketPath }],
        makeDevice: (pool) => new MemoryDevice(pool, SIZE_BYTES, 'v1'),
      });
      const freeBytes = server.pool.freeBytes;
      try {
        await client.body(t, { socketPath, exportName: 'v1', folder });
      } finally {
        await server.close();
        await rm(folder, { recursive: true });
      }
      assert.deepEqual(server.faults, []);
      assert.deepEqual(
        server.endings.filter((reason) => reason !== ''),
        [],
      );
      assert.equal(server.pool.freeBytes, freeBytes);
    });
  }
}
