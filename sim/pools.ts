/**
 * Buffer pools that are used again: a WebAssembly.Memory takes milliseconds to make and much longer to collect, and a
 * process in the simulator often lives less than that. One pool for each process that can be alive at a time.
 */

import { BufferPool } from '../src/io/buffer-pool.ts';
import type { Kernels } from '../src/kernels/kernels.ts';
import { createWasmKernels } from '../src/kernels/wasm-kernels.ts';

export interface Pool {
  readonly buffers: BufferPool;
  readonly kernels: Kernels;
}

export class Pools {
  readonly #sizeBytes: number;
  readonly #debug: boolean;
  readonly #idle: Pool[] = [];

  constructor(sizeBytes: number, debug: boolean) {
    this.#sizeBytes = sizeBytes;
    this.#debug = debug;
  }

  take(): Pool {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const buffers = new BufferPool({ sizeBytes: this.#sizeBytes, debug: this.#debug });
    return { buffers, kernels: createWasmKernels(buffers.memory) };
  }

  give(pool: Pool): void {
    this.#idle.push(pool);
  }
}
