/**
 * A real server besieged: rough clients of every kind, one kind after the other, while good ones go on and check every
 * answer. Held to this: no good client sees an error or is stalled, nothing is executed that was half sent, the memory of
 * the server stays within a bound, and in the end every descriptor is back.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { GoodClients } from './fuzz-load.ts';
import { fuzzOutside } from './fuzz-outside.ts';
import * as rough from './fuzz-rough.ts';
import { type Io, ROUGH_BYTES, Yard } from './fuzz-yard.ts';
import type { Tally } from './tally.ts';

/**
 * What a server with two volumes may have resident under siege. Both pools together are 512 MiB of address space, of which
 * clients can touch seven eighths; Node and its threads take some 200 MiB.
 */
export const RSS_BYTES_MAX = 900 * 2 ** 20;
/** Operations that every good client must get done while a kind of rough ones holds what it has. */
const PROGRESS = 25;

export interface Siege {
  readonly io: Io;
  readonly seed: number;
  readonly directory: string;
  readonly idle: number;
  readonly resets: number;
  readonly deaths: number;
  readonly fuzzConnections: number;
  readonly seconds: number;
  readonly say: (line: string) => void;
}

/** Shorter than the defaults, so that what they end is seen to end; docs/protocol/nbd.md has those. */
const LIMITS = {
  halfSentMs: 20_000,
  unreadMs: 20_000,
  handshakeMs: 20_000,
  connectionsPerAddress: 100,
};

export async function besiege(siege: Siege, tally: Tally): Promise<void> {
  const directory = join(siege.directory, siege.io);
  mkdirSync(directory, { recursive: true });
  const yard = await Yard.open(directory, siege.io, LIMITS);
  try {
    await new Besieged(siege, yard, tally).run();
  } finally {
    await yard.close();
  }
}

class Besieged {
  readonly #siege: Siege;
  readonly #yard: Yard;
  readonly #tally: Tally;

  constructor(siege: Siege, yard: Yard, tally: Tally) {
    this.#siege = siege;
    this.#yard = yard;
    this.#tally = tally;
  }

  async run(): Promise<void> {
    const { seed, say, io } = this.#siege;
    const before = this.#yard.census();
    const good = await GoodClients.start(this.#yard, seed);
    this.#descriptors = this.#yard.census().descriptors;
    for (const kind of this.#kinds()) await this.#wave(kind, good);
    await this.#fuzz();
    for (const wrong of await good.stop()) this.#fail(wrong);
    await this.#nothingHalfSent();
    const open = await this.#yard.settled(before.descriptors);
    if (open !== null) this.#fail(open);
    const mebi = (bytes: number): number => Math.round(bytes / 2 ** 20);
    const after = this.#yard.census();
    say(
      `--io ${io}: resident ${mebi(before.rssBytes)} MiB before, ${mebi(this.#rssBytes)} at most, ` +
        `${mebi(after.rssBytes)} after; ${good.operations} operations of good clients`,
    );
    this.#tally.count('operations of good clients', good.operations);
  }

  #rssBytes = 0;
  /** That are open with good clients alone. */
  #descriptors = 0;

  #kinds(): readonly (() => Promise<rough.Rough>)[] {
    const yard = this.#yard;
    const { idle, resets, deaths } = this.#siege;
    return [
      () => rough.halfSent(yard),
      () => rough.deaf(yard),
      () => rough.hugeLengths(yard),
      () => rough.idle(yard, idle),
      () => rough.addressFlood(yard, LIMITS.connectionsPerAddress),
      () => rough.resets(yard, resets),
      ...Array.from(
        { length: deaths },
        (_, round) => () => rough.diesWriting(yard, round, this.#descriptors),
      ),
      () => rough.flushElsewhere(yard),
    ];
  }

  async #wave(kind: () => Promise<rough.Rough>, good: GoodClients): Promise<void> {
    const { name, hits, connections, held, failures } = await kind();
    for (const failure of failures) this.#fail(`${name}: ${failure}`);
    const stalled = await good.progress(PROGRESS);
    if (stalled !== null) this.#fail(`${name}: ${stalled}`);
    for (const error of good.errors.slice(0, 3)) this.#fail(`${name}: ${error}`);
    const { rssBytes } = this.#yard.census();
    this.#rssBytes = Math.max(this.#rssBytes, rssBytes);
    if (rssBytes > RSS_BYTES_MAX) this.#fail(`${name}: ${rssBytes} bytes are resident`);
    for (const socket of held) socket.destroy();
    this.#tally.count('rough clients', connections);
    for (const [fault, state] of hits) this.#tally.hit(fault, state);
  }

  async #fuzz(): Promise<void> {
    const { seed, seconds, fuzzConnections } = this.#siege;
    const result = await fuzzOutside(this.#yard, { seed, seconds, connections: fuzzConnections });
    this.#tally.count('NBD messages fuzzed', result.messages);
    this.#tally.count('NBD connections fuzzed', result.connections);
    for (const failure of result.failures) this.#fail(failure);
  }

  /** Half-sent payloads are made of this byte alone. */
  async #nothingHalfSent(): Promise<void> {
    const client = await this.#yard.connect();
    const bytes = await client.read(this.#yard.roughFrom, ROUGH_BYTES);
    await client.close();
    if (bytes.includes(rough.HALF_SENT_BYTE)) this.#fail('a write was executed that was half sent');
  }

  #fail(what: string): void {
    const { io, seed } = this.#siege;
    this.#tally.fail(
      `--io ${io}, seed ${seed}: ${what}\n${this.#yard.locum.server.output.slice(-2000)}`,
    );
  }
}
