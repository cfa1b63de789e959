/**
 * The replies of one connection, in the order in which they leave. It is bounded by the requests in
 * flight: a request stays in flight until its last part was sent.
 *
 * With simple replies the parts of one long read must follow each other without anything between
 * them: while such a reply is going out it has the stream for itself, and finished requests wait in
 * `#held`. It never waits for memory then, because a long read has all its buffers before it
 * begins.
 */

import { assert } from '../base/assert.ts';
import type { Stream } from '../io/stream.ts';
import { STREAM_PARTS_MAX } from '../io/stream.ts';
import type { Request } from './request.ts';

/** A power of two; two parts for each request in flight, and the end of the handshake. */
const PARTS_MAX = STREAM_PARTS_MAX / 2;

export class Outgoing {
  readonly #stream: Stream;
  readonly #mayInterleave: boolean;
  readonly #partSent: (request: Request) => void;
  /** A ring: what is queued on the stream, oldest first. */
  readonly #requests = new Array<Request | null>(PARTS_MAX).fill(null);
  readonly #unsentBytes = new Float64Array(PARTS_MAX);
  #head = 0;
  #count = 0;
  #sentBytes = 0;
  #exclusive: Request | null = null;
  readonly #held: Request[] = [];

  constructor(stream: Stream, mayInterleave: boolean, partSent: (request: Request) => void) {
    this.#stream = stream;
    this.#mayInterleave = mayInterleave;
    this.#partSent = partSent;
  }

  get empty(): boolean {
    return this.#count === 0;
  }

  /**
   * Since the connection began: what has not changed for a while shows a client that takes nothing.
   */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * The part described by the request's `part` fields. False: it is held, and so are these fields.
   */
  queue(request: Request): boolean {
    if (this.#exclusive !== null && this.#exclusive !== request) {
      this.#held.push(request);
      return false;
    }
    this.#send(request);
    while (this.#exclusive === null && this.#held.length > 0) {
      this.#send(this.#held.shift() as Request);
    }
    return true;
  }

  sent(lengthBytes: number): void {
    this.#sentBytes += lengthBytes;
    let leftBytes = lengthBytes;
    while (leftBytes > 0) {
      assert(this.#count > 0, 'what was sent had been queued');
      const unsentBytes = this.#unsentBytes[this.#head] as number;
      if (leftBytes < unsentBytes) {
        this.#unsentBytes[this.#head] = unsentBytes - leftBytes;
        return;
      }
      leftBytes -= unsentBytes;
      const request = this.#requests[this.#head] as Request;
      this.#requests[this.#head] = null;
      this.#head = (this.#head + 1) & (PARTS_MAX - 1);
      this.#count -= 1;
      this.#partSent(request);
    }
  }

  /** Hands out every request whose reply will not be sent any more. One may come twice. */
  drop(dropped: (request: Request) => void): void {
    for (; this.#count > 0; this.#count -= 1) {
      dropped(this.#requests[this.#head] as Request);
      this.#head = (this.#head + 1) & (PARTS_MAX - 1);
    }
    for (const request of this.#held.splice(0)) dropped(request);
  }

  #send(request: Request): void {
    assert(this.#count < PARTS_MAX, 'the reply queue has room');
    const { partHeaderBytes, partDataBytes } = request;
    if (partHeaderBytes > 0) this.#stream.send(request.partHeaderAddress, partHeaderBytes);
    if (partDataBytes > 0) this.#stream.send(request.partDataAddress, partDataBytes);
    const tail = (this.#head + this.#count) & (PARTS_MAX - 1);
    this.#requests[tail] = request;
    this.#unsentBytes[tail] = partHeaderBytes + partDataBytes;
    this.#count += 1;
    this.#exclusive = request.lastPart || this.#mayInterleave ? null : request;
  }
}
