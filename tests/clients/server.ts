/**
 * The memory server as a program of its own, so that clients can be tried against it by hand and
 * measured without a test around them:  node server.js --io uring|node --unix PATH [--tcp PORT]
 * [--size BYTES] [--file PATH]
 */

import { parseArgs } from 'node:util';
import { GIB, MIB } from '../../src/base/units.ts';
import type { ListenAddress } from '../../src/nbd/acceptor.ts';
import { FileDevice } from './file-device.ts';
import { MemoryDevice } from './memory-device.ts';
import { MemoryServer } from './memory-server.ts';

const { values } = parseArgs({
  options: {
    io: { type: 'string', default: 'uring' },
    unix: { type: 'string' },
    tcp: { type: 'string' },
    size: { type: 'string', default: String(256 * MIB) },
    file: { type: 'string' },
  },
});

const listen: ListenAddress[] = [];
if (values.unix) listen.push({ kind: 'unix', path: values.unix });
if (values.tcp) listen.push({ kind: 'tcp', host: '127.0.0.1', port: Number(values.tcp) });
const sizeBytes = Math.min(Number(values.size), 4 * GIB);
const { file } = values;

const server = await MemoryServer.start({
  io: values.io === 'node' ? 'node' : 'uring',
  listen,
  makeDevice: (pool, ring) =>
    file && ring ? FileDevice.open(file, ring) : new MemoryDevice(pool, sizeBytes),
});
process.stdout.write(`${JSON.stringify(server.addresses)}\n`);
const stop = (): void => {
  server.close().then(
    () => process.exit(server.faults.length === 0 ? 0 : 1),
    () => process.exit(1),
  );
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
