/**
 * Sixteen clients that behave well, each on its own blocks, and check every answer: the others, who must not notice what
 * the rough ones do.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Stream as Draw } from '../sim/streams.ts';
import { Ledger, ledgerBlockBytes } from '../tests/support/ledger.ts';
import type { NbdClient } from '../tests/support/nbd-client.ts';
import type { Yard } from './fuzz-yard.ts';

const CLIENTS = 16;
const BLOCKS_EACH = 256;
const WORKERS_EACH = 2;
/** Nothing here takes long; it is there so that a stall is reported and not waited for. */
const STALL_MS = 120_000;

export class GoodClients {
  readonly #yard: Yard;
  readonly #draw: Draw;
  readonly #ledger = new Ledger(CLIENTS * BLOCKS_EACH);
  readonly #clients: NbdClient[] = [];
  readonly #done = new Array<number>(CLIENTS).fill(0);
  #workers: Promise<void>[] = [];
  #stopping = false;
  readonly errors: string[] = [];

  static async start(yard: Yard, seed: number): Promise<GoodClients> {
    const good = new GoodClients(yard, seed);
    for (let index = 0; index < CLIENTS; index++) {
      good.#clients.push(index % 2 === 0 ? await yard.connect() : await yard.connectTcp());
    }
    good.#workers = good.#clients.flatMap((client, index) =>
      Array.from({ length: WORKERS_EACH }, () => good.#work(client, index)),
    );
    return good;
  }

  private constructor(yard: Yard, seed: number) {
    this.#yard = yard;
    this.#draw = new Draw(seed, 'good clients');
  }

  get operations(): number {
    return this.#done.reduce((sum, count) => sum + count, 0);
  }

  /** Null when each of them has come so many operations further, else who has not. */
  async progress(operations: number): Promise<string | null> {
    const goals = this.#done.map((count) => count + operations);
    const limitMs = performance.now() + STALL_MS;
    for (;;) {
      const behind = goals.findIndex((goal, index) => (this.#done[index] ?? 0) < goal);
      if (behind < 0 || this.errors.length > 0) return null;
      if (performance.now() > limitMs) return `good client ${behind} is stalled`;
      await sleep(10);
    }
  }

  /** Everything written is read back; what is wrong. */
  async stop(): Promise<string[]> {
    this.#stopping = true;
    await Promise.all(this.#workers);
    await Promise.all(this.#clients.map((client) => client.close()));
    if (this.errors.length > 0) return this.errors;
    const client = await this.#yard.connect();
    const wrong = await this.#ledger.verify(client);
    await client.close();
    return wrong;
  }

  async #work(client: NbdClient, index: number): Promise<void> {
    try {
      while (!this.#stopping && this.errors.length === 0) {
        await this.#operation(client, index);
        this.#done[index] = (this.#done[index] ?? 0) + 1;
      }
    } catch (error) {
      this.errors.push(`good client ${index}: ${String(error)}`);
    }
  }

  async #operation(client: NbdClient, index: number): Promise<void> {
    const draw = this.#draw;
    const count = 1 + draw.below(4);
    const first = index * BLOCKS_EACH + draw.below(BLOCKS_EACH - count + 1);
    if (!this.#ledger.isFree(first, count)) return sleep(0);
    if (draw.chance(0.05)) return client.flush();
    const { version, bytes } = this.#ledger.begin(first, count);
    await client.write(first * ledgerBlockBytes, bytes);
    if (draw.chance(0.3)) {
      const found = await client.read(first * ledgerBlockBytes, bytes.length);
      if (!found.equals(bytes)) this.errors.push(`good client ${index}: block ${first} is wrong`);
    }
    this.#ledger.acknowledge(first, count, version);
    return undefined;
  }
}
