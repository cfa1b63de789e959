/**
 * The two areas of a leg that hold segments, as the header of the log describes them at the moment.
 */

import { BLOCK_BYTES, KIB, MIB, roundDown } from '../../base/units.ts';
import type { LogHeader } from '../../core/format/leg-header.ts';
import type { LegLayout } from '../../core/format/leg-header-layout.ts';
import {
  AREA_RECORDS,
  AREA_STRIPES,
  HEADER_BLOCKS_MAX,
  identityBytes,
} from '../../core/format/segment.ts';
import type { SegmentArea } from './segment-cursor.ts';

/** Part of the record area that hosts may not fill. */
const RESERVE_SHARE = 32;
const RESERVE_BYTES_MIN = 256 * KIB;
const RESERVE_BYTES_MAX = 64 * MIB;

/** Of the current epoch. */
export function recordsArea(header: LogHeader): SegmentArea {
  const { recordsOffset, recordsBytes } = header.layout;
  const identity = identityBytes({ ...header, area: AREA_RECORDS });
  return { offset: recordsOffset, blocks: recordsBytes / BLOCK_BYTES, identity };
}

/** Knows no epochs: it works in windows and between them. */
export function stripesArea(header: LogHeader): SegmentArea {
  const { stripesOffset, stripesBytes } = header.layout;
  const own = { area: AREA_STRIPES, epoch: 0, nonce: header.stripeNonce };
  const identity = identityBytes({ ...header, ...own });
  return { offset: stripesOffset, blocks: stripesBytes / BLOCK_BYTES, identity };
}

/**
 * Payload blocks that a segment of the stripe area has at most, in a half of so many blocks. Part of the format: where more
 * room than that is left, and known to hold no segment, the writer cannot have gone on in the other half.
 */
export const stripePayloadMax = (halfBlocks: number): number =>
  Math.min(Math.max(Math.floor(halfBlocks / 4), 256), halfBlocks - HEADER_BLOCKS_MAX);

export function reserveBytesOf(layout: LegLayout): number {
  const share = roundDown(layout.recordsBytes / RESERVE_SHARE, BLOCK_BYTES);
  return Math.max(RESERVE_BYTES_MIN, Math.min(RESERVE_BYTES_MAX, share));
}
