/**
 * Server-sent events: what `locum event tail` follows. A client that lost its connection resumes by sending
 * Last-Event-ID; events carry their sequence number as the id.
 *
 * Bounds: at most STREAM_COUNT_MAX streams, and at most UNREAD_BYTES_MAX waiting for a client that does not read. Such
 * a client is disconnected; it resumes where it was, so nothing is lost.
 */

import type { ServerResponse } from 'node:http';
import type { ControlPlane } from '../api/operations.ts';
import type { LocumEvent } from '../core/status.ts';

const STREAM_COUNT_MAX = 32;
const UNREAD_BYTES_MAX = 1024 * 1024;
/** Lets both ends notice a dead connection. */
const HEARTBEAT_MS = 15_000;

export class EventStreams {
  readonly #control: ControlPlane;
  readonly #open = new Set<ServerResponse>();

  constructor(control: ControlPlane) {
    this.#control = control;
  }

  get full(): boolean {
    return this.#open.size >= STREAM_COUNT_MAX;
  }

  /** Takes the response over; it ends when the client goes or `close` is called. */
  start(response: ServerResponse, afterSequence: number, volume: string | null): void {
    this.#open.add(response);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': locum events\n\n');
    const send = (event: LocumEvent): void => {
      if (response.destroyed) return;
      response.write(
        `id: ${event.sequence}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`,
      );
      if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
    };
    const unsubscribe = this.#control.subscribe(afterSequence, volume, send);
    const heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS);
    heartbeat.unref();
    response.on('error', () => response.destroy());
    response.on('close', () => {
      clearInterval(heartbeat);
      unsubscribe();
      this.#open.delete(response);
    });
  }

  close(): void {
    for (const response of this.#open) response.end();
  }
}
