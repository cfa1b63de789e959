/**
 * A Stream on node:net, for where io_uring is not to be had.
 *
 * Node pushes what it reads; a chunk is copied into the buffer of the receive under way, and while
 * there is none the socket is paused, so at most one chunk waits here. Outgoing parts of a turn are
 * copied together into one write up to BATCH_BYTES, because a write costs Node far more than a
 * copy; longer parts are written from where they are. One write is under way at a time.
 */

import type { Socket } from 'node:net';
import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import { KIB } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Stream, StreamHandler } from './stream.ts';
import { STREAM_PARTS_MAX } from './stream.ts';

const BATCH_BYTES = 256 * KIB;
const NOTHING = new Uint8Array(0);

export class NodeStream implements Stream {
  readonly #socket: Socket;
  readonly #buffers: Buffers;
  #handler: StreamHandler | null = null;
  #receiveAddress = 0 as Address;
  #receiveBytes = 0;
  /** Read by Node and not asked for yet. */
  #early: Uint8Array = NOTHING;
  #peerEnded = false;
  #endReported = false;
  #failed = false;
  #closing = false;
  /** What is queued, as a ring. */
  readonly #partAddress = new Float64Array(STREAM_PARTS_MAX);
  readonly #partBytes = new Float64Array(STREAM_PARTS_MAX);
  #head = 0;
  #count = 0;
  #batch: Uint8Array | null = null;
  #writing = false;
  #flushScheduled = false;
  #deliverScheduled = false;

  /**
   * `socket` is given away: connected, without listeners for 'data', paused, allowed to be half
   * open.
   */
  constructor(socket: Socket, buffers: Buffers) {
    this.#socket = socket;
    this.#buffers = buffers;
  }

  start(handler: StreamHandler): void {
    assert(this.#handler === null, 'a stream is started once');
    this.#handler = handler;
    const socket = this.#socket;
    socket.on('data', (chunk: Uint8Array) => this.#arrived(chunk));
    socket.on('end', () => this.#endArrived());
    socket.on('error', (error) => this.#fail(error.message));
    socket.on('close', () => this.#closed());
    // A socket that was destroyed before it came here has no 'close' to send any more.
    if (socket.destroyed && socket.closed) process.nextTick(() => this.#closed());
    else if (socket.readableEnded) this.#endArrived();
  }

  receive(address: Address, lengthBytes: number): void {
    assert(this.#receiveBytes === 0, 'one receive at a time');
    this.#receiveAddress = address;
    this.#receiveBytes = lengthBytes;
    if (this.#early.length > 0 || this.#peerEnded) this.#deliverLater();
    else if (!this.#closing) this.#socket.resume();
  }

  send(address: Address, lengthBytes: number): void {
    assert(this.#count < STREAM_PARTS_MAX, 'a stream has room for all parts of a session');
    const tail = (this.#head + this.#count) % STREAM_PARTS_MAX;
    this.#partAddress[tail] = address;
    this.#partBytes[tail] = lengthBytes;
    this.#count += 1;
    if (this.#writing || this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  finish(): void {
    if (!this.#closing && !this.#failed) this.#socket.end();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.destroy();
    if (this.#handler === null) this.#socket.on('error', () => {});
  }

  #arrived(chunk: Uint8Array): void {
    if (this.#closing) return;
    const before = this.#early;
    this.#early = before.length === 0 ? chunk : Buffer.concat([before, chunk]);
    if (this.#receiveBytes > 0) this.#deliver();
    if (this.#early.length > 0 || this.#receiveBytes === 0) this.#socket.pause();
  }

  #endArrived(): void {
    this.#peerEnded = true;
    this.#deliverLater();
  }

  #deliverLater(): void {
    if (this.#deliverScheduled) return;
    this.#deliverScheduled = true;
    process.nextTick(() => {
      this.#deliverScheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#closing || this.#failed || this.#receiveBytes === 0) return;
    const lengthBytes = Math.min(this.#early.length, this.#receiveBytes);
    if (lengthBytes > 0) {
      this.#buffers.bytes.set(this.#early.subarray(0, lengthBytes), this.#receiveAddress);
      this.#early =
        lengthBytes === this.#early.length ? NOTHING : this.#early.subarray(lengthBytes);
      this.#receiveBytes = 0;
      this.#handler?.received(lengthBytes);
    } else if (this.#peerEnded && !this.#endReported) {
      this.#endReported = true;
      this.#handler?.ended();
    }
  }

  #flush(): void {
    if (this.#writing || this.#count === 0 || this.#closing || this.#failed) return;
    const { bytes } = this.#buffers;
    const firstBytes = this.#partBytes[this.#head] as number;
    if (firstBytes >= BATCH_BYTES || this.#count === 1) {
      const at = this.#partAddress[this.#head] as number;
      this.#drop();
      this.#write(bytes.subarray(at, at + firstBytes));
      return;
    }
    this.#batch ??= new Uint8Array(BATCH_BYTES);
    let filledBytes = 0;
    while (this.#count > 0) {
      const at = this.#partAddress[this.#head] as number;
      const partBytes = this.#partBytes[this.#head] as number;
      if (filledBytes + partBytes > BATCH_BYTES) break;
      this.#batch.set(bytes.subarray(at, at + partBytes), filledBytes);
      filledBytes += partBytes;
      this.#drop();
    }
    this.#write(this.#batch.subarray(0, filledBytes));
  }

  #drop(): void {
    this.#head = (this.#head + 1) % STREAM_PARTS_MAX;
    this.#count -= 1;
  }

  #write(bytes: Uint8Array): void {
    this.#writing = true;
    this.#socket.write(bytes, (error) => {
      this.#writing = false;
      if (error || this.#closing || this.#failed) return;
      this.#handler?.sent(bytes.length);
      this.#flush();
    });
  }

  #fail(reason: string): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#handler?.failed(reason);
  }

  #closed(): void {
    // Node destroys a socket by itself when both directions have ended.
    const handler = this.#handler;
    this.#closing = true;
    this.#handler = null;
    handler?.closed();
  }
}
