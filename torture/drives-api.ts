/**
 * The control API of a server under test by the names of its operations, with their types. A refusal is a value: the
 * torture decides what may be refused. A server that is not there is an exception.
 */

import { type OperationName, type Operations, operations } from '../src/api/operations.ts';
import { ask } from './control-client.ts';

export type ApiAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly message: string };

interface Input<N extends OperationName> {
  readonly volume?: string;
  readonly body?: Partial<Operations[N]['body']>;
}

export class ControlApi {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async call<N extends OperationName>(
    name: N,
    input: Input<N> = {},
  ): Promise<ApiAnswer<Operations[N]['reply']>> {
    const { method, path } = operations[name];
    const where = path.replace(':volume', encodeURIComponent(input.volume ?? ''));
    const body = method === 'GET' ? undefined : (input.body ?? {});
    const reply = await ask(this.#socketPath, method, where, body, 120_000);
    if (reply.kind === 'gone') throw new Error(`${name}: ${reply.reason}`);
    if (reply.kind === 'refused') return { ok: false, code: reply.code, message: reply.message };
    return { ok: true, value: reply.body as unknown as Operations[N]['reply'] };
  }

  /** As `call`, for what must not be refused. */
  async must<N extends OperationName>(
    name: N,
    input: Input<N> = {},
  ): Promise<Operations[N]['reply']> {
    const answer = await this.call(name, input);
    if (answer.ok) return answer.value;
    throw new Error(`${name} was refused: ${answer.code}: ${answer.message}`);
  }
}
