/**
 * Virtual time and the order of everything that happens. All that may happen later (a timer of the engine, a drive that
 * answers, a step of the plan) is an event in one heap, ordered by time, then by a seeded key, then by when it was asked
 * for. One event runs at a time, and every promise that it settled runs to its end before the next: the queue of
 * microtasks is emptied in between (drain.ts). A turn of node's own loop does that too, at several times the cost; there
 * is one only now and then, for signals and output.
 *
 * Microseconds inside; the `Clock` that the engine sees counts milliseconds.
 *
 * A fork (a state after a crash, looked at and taken back) is a world of its own that begins at the time of its parent;
 * the parent stands still meanwhile.
 */

import type { Clock } from '../src/io/clock.ts';
import { drainHere } from './drain.ts';
import { mix, streamOf } from './streams.ts';
import { Trace } from './trace.ts';

/** What is due at the time of an event. */
export interface Task {
  due(): void;
}

interface Event {
  atUs: number;
  readonly tie: number;
  readonly order: number;
  /** null: taken back. */
  task: Task | null;
}

export type Finished = 'done' | 'idle' | 'late' | 'busy';

/** Events between two turns of node's loop. */
const EVENTS_A_TURN = 256;
const TIES = streamOf('ties');
/** The first of January 2027, so that wall clocks look like ones. */
const WALL_START_MS = 1_798_761_600_000;

export class World {
  readonly seed: number;
  readonly trace: Trace;
  nowUs: number;
  /** Events that ran, of this world alone. */
  events = 0;
  /** Asked after each event; what it returns is awaited before the next. For probes. */
  between: (() => Promise<void> | null) | null = null;
  /** What an event threw: a bug, or a checker that objects. */
  thrown: { readonly error: unknown } | null = null;
  /** Asked after each event, until it holds. */
  #awaited: { readonly holds: () => boolean; readonly resolve: () => void } | null = null;
  #order = 0;
  /** By how much the time of day has been set forward. */
  #clockSetMs = 0;
  readonly #heap: Event[] = [];

  constructor(seed: number, nowUs = 0, trace = new Trace()) {
    this.seed = seed;
    this.nowUs = nowUs;
    this.trace = trace;
  }

  /** What it returns takes it back. */
  after(delayUs: number, run: () => void): () => void {
    const event = this.#enter(delayUs, { due: run });
    return () => {
      event.task = null;
    };
  }

  /** The same, of what nobody takes back. */
  later(delayUs: number, task: Task): void {
    this.#enter(delayUs, task);
  }

  /**
   * Runs events until `over` says so (asked after each), none is left, the time limit is reached, or `maxEvents` have run.
   */
  run(
    over: () => boolean,
    limitUs: number,
    maxEvents = Number.POSITIVE_INFINITY,
  ): Promise<Finished> {
    const endUs = this.nowUs + limitUs;
    let eventsLeft = maxEvents;
    return new Promise((resolve, reject) => {
      const loop = (paused: boolean): void => {
        const drain = drainHere();
        let hasPaused = paused;
        for (let left = drain === null ? 1 : EVENTS_A_TURN; left > 0; left--) {
          drain?.();
          // Only here, with no promise on its way: what a probe does must not run in between.
          const pause = hasPaused ? null : (this.between?.() ?? null);
          if (pause !== null) {
            void pause.then(() => setImmediate(loop, true), reject);
            return;
          }
          hasPaused = false;
          try {
            if (this.thrown !== null) throw this.thrown.error;
            this.#settleAwaited();
            const ended = over() ? 'done' : this.#runNext(endUs, eventsLeft--);
            if (ended !== null) return resolve(ended);
          } catch (error) {
            return reject(error);
          }
        }
        setImmediate(loop, hasPaused);
      };
      // From a turn of its own: within a promise's continuation nothing can be drained.
      setImmediate(loop, false);
    });
  }

  /** Settles right behind the event after which it holds, or after `limitUs`; one at a time. */
  until(holds: () => boolean, limitUs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { holds, resolve };
      this.after(limitUs, () => {
        if (this.#awaited?.resolve !== resolve) return;
        this.#awaited = null;
        resolve();
      });
    });
  }

  #settleAwaited(): void {
    const awaited = this.#awaited;
    if (awaited === null || !awaited.holds()) return;
    this.#awaited = null;
    this.after(0, awaited.resolve);
  }

  /** Why there is no next event to run, or null: it has run. */
  #runNext(endUs: number, left: number): Finished | null {
    const event = this.#pop();
    if (event === null) return 'idle';
    if (event.atUs > endUs || left <= 0) {
      this.#push(event);
      if (event.atUs <= endUs) return 'busy';
      this.nowUs = endUs;
      return 'late';
    }
    this.nowUs = event.atUs;
    this.events++;
    const { task } = event;
    event.task = null;
    task?.due();
    return null;
  }

  setClock(byMs: number): void {
    this.#clockSetMs += byMs;
  }

  /**
   * The process gets no turn for so long. What would have happened meanwhile happens at the end of it, in the order of the
   * ties: a timer may be ahead of the answer of a drive that came long before it.
   */
  stall(forUs: number): void {
    this.nowUs += forUs;
    const waiting = this.#heap.splice(0);
    for (const event of waiting) {
      event.atUs = Math.max(event.atUs, this.nowUs);
      this.#push(event);
    }
  }

  /** What the engine sees. `alive`: timers of a process that is gone do not fire. */
  clock(alive: () => boolean): Clock {
    return {
      nowMs: () => this.nowUs / 1000,
      wallMs: () => Math.floor(WALL_START_MS + this.#clockSetMs + this.nowUs / 1000),
      after: (delayMs, run) =>
        // A rest of a microsecond is one: who waits for it would find that no time has passed, and wait again, for ever.
        this.after(delayMs > 0 ? Math.max(1, delayMs * 1000) : 0, () => {
          if (alive()) run();
        }),
    };
  }

  #enter(delayUs: number, task: Task): Event {
    const order = this.#order++;
    const event: Event = {
      atUs: this.nowUs + Math.max(0, Math.round(delayUs)),
      tie: mix(this.seed, TIES, order),
      order,
      task,
    };
    this.#push(event);
    return event;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  /** The next one that was not cancelled. */
  #pop(): Event | null {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return null;
      const last = this.#heap.pop() as Event;
      if (this.#heap.length > 0) this.#sift(last);
      if (top.task !== null) return top;
    }
  }

  #sift(event: Event): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event))
        child++;
      if (!before(heap[child] as Event, event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = event;
  }
}

function before(a: Event, b: Event): boolean {
  if (a.atUs !== b.atUs) return a.atUs < b.atUs;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.order < b.order;
}
