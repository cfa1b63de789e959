/**
 * Runs one round: the real handshake and the real sessions of src/nbd, several connections at the same time on one buffer
 * pool, fed as the plan says and watched by the oracle.
 *
 *     plan ──► Handshake ──► SessionGroup ──► FuzzDevice
 *      bytes in fragments ▲        │ output ──► checkHandshake, checkReplies
 *
 * Each turn gives every connection a step (some bytes in, some bytes out, some of the device's work done) and then lets
 * all promises settle. When nothing moves any more, time does: a second a turn, until every limit has passed. Then
 * everything has to be over, and all of the pool back.
 */

import { Stream as Draw } from '../sim/streams.ts';
import type { BlockDevice } from '../src/io/block-device.ts';
import { BufferPool } from '../src/io/buffer-pool.ts';
import type { Clock } from '../src/io/clock.ts';
import type { ExportInfo } from '../src/nbd/export-directory.ts';
import { Handshake, type HandshakeOutcome } from '../src/nbd/handshake.ts';
import { SessionGroup } from '../src/nbd/session-group.ts';
import { Book } from './fuzz-book.ts';
import { checkHandshake, type Expectation, expectHandshake } from './fuzz-handshake-model.ts';
import { type Hit, hitsOf } from './fuzz-hits.ts';
import { FuzzDevice, FuzzStream, Output } from './fuzz-peer.ts';
import type { ConnectionPlan, RoundPlan } from './fuzz-plan.ts';
import { checkReplies } from './fuzz-replies.ts';

const KIB = 1024;
/** Turns without anything moving before time does. */
const QUIET_TURNS = 3;
/**
 * Seconds in which nothing at all moves, until every time limit of docs/protocol/nbd.md has passed. A device that is late
 * moves for minutes, and so long the half of a request behind it is not looked at: the limit has not begun.
 */
const LEAVES_SECONDS = 100;
const PATIENCE_SECONDS = 2 * LEAVES_SECONDS;
const TURNS_MAX = 400_000;

export interface RoundResult {
  /** Null: passed. */
  readonly failure: string | null;
  readonly messages: number;
  /** Connections that came to transmission and ended in good order: of these every reply must be there. */
  readonly orderly: number;
  /** What a connection met: a class of faults and the state it was in. */
  readonly hits: readonly Hit[];
}

/** Changes what a connection put out before the oracle reads it: to see that the oracle would notice. */
export type Tamper = (output: Uint8Array) => Uint8Array;

class RoundClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { run } of due) run();
  }
}

/** How a connection may end when the volume stops beneath it. */
const SHUT_DOWN = ['shut down', 'the volume is not served any more'];

type Phase = 'handshake' | 'transmission' | 'over';

class Connection {
  readonly plan: ConnectionPlan;
  readonly expected: Expectation;
  readonly output = new Output();
  readonly book: Book;
  readonly stream: FuzzStream;
  device: FuzzDevice | null = null;
  phase: Phase = 'handshake';
  reason: string | null = null;
  problem: string | null = null;
  readonly #draw: Draw;
  readonly #handshake: Handshake;
  readonly #open: (connection: Connection, outcome: HandedOver) => void;
  #at = 0;
  /** It was not the client's will to take everything: the tail of the output may be missing. */
  broken = false;
  stalled = false;

