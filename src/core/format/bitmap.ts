/**
 * The header of md's internal write-intent bitmap. The bits behind it are in intent-bits.ts.
 *
 *   region = header (256 bytes) | one bit a bitmap chunk, least significant first | unused
 *
 * `events` is the superblock's event counter when the header was written: md takes a bitmap whose events are behind the
 * superblock's for out of date and then resyncs everything, so the header is written whenever the superblock is.
 * `eventsCleared` is the counter when bits were last cleared with all members present: a member that was in sync at or
 * after it has missed nothing but what the bits mark.
 */

import { assert } from '../../base/assert.ts';
import { type Decoded, field, Layout } from '../../base/layout.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';

export const BITMAP_HEADER_BYTES = 256;
export const BITMAP_MAGIC = 0x6d746962;

/** Bit of `state`: the bits are not to be believed, every region counts as marked. */
export const BITMAP_STALE = 1;

const CLUSTERED_VERSION = 5;

export const bitmapLayout = new Layout('md bitmap header', BITMAP_HEADER_BYTES, {
  magic: field(0x00, 'u32', '`6d746962`, the letters "bitm"'),
  version: field(0x04, 'u32', '4'),
  uuid: field(0x08, 'uuid', 'the volume, as in the superblock'),
  events: field(0x18, 'u64', 'event counter of the superblock when this was written'),
  eventsCleared: field(0x20, 'u64', 'event counter when bits were last cleared, no member absent'),
  syncSectors: field(0x28, 'u64', 'what the bits cover: the size used of every member'),
  state: field(0x30, 'u32', '1: stale, all regions count as marked'),
  chunkBytes: field(0x34, 'u32', 'bytes of a member covered by one bit; a power of two'),
  daemonSleepSeconds: field(0x38, 'u32', 'how lazily bits are cleared'),
  writeBehind: field(0x3c, 'u32', '0'),
  reservedSectors: field(0x40, 'u32', 'room for header and bits; 0: not said'),
  nodes: field(0x44, 'u32', '0'),
  clusterName: field(0x48, 'pad', 'zero', 64),
  pad: field(0x88, 'pad', 'zero', 120),
});

export interface BitmapHeader {
  uuid: Uuid;
  events: number;
  eventsCleared: number;
  /** Member bytes covered by the bits. */
  syncBytes: number;
  stale: boolean;
  chunkBytes: number;
  daemonSleepSeconds: number;
  /** Room for header and bits; 0 when the header does not say. */
  reservedBytes: number;
}

export type BitmapHeaderResult =
  | { readonly kind: 'bitmap'; readonly value: BitmapHeader }
  | { readonly kind: 'none' }
  | { readonly kind: 'corrupt'; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly reason: string };

/** The 256 bytes in front of the bits. */
export function encodeBitmapHeader(header: BitmapHeader): Uint8Array {
  assert(header.syncBytes % SECTOR_BYTES === 0, 'md counts in sectors');
  const values: Decoded<typeof bitmapLayout.fields> = {
    magic: BITMAP_MAGIC,
    version: 4,
    uuid: header.uuid,
    events: header.events,
    eventsCleared: header.eventsCleared,
    syncSectors: header.syncBytes / SECTOR_BYTES,
    state: header.stale ? BITMAP_STALE : 0,
    chunkBytes: header.chunkBytes,
    daemonSleepSeconds: header.daemonSleepSeconds,
    writeBehind: 0,
    reservedSectors: header.reservedBytes / SECTOR_BYTES,
    nodes: 0,
  };
  const bytes = new Uint8Array(BITMAP_HEADER_BYTES);
  bitmapLayout.encode(values, bytes);
  return bytes;
}

/** `bytes` starts at the bitmap's offset on the drive; borrowed for the call. */
export function decodeBitmapHeader(bytes: Uint8Array): BitmapHeaderResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== BITMAP_MAGIC) return { kind: 'none' };
  const finding = bitmapLayout.check(bytes);
  if (finding !== null) return { kind: 'corrupt', reason: finding };
  const raw = bitmapLayout.decode(bytes);
  if (raw.version === CLUSTERED_VERSION || raw.nodes !== 0) {
    return { kind: 'unsupported', reason: 'the bitmap is shared by a cluster' };
  }
  if (raw.version < 3 || raw.version > CLUSTERED_VERSION) {
    return { kind: 'unsupported', reason: `bitmap version ${raw.version}` };
  }
  const chunk = raw.chunkBytes;
  if (chunk < SECTOR_BYTES || (chunk & (chunk - 1)) !== 0) {
    return { kind: 'corrupt', reason: 'its chunk is no power of two' };
  }
  const limit = Number.MAX_SAFE_INTEGER / SECTOR_BYTES;
  if (raw.syncSectors > limit || raw.events > limit || raw.eventsCleared > limit) {
    return { kind: 'corrupt', reason: 'a counter is impossibly large' };
  }
  return {
    kind: 'bitmap',
    value: {
      uuid: raw.uuid,
      events: raw.events,
      eventsCleared: raw.eventsCleared,
      syncBytes: raw.syncSectors * SECTOR_BYTES,
      stale: (raw.state & BITMAP_STALE) !== 0,
      chunkBytes: chunk,
      daemonSleepSeconds: raw.daemonSleepSeconds,
      reservedBytes: raw.reservedSectors * SECTOR_BYTES,
    },
  };
}
