/**
 * A drive on node:fs, for where io_uring is not allowed: the same promises, through node's thread
 * pool, on views of the buffer pool. Punching holes is not to be had this way: ENOTSUP, and the
 * caller writes zeroes.
 *
 * The pool's few threads serve all drives, and one that waits for a drive that hangs is lost until the drive answers. So
 * no drive has more than its share of them at a time; the rest of its operations wait here, in order.
 */

import fs from 'node:fs';
import { assert } from '../base/assert.ts';
import { EAGAIN, EBADF, EINTR, EIO, ENOTSUP, type Errno, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Drive, Part } from './drive.ts';
import { closeFile, errnoOf, isStillThere, type OpenFile } from './open-file.ts';

/** IOV_MAX of Linux: the parts one system call takes. */
const MAX_PARTS = 1024;
/** How often an operation that the kernel interrupts is tried again. */
const MAX_RETRIES = 100;

/** Of libuv, which all drives and all files of the process share; bin/locum asks for 64. */
const POOL_THREADS = Number(process.env['UV_THREADPOOL_SIZE'] ?? 0) || 4;
/** Eight drives may hang, and half of the threads are left. */
const THREADS_PER_DRIVE = Math.max(1, Math.floor(POOL_THREADS / 16));

type Done = (errno: Errno, doneBytes: number) => void;
type Call = (fromBytes: number, done: Done) => void;

const toErrno = (error: NodeJS.ErrnoException | null): Errno => (error ? errnoOf(error) : OK);

export class NodeDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #buffers: Buffers;
  readonly #file: OpenFile;
  #inFlight = 0;
  #threads = 0;
  readonly #waiting: (() => void)[] = [];
  #closing: Promise<void> | null = null;
  #abandoned = false;
  #drained: (() => void) | null = null;

  constructor(buffers: Buffers, file: OpenFile) {
    this.path = file.path;
    this.sizeBytes = file.sizeBytes;
    this.blockBytes = file.blockBytes;
    this.#buffers = buffers;
    this.#file = file;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    this.#assertOnDrive(offset, lengthBytes);
    const bytes = this.#buffers.slice(address, lengthBytes);
    return this.#transfer(lengthBytes, (from, done) => {
      fs.read(this.#file.fd, bytes, from, lengthBytes - from, offset + from, (error, count) =>
        done(toErrno(error), count),
      );
    });
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    this.#assertOnDrive(offset, lengthBytes);
    const bytes = this.#buffers.slice(address, lengthBytes);
    return this.#transfer(lengthBytes, (from, done) => {
      fs.write(this.#file.fd, bytes, from, lengthBytes - from, offset + from, (error, count) =>
        done(toErrno(error), count),
      );
    });
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    assert(parts.length > 0, 'a gathered write has parts');
    const views = parts.map((part) => this.#buffers.slice(part.address, part.lengthBytes));
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    this.#assertOnDrive(offset, lengthBytes);
    return this.#transfer(lengthBytes, (from, done) => {
      fs.writev(this.#file.fd, remaining(views, from), offset + from, (error, count) =>
        done(toErrno(error), count),
      );
    });
  }

  flush(): Promise<Errno> {
    return this.#transfer(0, (_from, done) =>
      fs.fdatasync(this.#file.fd, (error) => done(toErrno(error), 0)),
    );
  }

  punch(): Promise<Errno> {
    return Promise.resolve(this.#closing ? EBADF : ENOTSUP);
  }

  async probe(): Promise<Errno> {
    const there = await this.#transfer(0, (_from, done) => {
      void isStillThere(this.#file).then((errno) => done(errno, 0));
    });
    if (there !== OK) return there;
    const lengthBytes = Math.min(BLOCK_BYTES, this.sizeBytes);
    const address = lengthBytes > 0 ? this.#buffers.take(lengthBytes, 'engine') : 0;
    if (address === 0) return OK;
    const errno = await this.read(0 as DriveOffset, address, lengthBytes);
    this.#buffers.give(address);
    return errno;
  }

  close(abandoned = false): Promise<void> {
    this.#closing ??= this.#close();
    if (abandoned) this.#abandon();
    return this.#closing;
  }

  /** What waits need not wait for what hangs, and must not follow it to the drive. */
  #abandon(): void {
    this.#abandoned = true;
    for (const go of this.#waiting.splice(0)) {
      this.#threads += 1;
      go();
    }
  }

  /** Calls until all bytes are through: a short transfer goes on, one without progress is EIO. */
  #transfer(lengthBytes: number, call: Call): Promise<Errno> {
    if (this.#closing) return Promise.resolve(EBADF);
    this.#inFlight += 1;
    return new Promise((resolve) => {
      let doneBytes = 0;
      let retries = 0;
      const settle = (errno: Errno): void => {
        this.#inFlight -= 1;
        resolve(errno);
        if (this.#inFlight === 0) this.#drained?.();
      };
      const step: Done = (errno, stepBytes) => {
        if (errno === OK) {
          doneBytes += stepBytes;
          if (doneBytes === lengthBytes) return settle(OK);
          if (stepBytes === 0) return settle(EIO);
        } else {
          retries += 1;
          if ((errno !== EINTR && errno !== EAGAIN) || retries > MAX_RETRIES) return settle(errno);
        }
        // Nothing more is sent to a drive that is being closed, not even the rest of what has begun.
        if (this.#closing) settle(EBADF);
        else this.#inTurn(go);
      };
      const go = (): void => {
        if (this.#abandoned) {
          this.#nextTurn();
          return settle(EBADF);
        }
        call(doneBytes, (errno, stepBytes) => {
          this.#nextTurn();
          step(errno, stepBytes);
        });
      };
      this.#inTurn(go);
    });
  }

  #inTurn(go: () => void): void {
    if (this.#threads === THREADS_PER_DRIVE) this.#waiting.push(go);
    else {
      this.#threads += 1;
      go();
    }
  }

  #nextTurn(): void {
    const go = this.#waiting.shift();
    if (go === undefined) this.#threads -= 1;
    else go();
  }

  #assertOnDrive(offset: number, lengthBytes: number): void {
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a transfer lies on the drive');
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    await closeFile(this.#file);
  }
}

/** What is left of `views` after the first `doneBytes`, at most as many as one call takes. */
function remaining(views: readonly Uint8Array[], doneBytes: number): Uint8Array[] {
  let skipBytes = doneBytes;
  let first = 0;
  while (skipBytes >= views[first]!.length) {
    skipBytes -= views[first]!.length;
    first += 1;
  }
  const left = views.slice(first, first + MAX_PARTS);
  left[0] = left[0]!.subarray(skipBytes);
  return left;
}
