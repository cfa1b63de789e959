/**
 * A drive on node:fs, for where io_uring is not allowed: the same promises, through node's thread
 * pool, on views of the buffer pool. Punching holes is not to be had this way: ENOTSUP, and the
 * caller writes zeroes.
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

type Done = (error: NodeJS.ErrnoException | null, doneBytes: number) => void;
type Call = (fromBytes: number, done: Done) => void;

export class NodeDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #buffers: Buffers;
  readonly #file: OpenFile;
  #inFlight = 0;
  #closing: Promise<void> | null = null;
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
      fs.read(this.#file.fd, bytes, from, lengthBytes - from, offset + from, done);
    });
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    this.#assertOnDrive(offset, lengthBytes);
    const bytes = this.#buffers.slice(address, lengthBytes);
    return this.#transfer(lengthBytes, (from, done) => {
      fs.write(this.#file.fd, bytes, from, lengthBytes - from, offset + from, done);
    });
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    assert(parts.length > 0, 'a gathered write has parts');
    const views = parts.map((part) => this.#buffers.slice(part.address, part.lengthBytes));
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    this.#assertOnDrive(offset, lengthBytes);
    return this.#transfer(lengthBytes, (from, done) => {
      fs.writev(this.#file.fd, remaining(views, from), offset + from, done);
    });
  }

  flush(): Promise<Errno> {
    return this.#transfer(0, (_from, done) =>
      fs.fdatasync(this.#file.fd, (error) => done(error, 0)),
    );
  }

  punch(): Promise<Errno> {
    return Promise.resolve(this.#closing ? EBADF : ENOTSUP);
  }

  async probe(): Promise<Errno> {
    const there = await isStillThere(this.#file);
    if (there !== OK) return there;
    const lengthBytes = Math.min(BLOCK_BYTES, this.sizeBytes);
    const address = lengthBytes > 0 ? this.#buffers.take(lengthBytes, 'engine') : 0;
    if (address === 0) return OK;
    const errno = await this.read(0 as DriveOffset, address, lengthBytes);
    this.#buffers.give(address);
    return errno;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
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
      const step = (error: NodeJS.ErrnoException | null, stepBytes: number): void => {
        if (error) {
          const errno = errnoOf(error);
          retries += 1;
          if ((errno !== EINTR && errno !== EAGAIN) || retries > MAX_RETRIES) return settle(errno);
        } else {
          doneBytes += stepBytes;
          if (doneBytes === lengthBytes) return settle(OK);
          if (stepBytes === 0) return settle(EIO);
        }
        if (this.#closing) settle(EBADF);
        else call(doneBytes, step);
      };
      call(0, step);
    });
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
