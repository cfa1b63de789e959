/**
 * A BlockDevice in memory, as simple as a flat array, with what a test wants to provoke: delays,
 * errors, writes that arrive in any order, a device that is stuck. It remembers what is a hole, in
 * pages of 4096.
 */

import type { Errno } from '../../src/base/errno.ts';
import { OK } from '../../src/base/errno.ts';
import type { Address, VolumeOffset } from '../../src/base/units.ts';
import type { BlockDevice, Extent, ZeroOptions } from '../../src/io/block-device.ts';
import type { Buffers } from '../../src/io/buffers.ts';

export type Operation = 'read' | 'write' | 'zero' | 'trim' | 'flush' | 'cache' | 'extents';

const PAGE_BYTES = 4096;

export class MemoryDevice implements BlockDevice {
  readonly name: string;
  readonly description = 'a memory device';
  readonly sizeBytes: number;
  readonly preferredBytes = 4096;
  readonly bytes: Uint8Array;
  readonly #buffers: Buffers;
  readonly #written: Uint8Array;
  /** Before an operation takes effect; a non-zero result is its answer, and it has no effect. */
  before:
    | ((operation: Operation, offset: number, lengthBytes: number) => Errno | Promise<Errno>)
    | null = null;
  inFlight = 0;
  flushes = 0;

  constructor(buffers: Buffers, sizeBytes: number, name = 'memory') {
    this.#buffers = buffers;
    this.sizeBytes = sizeBytes;
    this.name = name;
    this.bytes = new Uint8Array(sizeBytes);
    this.#written = new Uint8Array(Math.ceil(sizeBytes / PAGE_BYTES));
  }

  read(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.#run('read', offset, lengthBytes, () => {
      this.#buffers.bytes.set(this.bytes.subarray(offset, offset + lengthBytes), address);
    });
  }

  write(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.#run('write', offset, lengthBytes, () => {
      this.bytes.set(this.#buffers.bytes.subarray(address, address + lengthBytes), offset);
      this.#mark(offset, lengthBytes);
    });
  }

  zero(offset: VolumeOffset, lengthBytes: number, options: ZeroOptions): Promise<Errno> {
    return this.#run('zero', offset, lengthBytes, () => {
      this.bytes.fill(0, offset, offset + lengthBytes);
      if (options.noHole) this.#mark(offset, lengthBytes);
      else this.#unmark(offset, lengthBytes);
    });
  }

  trim(offset: VolumeOffset, lengthBytes: number): Promise<Errno> {
    return this.#run('trim', offset, lengthBytes, () => {
      this.bytes.fill(0, offset, offset + lengthBytes);
      this.#unmark(offset, lengthBytes);
    });
  }

  flush(): Promise<Errno> {
    return this.#run('flush', 0, 0, () => {
      this.flushes += 1;
    });
  }

  cache(offset: VolumeOffset, lengthBytes: number): Promise<Errno> {
    return this.#run('cache', offset, lengthBytes, () => {});
  }

  async extents(offset: VolumeOffset, lengthBytes: number): Promise<readonly Extent[]> {
    const extents: Extent[] = [];
    await this.#run('extents', offset, lengthBytes, () => {
      const end = offset + lengthBytes;
      for (let at: number = offset; at < end; ) {
        const next = Math.min(end, (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES);
        const hole = this.#written[Math.floor(at / PAGE_BYTES)] === 0;
        extents.push({ lengthBytes: next - at, hole, zero: hole });
        at = next;
      }
    });
    return extents;
  }

  async #run(
    operation: Operation,
    offset: number,
    lengthBytes: number,
    effect: () => void,
  ): Promise<Errno> {
    this.inFlight += 1;
    const errno = this.before === null ? OK : await this.before(operation, offset, lengthBytes);
    if (errno === OK) effect();
    this.inFlight -= 1;
    return errno;
  }

  #mark(offset: number, lengthBytes: number): void {
    const first = Math.floor(offset / PAGE_BYTES);
    this.#written.fill(1, first, Math.ceil((offset + lengthBytes) / PAGE_BYTES));
  }

  #unmark(offset: number, lengthBytes: number): void {
    const first = Math.ceil(offset / PAGE_BYTES);
    const end = offset + lengthBytes;
    const last = end === this.sizeBytes ? this.#written.length : Math.floor(end / PAGE_BYTES);
    if (last > first) this.#written.fill(0, first, last);
  }
}
