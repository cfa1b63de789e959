/**
 * Reads of a file that lies in memory (tmpfs, ramfs), made directly on the thread that asks; everything else as before.
 *
 * There is no device to wait for, so nothing is gained by asking io_uring: the kernel cannot tell that such a file
 * never blocks and hands every transfer to a worker thread (measured at one outstanding 4 KiB read: two thread switches,
 * 25 µs, for a copy of one). Writes stay with the ring: they are heavier, and a worker on another core does help there
 * (measured at 32 outstanding: 15 % more). Used beside a ring only; without one, node:fs does all files alike.
 *
 * Answers come at once, and every so often only after a turn of the event loop: a job that awaits nothing but such
 * reads would otherwise never let anybody else run.
 */

import { assert } from '../base/assert.ts';
import { EBADF, EINTR, EIO, type Errno, OK } from '../base/errno.ts';
import type { Address, DriveOffset } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Drive, Part } from './drive.ts';
import type { Native } from './native.ts';

const YIELD_EVERY = 64;
const DONE: Promise<Errno> = Promise.resolve(OK);

type Pread = (fd: number, address: number, lengthBytes: number, offset: number) => number;

let reads = 0;

export class MemoryFileDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #inner: Drive;
  readonly #fd: number;
  readonly #native: Native;
  readonly #poolBytes: number;
  /** Where the buffer pool lies; it never moves. */
  readonly #poolBase: number;
  readonly #pread: Pread;
  #closed = false;

  /** `inner` owns the descriptor `fd` and is the same file. */
  constructor(system: Native, buffers: Buffers, fd: number, inner: Drive) {
    this.path = inner.path;
    this.sizeBytes = inner.sizeBytes;
    this.blockBytes = inner.blockBytes;
    this.#inner = inner;
    this.#fd = fd;
    this.#native = system;
    this.#poolBytes = buffers.bytes.length;
    this.#poolBase = system.addressOf(buffers.bytes);
    this.#pread = system.function(
      'int64_t pread64(int fd, size_t buffer, size_t length, int64_t offset)',
    ) as Pread;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    const errno = this.#closed ? EBADF : this.#readNow(offset, address, lengthBytes);
    reads += 1;
    if (reads % YIELD_EVERY !== 0) return errno === OK ? DONE : Promise.resolve(errno);
    return new Promise((resolve) => {
      setImmediate(resolve, errno);
    });
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.#inner.write(offset, address, lengthBytes);
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    return this.#inner.writeParts(offset, parts);
  }

  flush(): Promise<Errno> {
    return this.#inner.flush();
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    return this.#inner.punch(offset, lengthBytes);
  }

  probe(): Promise<Errno> {
    return this.#inner.probe();
  }

  close(abandoned = false): Promise<void> {
    this.#closed = true;
    return this.#inner.close(abandoned);
  }

  #readNow(offset: DriveOffset, address: Address, lengthBytes: number): Errno {
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a read lies on the drive');
    assert(address > 0 && address + lengthBytes <= this.#poolBytes, 'a read lies in the pool');
    let done = 0;
    while (done < lengthBytes) {
      const pointer = this.#poolBase + address + done;
      const result = Number(this.#pread(this.#fd, pointer, lengthBytes - done, offset + done));
      // Nothing read and no error: the file was cut off behind our back.
      if (result === 0) return EIO;
      if (result > 0) {
        done += result;
        continue;
      }
      const errno = this.#native.errno();
      if (errno !== EINTR) return errno;
    }
    return OK;
  }
}
