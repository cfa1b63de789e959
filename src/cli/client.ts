/**
 * The command line's side of the control API: HTTP over the unix socket of a state directory. No library: one request
 * is one connection, and node:http speaks to unix sockets by itself.
 *
 * `call` throws `Stop` for whatever is not a good answer. There is no time limit on a request, because some of them
 * (a full comparison of a returned drive) rightly take hours; Ctrl-C ends the wait and not the work.
 */

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import {
  EVENT_STREAM_PATH,
  type Input,
  type OperationName,
  operations,
  type Reply,
} from '../api/operations.ts';
import type { ProblemReply } from '../api/schema.ts';
import type { LocumEvent } from '../core/status.ts';
import { stopFor, stopWith } from './stop.ts';

const REPLY_BYTES_MAX = 64 * 1024 * 1024;

export class Client {
  readonly #state: string;
  readonly #socketPath: string;

  constructor(stateDirectory: string) {
    this.#state = stateDirectory;
    this.#socketPath = join(stateDirectory, 'control.sock');
  }

  async call<N extends OperationName>(name: N, input: Partial<Input<N>> = {}): Promise<Reply<N>> {
    const { method, path } = operations[name];
    const url = fillPath(path, (input.params ?? {}) as Record<string, string>, input.query ?? {});
    const body = method === 'POST' ? JSON.stringify(input.body ?? {}) : null;
    const response = await this.#send(method, url, body);
    const text = await readAll(response);
    const value = parse(text);
    if (value === undefined || response.statusCode === undefined) {
      throw stopFor('internal', {
        reason: `the server's answer is not JSON: ${text.slice(0, 200)}`,
      });
    }
    if (response.statusCode >= 400) throw stopWith(value as ProblemReply);
    return value as Reply<N>;
  }

  /** Live events, in order; the caller reconnects from the last sequence number it saw when the stream ends. */
  async *events(after: number | null, volume: string | null): AsyncGenerator<LocumEvent> {
    const query = {
      ...(after === null ? {} : { after: String(after) }),
      ...(volume === null ? {} : { volume }),
    };
    const response = await this.#send('GET', fillPath(EVENT_STREAM_PATH, {}, query), null);
    if (response.statusCode !== 200) throw stopWith(parse(await readAll(response)) as ProblemReply);
    response.setEncoding('utf8');
    let pending = '';
    for await (const text of response as AsyncIterable<string>) {
      pending += text;
      const blocks = pending.split('\n\n');
      pending = blocks.pop() ?? '';
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) yield JSON.parse(data) as LocumEvent;
      }
    }
  }

  #send(method: string, path: string, body: string | null): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers =
        body === null
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const request = httpRequest(
        { socketPath: this.#socketPath, method, path, headers, agent: false },
        resolve,
      );
      request.on('error', (error: NodeJS.ErrnoException) => {
        reject(this.#unreachable(error));
      });
      request.end(body ?? undefined);
    });
  }

  #unreachable(error: NodeJS.ErrnoException): Error {
    const reason = {
      ENOENT: 'there is no such socket',
      ECONNREFUSED: 'nobody listens there any more',
      EACCES: 'you may not open it; the server belongs to another user',
      ECONNRESET:
        'the server went away while the request was under way; whether it was done, `locum status` tells once one runs again',
    }[error.code ?? ''];
    return stopFor('server-unreachable', {
      socket: this.#socketPath,
      state: this.#state,
      reason: reason ?? error.message,
    });
  }
}

function fillPath(path: string, params: Record<string, string>, query: object): string {
  const filled = path.replace(/:(\w+)/g, (_, key: string) => encodeURIComponent(params[key] ?? ''));
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined) as [
    string,
    string,
  ][];
  return pairs.length === 0 ? filled : `${filled}?${new URLSearchParams(pairs).toString()}`;
}

async function readAll(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response as AsyncIterable<string>) {
    text += part;
    if (text.length > REPLY_BYTES_MAX)
      throw stopFor('internal', { reason: "the server's answer is too large" });
  }
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
