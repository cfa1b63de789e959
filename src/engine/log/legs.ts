/**
 * The legs of a log as one thing to write to: every write, flush and header update goes to all of
 * them.
 *
 * Invariants
 *   1. A leg that failed a write or a flush is out at once and is never written again; a failed
 *      flush is not retried.
 *   2. That a leg is out is durable in the headers of the others, and `onLegFailed` has returned,
 *      before any write that it missed is answered. So a restart can never mistake it for current.
 *   3. A write is answered with `true` if and only if it is complete on every leg that is online by
 *      then, and there is at least one.
 *   4. Header updates follow one another, each with a higher sequence.
 *
 * A leg that is out stays open: what it holds may still be read, as the last resort, because every
 * block is verified.
 */

import { assert } from '../../base/assert.ts';
import { type Errno, isDriveGone, OK, whyGone } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';
import { encodeLegHeader, type LogHeader } from '../../core/format/leg-header.ts';
import type { LegLayout } from '../../core/format/leg-header-layout.ts';
import type { Buffers } from '../../io/buffers.ts';
import type { Clock } from '../../io/clock.ts';
import type { Drive, Part } from '../../io/drive.ts';

/** What the log needs of its surroundings: a part of EngineEnvironment. */
export interface LogEnvironment {
  readonly buffers: Buffers;
  readonly clock: Clock;
  readonly random: (length: number) => Uint8Array;
  /** Overrides of the defaults in limits.ts; other names are other people's. */
  readonly limits?: Readonly<Record<string, number>>;
}

export interface Leg {
  readonly index: number;
  uuid: Uuid;
  drive: Drive | null;
  /**
   * missing: not given at the start, and nothing has been written since. syncing: takes writes, is
   * not trusted yet.
   */
  state: 'online' | 'failed' | 'missing' | 'syncing';
  /** Online, and no header, or no label, says so yet: a start would not know it, so nobody may count on it. */
  joining: 'headers' | 'labels' | null;
  reason: string;
  /** Reads under way, to spread them. */
  reading: number;
  /** Reads that failed here or that a checksum denied; another leg, or a second try, had what was asked for. */
  readErrors: number;
}

export type OnLegFailed = (index: number, reason: string) => Promise<void>;

export class Legs {
  readonly all: readonly Leg[];
  onLegFailed: OnLegFailed;
  readonly #environment: LogEnvironment;
  #header: LogHeader;
  #headerTail: Promise<unknown> = Promise.resolve();
  readonly #unrecorded: Leg[] = [];
  #settling: Promise<void> | null = null;
  readonly #probing = new Set<Leg>();
  #closing = false;
  /**
   * Rises with every failure: a buffer that was being written meanwhile may still be in use by a
   * hung request.
   */
  failures = 0;

  constructor(
    environment: LogEnvironment,
    header: LogHeader,
    all: readonly Leg[],
    onLegFailed: OnLegFailed,
  ) {
    this.#environment = environment;
    this.#header = header;
    this.all = all;
    this.onLegFailed = onLegFailed;
  }

  get header(): LogHeader {
    return this.#header;
  }

  get layout(): LegLayout {
    return this.#header.layout;
  }

  online(): Leg[] {
    return this.all.filter((leg) => leg.state === 'online');
  }

  get hasOnline(): boolean {
    return this.all.some((leg) => leg.state === 'online');
  }

  write(offset: number, parts: readonly Part[]): Promise<boolean> {
    return this.#onAll('write', (drive) => drive.writeParts(offset as DriveOffset, parts));
  }

  flush(): Promise<boolean> {
    return this.#onAll('flush', (drive) => drive.flush());
  }

  /** Changes the header and makes it durable on every leg. */
  async update(change: Partial<LogHeader>): Promise<boolean> {
    const done = await this.#update(change);
    await this.settled();
    return done && this.hasOnline;
  }

  /** Legs that were not given are out from now on: called before the first write without them. */
  async excludeMissing(): Promise<boolean> {
    const missing = this.all.filter((leg) => leg.state === 'missing');
    if (missing.length === 0) return this.hasOnline;
    for (const leg of missing) {
      leg.state = 'failed';
      leg.reason = 'missing when the log was started';
      this.#unrecorded.push(leg);
    }
    this.#settling ??= this.#settle();
    await this.settled();
    return this.hasOnline;
  }

  /** Takes the leg out. Returns at once; `settled` waits until that is durable. */
  fail(leg: Leg, reason: string): void {
    if (leg.state === 'failed') return;
    const wasOnline = leg.state === 'online';
    leg.state = 'failed';
    leg.joining = null;
    leg.reason = reason;
    this.failures++;
    // A leg that was still being synced is recorded as out already.
    if (!wasOnline) return;
    this.#unrecorded.push(leg);
    this.#settling ??= this.#settle();
  }

