/**
 * The header of a log leg: who it belongs to, what its peers are, and which epoch of records
 * counts.
 *
 * One block of 4 KiB in four copies. An update writes copies 0 and 1, flushes, then writes 2 and 3,
 * flushes: at any instant two copies are whole. The newest valid copy on any leg is the truth; a
 * leg whose newest copy is older than that has missed something, and what it missed is said by the
 * newer one (it lists the legs that are out).
 *
 * Valid if and only if
 *   1. magic, version and CRC match, reserved bytes are zero, numbers fit into 2^53;
 *   2. the layout of the areas is sound;
 *   3. it has 1 to 4 legs, its index is below that, and the uuid in its row of the table is its
 *      own;
 *   4. all states are known.
 * A block with our magic that is not valid may be of a newer version: it is never taken for blank.
 */

import { assert } from '../../base/assert.ts';
import { crc32 } from '../../base/crc32.ts';
import { field, Layout } from '../../base/layout.ts';
import { BLOCK_BYTES } from '../../base/units.ts';
import { NIL_UUID, type Uuid } from '../../base/uuid.ts';
import { type LegLayout, layoutIsSound } from './leg-header-layout.ts';

export const LEG_MAGIC = 'LOCUMLEG';
const VERSION = 1;
export const LEGS_MAX = 4;
const TABLE_AT = 320;
const ROW_BYTES = 24;
const CRC_AT = BLOCK_BYTES - 4;

export const legHeaderLayout = new Layout('log leg header', BLOCK_BYTES, {
  magic: field(0, 'ascii', '`LOCUMLEG`', 8),
  version: field(8, 'u16', '1'),
  reserved0: field(10, 'zero', '', 2),
  legIndex: field(12, 'u16', 'which leg of the log this is'),
  legCount: field(14, 'u16', 'legs of the log'),
  logUuid: field(16, 'uuid', 'the log'),
  legUuid: field(32, 'uuid', 'this leg'),
  volumeUuid: field(48, 'uuid', 'the volume'),
  volumeName: field(64, 'ascii', 'its name, for people', 64),
  sequence: field(128, 'u64', 'rises with every update; the highest valid one counts'),
  capacityBytes: field(136, 'u64', 'used of the leg'),
  stripesOffset: field(144, 'u64', 'stripe area'),
  stripesBytes: field(152, 'u64', 'its size, both halves'),
  checkpointOffset: field(160, 'u64', 'checkpoint slot A; B follows'),
  slotBytes: field(168, 'u64', 'size of a slot'),
  recordsOffset: field(176, 'u64', 'record area'),
  recordsBytes: field(184, 'u64', 'its size'),
  epoch: field(192, 'u32', 'rises with every window'),
  state: field(196, 'u32', '0 idle, 1 logging, 2 replaying: members have changed since the freeze'),
  nonce: field(200, 'bytes', 'of the segments of this epoch', 8),
  stripeNonce: field(208, 'bytes', 'of the stripe segments', 8),
  stripesReleasedThrough: field(216, 'u64', 'stripe segments up to here need no redo'),
  windowId: field(224, 'uuid', 'the window; nil while idle'),
  reserved1: field(240, 'zero', '', TABLE_AT - 240),
  table: field(TABLE_AT, 'region', 'the legs, see below', LEGS_MAX * ROW_BYTES),
  reserved2: field(416, 'zero', '', CRC_AT - 416),
  crc: field(CRC_AT, 'u32', 'CRC-32 of all bytes before it'),
});

export const legRowLayout = new Layout('row of the leg table', ROW_BYTES, {
  uuid: field(0, 'uuid', 'the leg; nil in an unused row'),
  state: field(16, 'u32', '0 online, 1 failed: it has missed something'),
  reserved: field(20, 'zero', '', 4),
});

/** The number of each is its place. */
const states = ['idle', 'logging', 'replaying'] as const;
export type LogHeaderState = (typeof states)[number];

export interface LegPeer {
  readonly uuid: Uuid;
  readonly state: 'online' | 'failed';
}

