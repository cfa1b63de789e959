/**
 * One io_uring, driven from JavaScript: the rings are mapped and read and written through typed
 * arrays, the kernel is entered once for a whole batch, and the event loop is woken by the ring's
 * own descriptor.
 *
 *   prep…()  writes a submission entry; nothing is sent yet.
 *   turn     (once a turn of the event loop, in its check phase, when there is something to do):
 *            run the tasks of `beforeSubmit`, submit everything, call the handlers of everything
 *            completed; again while the handlers prepared more, up to a limit.
 *
 * Invariants:
 *   1. Every prepared entry is submitted, in order, and its handler is called exactly once (a
 *      multishot one: until its completion without FLAG_MORE).
 *   2. A handler is never called from inside a prep: completions reaped there (submission ring
 *      full) wait for the turn.
 *   3. Memory named in an entry lies in the attached pool, and is the caller's to keep alive until
 *      its completion.
 *   4. A ring belongs to the thread that made it. A worker thread closes its ring before it ends:
 *      `worker.terminate()` that hits koffi in the poll callback ends the whole process.
 * Results are as the kernel gives them: from 0 up, or a negative errno.
 */

import { assert } from '../base/assert.ts';
import { EAGAIN, EBUSY, EINTR, EINVAL, type Errno } from '../base/errno.ts';
import type { Address } from '../base/units.ts';
import { type Mapping, type Native, native, nativeReason, type PollHandle } from './native.ts';

export interface RingHandler {
  complete(result: number, flags: number): void;
}

export interface RingTask {
  beforeSubmit(): void;
}

/** What a pool must show to be attached: all of its memory, which never moves. */
export interface RingMemory {
  readonly bytes: Uint8Array;
}

export type Availability = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** In the flags of a completion: more will come for the same operation. */
export const FLAG_MORE = 2;

export interface RingOptions {
  readonly entries?: number;
  readonly completionEntries?: number;
}

const OP_WRITEV = 2;
const OP_FSYNC = 3;
const OP_POLL_ADD = 6;
const OP_SENDMSG = 9;
const OP_ACCEPT = 13;
const OP_ASYNC_CANCEL = 14;
const OP_FALLOCATE = 17;
const OP_STATX = 21;
const OP_READ = 22;
const OP_WRITE = 23;
const OP_SEND = 26;
const OP_RECV = 27;

const FSYNC_DATASYNC = 1;
/** A path that is not absolute begins at the working directory. */
const AT_FDCWD = -100;
/** All that stat(2) tells. */
const BASIC = 0x7ff;
const MSG_NOSIGNAL = 0x4000;
const SOCK_CLOEXEC = 0x8_0000;

/** What entering the ring may answer without harm: the entries that were not taken are still in the ring. */
const laterErrnos: ReadonlySet<number> = new Set([EINTR, EAGAIN, EBUSY]);

const SETUP_CQSIZE = 1 << 3;
const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_COOP_TASKRUN = 1 << 8;
const SETUP_SINGLE_ISSUER = 1 << 12;
const FEATURE_FAST_POLL = 1 << 5;
const ENTER_GETEVENTS = 1;
const OFFSET_RINGS = 0;
const OFFSET_ENTRIES = 0x1000_0000;

/** 32-bit words of a submission entry and of a completion. */
const SQE_WORDS = 16;
const CQE_WORDS = 4;

/** In the first word of an entry, beside the operation. */
const ENTRY_ASYNC = 16 << 8;

const REGISTER_WORKERS_MAX = 19;
/**
 * Threads that the kernel may use for operations that would block: more than a drive that hangs can take. Made when they
 * are needed; by itself the kernel allows four for each processor.
 */
const BLOCKING_WORKERS_MAX = 512;

/** Times a turn submits and reaps again before it lets the event loop go on. */
const TURN_ROUNDS = 8;

const nothing: RingHandler = { complete: () => {} };

interface RingMemoryMap {
  readonly fd: number;
  readonly parameters: DataView;
  readonly rings: Mapping;
  readonly entries: Mapping;
}

