/**
 * What the engine asks of a drive or a log leg. Written against by the engine; implemented on
 * io_uring, on node:fs, in memory (tests and the simulator), and wrapped by the deadline guard.
 *
 * Rules every implementation keeps:
 *   1. Errors are values (`Errno`, 0 = done). No method rejects.
 *   2. A result of 0 means that all `lengthBytes` were transferred; short transfers are continued
 *      inside.
 *   3. Offsets and lengths are multiples of 512. Addresses are buffer-pool addresses; the buffer
 *      (and the list of parts) is borrowed until the promise settles, and belongs to the caller
 *      again from then on, unless the result is ETIMEDOUT: then the pool keeps it pinned until the
 *      late completion has come (the caller frees it as usual; the pool holds it back).
 *   4. `flush` covers every write that was answered before it was called. A failed flush is final:
 *      the caller drops the drive.
 *   5. After `close` resolves, nothing of this process has the drive open, and another program may
 *      open it exclusively.
 */

import type { Errno } from '../base/errno.ts';
import type { Address, DriveOffset } from '../base/units.ts';

export interface Part {
  readonly address: Address;
  readonly lengthBytes: number;
}

export interface Drive {
  readonly path: string;
  readonly sizeBytes: number;
  /** 512 or 4096: what the drive itself can write in one piece. */
  readonly blockBytes: number;
  read(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno>;
  write(offset: DriveOffset, address: Address, lengthBytes: number): Promise<Errno>;
  /** Gathers `parts` into one contiguous write at `offset`. */
  writeParts(offset: DriveOffset, parts: readonly Part[]): Promise<Errno>;
  flush(): Promise<Errno>;
  /**
   * Makes the range read as zeroes, giving the space back where the drive can; ENOTSUP when it
   * cannot.
   */
  punch(offset: DriveOffset, lengthBytes: number): Promise<Errno>;
  /** Is the drive still there: same path, same device and inode, first block readable? */
  probe(): Promise<Errno>;
  /**
   * Waits for what is in flight. `abandoned`: the drive has been given up, and what waits for its turn never begins.
   */
  close(abandoned?: boolean): Promise<void>;
}
