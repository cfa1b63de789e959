/**
 * The kernels in WebAssembly SIMD, working in place on the buffer pool: 30–50 GB/s of source data
 * where memory allows. Two to five sources go in one pass; more are folded into the target four at
 * a time. The module is assembled by scripts/build-kernels.ts.
 */

import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import { type WasmMemory, webAssembly } from '../base/wasm-memory.ts';
import type { Kernels } from './kernels.ts';
import { xorWasm } from './xor.wasm.ts';

/** Sources of one pass. */
const MOST_SOURCES = 5;

interface Exports {
  xor2(target: number, a: number, b: number, length: number): void;
  xor3(target: number, a: number, b: number, c: number, length: number): void;
  xor4(target: number, a: number, b: number, c: number, d: number, length: number): void;
  xor5(target: number, a: number, b: number, c: number, d: number, e: number, length: number): void;
  equal(a: number, b: number, length: number): number;
  zero(a: number, length: number): number;
}

let compiled: object | null = null;

/**
 * Throws where WebAssembly has no SIMD (Node before 16.4); the caller then takes the scalar
 * kernels.
 */
export function createWasmKernels(memory: WasmMemory): Kernels {
  compiled ??= new webAssembly.Module(Buffer.from(xorWasm, 'base64'));
  const instance = new webAssembly.Instance(compiled, { pool: { memory } });
  const run = instance.exports as unknown as Exports;
  const bytes = new Uint8Array(memory.buffer);

  const xor = (target: Address, sources: readonly Address[], lengthBytes: number): void => {
    assert(lengthBytes % 64 === 0, 'XOR works on whole 64-byte rounds');
    const [a, b, c, d, e] = sources as readonly [Address, Address, Address, Address, Address];
    switch (sources.length) {
      case 1:
        bytes.copyWithin(target, a, a + lengthBytes);
        return;
      case 2:
        return run.xor2(target, a, b, lengthBytes);
      case 3:
        return run.xor3(target, a, b, c, lengthBytes);
      case 4:
        return run.xor4(target, a, b, c, d, lengthBytes);
      case 5:
        return run.xor5(target, a, b, c, d, e, lengthBytes);
      default:
        xorMany(target, sources, lengthBytes);
    }
  };

  const xorMany = (target: Address, sources: readonly Address[], lengthBytes: number): void => {
    assert(sources.length > 0, 'XOR has sources');
    // The first pass overwrites the target, so the target has to be among the sources of that pass
    // if it is one.
    const own = sources.indexOf(target);
    const ordered = own < MOST_SOURCES ? sources : [target, ...sources.toSpliced(own, 1)];
    assert(ordered.lastIndexOf(target) < MOST_SOURCES, 'the target is a source once at most');
    xor(target, ordered.slice(0, MOST_SOURCES), lengthBytes);
    for (let i = MOST_SOURCES; i < ordered.length; i += MOST_SOURCES - 1) {
      xor(target, [target, ...ordered.slice(i, i + MOST_SOURCES - 1)], lengthBytes);
    }
  };

  return {
    name: 'wasm-simd',
    xor,
    xorInto: (target, source, lengthBytes) => run.xor2(target, target, source, lengthBytes),
    equal: (a, b, lengthBytes) => {
      assert(lengthBytes % 64 === 0, 'blocks are compared in whole 64-byte rounds');
      return run.equal(a, b, lengthBytes) === 1;
    },
    isZero: (a, lengthBytes) => {
      assert(lengthBytes % 64 === 0, 'blocks are tested in whole 64-byte rounds');
      return run.zero(a, lengthBytes) === 1;
    },
  };
}
