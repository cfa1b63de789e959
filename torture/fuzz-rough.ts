/**
 * Clients that behave as no client should, against the real server. Each leaves what it has open in `held`, so that the
 * others are looked at while it is still there.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { faults, type Hit } from './fuzz-hits.ts';
import { command, halves, option, WireWriter } from './fuzz-wire.ts';
import { ROUGH_BYTES, volume, type Yard } from './fuzz-yard.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface Rough {
  readonly name: string;
  readonly hits: readonly Hit[];
  /** How many connections it made. */
  readonly connections: number;
  readonly held: readonly Socket[];
  readonly failures: readonly string[];
}

/** Payloads that never become complete consist of it, and no other payload has it. */
export const HALF_SENT_BYTE = 0xbd;

const cookie = [1, 2] as const;

/** Connected, errors swallowed, what comes is thrown away unless the socket is paused. */
async function socketTo(yard: Yard, tcp: boolean): Promise<Socket> {
  const { port, locum } = yard;
  const socket = tcp ? connect({ host: '127.0.0.1', port }) : connect(locum.nbdPath);
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'connect').catch(() => undefined);
  return socket;
}

const greeting = (): Uint8Array => {
  const name = new WireWriter().counted(volume).u16(0).take();
  return new WireWriter().u32(3).option(option.go, name).take();
};

const closed = async (socket: Socket): Promise<void> => {
  if (!socket.destroyed) await once(socket, 'close');
};

/** With a limit, after which the socket counts as still open. */
const closedWithin = async (socket: Socket, ms: number): Promise<boolean> => {
  const cancel = new AbortController();
  const late = sleep(ms, false, { signal: cancel.signal, ref: false }).catch(() => false);
  const result = await Promise.race([closed(socket).then(() => true), late]);
  cancel.abort();
  return result;
};

const many = async <Item>(
  count: number,
  make: (index: number) => Promise<Item>,
): Promise<Item[]> => {
  const items: Item[] = [];
  for (let index = 0; index < count; index += 32) {
    const some = Array.from({ length: Math.min(32, count - index) }, (_, at) => make(index + at));
    items.push(...(await Promise.all(some)));
  }
  return items;
};

const request = (type: number, at: number, lengthBytes: number): Uint8Array =>
  new WireWriter().request(type, 0, cookie, halves(at), lengthBytes).take();

/** N-1: stops in the middle of an option, a header, a payload of 64 KiB and one of 8 MiB. */
export async function halfSent(yard: Yard): Promise<Rough> {
  const at = yard.roughFrom;
  const wires = [
    greeting().subarray(0, 20),
    Buffer.concat([greeting(), request(command.read, 0, 512).subarray(0, 27)]),
    Buffer.concat([
      greeting(),
      request(command.write, at, 64 * KIB),
      Buffer.alloc(999, HALF_SENT_BYTE),
    ]),
    Buffer.concat([
      greeting(),
      request(command.write, at, 8 * MIB),
      Buffer.alloc(70_000, HALF_SENT_BYTE),
    ]),
  ];
  const held = await many(64, async (index) => {
    const socket = await socketTo(yard, index % 2 === 0);
    socket.write(wires[index % wires.length]!);
    return socket;
  });
  const hits = [
    [faults.halfSent, 'handshake'],
    [faults.halfSent, 'transmission'],
  ] as const;
  return { name: 'half-sent requests', hits, connections: 64, held, failures: [] };
}

/** N-3, N-8: reads nothing; long reads, and a hundred thousand short ones with the same cookie. */
export async function deaf(yard: Yard): Promise<Rough> {
  const long = Buffer.concat(Array.from({ length: 64 }, () => request(command.read, 0, MIB)));
  const short = Buffer.concat(Array.from({ length: 100_000 }, () => request(command.read, 0, 512)));
  const held = await many(24, async (index) => {
    const socket = await socketTo(yard, index % 2 === 0);
    socket.write(greeting());
    socket.pause();
    socket.write(index % 4 === 0 ? short : long);
    return socket;
  });
  const hits = [
    [faults.deaf, 'transmission'],
    [faults.cookies, 'transmission'],
  ] as const;
  return { name: 'clients that never read', hits, connections: 24, held, failures: [] };
}

/** N-4: so many that negotiate, and then do nothing. */
export async function idle(yard: Yard, count: number): Promise<Rough> {
  const failures: string[] = [];
  const held = await many(count, async () => {
    const socket = await socketTo(yard, false);
    socket.write(greeting());
    return socket;
  });
  const gone = held.filter((socket) => socket.destroyed).length;
  if (gone > 0) failures.push(`${gone} of ${count} idle connections were closed`);
  const hits = [[faults.flood, 'transmission']] as const;
  return { name: 'idle connections', hits, connections: count, held, failures };
}

/** N-4: more than one address may have; each of them is closed before the greeting. */
export async function addressFlood(yard: Yard, allowed: number): Promise<Rough> {
  const failures: string[] = [];
  const held = await many(allowed + 50, () => socketTo(yard, true));
  const stillOpen = (): Socket[] => held.filter((socket) => !socket.destroyed);
  // Well before the limit of a handshake, which would close all of them.
  for (let i = 0; i < 100 && stillOpen().length > allowed; i++) await sleep(100);
  const open = stillOpen();
  // Good clients use this address too, so there may be fewer.
  if (open.length > allowed) failures.push(`${open.length} of one address, ${allowed} are allowed`);
  const local = await socketTo(yard, false);
  if (local.destroyed) failures.push('a flood over TCP keeps out a local client');
  const hits = [[faults.flood, 'handshake']] as const;
  const connections = held.length + 1;
  return { name: 'floods from one address', hits, connections, held: [...open, local], failures };
}