  constructor(
    plan: ConnectionPlan,
    exports: readonly ExportInfo[],
    pool: BufferPool,
    open: (connection: Connection, outcome: HandedOver) => void,
  ) {
    this.plan = plan;
    this.#draw = new Draw(plan.seed, 'connection');
    this.#open = open;
    this.expected = expectHandshake(plan.wire, exports);
    const { structured, allocation, aligned } = this.expected;
    const sizeBytes = this.expected.export?.sizeBytes ?? 0;
    const terms = { structured, allocation, aligned, sizeBytes, poolBytes: pool.sizeBytes };
    const startAt = this.expected.end === 'transmission' ? this.expected.usedBytes : Infinity;
    this.book = new Book(plan.wire, startAt, terms);
    this.stream = new FuzzStream(pool, this.output, (problem) => this.book.fail(problem));
    this.#handshake = new Handshake({
      list: () => exports,
      find: (name) =>
        name === ''
          ? exports.length === 1
            ? exports[0]!
            : null
          : (exports.find((each) => each.name === name) ?? null),
    });
  }

  get sentBytes(): number {
    return this.#at;
  }

  /** False: nothing moved. */
  step(): boolean {
    if (this.phase === 'over') return false;
    if (this.phase === 'handshake') return this.#stepHandshake();
    let moved = this.device?.step() ?? false;
    if (this.#takes()) moved = this.stream.take(this.#takeBytes()) || moved;
    this.book.outputBytes = this.output.length;
    moved = this.#feed() || moved;
    if (this.stream.isClosing && !this.stream.isClosed && this.#draw.chance(0.5)) {
      this.stream.reportClosed();
      moved = true;
    }
    return moved || (this.stream.isClosing && !this.stream.isClosed);
  }

  /** Time has passed and the client still stands there: now it goes, in good order. */
  leave(): void {
    this.stalled = true;
  }

  #stepHandshake(): boolean {
    if (this.#at >= this.#limit()) {
      this.phase = 'over';
      return true;
    }
    const bytes = this.#fragment();
    this.#at += bytes.length;
    const outcome = this.#handshake.push(bytes);
    if (outcome.kind === 'handed-over') {
      this.phase = 'transmission';
      this.book.delivered(this.#at);
      this.#open(this, outcome);
      return true;
    }
    this.output.add(outcome.reply);
    if (outcome.kind !== 'more') {
      this.reason = outcome.kind;
      this.phase = 'over';
    }
    return true;
  }

  #feed(): boolean {
    const { stream, plan } = this;
    if (!stream.receiving || stream.endReported) return false;
    if (plan.ending === 'vanish' && this.#at >= plan.sentBytes) {
      this.broken = true;
      stream.break();
      return true;
    }
    if (this.#at < this.#limit()) {
      const taken = stream.deliver(this.#fragment());
      this.#at += taken;
      this.book.delivered(this.#at);
      stream.report(taken);
      return true;
    }
    const ends = plan.ending === 'end' || plan.ending === 'vanish' || this.stalled;
    if (!ends && !stream.finished) return false;
    stream.reportEnd();
    return true;
  }

  /** A client that keeps silent stops at `sentBytes`; the others send all they have. */
  #limit(): number {
    return this.plan.ending === 'silent' ? this.plan.sentBytes : this.plan.wire.length;
  }

  #takes(): boolean {
    return this.plan.ending !== 'deaf' || this.#at < this.plan.sentBytes;
  }

  #takeBytes(): number {
    const draw = this.#draw;
    return draw.chance(0.7) ? 16 * 1024 * KIB : 1 + draw.below(draw.pick([16, 600, 70_000]));
  }

  #fragment(): Uint8Array {
    const draw = this.#draw;
    const { fragments, wire } = this.plan;
    const left = this.#limit() - this.#at;
    let most = 64 * KIB;
    if (fragments === 'bytes' && left < 2000) most = 1 + draw.below(3);
    else if (fragments === 'small') most = draw.chance(0.1) ? 8192 : 1 + draw.below(60);
    else if (fragments === 'large') most = 1 + draw.below(draw.pick([100, 5000, 40_000]));
    // A long payload byte by byte takes long and shows nothing new.
    if (left > 64 * KIB) most = 64 * KIB;
    return wire.subarray(this.#at, this.#at + Math.min(most, left));
  }

  /** After the end: what is wrong with all that was seen. */
  verdict(tamper: Tamper | null): string | null {
    const output = tamper === null ? this.output.bytes : tamper(this.output.bytes);
    if (this.book.problem !== null) return this.book.problem;
    const whole = this.#at >= this.expected.usedBytes;
    const cut = !whole || this.plan.ending === 'deaf' || this.reason !== '';
    const { problem, usedBytes } = checkHandshake(this.expected, output, cut);
    if (problem !== null) return problem;
    if (whole && this.expected.end !== 'transmission') return this.#verdictOfHandshake();
    if (this.phase === 'handshake' || this.device === null) return null;
    return this.#verdictOfEnd() ?? this.#verdictOfReplies(output, usedBytes);
  }

  #verdictOfHandshake(): string | null {
    const { end } = this.expected;
    const came = this.device !== null ? 'transmission' : (this.reason ?? 'open');
    return came === end ? null : `the handshake came to ${came} and not to ${end}`;
  }

  #verdictOfReplies(output: Uint8Array, startAt: number): string | null {
    return checkReplies(this.book, output, startAt, { orderly: this.reason === '' });
  }

  /** Did the connection end where and as it must? */
  #verdictOfEnd(): string | null {
    const { reason, book, plan } = this;
    if (reason === null) return 'the connection never ended';
    const violations = ['wrong request magic', 'payload too long'];
    const seen = this.#at >= book.endAt + (book.end === 'violation' ? 28 : 0);
    if (violations.includes(reason)) {
      return book.end === 'violation' && this.#at >= book.endAt
        ? null
        : `dropped for no reason: ${reason}`;
    }
    // Reported late, the end of a broken connection is one of these too.
    if (this.broken) return null;
    const lateError = reason === 'an error after the reply had begun';
    if (lateError) {
      const possible = !book.terms.structured && plan.troublePerMille > 0;
      return possible ? null : reason;
    }
    if (plan.ending === 'deaf' && reason === 'replies are not taken') return null;
    if (reason === 'half-sent request') {
      const stopped = plan.ending === 'silent' || plan.ending === 'deaf';
      const within = this.#isWithinRequest();
      return stopped && within ? null : 'dropped as half-sent, and it was not';
    }
    if (book.shutDown && SHUT_DOWN.includes(reason)) return null;
    if (reason !== '') return `ended with: ${reason}`;
    if (book.shutDown) return null;
    if (book.end === 'violation' && seen && plan.ending !== 'silent') {
      return 'a violation of the protocol, and the connection went on';
    }
    const waited = plan.ending === 'silent' && this.stalled && this.#isWithinRequest();
    return waited ? 'half a request was waited for without end' : null;
  }

  #isWithinRequest(): boolean {
    const { book } = this;
    const before = book.requests.findLast((each) => each.payloadAt - 28 < this.#at);
    const last = before?.endAt ?? this.expected.usedBytes;
    return this.#at !== last && !(book.end === 'disconnect' && this.#at >= book.endAt + 28);
  }
}

