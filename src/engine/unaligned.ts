/**
 * Bytes that are no whole sectors, in portions of a size for which a block of the pool is kept aside (io/buffers.ts, kind
 * `request`). The client that asked holds a buffer already: did each wait for a second one of the same kind, as large as the
 * first, a pool that many of them have filled would never move again. A portion holds its buffer only while it is at work.
 */

import { ENOMEM, type Errno, OK } from '../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  KIB,
  roundDown,
  roundUp,
  SECTOR_BYTES,
  type VolumeOffset,
} from '../base/units.ts';
import type { VolumeCore } from './volume-core.ts';

const PORTION_BYTES = 64 * KIB;

export interface Portion {
  /** Whole sectors of the volume. */
  readonly from: VolumeOffset;
  readonly bytes: number;
  /** What was asked for of them: from this byte on. */
  readonly skipBytes: number;
  readonly lengthBytes: number;
  /** In the caller's buffer. */
  readonly address: Address;
}

export const isUnaligned = (offset: number, lengthBytes: number): boolean =>
  offset % SECTOR_BYTES !== 0 || lengthBytes % SECTOR_BYTES !== 0;

/** One portion after the other, until one of them fails. */
export async function inPortions(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
  act: (portion: Portion) => Promise<Errno>,
): Promise<Errno> {
  const most = roundDown(Math.min(PORTION_BYTES, v.largestBufferBytes), BLOCK_BYTES);
  const end = offset + lengthBytes;
  for (let at: number = offset; at < end; ) {
    const from = roundDown(at, SECTOR_BYTES) as VolumeOffset;
    const until = Math.min(end, from + Math.max(most, BLOCK_BYTES));
    const errno = await act({
      from,
      bytes: roundUp(until, SECTOR_BYTES) - from,
      skipBytes: at - from,
      lengthBytes: until - at,
      address: (address + (at - offset)) as Address,
    });
    if (errno !== OK) return errno;
    at = until;
  }
  return OK;
}

/** With a buffer for the whole sectors of a portion. */
export async function withSectors(
  v: VolumeCore,
  { bytes }: Portion,
  act: (whole: Address) => Promise<Errno>,
): Promise<Errno> {
  const { buffers } = v.environment;
  const whole = await buffers.takeLater(Math.max(bytes, BLOCK_BYTES), 'request');
  if (whole === 0) return ENOMEM;
  try {
    return await act(whole);
  } finally {
    buffers.give(whole);
  }
}
