/** A control plane without volumes behind it: every operation answers from a table, and remembers what it was asked. */

import type { ControlPlane, Handlers, OperationName } from '../../../src/api/operations.ts';
import { operations } from '../../../src/api/operations.ts';
import { done, type Outcome, refuse } from '../../../src/core/problems.ts';
import type { LocumEvent } from '../../../src/core/status.ts';

export interface Asked {
  readonly name: OperationName;
  readonly params: Record<string, string>;
  readonly query: Record<string, string>;
  readonly body: Record<string, unknown>;
}

type Answer = (asked: Asked) => Outcome<object> | Promise<Outcome<object>>;

export class FakeControl implements ControlPlane {
  readonly asked: Asked[] = [];
  readonly handlers: Handlers;
  readonly #answers = new Map<OperationName, Answer>();
  readonly #subscribers = new Set<(event: LocumEvent) => void>();

  constructor() {
    const handlers: Partial<Record<OperationName, unknown>> = {};
    for (const name of Object.keys(operations) as OperationName[]) {
      handlers[name] = async (input: Omit<Asked, 'name'>) => {
        const asked = { name, ...input };
        this.asked.push(asked);
        const answer = this.#answers.get(name);
        return answer ? await answer(asked) : refuse('volume-unknown', { volume: 'nobody' });
      };
    }
    this.handlers = handlers as Handlers;
  }

  answer(name: OperationName, answer: Answer): this {
    this.#answers.set(name, answer);
    return this;
  }

  reply(name: OperationName, reply: object): this {
    return this.answer(name, () => done({ apiVersion: 'locum/v1', ...reply }));
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  happens(event: LocumEvent): void {
    for (const send of this.#subscribers) send(event);
  }

  subscribe(_after: number, _volume: string | null, send: (event: LocumEvent) => void): () => void {
    this.#subscribers.add(send);
    return () => void this.#subscribers.delete(send);
  }

  bodyOf(name: OperationName): Record<string, unknown> | undefined {
    return this.asked.findLast((asked) => asked.name === name)?.body;
  }
}

export const sampleEvent = (change: Partial<LocumEvent> = {}): LocumEvent => ({
  sequence: 1,
  at: '2026-01-01T00:00:00.000Z',
  volume: 'v1',
  kind: 'window-opened',
  severity: 'info',
  message: 'Window w17 is open.',
  detail: {},
  ...change,
});
