/**
 * A handle on a simulated drive: the engine's `Drive`. Every operation takes its time in the world of the process that
 * opened the handle, and takes effect when it completes. A handle dies with its process; what is called on a dead handle
 * never answers.
 */

import { assert } from '../src/base/assert.ts';
import { EBADF, EIO, type Errno, OK } from '../src/base/errno.ts';
import { type Address, type DriveOffset, SECTOR_BYTES } from '../src/base/units.ts';
import type { Buffers } from '../src/io/buffers.ts';
import type { Drive, Part } from '../src/io/drive.ts';
import { type DriveFault, type Operation, type OperationKind, operationKinds } from './faults.ts';
import type { Pending, SimMedium } from './medium.ts';
import type { World } from './world.ts';

/** Microseconds until an operation completes. */
export type Latency = (medium: SimMedium, kind: OperationKind, lengthBytes: number) => number;

/** Used until the caller has stored what was gathered, and that is at once. */
let gathered = new Uint8Array(64 * 1024);

/** How far beside its place an operation lands: before the beginning of a drive there is nothing. */
function besideOf(fault: DriveFault | null, offset: number): number {
  if (fault?.effect !== 'misdirected') return 0;
  const shift = fault.shiftBytes ?? 0;
  return offset + shift < 0 ? -shift : shift;
}

const nothing = (): Uint8Array => new Uint8Array(0);

export class SimDrive implements Drive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly medium: SimMedium;
  readonly #world: World;
  readonly #buffers: Buffers;
  readonly #latency: Latency;
  #inFlight = 0;
  #closing: Promise<void> | null = null;
  #drained: (() => void) | null = null;

  constructor(medium: SimMedium, world: World, buffers: Buffers, latency: Latency) {
    this.path = medium.path;
    this.sizeBytes = medium.sizeBytes;
    this.blockBytes = medium.blockBytes;
    this.medium = medium;
    this.#world = world;
    this.#buffers = buffers;
    this.#latency = latency;
    medium.attach(this);
  }

  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    return this.#run('read', offset, lengthBytes, nothing, (fault) => {
      const from = offset + besideOf(fault, offset);
      const { bytes } = this.medium;
      this.#buffers.bytes.set(bytes.subarray(from, from + lengthBytes), address);
    });
  }

  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno> {
    const data = (): Uint8Array => this.#buffers.slice(address, lengthBytes);
    return this.#run('write', offset, lengthBytes, data, (fault) =>
      this.#store(offset, data(), fault),
    );
  }

  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno> {
    assert(parts.length > 0, 'a gathered write has parts');
    const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0);
    const data = (): Uint8Array => this.#gather(parts, lengthBytes);
    return this.#run('write', offset, lengthBytes, data, (fault) =>
      this.#store(offset, data(), fault),
    );
  }

  flush(): Promise<Errno> {
    const through = this.medium.sequence;
    return this.#run('flush', 0, 0, nothing, (fault) => {
      if (fault?.effect !== 'lost') this.medium.applyFlush(through);
    });
  }

  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno> {
    const data = (): Uint8Array => new Uint8Array(lengthBytes);
    return this.#run('punch', offset, lengthBytes, data, (fault) =>
      this.#store(offset, data(), fault),
    );
  }

  probe(): Promise<Errno> {
    return this.#run('probe', 0, 0, nothing, () => {});
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #store(offset: number, data: Uint8Array, fault: DriveFault | null): void {
    if (fault?.effect === 'lost') return;
    this.medium.applyWrite(offset + besideOf(fault, offset), data);
  }

  #run(
    kind: OperationKind,
    offset: number,
    lengthBytes: number,
    data: () => Uint8Array,
    effect: (fault: DriveFault | null) => void,
  ): Promise<Errno> {
    const whole = offset % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0;
    assert(whole, 'drives are used in whole sectors');
    assert(offset >= 0 && offset + lengthBytes <= this.sizeBytes, 'a transfer lies on the drive');
    if (this.#closing) return Promise.resolve(EBADF);
    const { medium } = this;
    if (!medium.isAlive(this)) return new Promise(() => {});
    this.#inFlight++;
    const operation: Operation = { kind, offset, lengthBytes };
    return new Promise((resolve) => {
      const pending: Pending = {
        handle: this,
        operation,
        data,
        run: () => {
          if (!medium.end(pending)) return;
          medium.countOperation();
          const errno = this.#complete(operation, data, effect);
          const { trace } = this.#world;
          trace.number(medium.index * 8 + operationKinds.indexOf(kind));
          trace.number(offset / SECTOR_BYTES);
          trace.number(lengthBytes + errno);
          this.#inFlight--;
          resolve(errno);
          if (this.#inFlight === 0) this.#drained?.();
        },
      };
      medium.begin(pending);
      const delayUs = this.#latency(medium, kind, lengthBytes) * medium.pace(medium.slowness);
      this.#world.after(delayUs, () => medium.due(pending));
    });
  }

  #complete(
    operation: Operation,
    data: () => Uint8Array,
    effect: (fault: DriveFault | null) => void,
  ): Errno {
    const verdict = this.medium.verdict(operation);
    if (verdict === OK) {
      effect(null);
      return OK;
    }
    if (typeof verdict === 'number') return verdict;
    switch (verdict.effect) {
      case 'error':
      case 'latent':
        return verdict.errno ?? EIO;
      case 'torn': {
        const half = data().subarray(0, Math.floor(operation.lengthBytes / 1024) * SECTOR_BYTES);
        if (half.length > 0) this.medium.applyWrite(operation.offset, half);
        return verdict.errno ?? EIO;
      }
      case 'lost':
      case 'misdirected':
        effect(verdict);
        return OK;
    }
  }

  #gather(parts: readonly Part[], lengthBytes: number): Uint8Array {
    if (lengthBytes > gathered.length) gathered = new Uint8Array(2 * lengthBytes);
    const data = gathered.subarray(0, lengthBytes);
    let at = 0;
    for (const part of parts) {
      const { address, lengthBytes: partBytes } = part;
      data.set(this.#buffers.bytes.subarray(address, address + partBytes), at);
      at += part.lengthBytes;
    }
    return data;
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0 && this.medium.isAlive(this)) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    this.medium.detach(this);
  }
}