type HandedOver = Extract<HandshakeOutcome, { kind: 'handed-over' }>;

/** Keeps what is costly to make between rounds. */
export class RoundRunner {
  readonly #pools = new Map<string, BufferPool>();
  readonly #volumes: Uint8Array[] = [];

  async run(plan: RoundPlan, tamper: Tamper | null = null): Promise<RoundResult> {
    const pool = this.#pool(plan);
    const before = pool.freeBytes;
    const round = new Round(plan, pool, this.#volumes);
    let failure: string | null;
    try {
      failure = await round.run(tamper);
    } catch (error) {
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    if (failure === null && pool.freeBytes !== before) {
      failure = `${before - pool.freeBytes} bytes of the pool never came back`;
    }
    // What a failed round still holds must not be taken for the next one's fault.
    if (failure !== null && pool.freeBytes !== before) this.#pools.clear();
    const { messages, orderly } = round;
    return { failure, messages, orderly, hits: round.hits() };
  }

  #pool({ poolBytes, debug }: RoundPlan): BufferPool {
    const key = `${poolBytes} ${debug}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const pool = new BufferPool({ sizeBytes: poolBytes, debug });
    this.#pools.set(key, pool);
    return pool;
  }
}

class Round {
  readonly #plan: RoundPlan;
  readonly #clock = new RoundClock();
  readonly #connections: Connection[];
  readonly #group: SessionGroup;
  readonly #faults: unknown[] = [];
  #isShutDown = false;

  constructor(plan: RoundPlan, pool: BufferPool, volumes: Uint8Array[]) {
    this.#plan = plan;
    // For the connection that is being opened: the group asks for its device then.
    const opened: { device: BlockDevice | null } = { device: null };
    this.#group = new SessionGroup({
      get device() {
        return opened.device!;
      },
      buffers: pool,
      clock: this.#clock,
      onClosed: (id, reason) => {
        const connection = this.#connections[id]!;
        if (connection.reason !== null) connection.book.fail('a connection ended twice');
        connection.reason = reason;
        connection.phase = 'over';
        if (connection.device !== null && connection.device.pendingCount > 0) {
          connection.book.fail('a connection ended before its device was done');
        }
      },
      onFault: (error) => this.#faults.push(error),
    });
    this.#connections = plan.connections.map((each, id) => {
      const exports = exportsOf(plan, each);
      const open = (connection: Connection, outcome: HandedOver): void => {
        const { sizeBytes } = connection.book.terms;
        volumes[id] ??= new Uint8Array(16 * 1024 * KIB);
        const bytes = volumes[id]!.subarray(0, sizeBytes);
        const name = outcome.negotiated.exportName;
        connection.device = new FuzzDevice(name, pool, bytes, connection.book, each);
        opened.device = connection.device;
        const { negotiated, reply, leftover } = outcome;
        const opening = { connectionId: id, negotiated, firstBytes: reply, leftover };
        this.#group.open(opening, connection.stream);
      };
      return new Connection(each, exports, pool, open);
    });
  }

  get messages(): number {
    let count = 0;
    for (const { expected, book } of this.#connections) {
      count += expected.optionCount + book.requests.length + (book.end === 'open' ? 0 : 1);
    }
    return count;
  }

  get orderly(): number {
    return this.#connections.filter(({ reason }) => reason === '').length;
  }

  hits(): Hit[] {
    return this.#connections.flatMap(({ expected, book, plan, sentBytes, device }) =>
      hitsOf(expected, book, plan, sentBytes, device !== null),
    );
  }

  async run(tamper: Tamper | null): Promise<string | null> {
    let quiet = 0;
    let stillSeconds = 0;
    for (let turn = 0; turn < TURNS_MAX && stillSeconds < PATIENCE_SECONDS; turn++) {
      if (this.#connections.every(({ phase }) => phase === 'over')) break;
      if (turn === this.#plan.shutdownTurn) this.#shutDown();
      let moved = false;
      for (const connection of this.#connections) moved = connection.step() || moved;
      await settled();
      quiet = moved ? 0 : quiet + 1;
      if (moved) stillSeconds = 0;
      if (quiet <= QUIET_TURNS) continue;
      this.#clock.advance(1000);
      stillSeconds += 1;
      if (stillSeconds < LEAVES_SECONDS) continue;
      for (const connection of this.#connections) connection.leave();
    }
    this.#shutDown();
    await settled();
    this.#clock.advance(10_000);
    for (let turn = 0; turn < 20; turn++) {
      for (const connection of this.#connections) connection.step();
      await settled();
    }
    return this.#verdict(tamper);
  }

  #verdict(tamper: Tamper | null): string | null {
    const expected = this.#connections.reduce((sum, { device }) => sum + (device?.faults ?? 0), 0);
    const told = this.#faults.map(
      (each) => (each instanceof Error ? each.stack : null) ?? 'no error',
    );
    const real = told.find((each) => !each.includes('made up by the fuzzer'));
    if (real !== undefined) return `a fault: ${real}`;
    if (this.#faults.length !== expected) return 'a fault of the device was not reported';
    for (const [index, connection] of this.#connections.entries()) {
      const problem = connection.verdict(tamper);
      if (problem !== null) return `connection ${index}: ${problem}`;
    }
    return null;
  }

  #shutDown(): void {
    if (this.#isShutDown) return;
    this.#isShutDown = true;
    for (const { book, phase } of this.#connections) if (phase !== 'over') book.shutDown = true;
    // Its end is seen in the connections: a promise that stays open is one of them that never ended.
    void this.#group.shutdown(5000);
  }
}

export function exportsOf(plan: RoundPlan, { sizeBytes }: ConnectionPlan): ExportInfo[] {
  const first = { name: 'v1', description: 'first', sizeBytes, preferredBytes: 4096 };
  const second = { name: 'v2', description: 'zweites Ü', sizeBytes: 65_536, preferredBytes: 4096 };
  return plan.twoExports ? [first, second] : [first];
}

/** All promises that can settle have settled: everything here is in memory. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
