/**
 * A volume as its host sees it: what NBD serves and the engine implements.
 *
 * Results are `Errno` values, no method rejects. Ranges are checked at the edge (NBD) and asserted
 * inside. Any byte alignment is allowed; multiples of 512 are fast. Buffers are borrowed until the
 * promise settles. `flush` answers for every write, of any connection, that was answered before it
 * was called.
 */

import type { Errno } from '../base/errno.ts';
import type { Address, VolumeOffset } from '../base/units.ts';

export interface Extent {
  readonly lengthBytes: number;
  readonly hole: boolean;
  readonly zero: boolean;
}

export interface ZeroOptions {
  readonly fua: boolean;
  /** Stay allocated (NBD_CMD_FLAG_NO_HOLE). */
  readonly noHole: boolean;
  /** ENOTSUP at once unless it is faster than writing (NBD_CMD_FLAG_FAST_ZERO). */
  readonly fast: boolean;
}

export interface BlockDevice {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly preferredBytes: number;
  read(offset: VolumeOffset, address: Address, lengthBytes: number): Promise<Errno>;
  write(offset: VolumeOffset, address: Address, lengthBytes: number, fua: boolean): Promise<Errno>;
  zero(offset: VolumeOffset, lengthBytes: number, options: ZeroOptions): Promise<Errno>;
  trim(offset: VolumeOffset, lengthBytes: number, fua: boolean): Promise<Errno>;
  flush(): Promise<Errno>;
  cache(offset: VolumeOffset, lengthBytes: number): Promise<Errno>;
  /** At least one extent, together not longer than asked, starting at `offset`. */
  extents(offset: VolumeOffset, lengthBytes: number): Promise<readonly Extent[]>;
}
