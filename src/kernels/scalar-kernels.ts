/**
 * The kernels in plain JavaScript, 32 bits at a time: the reference that the WebAssembly ones are
 * proven against, and what runs where there is no SIMD. Slow (about a tenth), and short enough to
 * be seen right.
 */

import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { WasmMemory } from '../base/wasm-memory.ts';
import type { Kernels } from './kernels.ts';

export function createScalarKernels(memory: WasmMemory): Kernels {
  const words = new Int32Array(memory.buffer);

  const xor = (target: Address, sources: readonly Address[], lengthBytes: number): void => {
    assert(
      sources.length > 0 && lengthBytes % 64 === 0,
      'XOR has sources and whole 64-byte rounds',
    );
    const to = target >>> 2;
    const from = sources.map((source) => source >>> 2);
    for (let i = 0; i < lengthBytes >>> 2; i += 1) {
      let sum = 0;
      for (const source of from) sum ^= words[source + i]!;
      words[to + i] = sum;
    }
  };

  const equal = (a: Address, b: Address, lengthBytes: number): boolean => {
    for (let i = 0; i < lengthBytes >>> 2; i += 1) {
      if (words[(a >>> 2) + i] !== words[(b >>> 2) + i]) return false;
    }
    return true;
  };

  const isZero = (a: Address, lengthBytes: number): boolean => {
    for (let i = 0; i < lengthBytes >>> 2; i += 1) if (words[(a >>> 2) + i] !== 0) return false;
    return true;
  };

  return {
    name: 'scalar',
    xor,
    xorInto: (target, source, lengthBytes) => xor(target, [target, source], lengthBytes),
    equal,
    isZero,
  };
}