  /**
   * Is every leg still there? One that is gone is out, as after a write that failed; so it is when
   * it is the last one, for what is written to a file without a name is lost with the server. A leg
   * that hangs keeps nobody from asking the others again.
   */
  async probe(): Promise<void> {
    const legs = this.online().filter((leg) => !this.#probing.has(leg));
    await Promise.all(legs.map((leg) => this.#probe(leg)));
    await this.settled();
  }

  async settled(): Promise<void> {
    while (this.#settling !== null) await this.#settling;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.settled();
    await this.#headerTail;
    await Promise.all(this.all.map(async (leg) => leg.drive?.close()));
  }

  async #onAll(what: string, act: (drive: Drive) => Promise<Errno>): Promise<boolean> {
    const targets = this.all.filter((leg) => leg.state === 'online' || leg.state === 'syncing');
    const asked = targets.map((leg) => act(driveOf(leg)));
    // One after the other, at half the cost of Promise.all: drives do not reject.
    const errnos: Errno[] = [];
    for (const answer of asked) errnos.push(await answer);
    for (let i = 0; i < targets.length; i++) {
      if (errnos[i] !== OK) this.fail(targets[i] as Leg, `${what} failed with errno ${errnos[i]}`);
    }
    if (this.#settling !== null) await this.settled();
    return targets.some((leg) => leg.state === 'online');
  }

  async #probe(leg: Leg): Promise<void> {
    const drive = driveOf(leg);
    this.#probing.add(leg);
    const errno = await drive.probe();
    this.#probing.delete(leg);
    if (this.#closing || leg.drive !== drive || errno === OK) return;
    if (!isDriveGone(errno)) {
      leg.readErrors++;
      return;
    }
    this.fail(leg, whyGone(errno));
  }

  async #settle(): Promise<void> {
    // One turn later, so that legs that fail in the same instant are recorded together.
    await Promise.resolve();
    while (this.#unrecorded.length > 0) {
      const legs = this.#unrecorded.splice(0);
      await this.#update({});
      for (const leg of legs) await this.onLegFailed(leg.index, leg.reason);
    }
    this.#settling = null;
  }

  #update(change: Partial<LogHeader>): Promise<boolean> {
    const run = this.#headerTail.then(() => this.#writeHeader(change));
    this.#headerTail = run;
    return run;
  }

  async #writeHeader(change: Partial<LogHeader>): Promise<boolean> {
    const legs = this.all.map((leg, i) => {
      const recorded = this.#header.legs[i]?.state ?? 'online';
      const state =
        leg.state === 'missing' ? recorded : leg.state === 'online' ? leg.state : 'failed';
      return { uuid: leg.uuid, state } as const;
    });
    this.#header = { ...this.#header, ...change, legs, sequence: this.#header.sequence + 1 };
    const targets = this.online();
    const written = await Promise.all(targets.map((leg) => this.#writeHeaderTo(leg, this.#header)));
    return written.some((done) => done);
  }

  /** All four copies, two by two, so that two are always whole. */
  async #writeHeaderTo(leg: Leg, header: LogHeader): Promise<boolean> {
    const { buffers } = this.#environment;
    const address = await buffers.takeLater(BLOCK_BYTES, 'engine');
    encodeLegHeader(header, leg.index, buffers.slice(address, BLOCK_BYTES));
    const errno = await writeHeaderCopies(driveOf(leg), address);
    buffers.give(address);
    if (errno !== OK) this.fail(leg, `header update failed with errno ${errno}`);
    return errno === OK;
  }
}

export async function writeHeaderCopies(drive: Drive, address: Address): Promise<Errno> {
  const block = { address, lengthBytes: BLOCK_BYTES };
  for (const copy of [0, 2]) {
    const errno = await drive.writeParts((copy * BLOCK_BYTES) as DriveOffset, [block, block]);
    if (errno !== OK) return errno;
    const flushed = await drive.flush();
    if (flushed !== OK) return flushed;
  }
  return OK;
}

/** A read that fails is counted, whoever asks: what was had by another way leaves no other trace. */
export async function readLeg(
  leg: Leg,
  offset: number,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const errno = await driveOf(leg).read(offset as DriveOffset, address, lengthBytes);
  if (errno !== OK) leg.readErrors++;
  return errno;
}

export function driveOf(leg: Leg): Drive {
  assert(leg.drive !== null, 'a leg that takes part has a drive');
  return leg.drive;
}
