/**
 * Looking at a leg without touching it: whose is it, and which of its four header copies is the
 * newest valid one.
 */

import { EIO, ETIMEDOUT, OK } from '../../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';
import {
  decodeLegHeader,
  type LegHeader,
  type LegPeer,
  type LogHeaderState,
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
      readonly state: LogHeaderState;
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
  /** Reads that failed. */
  readonly readErrors: number;
}

/** Copies are read in one go; if that fails one by one, so that one bad block hides no other. */
export async function viewLeg(buffers: Buffers, drive: Drive): Promise<LegView> {
  const lengthBytes = HEADER_COPIES * BLOCK_BYTES;
  const address = await buffers.takeLater(lengthBytes, 'engine');
  const fits = drive.sizeBytes >= lengthBytes;
  const errno = fits ? await drive.read(0 as DriveOffset, address, lengthBytes) : EIO;
  const readable = new Array<boolean>(HEADER_COPIES).fill(errno === OK);
  // One that cannot be read in a copy of its own is counted then, and not twice.
  let readErrors = 0;
  if (errno !== OK && errno !== ETIMEDOUT) {
    for (let copy = 0; copy < HEADER_COPIES; copy++) {
      const offset = copy * BLOCK_BYTES;
      if (drive.sizeBytes < offset + BLOCK_BYTES) break;
      const at = (address + offset) as Address;
      readable[copy] = (await drive.read(offset as DriveOffset, at, BLOCK_BYTES)) === OK;
      if (!readable[copy]) readErrors++;
    }
  }
  if (errno !== OK) readErrors = Math.max(readErrors, 1);
  const view = judgeCopies(buffers.slice(address, lengthBytes), readable);
  buffers.give(address);
  return { ...view, readErrors };
}

function judgeCopies(bytes: Uint8Array, readable: readonly boolean[]): Omit<LegView, 'readErrors'> {
  let newest: LegHeader | null = null;
  let valid = 0;
  let same = 0;
  let claimed = false;
  let before: Uint8Array | null = null;
  let header: LegHeader | null = null;
  for (let copy = 0; copy < HEADER_COPIES; copy++) {
    if (!readable[copy]) continue;
    const block = bytes.subarray(copy * BLOCK_BYTES, (copy + 1) * BLOCK_BYTES);
    claimed ||= looksLikeLegHeader(block);
    // Four times the same, nearly always: judged once.
    if (before === null || !sameBytes(before, block)) header = decodeLegHeader(block);
    before = block;
    if (header === null) continue;
    valid++;
    if (newest === null || header.sequence > newest.sequence) {
      newest = header;
      same = 0;
    }
    if (header.sequence === newest.sequence) same++;
  }
  const reason = !readable.includes(true) ? 'unreadable' : claimed ? 'corrupt' : 'blank';
  return { header: newest, whole: valid === HEADER_COPIES && same === HEADER_COPIES, reason };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  const these = new Int32Array(a.buffer, a.byteOffset, a.length / 4);
  const those = new Int32Array(b.buffer, b.byteOffset, b.length / 4);
  for (let at = 0; at < these.length; at++) if (these[at] !== those[at]) return false;
  return true;
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
