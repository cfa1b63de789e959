/**
 * The hosts: several NBD connections, each with several requests in flight, that write, zero, trim, flush and read all
 * over the same volume. Each request is entered in the ledger before it is sent and again when it is answered, so that
 * the ledger is a record of its own of what the server acknowledged; it lives in this process, not in the server's.
 *
 * Ranges overlap on purpose, half of them in a small hot area. Every read is checked against the ledger. A connection
 * that ends is made again until `end` is called.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../sim/streams.ts';
import {
  commandFlags,
  type NbdClient,
  NbdDisconnected,
  NbdError,
} from '../tests/support/nbd-client.ts';
import { type Operation, type SectorLedger, sectorBytes } from '../tests/support/sector-ledger.ts';

const hotSectors = 1024;

export interface LoadOptions {
  readonly connect: () => Promise<NbdClient>;
  readonly ledger: SectorLedger;
  readonly random: Stream;
  readonly connections: number;
  readonly inFlight: number;
  readonly pauseMs: number;
  /** May an operation be answered with this errno now? */
  readonly excused: (errno: number, isRead: boolean) => boolean;
}

export class Load {
  readonly #options: LoadOptions;
  readonly #workers: Promise<void>[] = [];
  readonly #clients: (NbdClient | null)[] = [];
  #ending = false;
  answered = 0;
  unanswered = 0;
  reads = 0;
  flushes = 0;
  refused = 0;
  bytes = 0;
  /** What was wrong: data that may not be there, errors that nothing excuses. */
  readonly problems: string[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    for (let index = 0; index < options.connections; index++) {
      this.#clients.push(null);
      this.#workers.push(this.#host(index));
    }
  }

  /** No connection is made again from here on; the server may be killed now. */
  end(): void {
    this.#ending = true;
  }

  /** Waits until every request is answered or lost. */
  async ended(): Promise<void> {
    this.end();
    await Promise.all(this.#workers);
  }

  /** One host vanishes with its requests in flight, and comes back. */
  dropOne(): boolean {
    const client = this.#clients.find((one) => one?.connected);
    client?.destroy();
    return client !== undefined;
  }

  async #host(index: number): Promise<void> {
    while (!this.#ending) {
      let client: NbdClient;
      try {
        client = await this.#options.connect();
      } catch {
        // The server is down, or the volume is stopped; both end.
        await sleep(30);
        continue;
      }
      this.#clients[index] = client;
      const lanes = Array.from({ length: this.#options.inFlight }, () => this.#lane(client));
      await Promise.all(lanes);
      if (client.connected) await client.close();
    }
  }

  async #lane(client: NbdClient): Promise<void> {
    const { random, pauseMs } = this.#options;
    while (!this.#ending && client.connected) {
      try {
        await this.#request(client);
      } catch (error) {
        if (error instanceof NbdDisconnected) return;
        this.problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
        return;
      }
      await sleep(random.below(2 * pauseMs + 1));
    }
  }

  #range(): { first: number; count: number } {
    const { random, ledger } = this.#options;
    const dice = random.below(100);
    const count = 1 + random.below(dice < 70 ? 16 : dice < 95 ? 64 : 384);
    const within = random.chance(0.5)
      ? Math.min(hotSectors, ledger.sectorCount)
      : ledger.sectorCount;
    return { first: random.below(Math.max(1, within - count)), count };
  }

  async #request(client: NbdClient): Promise<void> {
    const { random } = this.#options;
    const dice = random.below(100);
    if (dice < 3) await this.#flush(client);
    else if (dice < 20) await this.#read(client);
    else await this.#change(client, dice);
  }

  async #flush(client: NbdClient): Promise<void> {
    try {
      await client.flush();
      this.flushes++;
    } catch (error) {
      this.#mind(error, false, 'a flush');
    }
  }

  async #read(client: NbdClient): Promise<void> {
    const { ledger } = this.#options;
    const { first, count } = this.#range();
    const reading = ledger.beginRead(first, count);
    try {
      const bytes = await client.read(first * sectorBytes, count * sectorBytes);
      for (const wrong of ledger.endRead(reading, bytes)) this.problems.push(`a read: ${wrong}`);
      this.reads++;
    } catch (error) {
      ledger.giveUpRead(reading);
      this.#mind(error, true, `a read of ${first}+${count}`);
    }
  }

  async #change(client: NbdClient, dice: number): Promise<void> {
    const { ledger, random } = this.#options;
    const { first, count } = this.#range();
    const kind = dice < 26 ? 'trim' : dice < 34 ? 'zeroes' : 'data';
    const operation = ledger.begin(kind, first, count);
    const flags = random.chance(0.1) ? commandFlags.fua : 0;
    const offset = first * sectorBytes;
    const lengthBytes = count * sectorBytes;
    try {
      if (kind === 'data') await client.write(offset, ledger.contents(operation), flags);
      else if (kind === 'trim') await client.trim(offset, lengthBytes, flags);
      else await client.zero(offset, lengthBytes, flags | this.#noHole(random));
      ledger.answered(operation);
      this.answered++;
      this.bytes += lengthBytes;
    } catch (error) {
      this.unanswered++;
      // After an answer it cannot land any more; without one it still can.
      if (!(error instanceof NbdDisconnected)) ledger.refused(operation);
      this.#mind(error, false, this.#named(operation));
    }
  }

  #noHole(random: Stream): number {
    return random.chance(0.5) ? commandFlags.noHole : 0;
  }

  #named({ kind, first, count, id }: Operation): string {
    return `operation ${id} (${kind}, ${first}+${count})`;
  }

  #mind(error: unknown, isRead: boolean, what: string): void {
    if (error instanceof NbdDisconnected) throw error;
    if (!(error instanceof NbdError)) throw error;
    if (!this.#options.excused(error.errno, isRead)) {
      this.problems.push(`${what} was answered with ${error.message}`);
    }
    this.refused++;
  }
}