export class Ring {
  readonly fd: number;
  readonly #native: Native;
  readonly #mappings: readonly Mapping[];
  #closed = false;

  /** Word indexes into `#rings`. */
  readonly #sqHead: number;
  readonly #sqTail: number;
  readonly #cqHead: number;
  readonly #cqTail: number;
  readonly #completions: number;
  readonly #sqMask: number;
  readonly #cqMask: number;
  readonly #entryCount: number;
  #rings: Int32Array;
  #entries: Int32Array;
  /** Our tail; the kernel sees it at the next submission. */
  #tail: number;

  #poolBase = 0;
  #poolBytes = 0;

  /**
   * By operation: who is told. Operations are numbers of a free list, so that a completion finds
   * its handler at once.
   */
  readonly #handlers: (RingHandler | null)[] = [];
  readonly #freeOperations: number[] = [];
  #inFlight = 0;
  /** Operation, result and flags of completions reaped early (invariant 2). */
  #early: number[] = [];
  #tasks: RingTask[] = [];
  #spareTasks: RingTask[] = [];

  #inTurn = false;
  #turnScheduled = false;
  /** The event loop has seen a completion since the last turn. */
  #woken = false;
  readonly #poll: PollHandle;
  readonly #turnLater = (): void => {
    this.#turnScheduled = false;
    this.#turn();
  };

  static available(): Availability {
    const system = native();
    if (!system) return { ok: false, reason: nativeReason() };
    const parameters = new Uint8Array(120);
    const fd = system.ringSetup(2, parameters);
    if (fd < 0) return { ok: false, reason: setupRefusal(-fd) };
    system.close(fd);
    const features = new DataView(parameters.buffer).getUint32(20, true);
    if ((features & FEATURE_FAST_POLL) === 0) {
      return { ok: false, reason: 'the io_uring of this kernel is older than that of Linux 5.7' };
    }
    return { ok: true };
  }

  constructor(options: RingOptions = {}) {
    const system = native();
    assert(system !== null, 'a ring is made where Ring.available() says so');
    this.#native = system;
    const map = mapRing(system, options);
    const { parameters } = map;
    const sq = (field: number): number => parameters.getUint32(40 + 4 * field, true);
    const cq = (field: number): number => parameters.getUint32(80 + 4 * field, true);

    this.fd = map.fd;
    this.#mappings = [map.rings, map.entries];
    this.#rings = new Int32Array(map.rings.buffer);
    this.#entries = new Int32Array(map.entries.buffer);
    this.#entryCount = parameters.getUint32(0, true);
    this.#sqHead = sq(0) >> 2;
    this.#sqTail = sq(1) >> 2;
    this.#sqMask = this.#rings[sq(2) >> 2]!;
    this.#cqHead = cq(0) >> 2;
    this.#cqTail = cq(1) >> 2;
    this.#cqMask = this.#rings[cq(2) >> 2]!;
    this.#completions = cq(5) >> 2;
    // The indirection array is never used: entry i is always entry i.
    const indirection = sq(6) >> 2;
    for (let i = 0; i < this.#entryCount; i += 1) this.#rings[indirection + i] = i;
    this.#tail = this.#rings[this.#sqTail]!;
    // Linux before 5.15 does not know it and keeps to its own number.
    system.ringRegister(
      map.fd,
      REGISTER_WORKERS_MAX,
      new Uint32Array([BLOCKING_WORKERS_MAX, 0]),
      2,
    );
    this.#poll = system.pollReadable(map.fd, () => {
      // Only a note: the turn runs in the check phase that follows at once (see pollReadable).
      this.#woken = true;
      this.#schedule();
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Everything the ring reads or writes must lie in this memory. */
  attachPool(pool: RingMemory): void {
    assert(this.#poolBase === 0, 'a ring has one pool');
    this.#poolBase = this.#native.addressOf(pool.bytes);
    this.#poolBytes = pool.bytes.length;
  }

  /**
   * The 64-bit address of a pool address, as an iovec or a msghdr wants it, at `at` in the pool's
   * view.
   */
  writePointer(view: DataView, at: number, address: Address): void {
    const absolute = this.#poolBase + address;
    view.setUint32(at, absolute >>> 0, true);
    view.setUint32(at + 4, Math.floor(absolute / 2 ** 32), true);
  }

  prepRead(
    fd: number,
    address: Address,
    lengthBytes: number,
    offset: number,
    handler: RingHandler,
  ): number {
    return this.#prep(
      OP_READ,
      fd,
      this.#absolute(address, lengthBytes),
      lengthBytes,
      offset,
      0,
      handler,
    );
  }

  prepWrite(
    fd: number,
    address: Address,
    lengthBytes: number,
    offset: number,
    handler: RingHandler,
  ): number {
    return this.#prep(
      OP_WRITE,
      fd,
      this.#absolute(address, lengthBytes),
      lengthBytes,
      offset,
      0,
      handler,
    );
  }

  /** `vectors` is the address of `count` iovecs in the pool. */
  prepWritev(
    fd: number,
    vectors: Address,
    count: number,
    offset: number,
    handler: RingHandler,
  ): number {
    return this.#prep(
      OP_WRITEV,
      fd,
      this.#absolute(vectors, count * 16),
      count,
      offset,
      0,
      handler,
    );
  }

  prepDatasync(fd: number, handler: RingHandler): number {
    return this.#prep(OP_FSYNC, fd, 0, 0, 0, FSYNC_DATASYNC, handler);
  }

  prepFallocate(
    fd: number,
    mode: number,
    offset: number,
    lengthBytes: number,
    handler: RingHandler,
  ): number {
    // The length travels in the address field, the mode in the length field.
    return this.#prep(OP_FALLOCATE, fd, lengthBytes, mode, offset, 0, handler);
  }

  /** `path` is the address of a path that ends in a zero, `status` that of 256 bytes for the answer. */
  prepStatx(path: Address, status: Address, handler: RingHandler): number {
    const answer = this.#absolute(status, 256);
    return this.#prep(OP_STATX, AT_FDCWD, this.#absolute(path, 1), BASIC, answer, 0, handler);
  }

  prepRecv(fd: number, address: Address, lengthBytes: number, handler: RingHandler): number {
    return this.#prep(
      OP_RECV,
      fd,
      this.#absolute(address, lengthBytes),
      lengthBytes,
      0,
      0,
      handler,
    );
  }

  prepSend(fd: number, address: Address, lengthBytes: number, handler: RingHandler): number {
    return this.#prep(
      OP_SEND,
      fd,
      this.#absolute(address, lengthBytes),
      lengthBytes,
      0,
      MSG_NOSIGNAL,
      handler,
    );
  }

  /** `message` is the address of a msghdr (56 bytes) in the pool. */
  prepSendmsg(fd: number, message: Address, handler: RingHandler): number {
    return this.#prep(OP_SENDMSG, fd, this.#absolute(message, 56), 1, 0, MSG_NOSIGNAL, handler);
  }

  /** The result is the new descriptor; close it with `native().close`. */
  prepAccept(fd: number, handler: RingHandler): number {
    return this.#prep(OP_ACCEPT, fd, 0, 0, 0, SOCK_CLOEXEC, handler);
  }

  /** `events` as in poll(2); completes once. */
  prepPoll(fd: number, events: number, handler: RingHandler): number {
    return this.#prep(OP_POLL_ADD, fd, 0, 0, 0, events, handler);
  }

  /** The entry prepared last goes to a thread of the kernel at once: done here, it could block this one for good. */
  offload(): void {
    const at = ((this.#tail - 1) & this.#sqMask) * SQE_WORDS;
    this.#entries[at] = this.#entries[at]! | ENTRY_ASYNC;
  }

  /**
   * Asks for the end of an operation that has not completed. The operation itself still completes
   * (ECANCELED, or as if nothing had been asked); the answer to the asking is dropped unless a
   * handler is given.
   */
  prepCancel(operation: number, handler: RingHandler = nothing): number {
    assert(this.#handlers[operation] !== null, 'only an operation in flight is cancelled');
    return this.#prep(OP_ASYNC_CANCEL, -1, operation, 0, 0, 0, handler);
  }

  /**
   * Calls `task` once, before the next submission: the place to gather what became ready during a
   * turn.
   */
  beforeSubmit(task: RingTask): void {
    this.#tasks.push(task);
    this.#schedule();
  }

  /** What is in flight is cancelled by the kernel; its handlers are not called any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    this.#native.close(this.fd);
    this.#rings = new Int32Array(0);
    this.#entries = new Int32Array(0);
    for (const mapping of this.#mappings) mapping.unmap();
  }

  #absolute(address: Address, lengthBytes: number): number {
    assert(
      address > 0 && address + lengthBytes <= this.#poolBytes,
      'a transfer lies in the attached pool',
    );
    return this.#poolBase + address;
  }

  #prep(
    opcode: number,
    fd: number,
    pointer: number,
    lengthBytes: number,
    offset: number,
    flags: number,
    handler: RingHandler,
  ): number {
    assert(!this.#closed, 'a ring that is closed takes nothing');
    if (((this.#tail - this.#rings[this.#sqHead]!) | 0) === this.#entryCount) this.#makeRoom();
    const operation = this.#freeOperations.pop() ?? this.#handlers.push(null) - 1;
    this.#handlers[operation] = handler;
    this.#inFlight += 1;
    const entries = this.#entries;
    const at = (this.#tail & this.#sqMask) * SQE_WORDS;
    entries[at] = opcode;
    entries[at + 1] = fd;
    entries[at + 2] = offset | 0;
    entries[at + 3] = Math.floor(offset / 2 ** 32);
    entries[at + 4] = pointer | 0;
    entries[at + 5] = Math.floor(pointer / 2 ** 32);
    entries[at + 6] = lengthBytes;
    entries[at + 7] = flags;
    entries[at + 8] = operation;
    entries[at + 9] = 0;
    entries[at + 10] = 0;
    entries[at + 11] = 0;
    entries[at + 12] = 0;
    entries[at + 13] = 0;
    this.#tail = (this.#tail + 1) | 0;
    if (!this.#turnScheduled && !this.#inTurn) this.#schedule();
    return operation;
  }

  #schedule(): void {
    if (this.#turnScheduled || this.#inTurn) return;
    this.#turnScheduled = true;
    setImmediate(this.#turnLater);
  }

  #turn(): void {
    if (this.#closed) return;
    assert(!this.#inTurn, 'a turn does not begin inside a turn');
    this.#inTurn = true;
    // Woken without a completion to see: they have overflowed, and the kernel hands them over when
    // it is entered.
    let mustEnter = this.#woken && this.#isIdle();
    this.#woken = false;
    let rounds = 0;
    do {
      this.#runTasks();
      if (mustEnter || this.#unsubmitted() > 0) this.#enter();
      mustEnter = false;
      rounds += 1;
      if (this.#reap() === 0) break;
    } while (rounds < TURN_ROUNDS && !this.#closed);
    this.#inTurn = false;
    if (this.#closed) return;
    if (this.#unsubmitted() > 0 || this.#tasks.length > 0 || this.#early.length > 0)
      this.#schedule();
  }

  #runTasks(): void {
    const tasks = this.#tasks;
    if (tasks.length === 0) return;
    this.#tasks = this.#spareTasks;
    for (const task of tasks) task.beforeSubmit();
    tasks.length = 0;
    this.#spareTasks = tasks;
  }

  #isIdle(): boolean {
    return this.#rings[this.#cqHead] === Atomics.load(this.#rings, this.#cqTail);
  }

  #unsubmitted(): number {
    return (this.#tail - this.#rings[this.#sqHead]!) | 0;
  }

  #enter(): void {
    Atomics.store(this.#rings, this.#sqTail, this.#tail);
    // What is refused for now (a signal, no memory, completions overflowing) stays in the ring and goes with the
    // next turn, which is certain because the entries are still unsubmitted.
    const result = this.#native.ringEnter(this.fd, this.#unsubmitted(), 0, ENTER_GETEVENTS);
    assert(result >= 0 || laterErrnos.has(-result), 'the kernel takes what we submit');
  }

  #reap(): number {
    let count = 0;
    if (this.#early.length > 0) {
      const early = this.#early;
      this.#early = [];
      for (let i = 0; i < early.length; i += 3)
        this.#dispatch(early[i]!, early[i + 1]!, early[i + 2]!);
      count += early.length / 3;
    }
    const rings = this.#rings;
    let head = rings[this.#cqHead]!;
    const tail = Atomics.load(rings, this.#cqTail);
    while (head !== tail) {
      const at = this.#completions + (head & this.#cqMask) * CQE_WORDS;
      const operation = rings[at]!;
      const result = rings[at + 2]!;
      const flags = rings[at + 3]!;
      head = (head + 1) | 0;
      // The head moves with every completion: a handler that throws must not make us see this one
      // again.
      Atomics.store(rings, this.#cqHead, head);
      this.#dispatch(operation, result, flags);
      if (this.#closed) return 0;
      count += 1;
    }
    return count;
  }

  #dispatch(operation: number, result: number, flags: number): void {
    const handler = this.#handlers[operation];
    assert(handler != null, 'a completion has its handler');
    if ((flags & FLAG_MORE) === 0) {
      this.#handlers[operation] = null;
      this.#freeOperations.push(operation);
      this.#inFlight -= 1;
    }
    handler.complete(result, flags);
  }

  /**
   * The submission ring is full in the middle of a turn: submit, and if the kernel is clogged, take
   * completions aside.
   */
  #makeRoom(): void {
    for (;;) {
      this.#enter();
      if (this.#unsubmitted() < this.#entryCount) return;
      const rings = this.#rings;
      let head = rings[this.#cqHead]!;
      const tail = Atomics.load(rings, this.#cqTail);
      while (head !== tail) {
        const at = this.#completions + (head & this.#cqMask) * CQE_WORDS;
        this.#early.push(rings[at]!, rings[at + 2]!, rings[at + 3]!);
        head = (head + 1) | 0;
      }
      Atomics.store(rings, this.#cqHead, head);
    }
  }
}

function mapRing(system: Native, options: RingOptions): RingMemoryMap {
  const entries = options.entries ?? 512;
  const wanted = SETUP_COOP_TASKRUN | SETUP_SINGLE_ISSUER;
  const basic = SETUP_CQSIZE;
  // From what this kernel may know to what every kernel with io_uring knows.
  for (const flags of [
    basic | SETUP_SUBMIT_ALL | wanted,
    basic | SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN,
    basic,
  ]) {
    const block = new Uint8Array(120);
    const parameters = new DataView(block.buffer);
    parameters.setUint32(4, options.completionEntries ?? entries * 16, true);
    parameters.setUint32(8, flags, true);
    const fd = system.ringSetup(entries, block);
    if (fd === -EINVAL && flags !== basic) continue;
    if (fd < 0) throw new Error(setupRefusal(-fd));
    const sqBytes = parameters.getUint32(40 + 24, true) + parameters.getUint32(0, true) * 4;
    const cqBytes = parameters.getUint32(80 + 20, true) + parameters.getUint32(4, true) * 16;
    const rings = system.map(fd, OFFSET_RINGS, Math.max(sqBytes, cqBytes));
    const sqes = system.map(fd, OFFSET_ENTRIES, parameters.getUint32(0, true) * SQE_WORDS * 4);
    if (!rings || !sqes) throw new Error('the rings cannot be mapped');
    return { fd, parameters, rings, entries: sqes };
  }
  throw new Error('not reached: the last flags are always tried');
}

function setupRefusal(errno: Errno): string {
  if (errno === 1)
    return 'io_uring is not permitted here (kernel.io_uring_disabled, or a seccomp filter)';
  if (errno === 38) return 'this kernel has no io_uring';
  if (errno === 12) return 'io_uring needs more locked memory than allowed (ulimit -l)';
  return `io_uring cannot be set up (errno ${errno})`;
}
