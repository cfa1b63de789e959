/**
 * A connected byte stream as the NBD session sees it: bytes go from the socket straight into pool
 * buffers and back. On io_uring (uring-stream.ts) and on node:net (node-stream.ts).
 *
 * Rules every implementation keeps:
 *   1. At most one receive is under way; the session asks for the next one when it wants more. That
 *      is the whole of flow control: what is not asked for stays in the socket.
 *   2. What is queued with `send` leaves in order, gathered at the end of the turn into as few
 *      system calls as it takes. The bytes are borrowed until `sent` has counted them.
 *   3. No method calls the handler before it returns.
 *   4. After `failed`, nothing but `closed` follows. `closed` is the last call: from then on no
 *      buffer is touched.
 *   5. Nothing throws, whatever the peer does.
 */

import type { Address } from '../base/units.ts';

export interface StreamHandler {
  /** The receive brought this many bytes, one at least. */
  received(lengthBytes: number): void;
  /** The peer sends nothing more; it may still read. */
  ended(): void;
  /** So many bytes more, of what was queued, are out. */
  sent(lengthBytes: number): void;
  /** The connection is broken. The handler is expected to `close`. */
  failed(reason: string): void;
  closed(): void;
}

export interface Stream {
  start(handler: StreamHandler): void;
  receive(address: Address, lengthBytes: number): void;
  send(address: Address, lengthBytes: number): void;
  /** Tells the peer that nothing more comes. Only when all that was queued has been sent. */
  finish(): void;
  /** At once; what is queued and not sent is dropped. May be called twice. */
  close(): void;
}

/** More parts than a session can have queued: 64 requests with two parts of two pieces each. */
export const STREAM_PARTS_MAX = 512;
