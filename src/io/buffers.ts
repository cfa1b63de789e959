/**
 * The buffer pool as the engine and NBD see it: one WebAssembly.Memory, so that io_uring, the XOR
 * kernels and JavaScript all work on the same bytes without a copy. Its size is fixed when it is
 * made, so its address never moves.
 *
 * Two kinds of takers: `client` (payloads of host requests) is refused while less than the reserve
 * is free; `engine` (parity, old data, metadata) may use the reserve, so that work already admitted
 * can always finish.
 */

import type { Address } from '../base/units.ts';

export type Taker = 'client' | 'engine';

export interface Buffers {
  /** All of the pool; index it by Address. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly freeBytes: number;
  /** A buffer of at least `lengthBytes`, 4096-aligned, contents undefined; 0 when there is none. */
  take(lengthBytes: number, taker: Taker): Address;
  /** Resolves with a buffer as soon as there is one; first come, first served. */
  takeLater(lengthBytes: number, taker: Taker): Promise<Address>;
  give(address: Address): void;
  slice(address: Address, lengthBytes: number): Uint8Array;
  /**
   * Hold the buffer that contains `address` back from reuse until `unpin`, even when it is given
   * back.
   */
  pin(address: Address): void;
  unpin(address: Address): void;
}