/** N-11: connections that are reset at any moment. */
export async function resets(yard: Yard, count: number): Promise<Rough> {
  const wire = Buffer.concat([greeting(), request(command.read, 0, MIB)]);
  await many(count, async (index) => {
    const socket = await socketTo(yard, true);
    socket.write(wire.subarray(0, index % wire.length));
    if (index % 3 > 0) await sleep(index % 7);
    socket.resetAndDestroy();
  });
  const hits = [
    [faults.reset, 'handshake'],
    [faults.reset, 'transmission'],
  ] as const;
  return { name: 'reset storms', hits, connections: count, held: [], failures: [] };
}

/** N-5, N-7: lengths that nobody means, and magic that is none: each ends its connection, none takes memory. */
export async function hugeLengths(yard: Yard): Promise<Rough> {
  const failures: string[] = [];
  const wires: Readonly<Record<string, Uint8Array>> = {
    'an option of 4 GiB': new WireWriter()
      .u32(3)
      .option(option.go, greeting(), 2 ** 32 - 1)
      .take(),
    'a payload of 4 GiB': Buffer.concat([greeting(), request(command.write, 0, 2 ** 32 - 1)]),
    'no magic': Buffer.concat([greeting(), Buffer.alloc(28, 0x41)]),
    'unknown client flags': new WireWriter().u32(0xffff).take(),
  };
  const held: Socket[] = [];
  for (const [name, wire] of Object.entries(wires)) {
    const socket = await socketTo(yard, false);
    socket.write(wire);
    if (!(await closedWithin(socket, 20_000))) failures.push(`${name} did not end its connection`);
    socket.destroy();
  }
  const hits = [
    [faults.huge, 'handshake'],
    [faults.huge, 'transmission'],
    [faults.magic, 'handshake'],
    [faults.magic, 'transmission'],
  ] as const;
  return { name: 'huge lengths', hits, connections: 4, held, failures };
}

/**
 * N-2, N-10: a client dies with sixty writes in flight and one half sent; the next one writes the same blocks. Each block
 * is then what the second one wrote, for good; and a block that only the first one wrote is whole or untouched. As many
 * descriptors as given are open while nobody is rough.
 */
export async function diesWriting(yard: Yard, round: number, descriptors: number): Promise<Rough> {
  const failures: string[] = [];
  await yard.settled(descriptors);
  const blockBytes = 64 * KIB;
  const blocks = 60;
  const at = (block: number): number => yard.roughFrom + ROUGH_BYTES / 2 + block * blockBytes;
  const before = await yard.connect();
  const old = await before.read(at(0), (blocks + 1) * blockBytes);
  await before.close();
  const first = await socketTo(yard, round % 2 === 0);
  const mark = 1 + (round % 50);
  const writes = Array.from({ length: blocks }, (_, block) =>
    Buffer.concat([request(command.write, at(block), blockBytes), Buffer.alloc(blockBytes, mark)]),
  );
  first.write(Buffer.concat([greeting(), ...writes]));
  first.write(
    Buffer.concat([
      request(command.write, at(blocks), blockBytes),
      Buffer.alloc(1000, HALF_SENT_BYTE),
    ]),
  );
  await sleep(round % 20);
  if (round % 3 === 0 && round % 2 === 0) first.resetAndDestroy();
  else first.destroy();
  // Its late bytes may still be in its socket, and are rightly executed for as long as the server has not closed that.
  const unsettled = await yard.settled(descriptors);
  if (unsettled !== null) failures.push(`round ${round}: the dead one is kept: ${unsettled}`);
  await sleep(200);
  const second = await yard.connect();
  const newer = Buffer.alloc(blockBytes, 100 + mark);
  await Promise.all(
    Array.from({ length: blocks / 2 }, (_, block) => second.write(at(block), newer)),
  );
  const found = await second.read(at(0), (blocks + 1) * blockBytes);
  for (let block = 0; block <= blocks; block++) {
    const bytes = found.subarray(block * blockBytes, (block + 1) * blockBytes);
    const was = old.subarray(block * blockBytes, (block + 1) * blockBytes);
    const legal =
      block < blocks / 2
        ? bytes.equals(newer)
        : bytes.equals(was) || (block < blocks && bytes.every((byte) => byte === mark));
    if (!legal) failures.push(`round ${round}: block ${block} begins with ${bytes[0]}`);
  }
  await second.close();
  const hits = [
    [faults.vanished, 'transmission'],
    [faults.duplicate, 'transmission'],
  ] as const;
  return { name: 'deaths with writes in flight', hits, connections: 2, held: [], failures };
}

/** N-9: a flush on one connection after a write was answered on another; errors of the range of requests. */
export async function flushElsewhere(yard: Yard): Promise<Rough> {
  const failures: string[] = [];
  const [one, other] = [await yard.connect(), await yard.connectTcp()];
  const bytes = Buffer.alloc(4096, 0x5a);
  await one.write(yard.roughFrom + MIB, bytes);
  await other.flush();
  if (!(await other.read(yard.roughFrom + MIB, 4096)).equals(bytes)) failures.push('another view');
  const beyond = await other.read(yard.sizeBytes - 512, 1024).then(
    () => true,
    () => false,
  );
  if (beyond) failures.push('a read beyond the end');
  await Promise.all([one.close(), other.close()]);
  const hits = [
    [faults.flush, 'transmission'],
    [faults.range, 'transmission'],
  ] as const;
  return { name: 'flushes elsewhere', hits, connections: 2, held: [], failures };
}
