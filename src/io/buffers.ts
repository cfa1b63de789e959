/**
 * The buffer pool as the engine and NBD see it: one WebAssembly.Memory, so that io_uring, the XOR
 * kernels and JavaScript all work on the same bytes without a copy. Its size is fixed when it is
 * made, so its address never moves.
 *
 * A `client` is refused while less than the reserve is free: the rest is for the work that was already admitted. Some of it
 * is kept aside in whole blocks, at least one for each kind of taker inside the engine, so that this work can always finish:
 *
 *   client    payload of a host request
 *   request   inside the gate, before it has a lock: zeroes to be written, sectors around bytes that are no whole ones
 *   stripe    under the locks of stripes: what a replay, a step of a job or a checked read works on
 *   scratch   beside that: old chunks and parity of a write, the other members of a comparison
 *   mend      beside that: the others, from which a part that cannot be read is made; records that are read back
 *   engine    beside anything: headers, labels, pieces of the log
 *
 * Whoever holds a buffer, or a lock, waits only for buffers of a kind further down. The last kind waits for drives alone,
 * but for two places with little to lose: a start that reads the log back, when there are no clients yet, and one page
 * for each write of the log that a leg has failed. So it gives back what it has, its block is there for the next of it,
 * and in the end for each kind above.
 */

import type { Address } from '../base/units.ts';

export type Taker = 'client' | 'request' | 'stripe' | 'scratch' | 'mend' | 'engine';

export interface Buffers {
  /** All of the pool; index it by Address. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** What clients share with each other: all but what is kept aside. Every share and limit of theirs is a part of this. */
  readonly shareableBytes: number;
  /** What is kept aside does not count; what is out of that is missing here. */
  readonly freeBytes: number;
  /**
   * From now on blocks of at least so much are kept aside, as far as the pool has room for that: the largest buffer that
   * the engine asks for in one step. Never less than was asked for before.
   */
  keepAside(lengthBytes: number): void;
  /** A buffer of at least `lengthBytes`, 4096-aligned, contents undefined; 0 when there is none. */
  take(lengthBytes: number, taker: Taker): Address;
  /** Resolves with a buffer as soon as there is one; of one kind first come, first served (but see BufferPool). */
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
