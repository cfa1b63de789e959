/**
 * One plain file through the ring, with nothing in between: what nbdkit's file plugin is, for
 * comparing servers.
 */

import { fstatSync, openSync } from 'node:fs';
import type { Errno } from '../../src/base/errno.ts';
import { EIO, ENOTSUP, OK } from '../../src/base/errno.ts';
import type { Address, VolumeOffset } from '../../src/base/units.ts';
import type { BlockDevice, Extent } from '../../src/io/block-device.ts';
import type { Ring } from '../../src/io/uring.ts';

export class FileDevice implements BlockDevice {
  readonly name = 'file';
  readonly description = 'a file';
  readonly sizeBytes: number;
  readonly preferredBytes = 4096;
  readonly #fd: number;
  readonly #ring: Ring;

  static open(path: string, ring: Ring): FileDevice {
    return new FileDevice(openSync(path, 'r+'), ring);
  }

  private constructor(fd: number, ring: Ring) {
    this.#fd = fd;
    this.#ring = ring;
    this.sizeBytes = fstatSync(fd).size;
  }

  read(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return new Promise((resolve) => {
      const complete = (result: number): void => resolve(result === lengthBytes ? OK : EIO);
      this.#ring.prepRead(this.#fd, address, lengthBytes, offset, { complete });
    });
  }

  write(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return new Promise((resolve) => {
      const complete = (result: number): void => resolve(result === lengthBytes ? OK : EIO);
      this.#ring.prepWrite(this.#fd, address, lengthBytes, offset, { complete });
    });
  }

  flush(): Promise<Errno> {
    return new Promise((resolve) => {
      this.#ring.prepDatasync(this.#fd, { complete: (result) => resolve(-result) });
    });
  }

  zero(): Promise<Errno> {
    return Promise.resolve(ENOTSUP);
  }

  trim(): Promise<Errno> {
    return Promise.resolve(ENOTSUP);
  }

  cache(): Promise<Errno> {
    return Promise.resolve(OK);
  }

  extents(_offset: VolumeOffset, lengthBytes: number): Promise<readonly Extent[]> {
    return Promise.resolve([{ lengthBytes, hole: false, zero: false }]);
  }
}
