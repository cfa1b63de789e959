/**
 * Bytes that no client would send. First the handshake alone, fast; then whole connections to a
 * real server, which has to serve a good client afterwards and to have all its memory back.
 * NBD_FUZZ_SEED and NBD_FUZZ_ROUNDS repeat or lengthen a run.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB } from '../../../src/base/units.ts';
import { Handshake } from '../../../src/nbd/handshake.ts';
import { MemoryDevice } from '../../clients/memory-device.ts';
import { ioKinds, ioMissing, MemoryServer } from '../../clients/memory-server.ts';
import { NbdClient } from '../../support/nbd-client.ts';
import { bytes, clientFlags, infoData, metaData, option, u32 } from './handshake-wire.ts';
import { request } from './session-rig.ts';

const seed = Number(process.env['NBD_FUZZ_SEED'] ?? 1);
const rounds = Number(process.env['NBD_FUZZ_ROUNDS'] ?? 1);

class Random {
  #state: number;

  constructor(state: number) {
    this.#state = state >>> 0;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }
}

const EDGES = [
  0,
  1,
  2,
  3,
  4,
  8,
  27,
  28,
  255,
  256,
  4096,
  4097,
  65535,
  65536,
  2 ** 25,
  2 ** 26,
  2 ** 31,
  2 ** 32 - 1,
];

/** A sound piece of the handshake, before it is spoiled. */
const optionPiece = (random: Random): Uint8Array => {
  const name = random.of(['', 'v1', 'v2', 'v1\0', 'x'.repeat(300)]);
  const queries = random.of([[], ['base:allocation'], ['base:'], ['qemu:x', 'base:allocation']]);
  switch (random.below(8)) {
    case 0:
      return option(8);
    case 1:
      return option(3);
    case 2:
      return option(random.of([9, 10]), metaData(name, queries));
    case 3:
      return option(random.of([6, 7]), infoData(name, [3, random.below(9)]));
    case 4:
      return option(random.of([1, 2, 4, 5, 11, 12, 99]), bytes(name));
    case 5:
      return bytes('IHAVEOPT', u32(random.below(12)), u32(random.of(EDGES)));
    default:
      return option(
        random.of([6, 7, 9, 10]),
        bytes(u32(random.of(EDGES)), name, u32(random.of(EDGES))),
      );
  }
};

const requestPiece = (random: Random): Uint8Array => {
  const offset = random.of([0, 1, 511, 512, 4 * MIB - 1, 4 * MIB, 2 ** 40, 2 ** 53 - 1]);
  const length = random.of([...EDGES, 512, 4096, 70_000, 3 * MIB]);
  const type = random.of([0, 0, 1, 1, 3, 4, 5, 6, 7, 7, 2, 8, 77]);
  const flags = random.of([0, 0, 0, 1, 2, 4, 8, 16, 31, 65535]);
  const head = request(type, random.below(4), offset, length, flags);
  const payload = type === 1 && length < 200_000 && random.below(5) > 0 ? length : 0;
  return bytes(head, Buffer.alloc(payload, random.below(256)));
};

const spoil = (random: Random, wire: Uint8Array): Uint8Array => {
  const spoilt = Buffer.from(wire);
  for (let count = random.below(3); count > 0 && spoilt.length > 0; count -= 1) {
    spoilt[random.below(spoilt.length)] = random.of([0, 1, 2, 0x7f, 0x80, 0xff]);
  }
  return random.below(10) === 0 ? spoilt.subarray(0, random.below(spoilt.length + 1)) : spoilt;
};

test(`the handshake survives anything (seed ${seed})`, () => {
  const random = new Random(seed);
  const info = { name: 'v1', description: 'd', sizeBytes: 4 * MIB, preferredBytes: 4096 };
  const directory = {
    list: () => [info],
    find: (name: string) => (name === '' || name === 'v1' ? info : null),
  };
  const seen = new Set<string>();
  for (let round = 0; round < 20_000 * rounds; round += 1) {
    const pieces = Array.from({ length: 1 + random.below(8) }, () => optionPiece(random));
    const flags = clientFlags(random.of([3, 3, 3, 3, 1, 0, 2, 4]));
    const wire = spoil(random, bytes(flags, ...pieces));
    const handshake = new Handshake(directory);
    const cut = random.below(wire.length + 1);
    let outcome = handshake.push(wire.subarray(0, cut));
    if (outcome.kind === 'more') outcome = handshake.push(wire.subarray(cut));
    seen.add(outcome.kind);
    assert.ok(outcome.reply.length < 100_000);
  }
  assert.deepEqual([...seen].sort(), ['dropped', 'finished', 'handed-over', 'more']);
});

for (const io of ioKinds) {
  test(`${io}: a server survives anything (seed ${seed})`, async (t) => {
    const missing = ioMissing(io);
    if (missing !== null) return t.skip(missing);
    const random = new Random(seed);
    const folder = await mkdtemp(join(tmpdir(), 'locum-nbd-'));
    const path = join(folder, 'nbd.sock');
    const server = await MemoryServer.start({
      io,
      listen: [{ kind: 'unix', path }],
      poolBytes: 64 * MIB,
      limits: { handshakeMs: 500 },
      makeDevice: (pool) => new MemoryDevice(pool, 4 * MIB, 'v1'),
    });
    const freeBytes = server.pool.freeBytes;
    for (let round = 0; round < 40 * rounds; round += 1) {
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          const options = Array.from({ length: random.below(4) }, () => optionPiece(random));
          const go = option(7, infoData('v1', random.of([[], [3]])));
          const requests = Array.from({ length: random.below(20) }, () => requestPiece(random));
          const good = random.below(3) > 0;
          const head = good
            ? [option(8), option(10, metaData('v1', ['base:allocation']))]
            : options;
          const body = spoil(random, bytes(...requests));
          const wire = bytes(clientFlags(3), ...head, go, body);
          const reads = random.below(3) > 0;
          const halfCloses = random.below(2) > 0;
          const lingerMs = 5 + random.below(30);
          await new Promise<void>((resolve) => {
            const socket = connect({ path });
            socket.on('error', () => {});
            socket.on('close', () => resolve());
            if (reads) socket.on('data', () => {});
            if (halfCloses) socket.end(wire);
            else socket.write(wire);
            setTimeout(() => socket.destroy(), lingerMs);
          });
        }),
      );
    }
    const client = await NbdClient.connect({ path, exportName: 'v1' });
    const data = Buffer.alloc(8192, 7);
    await client.write(512, data);
    assert.ok((await client.read(512, 8192)).equals(data));
    await client.close();
    await server.close();
    await rm(folder, { recursive: true });
    t.diagnostic(`${server.endings.length} of ${640 * rounds} connections came to transmission`);
    assert.ok(server.endings.length > 1);
    assert.deepEqual(server.faults, []);
    assert.equal(server.pool.freeBytes, freeBytes);
  });
}
