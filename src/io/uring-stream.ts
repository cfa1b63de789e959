/**
 * A Stream on io_uring: received straight into the caller's buffer, sent straight from it. All
 * parts that were queued when the ring submits go out in one sendmsg, so that the replies of a
 * whole turn cost one system call.
 *
 *     pool page:  │ msghdr (56) │ 0 │ iovec 0 │ iovec 1 │ …            one page for a connection
 *
 * Invariants:
 *   1. One receive and one send are in the kernel at most; the page is not touched while a send is.
 *   2. The descriptor is closed, and `closed` called, only when neither is.
 */

import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import { closeSocket, SHUTDOWN_BOTH, SHUTDOWN_WRITE, shutDown } from './sockets.ts';
import type { Stream, StreamHandler } from './stream.ts';
import { STREAM_PARTS_MAX } from './stream.ts';
import type { Ring, RingHandler, RingTask } from './uring.ts';

const PAGE_BYTES = 4096;
const MESSAGE_BYTES = 64;
const VECTOR_BYTES = 16;
const VECTORS_MAX = (PAGE_BYTES - MESSAGE_BYTES) / VECTOR_BYTES;

export class UringStream implements Stream, RingTask {
  readonly #ring: Ring;
  readonly #buffers: Buffers;
  readonly #fd: number;
  readonly #page: Address;
  readonly #received: RingHandler = { complete: (result) => this.#onReceived(result) };
  readonly #sent: RingHandler = { complete: (result) => this.#onSent(result) };
  #handler: StreamHandler | null = null;
  #receiving = false;
  #sending = false;
  #sendScheduled = false;
  #failed = false;
  #closing = false;
  #closed = false;
  /** What is queued and not yet sent, as a ring. */
  readonly #partAddress = new Float64Array(STREAM_PARTS_MAX);
  readonly #partBytes = new Float64Array(STREAM_PARTS_MAX);
  #head = 0;
  #count = 0;

  /** `fd` is given away: a connected socket in blocking mode. */
  static async open(ring: Ring, buffers: Buffers, fd: number): Promise<UringStream> {
    return new UringStream(ring, buffers, fd, await buffers.takeLater(PAGE_BYTES, 'engine'));
  }

  private constructor(ring: Ring, buffers: Buffers, fd: number, page: Address) {
    this.#ring = ring;
    this.#buffers = buffers;
    this.#fd = fd;
    this.#page = page;
    // Everything in the message stays as it is, but the number of vectors.
    buffers.bytes.fill(0, page, page + MESSAGE_BYTES);
    ring.writePointer(buffers.view, page + 16, (page + MESSAGE_BYTES) as Address);
  }

  start(handler: StreamHandler): void {
    assert(this.#handler === null, 'a stream is started once');
    this.#handler = handler;
  }

  receive(address: Address, lengthBytes: number): void {
    assert(!this.#receiving, 'one receive at a time');
    if (this.#closing || this.#failed) return;
    this.#receiving = true;
    this.#ring.prepRecv(this.#fd, address, lengthBytes, this.#received);
  }

  send(address: Address, lengthBytes: number): void {
    assert(this.#count < STREAM_PARTS_MAX, 'a stream has room for all parts of a session');
    const tail = (this.#head + this.#count) % STREAM_PARTS_MAX;
    this.#partAddress[tail] = address;
    this.#partBytes[tail] = lengthBytes;
    this.#count += 1;
    this.#scheduleSend();
  }

  finish(): void {
    if (this.#closing || this.#failed) return;
    shutDown(this.#fd, SHUTDOWN_WRITE);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    // Makes the kernel end what it has of us; the completions come as they always do.
    if (this.#receiving || this.#sending) shutDown(this.#fd, SHUTDOWN_BOTH);
    this.#closeWhenIdle();
  }

  /** The ring is about to submit: gather all that is queued. */
  beforeSubmit(): void {
    this.#sendScheduled = false;
    if (this.#sending || this.#count === 0 || this.#closing || this.#failed) return;
    const { view } = this.#buffers;
    const vectorCount = Math.min(this.#count, VECTORS_MAX);
    let at = this.#page + MESSAGE_BYTES;
    for (let index = 0; index < vectorCount; index += 1) {
      const part = (this.#head + index) % STREAM_PARTS_MAX;
      this.#ring.writePointer(view, at, this.#partAddress[part] as Address);
      view.setUint32(at + 8, this.#partBytes[part] as number, true);
      view.setUint32(at + 12, 0, true);
      at += VECTOR_BYTES;
    }
    view.setUint32(this.#page + 24, vectorCount, true);
    this.#sending = true;
    this.#ring.prepSendmsg(this.#fd, this.#page, this.#sent);
  }

  #scheduleSend(): void {
    if (this.#sendScheduled || this.#sending) return;
    this.#sendScheduled = true;
    this.#ring.beforeSubmit(this);
  }

  #onReceived(result: number): void {
    this.#receiving = false;
    if (this.#closing) return this.#closeWhenIdle();
    if (this.#failed) return;
    if (result > 0) this.#handler?.received(result);
    else if (result === 0) this.#handler?.ended();
    else this.#fail(`receive failed (errno ${-result})`);
  }

  #onSent(result: number): void {
    this.#sending = false;
    if (this.#closing) return this.#closeWhenIdle();
    if (this.#failed) return;
    if (result < 0) return this.#fail(`send failed (errno ${-result})`);
    this.#drop(result);
    if (this.#count > 0) this.#scheduleSend();
    this.#handler?.sent(result);
  }

  #drop(sentBytes: number): void {
    let leftBytes = sentBytes;
    while (leftBytes > 0) {
      const partBytes = this.#partBytes[this.#head] as number;
      if (leftBytes < partBytes) {
        this.#partAddress[this.#head] = (this.#partAddress[this.#head] as number) + leftBytes;
        this.#partBytes[this.#head] = partBytes - leftBytes;
        return;
      }
      leftBytes -= partBytes;
      this.#head = (this.#head + 1) % STREAM_PARTS_MAX;
      this.#count -= 1;
    }
  }

  #fail(reason: string): void {
    this.#failed = true;
    this.#handler?.failed(reason);
  }

  #closeWhenIdle(): void {
    if (this.#receiving || this.#sending || this.#closed) return;
    this.#closed = true;
    closeSocket(this.#fd);
    queueMicrotask(() => {
      this.#buffers.give(this.#page);
      this.#handler?.closed();
      this.#handler = null;
    });
  }
}
