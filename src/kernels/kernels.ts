/**
 * What parity work is done with. Addresses are buffer-pool addresses, lengths multiples of 64
 * bytes. The scalar implementation is the reference; the WebAssembly one is proven against it.
 */

import type { Address } from '../base/units.ts';

export interface Kernels {
  readonly name: 'wasm-simd' | 'scalar';
  /** target ← XOR of all sources (1 or more); target may be one of them. */
  xor(target: Address, sources: readonly Address[], lengthBytes: number): void;
  /** target ← target ⊕ source */
  xorInto(target: Address, source: Address, lengthBytes: number): void;
  equal(a: Address, b: Address, lengthBytes: number): boolean;
  isZero(a: Address, lengthBytes: number): boolean;
}
