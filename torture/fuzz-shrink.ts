/**
 * Makes a failing round small, as long as it fails: fewer connections, then fewer messages, then fewer bytes, then fewer
 * of the other circumstances. The plan is what is made smaller, not the seed; what is left is a few lines of hex that a
 * person can read.
 */

import { Book } from './fuzz-book.ts';
import { expectHandshake } from './fuzz-handshake-model.ts';
import { type ConnectionPlan, type RoundPlan, spliced } from './fuzz-plan.ts';

/** True when the plan still fails. */
export type Fails = (plan: RoundPlan) => Promise<boolean>;

/** Where single bytes are tried. */
const FEW_BYTES = 3000;
const NOTHING = new Uint8Array(0);

export async function shrinkRound(
  failing: RoundPlan,
  fails: Fails,
  limits: { readonly runs: number; readonly seconds: number },
): Promise<RoundPlan> {
  const shrinker = new Shrinker(failing, fails, limits);
  await shrinker.run();
  return shrinker.plan;
}

class Shrinker {
  plan: RoundPlan;
  readonly #fails: Fails;
  readonly #untilMs: number;
  #runsLeft: number;

  constructor(plan: RoundPlan, fails: Fails, limits: { runs: number; seconds: number }) {
    this.plan = plan;
    this.#fails = fails;
    this.#runsLeft = limits.runs;
    this.#untilMs = performance.now() + limits.seconds * 1000;
  }

  async run(): Promise<void> {
    await this.#fewerConnections();
    for (let before = -1; before !== this.#bytes && !this.#over; ) {
      before = this.#bytes;
      for (let index = 0; index < this.plan.connections.length; index++) {
        await this.#noTail(index);
        await this.#fewerMessages(index);
        await this.#fewerBytes(index);
        await this.#calmer(index);
      }
    }
    await this.#try({ ...this.plan, shutdownTurn: -1 });
    await this.#try({ ...this.plan, debug: false });
    await this.#try({ ...this.plan, poolBytes: 64 * 1024 * 1024 });
  }

  get #bytes(): number {
    return this.plan.connections.reduce((sum, { wire }) => sum + wire.length, 0);
  }

  get #over(): boolean {
    return this.#runsLeft <= 0 || performance.now() > this.#untilMs;
  }

  async #try(plan: RoundPlan): Promise<boolean> {
    if (this.#over) return false;
    this.#runsLeft -= 1;
    if (!(await this.#fails(plan))) return false;
    this.plan = plan;
    return true;
  }

  #with(index: number, change: Partial<ConnectionPlan>): RoundPlan {
    const connections = this.plan.connections.with(index, {
      ...(this.plan.connections[index] as ConnectionPlan),
      ...change,
    });
    return { ...this.plan, connections };
  }

  async #fewerConnections(): Promise<void> {
    for (let index = this.plan.connections.length - 1; index >= 0; index--) {
      if (this.plan.connections.length === 1) return;
      await this.#try({ ...this.plan, connections: this.plan.connections.toSpliced(index, 1) });
    }
  }

  /** What comes behind the cause is seldom needed. */
  async #noTail(index: number): Promise<void> {
    const length = (): number => this.plan.connections[index]!.wire.length;
    for (let size = Math.floor(length() / 2); size >= 1 && !this.#over; ) {
      const before = length();
      if (size < before) await this.#cut(index, before - size, size);
      if (length() === before) size = Math.floor(size / 2);
    }
  }

  /** Cuts out whole messages, many at a time and then fewer. */
  async #fewerMessages(index: number): Promise<void> {
    for (let count = this.#starts(index).length; count >= 1; count = Math.floor(count / 2)) {
      for (let last = this.#starts(index).length; last > 0 && !this.#over; last -= count) {
        const starts = this.#starts(index);
        const end = starts[last] ?? this.plan.connections[index]!.wire.length;
        const start = starts[Math.max(0, last - count)];
        if (start !== undefined && end > start) await this.#cut(index, start, end - start);
      }
    }
  }

  #starts(index: number): number[] {
    const { wire, sizeBytes } = this.plan.connections[index]!;
    const exports = [{ name: 'v1', description: '', sizeBytes }];
    const { usedBytes, structured, allocation, aligned } = expectHandshake(wire, exports);
    const terms = { structured, allocation, aligned, sizeBytes, poolBytes: this.plan.poolBytes };
    return new Book(wire, usedBytes, terms).requests.map(({ payloadAt }) => payloadAt - 28);
  }

  /** Cuts out ever smaller pieces, from the end, where the cause seldom is. */
  async #fewerBytes(index: number): Promise<void> {
    const length = (): number => this.plan.connections[index]!.wire.length;
    if (length() > FEW_BYTES) return;
    for (let size = Math.ceil(length() / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = length() - size; at >= 0 && !this.#over; at -= size) {
        await this.#cut(index, at, size);
      }
    }
  }

  /** Where the client stops, when it does, moves along or stays. */
  async #cut(index: number, at: number, lengthBytes: number): Promise<void> {
    const { wire: before, sentBytes } = this.plan.connections[index]!;
    const wire = spliced(before, at, lengthBytes, NOTHING);
    const moved = sentBytes >= at + lengthBytes ? sentBytes - lengthBytes : Math.min(sentBytes, at);
    const stays = Math.min(sentBytes, wire.length);
    if (await this.#try(this.#with(index, { wire, sentBytes: moved }))) return;
    if (stays !== moved) await this.#try(this.#with(index, { wire, sentBytes: stays }));
  }

  async #calmer(index: number): Promise<void> {
    await this.#try(this.#with(index, { ending: 'end' }));
    await this.#try(this.#with(index, { troublePerMille: 0 }));
    await this.#try(this.#with(index, { device: 'prompt' }));
    await this.#try(this.#with(index, { fragments: 'whole' }));
  }
}
