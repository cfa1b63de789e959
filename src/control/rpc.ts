/**
 * Calls between the control plane (main thread) and a volume (its worker thread, or the same thread where sockets
 * cannot change threads). Small and typed: a table of methods on one side, `call` on the other, values only.
 *
 * Rules:
 *   1. Every call ends in exactly one Outcome: the method's, or `volume-stalled` (its time limit passed),
 *      `volume-crashed` (the other side is gone), `server-busy` (CALLS_MAX are waiting already).
 *   2. A reply that comes after its call was given up is dropped. The work itself is not undone.
 *   3. A method answers with a value. One that throws is a fault of ours: it is not answered, the fault goes to
 *      `onFault`, and what that does ends the thread.
 *   4. Messages arrive in the order in which they were posted; methods run concurrently.
 */

import type { Outcome, Problem } from '../core/problems.ts';
import { refuse } from '../core/problems.ts';

export interface Port {
  /** Between threads the message is cloned; in one thread it is passed as it is. */
  post(message: unknown): void;
  /** Called once, before any message can arrive. */
  listen(receive: (message: unknown) => void): void;
}

/** Two ends in one thread. Delivery is never inside `post`, as between threads. */
export function localPorts(): readonly [Port, Port] {
  const receivers: ((message: unknown) => void)[] = [];
  const end = (own: number): Port => ({
    post: (message) => queueMicrotask(() => receivers[1 - own]?.(message)),
    listen: (receive) => {
      receivers[own] = receive;
    },
  });
  return [end(0), end(1)];
}

/** What a side can be asked: names, arguments and values. */
// biome-ignore lint/suspicious/noExplicitAny: the arguments of any method
export type Methods = { readonly [name: string]: (...args: any[]) => Promise<Outcome<unknown>> };
type ValueOf<M> = M extends (...args: never[]) => Promise<Outcome<infer T>> ? T : never;
type ArgsOf<M> = M extends (...args: infer A) => unknown ? A : never;

type Message =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  | { readonly kind: 'reply'; readonly id: number; readonly outcome: Outcome<unknown> }
  | { readonly kind: 'notice'; readonly notice: unknown };

export const CALLS_MAX = 128;

/** The answering side. Returns a way to send notices: words that want no answer. */
export function answerCalls<Notice>(
  port: Port,
  methods: object,
  onFault: (error: unknown) => void,
): (notice: Notice) => void {
  const table = methods as Methods;
  port.listen((received) => {
    const message = received as Message;
    if (message.kind !== 'call') return;
    const { id, method, args } = message;
    const reply = (outcome: Outcome<unknown>): void =>
      port.post({ kind: 'reply', id, outcome } satisfies Message);
    const perform = table[method];
    if (!perform) return reply(refuse('internal', { reason: `no method ${method}` }));
    Promise.resolve()
      .then(() => perform.apply(table, [...args]))
      .then(reply)
      .catch(onFault);
  });
  return (notice) => port.post({ kind: 'notice', notice } satisfies Message);
}

interface Pending {
  readonly settle: (outcome: Outcome<unknown>) => void;
}

/** The asking side. */
export class Caller<Table, Notice> {
  readonly #port: Port;
  readonly #name: string;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #gone: Problem | null = null;

  /** `name` is the volume's, for sentences. */
  constructor(port: Port, name: string, onNotice: (notice: Notice) => void) {
    this.#port = port;
    this.#name = name;
    port.listen((received) => {
      const message = received as Message;
      if (message.kind === 'notice') onNotice(message.notice as Notice);
      else if (message.kind === 'reply') this.#pending.get(message.id)?.settle(message.outcome);
    });
  }

  get waiting(): number {
    return this.#pending.size;
  }

  call<M extends keyof Table & string>(
    method: M,
    args: ArgsOf<Table[M]>,
    limitMs: number | null = null,
  ): Promise<Outcome<ValueOf<Table[M]>>> {
    type Value = ValueOf<Table[M]>;
    if (this.#gone) return Promise.resolve({ ok: false, problem: this.#gone });
    if (this.#pending.size >= CALLS_MAX) {
      return Promise.resolve(
        refuse('server-busy', { volume: this.#name, waiting: this.#pending.size }),
      );
    }
    const id = this.#nextId++;
    return new Promise<Outcome<Value>>((resolve) => {
      let timer: NodeJS.Timeout | null = null;
      const settle = (outcome: Outcome<unknown>): void => {
        if (timer) clearTimeout(timer);
        this.#pending.delete(id);
        resolve(outcome as Outcome<Value>);
      };
      if (limitMs !== null) {
        timer = setTimeout(
          () => settle(refuse('volume-stalled', { volume: this.#name, waitedMs: limitMs })),
          limitMs,
        );
      }
      this.#pending.set(id, { settle });
      this.#port.post({ kind: 'call', id, method, args } satisfies Message);
    });
  }

  /** Ends every call that waits, with this problem; later replies to them are dropped. */
  giveUp(problem: Problem): void {
    for (const { settle } of [...this.#pending.values()]) settle({ ok: false, problem });
  }

  /** The other side will never answer again. */
  end(problem: Problem): void {
    this.#gone = problem;
    this.giveUp(problem);
  }
}
