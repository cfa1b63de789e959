/**
 * In front of a drive opened with O_DIRECT, which wants its memory aligned to sectors as well.
 * Transfers from and to aligned addresses, nearly all, pass through untouched; the others go
 * through a buffer of their own.
 */

import { type Errno, OK } from '../base/errno.ts';
import { type Address, type DriveOffset, SECTOR_BYTES } from '../base/units.ts';
import type { Buffers } from './buffers.ts';
import type { Drive, Part } from './drive.ts';

export class AlignedDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly #inner: Drive;
  readonly #buffers: Buffers;

  constructor(inner: Drive, buffers: Buffers) {
    this.path = inner.path;
    this.sizeBytes = inner.sizeBytes;
    this.blockBytes = inner.blockBytes;
    this.#inner = inner;
    this.#buffers = buffers;
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    if (isAligned(address)) return this.#inner.read(offset, address, lengthBytes);
    return this.#readAside(offset, address, lengthBytes);
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    if (isAligned(address)) return this.#inner.write(offset, address, lengthBytes);
    return this.#writeAside(offset, [{ address, lengthBytes }]);
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    const aligned = parts.every(
      (part) => isAligned(part.address) && part.lengthBytes % SECTOR_BYTES === 0,
    );
    return aligned ? this.#inner.writeParts(offset, parts) : this.#writeAside(offset, parts);
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
    return this.#inner.close(abandoned);
  }

  async #readAside(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    const aside = await this.#buffers.takeLater(lengthBytes, 'engine');
    const errno = await this.#inner.read(offset, aside, lengthBytes);
    if (errno === OK) this.#buffers.bytes.copyWithin(address, aside, aside + lengthBytes);
    this.#buffers.give(aside);
    return errno;
  }

  async #writeAside(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    const aside = await this.#buffers.takeLater(lengthBytes, 'engine');
    let at: number = aside;
    for (const part of parts) {
      this.#buffers.bytes.copyWithin(at, part.address, part.address + part.lengthBytes);
      at += part.lengthBytes;
    }
    const errno = await this.#inner.write(offset, aside, lengthBytes);
    this.#buffers.give(aside);
    return errno;
  }
}

const isAligned = (address: Address): boolean => address % SECTOR_BYTES === 0;
