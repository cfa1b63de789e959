/**
 * Puts the payload of one record into a segment that is being built: the caller's bytes as they
 * are, zeroes up to the next block, and a checksum for each block in the header.
 */

import { crc32 } from '../../base/crc32.ts';
import { type Address, BLOCK_BYTES, roundUp } from '../../base/units.ts';
import type { SegmentEncoder } from '../../core/format/segment.ts';
import type { Part } from '../../io/drive.ts';

/** `zeroes` is a buffer of one block that nobody writes to. `each` gets the checksums in order. */
export function addPayload(
  bytes: Uint8Array,
  zeroes: Address,
  encoder: SegmentEncoder,
  parts: Part[],
  address: Address,
  lengthBytes: number,
  each: (crc: number) => void,
): void {
  const padBytes = roundUp(lengthBytes, BLOCK_BYTES) - lengthBytes;
  parts.push({ address, lengthBytes });
  if (padBytes > 0) parts.push({ address: zeroes, lengthBytes: padBytes });
  const end = address + lengthBytes;
  for (let at: number = address; at < end; at += BLOCK_BYTES) {
    let crc = crc32(bytes.subarray(at, Math.min(end, at + BLOCK_BYTES)));
    if (at + BLOCK_BYTES > end) crc = crc32(bytes.subarray(zeroes, zeroes + padBytes), crc);
    encoder.blockCrc(crc);
    each(crc);
  }
}
