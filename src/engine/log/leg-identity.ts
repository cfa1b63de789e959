/**
 * Looking at a leg without touching it: whose is it, and which of its four header copies is the
 * newest valid one.
 */

import { OK } from '../../base/errno.ts';
import { BLOCK_BYTES, type DriveOffset } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';
import {
  decodeLegHeader,
  type LegHeader,
  type LegPeer,
  looksLikeLegHeader,
} from '../../core/format/leg-header.ts';
import { HEADER_COPIES } from '../../core/format/leg-header-layout.ts';
import type { Buffers } from '../../io/buffers.ts';
import type { Drive } from '../../io/drive.ts';

export type LegIdentity =
  | {
      readonly valid: true;
      readonly logUuid: Uuid;
      readonly legUuid: Uuid;
      readonly legIndex: number;
      readonly volumeUuid: Uuid;
      readonly volumeName: string;
      readonly epoch: number;
      readonly state: 'idle' | 'logging';
      readonly windowId: Uuid;
      readonly legs: readonly LegPeer[];
      readonly sequence: number;
    }
  | { readonly valid: false; readonly reason: 'blank' | 'corrupt' | 'unreadable' };

export interface LegView {
  readonly header: LegHeader | null;
  /** All four copies are valid and the same. */
  readonly whole: boolean;
  /** Why there is no header. */
  readonly reason: 'blank' | 'corrupt' | 'unreadable';
}

/** Copies are read one by one, so that one bad block hides no other. */
export async function viewLeg(buffers: Buffers, drive: Drive): Promise<LegView> {
  let newest: LegHeader | null = null;
  let valid = 0;
  let same = 0;
  let readable = 0;
  let claimed = false;
  for (let copy = 0; copy < HEADER_COPIES; copy++) {
    const address = await buffers.takeLater(BLOCK_BYTES, 'engine');
    const block = buffers.slice(address, BLOCK_BYTES);
    const fits = drive.sizeBytes >= (copy + 1) * BLOCK_BYTES;
    const errno = fits
      ? await drive.read((copy * BLOCK_BYTES) as DriveOffset, address, BLOCK_BYTES)
      : 1;
    if (errno === OK) {
      readable++;
      claimed ||= looksLikeLegHeader(block);
      const header = decodeLegHeader(block);
      if (header !== null) {
        valid++;
        if (newest === null || header.sequence > newest.sequence) {
          newest = header;
          same = 0;
        }
        if (header.sequence === newest.sequence) same++;
      }
    }
    buffers.give(address);
  }
  const reason = readable === 0 ? 'unreadable' : claimed ? 'corrupt' : 'blank';
  return { header: newest, whole: valid === HEADER_COPIES && same === HEADER_COPIES, reason };
}

export async function peekLeg(buffers: Buffers, drive: Drive): Promise<LegIdentity> {
  const { header, reason } = await viewLeg(buffers, drive);
  if (header === null) return { valid: false, reason };
  const { logUuid, legIndex, volumeUuid, volumeName, epoch, state, windowId, legs, sequence } =
    header;
  const legUuid = legs[legIndex]!.uuid;
  const identity = { logUuid, legUuid, legIndex, volumeUuid, volumeName };
  return { valid: true, ...identity, epoch, state, windowId, legs, sequence };
}
