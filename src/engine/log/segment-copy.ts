/** Verifies the payload of a segment on one leg, and copies a segment from one leg to another. */

import { crc32 } from '../../base/crc32.ts';
import { EIO, type Errno, ETIMEDOUT, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset, KIB } from '../../base/units.ts';
import { encodeAgain, type Segment, SegmentEncoder } from '../../core/format/segment.ts';
import { driveOf, type Leg, type Legs, type LogEnvironment, readLeg } from './legs.ts';
import type { SegmentArea } from './segment-cursor.ts';

const PIECE_BLOCKS = (256 * KIB) / BLOCK_BYTES;

export interface PayloadVerdict {
  /** In blocks from the start of the segment. */
  readonly bad: readonly number[];
  /** False when the drive would not say for some block. */
  readonly readable: boolean;
}

/**
 * Walks over the payload in pieces; `each` gets the piece in a buffer of its own and which of its
 * blocks are right. The blocks of a piece that cannot be read count as bad.
 */
async function forEachPiece(
  environment: LogEnvironment,
  legs: Legs,
  leg: Leg,
  area: SegmentArea,
  segment: Segment,
  each: (block: number, address: Address, good: boolean[]) => Promise<void>,
): Promise<PayloadVerdict> {
  const { buffers } = environment;
  const { headerBlocks, totalBlocks, positionBlocks, blockCrcs } = segment;
  const bad: number[] = [];
  let readable = true;
  for (let from = headerBlocks; from < totalBlocks; from += PIECE_BLOCKS) {
    const count = Math.min(PIECE_BLOCKS, totalBlocks - from);
    const address = await buffers.takeLater(count * BLOCK_BYTES, 'engine');
    const offset = area.offset + (positionBlocks + from) * BLOCK_BYTES;
    const errnos = await readBlocks(legs, leg, offset, address, count);
    const good = errnos.map((errno, i) => {
      const at = address + i * BLOCK_BYTES;
      const expected = blockCrcs[from - headerBlocks + i];
      return errno === OK && crc32(buffers.bytes.subarray(at, at + BLOCK_BYTES)) === expected;
    });
    good.forEach((right, i) => right || bad.push(from + i));
    if (errnos.some((errno) => errno !== OK)) readable = false;
    await each(from, address, good);
    buffers.give(address);
  }
  return { bad, readable };
}

/** In one read; block by block when that fails. One errno for each block. */
async function readBlocks(
  legs: Legs,
  leg: Leg,
  offset: number,
  address: Address,
  count: number,
): Promise<Errno[]> {
  const whole = await readLeg(leg, offset, address, count * BLOCK_BYTES);
  const errnos = new Array<Errno>(count).fill(whole);
  if (whole === ETIMEDOUT) legs.fail(leg, 'a read was not answered in time');
  if (whole === OK || whole === ETIMEDOUT) return errnos;
  for (let i = 0; i < count; i++) {
    const at = (address + i * BLOCK_BYTES) as Address;
    errnos[i] = await readLeg(leg, offset + i * BLOCK_BYTES, at, BLOCK_BYTES);
  }
  return errnos;
}

/** Wrong is what was read wrong twice: a read may have gone astray. */
export async function verifyPayload(
  environment: LogEnvironment,
  legs: Legs,
  leg: Leg,
  area: SegmentArea,
  segment: Segment,
): Promise<PayloadVerdict> {
  const look = () => forEachPiece(environment, legs, leg, area, segment, async () => {});
  const verdict = await look();
  if (verdict.bad.length === 0 || !verdict.readable) return verdict;
  const again = await look();
  if (again.bad.length === 0) leg.readErrors++;
  return again;
}

/**
 * Writes what `from` has of the segment to `to`: payload first, header last, so that an interrupted
 * copy leaves no valid header without its payload. Blocks that are bad on `from` are left alone.
 * Not flushed.
 */
export async function copySegment(
  environment: LogEnvironment,
  legs: Legs,
  from: Leg,
  to: Leg,
  area: SegmentArea,
  segment: Segment,
): Promise<Errno> {
  const { buffers } = environment;
  let result: Errno = OK;
  const put = async (block: number, address: Address, blocks: number): Promise<void> => {
    if (result !== OK) return;
    const offset = (area.offset + (segment.positionBlocks + block) * BLOCK_BYTES) as DriveOffset;
    const errno = await driveOf(to).write(offset, address, blocks * BLOCK_BYTES);
    if (errno !== OK) result = errno;
  };
  await forEachPiece(environment, legs, from, area, segment, async (block, address, good) => {
    if (good.every((right) => right)) return put(block, address, good.length);
    for (const [i, right] of good.entries()) {
      if (right) await put(block + i, (address + i * BLOCK_BYTES) as Address, 1);
    }
  });
  // Made again from what was decoded, not read again: `from` might not give it a second time.
  const header = await buffers.takeLater(segment.headerBlocks * BLOCK_BYTES, 'engine');
  const encoder = new SegmentEncoder(buffers.bytes, buffers.view, area.identity);
  const same = encodeAgain(encoder, header, segment) === segment.headerCrc;
  if (same) await put(0, header, segment.headerBlocks);
  else result = EIO;
  buffers.give(header);
  return result;
}
