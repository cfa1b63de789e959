/**
 * What the stripe log left behind: the after-images that must be written again.
 *
 * Each half is a chain of segments from its start; the first one may have any sequence. Of all that
 * is found, what is not released is redone, in the order of the sequences. A segment that is whole
 * on no leg was never answered, so none of its images was ever written in place: it is skipped, and
 * the ones behind it are redone all the same, because images of different stripes do not depend on
 * each other, and those of one stripe never are under way together. Only if a later segment says
 * that it was committed, it is counted as lost.
 *
 * Redo must follow before anything is written to the members; nothing here changes a leg.
 */

import { crc32 } from '../../base/crc32.ts';
import { OK } from '../../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  type DriveOffset,
  type MemberOffset,
  SECTOR_BYTES,
  type Slot,
} from '../../base/units.ts';
import { RECORD_IMAGE, RECORD_IMAGE_ZERO, type Segment } from '../../core/format/segment.ts';
import { driveOf, type Leg, type Legs, type LogEnvironment } from './legs.ts';
import { continuesChain } from './recover-records.ts';
import { verifyPayload } from './segment-copy.ts';
import { type SegmentArea, SegmentCursor } from './segment-cursor.ts';
import { type StripeImage, ZEROES } from './stripe-image.ts';

export interface PendingSegment {
  readonly segment: Segment;
  /** Byte on the leg where it begins. */
  readonly offset: number;
  /** Legs on which it is whole. */
  readonly whole: readonly Leg[];
}

export interface FoundStripes {
  /** Ascending. */
  readonly pending: readonly PendingSegment[];
  readonly lastSequence: number;
  readonly releasedThrough: number;
  readonly lostSegments: number;
}

export const NO_STRIPES: FoundStripes = {
  pending: [],
  lastSequence: 0,
  releasedThrough: 0,
  lostSegments: 0,
};

export async function findStripes(
  environment: LogEnvironment,
  legs: Legs,
  area: SegmentArea,
): Promise<FoundStripes> {
  const found = new Map<number, { segment: Segment; present: Leg[] }>();
  const half = area.blocks / 2;
  for (const leg of legs.online()) {
    for (const start of [0, half]) {
      const cursor = await SegmentCursor.open(environment, legs, leg, area);
      for (const segment of await chainFrom(cursor, start, start + half)) {
        const known = found.get(segment.sequence);
        if (known === undefined) found.set(segment.sequence, { segment, present: [leg] });
        // The legs hold the same; a leg that does not is left out.
        else if (known.segment.headerCrc === segment.headerCrc) known.present.push(leg);
      }
      cursor.close();
    }
  }
  const all = [...found.values()].sort((a, b) => a.segment.sequence - b.segment.sequence);
  const most = (values: number[], least: number): number =>
    values.reduce((a, b) => Math.max(a, b), least);
  const header = legs.header.stripesReleasedThrough;
  const releasedThrough = most(
    all.map(({ segment }) => segment.releasedThrough),
    header,
  );
  const committedThrough = most(
    all.map(({ segment }) => segment.committedThrough),
    0,
  );
  const lastSequence = most(
    all.map(({ segment }) => segment.sequence),
    releasedThrough,
  );
  const pending: PendingSegment[] = [];
  for (const { segment, present } of all) {
    if (segment.sequence <= releasedThrough) continue;
    const whole: Leg[] = [];
    for (const leg of present) {
      const verdict = await verifyPayload(environment, legs, leg, area, segment);
      if (verdict.bad.length === 0) whole.push(leg);
    }
    const offset = area.offset + segment.positionBlocks * BLOCK_BYTES;
    if (whole.length > 0) pending.push({ segment, offset, whole });
  }
  const redone = pending.filter(({ segment }) => segment.sequence <= committedThrough).length;
  const lostSegments = Math.max(0, committedThrough - releasedThrough - redone);
  return { pending, lastSequence, releasedThrough, lostSegments };
}

async function chainFrom(cursor: SegmentCursor, start: number, end: number): Promise<Segment[]> {
  const chain: Segment[] = [];
  let position = start;
  while (position < end) {
    const { segment } = await cursor.at(position);
    const last = chain.at(-1);
    if (segment === null || (last !== undefined && !continuesChain(last, segment))) break;
    chain.push(segment);
    position += segment.totalBlocks;
  }
  return chain;
}

/**
 * The images of a segment in one buffer, verified; for the caller to give back. Null when no leg
 * has them any more.
 */
export async function readImages(
  environment: LogEnvironment,
  legs: Legs,
  pending: PendingSegment,
): Promise<{ images: StripeImage[]; address: Address } | null> {
  const { buffers } = environment;
  const { segment, offset, whole } = pending;
  const lengthBytes = (segment.totalBlocks - segment.headerBlocks) * BLOCK_BYTES;
  for (const leg of whole) {
    const address = await buffers.takeLater(Math.max(lengthBytes, BLOCK_BYTES), 'engine');
    const from = (offset + segment.headerBlocks * BLOCK_BYTES) as DriveOffset;
    const errno = lengthBytes > 0 ? await driveOf(leg).read(from, address, lengthBytes) : OK;
    const right = segment.blockCrcs.every((crc, i) => {
      const at = address + i * BLOCK_BYTES;
      return crc32(buffers.bytes.subarray(at, at + BLOCK_BYTES)) === crc;
    });
    if (errno === OK && right) return { images: imagesOf(segment, address), address };
    buffers.give(address);
    if (errno !== OK) legs.fail(leg, `reading stripe images failed with errno ${errno}`);
  }
  return null;
}

function imagesOf(segment: Segment, payload: Address): StripeImage[] {
  return segment.records
    .filter(({ type }) => type === RECORD_IMAGE || type === RECORD_IMAGE_ZERO)
    .map(({ type, slot, start, sectors, payloadBlock }) => ({
      slot: slot as Slot,
      memberOffset: (start * SECTOR_BYTES) as MemberOffset,
      address:
        type === RECORD_IMAGE_ZERO
          ? ZEROES
          : ((payload + (payloadBlock - segment.headerBlocks) * BLOCK_BYTES) as Address),
      lengthBytes: sectors * SECTOR_BYTES,
    }));
}