/** What all legs say alike. */
export interface LogHeader {
  readonly logUuid: Uuid;
  readonly volumeUuid: Uuid;
  readonly volumeName: string;
  readonly sequence: number;
  readonly layout: LegLayout;
  readonly epoch: number;
  readonly state: LogHeaderState;
  readonly nonce: Uint8Array;
  readonly stripeNonce: Uint8Array;
  readonly stripesReleasedThrough: number;
  /** NIL_UUID while idle. */
  readonly windowId: Uuid;
  readonly legs: readonly LegPeer[];
}

export interface LegHeader extends LogHeader {
  readonly legIndex: number;
}

/** Fills the first 4 KiB of `bytes`. */
export function encodeLegHeader(header: LogHeader, legIndex: number, bytes: Uint8Array): void {
  const own = header.legs[legIndex];
  assert(own !== undefined && header.legs.length <= LEGS_MAX, 'a log has one to four legs');
  assert(layoutIsSound(header.layout), 'the layout of a leg is sound');
  const { logUuid, volumeUuid, volumeName, sequence, layout, epoch, nonce, stripeNonce, windowId } =
    header;
  const { stripesReleasedThrough } = header;
  legHeaderLayout.encode(
    {
      magic: LEG_MAGIC,
      version: VERSION,
      legIndex,
      legCount: header.legs.length,
      logUuid,
      legUuid: own.uuid,
      volumeUuid,
      volumeName,
      sequence,
      ...layout,
      epoch,
      state: states.indexOf(header.state),
      nonce,
      stripeNonce,
      stripesReleasedThrough,
      windowId,
      crc: 0,
    },
    bytes,
  );
  for (let row = 0; row < LEGS_MAX; row++) {
    const leg = header.legs[row] ?? { uuid: NIL_UUID, state: 'online' };
    const values = { uuid: leg.uuid, state: leg.state === 'failed' ? 1 : 0 };
    legRowLayout.encode(values, bytes, TABLE_AT + row * ROW_BYTES);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK_BYTES);
  view.setUint32(CRC_AT, crc32(bytes.subarray(0, CRC_AT)), true);
}

/** Null unless the block is valid. The result shares no memory with `bytes`. */
export function decodeLegHeader(bytes: Uint8Array): LegHeader | null {
  if (!looksLikeLegHeader(bytes) || legHeaderLayout.check(bytes) !== null) return null;
  const raw = legHeaderLayout.decode(bytes);
  const { version, legIndex, legCount, legUuid, state, crc } = raw;
  if (version !== VERSION || crc !== crc32(bytes.subarray(0, CRC_AT))) return null;
  const word = states[state];
  if (word === undefined) return null;
  if (legCount < 1 || legCount > LEGS_MAX || legIndex >= legCount) return null;
  const { capacityBytes, stripesOffset, stripesBytes, checkpointOffset, slotBytes, recordsOffset } =
    raw;
  const layout: LegLayout = {
    capacityBytes,
    stripesOffset,
    stripesBytes,
    checkpointOffset,
    slotBytes,
    recordsOffset,
    recordsBytes: raw.recordsBytes,
  };
  if (!layoutIsSound(layout)) return null;
  const rows = Array.from({ length: legCount }, (_, row) =>
    legRowLayout.decode(bytes, TABLE_AT + row * ROW_BYTES),
  );
  if ((rows[legIndex] as { uuid: Uuid }).uuid !== legUuid || rows.some((row) => row.state > 1))
    return null;
  return {
    legIndex,
    logUuid: raw.logUuid,
    volumeUuid: raw.volumeUuid,
    volumeName: raw.volumeName,
    sequence: raw.sequence,
    layout,
    epoch: raw.epoch,
    state: word,
    nonce: raw.nonce,
    stripeNonce: raw.stripeNonce,
    stripesReleasedThrough: raw.stripesReleasedThrough,
    windowId: raw.windowId,
    legs: rows.map(
      (row): LegPeer => ({ uuid: row.uuid, state: row.state === 0 ? 'online' : 'failed' }),
    ),
  };
}

export function looksLikeLegHeader(bytes: Uint8Array): boolean {
  for (let i = 0; i < LEG_MAGIC.length; i++) if (bytes[i] !== LEG_MAGIC.charCodeAt(i)) return false;
  return true;
}
