/**
 * A drive on io_uring. Transfers go between the drive and the buffer pool without a copy.
 *
 * An operation in flight is a `Transfer`, taken from a free list: the hot path allocates the
 * promise and nothing else. Short transfers go on where they stopped; one without progress is EIO
 * (a file that has shrunk).
 */

import { assert } from '../base/assert.ts';
import { EAGAIN, EBADF, EINTR, EIO, type Errno, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import { type DirectDrive, lastSettle, newPromise, type Settle } from './direct-drive.ts';
import type { Part } from './drive.ts';
import { closeFile, type OpenFile } from './open-file.ts';
import type { Ring, RingHandler } from './uring.ts';
import { lookThroughRing } from './uring-look.ts';

type Kind = 'read' | 'write' | 'writev' | 'flush' | 'punch';

const FALLOC_KEEP_SIZE_PUNCH_HOLE = 3;
/** IOV_MAX of Linux: the parts one system call takes. */
const MAX_PARTS = 1024;
const IOVEC_BYTES = 16;
/** How often an operation that the kernel interrupts is tried again. */
const MAX_RETRIES = 100;

class Transfer implements RingHandler {
  readonly #drive: UringDrive;
  kind: Kind = 'read';
  offset = 0;
  address = 0 as Address;
  lengthBytes = 0;
  retries = 0;
  settle: Settle = () => {};
  /**
   * writev: the parts, and how far into them we are. `address` is then the buffer of the vectors.
   */
  parts: readonly Part[] = [];
  part = 0;
  partDone = 0;

  constructor(drive: UringDrive) {
    this.#drive = drive;
  }

  complete(result: number): void {
    this.#drive.completed(this, result);
  }
}

export class UringDrive implements DirectDrive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #ring: Ring;
  readonly #buffers: Buffers;
  readonly #file: OpenFile;
  readonly #fd: number;
  readonly #idle: Transfer[] = [];
  #inFlight = 0;
  #closing: Promise<void> | null = null;
  #drained: (() => void) | null = null;

  constructor(ring: Ring, buffers: Buffers, file: OpenFile) {
    this.path = file.path;
    this.sizeBytes = file.sizeBytes;
    this.blockBytes = file.blockBytes;
    this.#ring = ring;
    this.#buffers = buffers;
    this.#file = file;
    this.#fd = file.fd;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    const promise = newPromise();
    this.readDirect(offset, address, lengthBytes, lastSettle());
    return promise;
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    const promise = newPromise();
    this.writeDirect(offset, address, lengthBytes, lastSettle());
    return promise;
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    const promise = newPromise();
    this.writePartsDirect(offset, parts, lastSettle());
    return promise;
  }

  readDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void {
    this.#begin(this.#take('read', offset, address, lengthBytes, settle));
  }

  writeDirect(offset: DriveOffset, address: Address, lengthBytes: number, settle: Settle): void {
    this.#begin(this.#take('write', offset, address, lengthBytes, settle));
  }

  flushDirect(settle: Settle): void {
    this.#begin(this.#take('flush', 0, 0 as Address, 0, settle));
  }

  writePartsDirect(offset: DriveOffset, parts: readonly Part[], settle: Settle): void {
    const first = parts[0];
    assert(first !== undefined, 'a gathered write has parts');
    if (parts.length === 1) {
      this.writeDirect(offset, first.address, first.lengthBytes, settle);
      return;
    }
    const vectorBytes = Math.min(parts.length, MAX_PARTS) * IOVEC_BYTES;
    const vectors = this.#buffers.take(vectorBytes, 'engine');
    if (vectors === 0) {
      void this.#writeOneByOne(offset, parts).then(settle);
      return;
    }
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.lengthBytes;
    const transfer = this.#take('writev', offset, vectors, lengthBytes, settle);
    transfer.parts = parts;
    transfer.part = 0;
    transfer.partDone = 0;
    this.#begin(transfer);
  }

  flush(): Promise<Errno> {
    const promise = newPromise();
    this.flushDirect(lastSettle());
    return promise;
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    const promise = newPromise();
    this.#begin(this.#take('punch', offset, 0 as Address, lengthBytes, lastSettle()));
    return promise;
  }

  async probe(): Promise<Errno> {
    const there = await lookThroughRing(this.#ring, this.#buffers, this.#file);
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

  /** For `Transfer` only. */
  completed(transfer: Transfer, result: number): void {
    if (result === -EINTR || result === -EAGAIN) {
      transfer.retries += 1;
      if (transfer.retries <= MAX_RETRIES) this.#begin(transfer);
      else this.#settle(transfer, EIO);
      return;
    }
    if (result < 0) return this.#settle(transfer, -result);
    if (transfer.lengthBytes === result || transfer.kind === 'flush' || transfer.kind === 'punch') {
      return this.#settle(transfer, OK);
    }
    if (result === 0) return this.#settle(transfer, EIO);
    transfer.offset += result;
    transfer.lengthBytes -= result;
    if (transfer.kind === 'writev') advance(transfer, result);
    else transfer.address = (transfer.address + result) as Address;
    this.#begin(transfer);
  }

  #take(
    kind: Kind,
    offset: number,
    address: Address,
    lengthBytes: number,
    settle: Settle,
  ): Transfer {
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a transfer lies on the drive');
    const transfer = this.#idle.pop() ?? new Transfer(this);
    transfer.kind = kind;
    transfer.offset = offset;
    transfer.address = address;
    transfer.lengthBytes = lengthBytes;
    transfer.retries = 0;
    transfer.settle = settle;
    this.#inFlight += 1;
    return transfer;
  }

  /** Nothing is sent to a drive that is being closed, not even the rest of what has begun. */
  #begin(transfer: Transfer): void {
    if (this.#closing) this.#settle(transfer, EBADF);
    else this.#submit(transfer);
  }

  #submit(transfer: Transfer): void {
    const { kind, offset, address, lengthBytes } = transfer;
    const ring = this.#ring;
    if (kind === 'read') ring.prepRead(this.#fd, address, lengthBytes, offset, transfer);
    else if (kind === 'write') ring.prepWrite(this.#fd, address, lengthBytes, offset, transfer);
    else if (kind === 'flush') ring.prepDatasync(this.#fd, transfer);
    else if (kind === 'punch') {
      ring.prepFallocate(this.#fd, FALLOC_KEEP_SIZE_PUNCH_HOLE, offset, lengthBytes, transfer);
    } else ring.prepWritev(this.#fd, address, this.#fillVectors(transfer), offset, transfer);
    if (this.#file.blocksCaller) ring.offload();
  }

  /** Writes the iovecs of what is left, at most as many as one call takes; returns how many. */
  #fillVectors(transfer: Transfer): number {
    const { parts, address } = transfer;
    const view = this.#buffers.view;
    let skipBytes = transfer.partDone;
    let count = 0;
    for (let i = transfer.part; i < parts.length && count < MAX_PARTS; i += 1) {
      const part = parts[i]!;
      const at = address + count * IOVEC_BYTES;
      this.#ring.writePointer(view, at, (part.address + skipBytes) as Address);
      view.setUint32(at + 8, part.lengthBytes - skipBytes, true);
      view.setUint32(at + 12, 0, true);
      skipBytes = 0;
      count += 1;
    }
    return count;
  }

  /** Without a page for the vectors; slower, and as good. */
  async #writeOneByOne(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    let at = offset;
    for (const part of parts) {
      const errno = await this.write(at, part.address, part.lengthBytes);
      if (errno !== OK) return errno;
      at = (at + part.lengthBytes) as DriveOffset;
    }
    return OK;
  }

  #settle(transfer: Transfer, errno: Errno): void {
    const settle = transfer.settle;
    if (transfer.kind === 'writev') {
      this.#buffers.give(transfer.address);
      transfer.parts = [];
    }
    this.#idle.push(transfer);
    this.#inFlight -= 1;
    settle(errno);
    if (this.#inFlight === 0) this.#drained?.();
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

function advance(transfer: Transfer, doneBytes: number): void {
  let left = transfer.partDone + doneBytes;
  while (left >= transfer.parts[transfer.part]!.lengthBytes) {
    left -= transfer.parts[transfer.part]!.lengthBytes;
    transfer.part += 1;
  }
  transfer.partDone = left;
}
