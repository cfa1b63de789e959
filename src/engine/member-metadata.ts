/**
 * Reads what a drive says about itself: superblock, bitmap, both copies of the label. Changes nothing.
 */

import { isDriveGone, OK } from '../base/errno.ts';
import { BLOCK_BYTES, type DriveOffset, roundUp } from '../base/units.ts';
import { type BitmapHeader, decodeBitmapHeader } from '../core/format/bitmap.ts';
import type { LabelResult } from '../core/format/label.ts';
import { decodeLabel, newestLabel } from '../core/format/label-codec.ts';
import {
  type AdoptedLayout,
  layoutOfSuperblock,
  likelyLabelOffsets,
  type MemberLayout,
} from '../core/format/member-layout.ts';
import {
  decodeSuperblock,
  SUPERBLOCK_OFFSET_BYTES,
  type SuperblockResult,
} from '../core/format/superblock.ts';
import type { Buffers } from '../io/buffers.ts';
import type { Drive } from '../io/drive.ts';
import { type Newest, newestOf, UNREAD } from './label-copies.ts';

export interface MemberMetadata {
  readonly superblock: SuperblockResult;
  readonly bitmapHeader: BitmapHeader | null;
  /** The bitmap region as it lies on the drive; null when there is none or it cannot be read. */
  readonly bitmapRegion: Uint8Array | null;
  readonly label: LabelResult;
  /** Where `label` lies; null when neither holds a valid one, undefined when one of them was not read. */
  readonly newestCopy: Newest | null | undefined;
  /** null when the superblock could not be read. */
  readonly layout: AdoptedLayout | null;
  /** Reads that failed; of the label the other copy may have been enough. */
  readonly readErrors: number;
}

/** A drive that is looked at. */
interface Look {
  readonly buffers: Buffers;
  readonly drive: Drive;
  readErrors: number;
}

export async function readMemberMetadata(buffers: Buffers, drive: Drive): Promise<MemberMetadata> {
  const look: Look = { buffers, drive, readErrors: 0 };
  const block = await readBytes(look, SUPERBLOCK_OFFSET_BYTES, BLOCK_BYTES);
  const superblock: SuperblockResult = block
    ? decodeSuperblock(block)
    : { kind: 'corrupt', reason: 'it cannot be read' };
  let bitmapHeader: BitmapHeader | null = null;
  let layout: AdoptedLayout | null = null;
  let bitmapRegion: Uint8Array | null = null;
  let labelOffsets = likelyLabelOffsets(drive.sizeBytes);
  if (superblock.kind === 'superblock') {
    const { bitmapOffset } = superblock.value;
    if (bitmapOffset > 0) {
      const first = await readBytes(look, bitmapOffset, BLOCK_BYTES);
      const header = first ? decodeBitmapHeader(first) : null;
      if (header?.kind === 'bitmap') bitmapHeader = header.value;
    }
    layout = layoutOfSuperblock(superblock.value, bitmapHeader);
    if (layout.kind === 'layout') {
      labelOffsets = layout.value.labelOffsets;
      if (layout.value.bitmapPresent) {
        bitmapRegion = await readBytes(look, bitmapOffset, layout.value.bitmapBytes);
      }
    }
  }
  const copies = await readLabels(look, labelOffsets);
  const label = newestLabel(...copies);
  const { readErrors } = look;
  // A place that could not be read may hold a newer one: it is looked at again before anything is written.
  const newestCopy = copies.includes(UNREAD) ? undefined : newestOf(copies);
  return { superblock, bitmapHeader, bitmapRegion, label, newestCopy, layout, readErrors };
}

async function readLabels(
  look: Look,
  offsets: MemberLayout['labelOffsets'],
): Promise<[LabelResult, LabelResult]> {
  const read = async (offset: number): Promise<LabelResult> => {
    const bytes = await readBytes(look, offset, BLOCK_BYTES);
    return bytes ? decodeLabel(bytes) : UNREAD;
  };
  return [await read(offsets[0]), await read(offsets[1])];
}

/** A copy of the bytes; null when they cannot be read or lie outside the drive. */
async function readBytes(
  look: Look,
  offset: number,
  lengthBytes: number,
): Promise<Uint8Array | null> {
  const { buffers, drive } = look;
  if (offset < 0 || offset + lengthBytes > drive.sizeBytes) return null;
  const bytes = roundUp(lengthBytes, BLOCK_BYTES);
  const buffer = await buffers.takeLater(bytes, 'engine');
  if (buffer === 0) return null;
  try {
    // Twice: a label that is not read for a moment would make the drive one of an older state.
    for (let turn = 0; turn < 2; turn++) {
      const errno = await drive.read(offset as DriveOffset, buffer, bytes);
      if (errno === OK) return buffers.slice(buffer, lengthBytes).slice();
      look.readErrors++;
      if (isDriveGone(errno)) break;
    }
    return null;
  } finally {
    buffers.give(buffer);
  }
}
