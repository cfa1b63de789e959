/** Requests of a server's control API, answered with the problem's code instead of an exception when it refuses. */

import { request } from 'node:http';
import type { VolumeStatus } from '../src/core/status.ts';

export type Reply =
  | { readonly kind: 'done'; readonly body: Record<string, unknown> }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** The server is not there, or went away before it answered. */
  | { readonly kind: 'gone'; readonly reason: string };

export function ask(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
  timeoutMs = 60_000,
): Promise<Reply> {
  return new Promise((resolve) => {
    const gone = (error: Error): void => resolve({ kind: 'gone', reason: error.message });
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = request({ socketPath, method, path, headers, timeout: timeoutMs }, (reply) => {
      const pieces: Buffer[] = [];
      reply.on('data', (piece: Buffer) => pieces.push(piece));
      reply.on('error', gone);
      reply.on('end', () => resolve(understood(reply.statusCode ?? 0, Buffer.concat(pieces))));
    });
    sent.on('error', gone);
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    sent.end(text);
  });
}

function understood(statusCode: number, bytes: Buffer): Reply {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(bytes.toString()) as Record<string, unknown>;
  } catch {
    return { kind: 'gone', reason: `half an answer: ${bytes.length} bytes` };
  }
  if (statusCode < 300) return { kind: 'done', body };
  return { kind: 'refused', code: String(body['code']), message: String(body['message']) };
}

/** The status of a volume; null when the server is not there or does not know it. */
export async function statusFrom(socketPath: string, volume: string): Promise<VolumeStatus | null> {
  const reply = await ask(socketPath, 'GET', `/v1/volumes/${volume}`, undefined, 20_000);
  if (reply.kind !== 'done') return null;
  const [status] = reply.body['volumes'] as VolumeStatus[];
  return status ?? null;
}
