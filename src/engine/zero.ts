/**
 * Write-zeroes and trim. In a window both are small typed records in the log, in order with the writes. On the members a
 * whole stripe of zeroes is punched, since its parity is zero as well; a part of one is written. A trim of a part is a hint
 * and changes nothing.
 */

import { EIO, ENOMEM, ENOTSUP, type Errno, OK } from '../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  roundDown,
  roundUp,
  SECTOR_BYTES,
  type Slot,
  type StripeIndex,
  type VolumeOffset,
} from '../base/units.ts';
import { type OverlayKind, TRIM, ZERO } from '../core/overlay.ts';
import { inPlace } from './in-place.ts';
import { type StripeImage, ZEROES } from './log/stripe-image.ts';
import { refusalOf } from './read.ts';
import type { VolumeCore } from './volume-core.ts';
import { flush, write } from './write.ts';
import { writeImage } from './write-image.ts';
import { byCursor, heldForLogSpace, logRefuses, writeLog } from './write-log.ts';
import { writeMembers } from './write-members.ts';

/** Zeroes and trims: a small typed record in the log, or zeroes on the members. */
export async function zero(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
  how: { readonly trim: boolean; readonly keepAllocated: boolean; readonly fua: boolean },
): Promise<Errno> {
  const start = roundUp(offset, SECTOR_BYTES) as VolumeOffset;
  const end = roundDown(offset + lengthBytes, SECTOR_BYTES);
  if (!how.trim) {
    // The edges that are no whole sectors are written as bytes.
    const headBytes = Math.min(start - offset, lengthBytes);
    const tailBytes = end >= start ? offset + lengthBytes - end : 0;
    if (headBytes > 0) {
      const errno = await writeZeroBytes(v, offset, headBytes);
      if (errno !== OK) return errno;
    }
    if (tailBytes > 0) {
      const errno = await writeZeroBytes(v, end as VolumeOffset, tailBytes);
      if (errno !== OK) return errno;
    }
  }
  let errno: Errno = OK;
  // In pieces, so that a request for the whole volume neither holds the gate nor the locks for long.
  for (let at: number = start; at < end && errno === OK; at += ZERO_STEP_BYTES) {
    errno = await zeroStep(v, at as VolumeOffset, Math.min(ZERO_STEP_BYTES, end - at), how);
  }
  return errno === OK && how.fua ? flush(v) : errno;
}

const ZERO_STEP_BYTES = 32 * 1024 * 1024;

async function zeroStep(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
  how: { readonly trim: boolean; readonly keepAllocated: boolean },
): Promise<Errno> {
  const kind = how.trim ? TRIM : ZERO;
  for (;;) {
    if (!v.gate.tryEnter()) await v.gate.entered();
    let errno: Errno;
    try {
      errno = await zeroInside(v, kind, offset, lengthBytes, how);
    } finally {
      v.gate.leave();
    }
    if (errno === OK || !logRefuses(v, errno)) return errno;
    if (!(await heldForLogSpace(v))) return refusalOf(v);
  }
}

async function zeroInside(
  v: VolumeCore,
  kind: OverlayKind,
  offset: VolumeOffset,
  lengthBytes: number,
  how: { readonly trim: boolean; readonly keepAllocated: boolean },
): Promise<Errno> {
  if (v.mode === 'halted') return EIO;
  if (v.mode === 'frozen') return writeLog(v, kind, offset, 0 as Address, lengthBytes);
  const g = v.geometry;
  let result: Errno = OK;
  for (let at: number = offset; at < offset + lengthBytes; ) {
    const stripe = g.stripeOf(at as VolumeOffset);
    const punched = await punchRun(v, stripe, at, offset + lengthBytes, how);
    if (punched !== null) {
      if (punched.errno !== OK) result = punched.errno;
      at += punched.bytes;
      continue;
    }
    const bytes = Math.min(offset + lengthBytes, g.stripeStart((stripe + 1) as StripeIndex)) - at;
    const direct = (): Promise<Errno> => zeroMembers(v, at as VolumeOffset, bytes, how.trim);
    const errno =
      v.mode === 'direct'
        ? await direct()
        : await byCursor(v, stripe, direct, () =>
            writeLog(v, kind, at as VolumeOffset, 0 as Address, bytes),
          );
    if (errno !== OK) result = errno;
    at += bytes;
  }
  return result;
}

/** Of each member in one go: bounds how long the locks of a run are held. */
const PUNCH_MEMBER_BYTES = 4 * 1024 * 1024;

/**
 * Whole stripes of zeroes have parity zero: the same range of every member is punched. Null: not this way; else how many
 * bytes of the volume that were.
 */
async function punchRun(
  v: VolumeCore,
  first: StripeIndex,
  from: number,
  end: number,
  how: { readonly trim: boolean; readonly keepAllocated: boolean },
): Promise<{ readonly bytes: number; readonly errno: Errno } | null> {
  const g = v.geometry;
  // Not in a replay, whose zones are done again after a crash, and not where a chunk is absent.
  if (how.keepAllocated || !v.canPunch || v.degraded || v.mode !== 'direct') return null;
  if (from !== g.stripeStart(first)) return null;
  let next: number = first;
  let bytes = 0;
  let memberBytes = 0;
  while (next < g.stripeCount && memberBytes < PUNCH_MEMBER_BYTES) {
    const columns = g.columnsOf(next as StripeIndex);
    if (from + bytes + columns * g.dataChunks > end) break;
    bytes += columns * g.dataChunks;
    memberBytes += columns;
    next++;
  }
  if (next === first) return null;
  const last = (next - 1) as StripeIndex;
  const punched = await punchStripes(v, first, last, memberBytes);
  if (punched === NOT_BEGUN) return null;
  // Who does not have the zeroes is out, on record, before this is answered (rule 8).
  await v.members.settled();
  return { bytes, errno: v.halted ? EIO : punched };
}

/** Not an errno of any system: a member is absent by now, and nothing was changed. */
const NOT_BEGUN = -1;

async function punchStripes(
  v: VolumeCore,
  first: StripeIndex,
  last: StripeIndex,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  const marked = v.intent.mark(first, last);
  if (marked !== null) await marked;
  await v.locks.lockRange(first, last);
  try {
    if (v.degraded) return NOT_BEGUN;
    const memberOffset = g.memberOffset(first, 0);
    const images = v.members.slots.map(({ slot }): StripeImage => {
      return { slot: slot as Slot, memberOffset, address: ZEROES, lengthBytes };
    });
    return await inPlace(v, images, async () => {
      const punches = images.map(({ slot }) =>
        v.members.punchData(slot, memberOffset, lengthBytes),
      );
      const failed = (await Promise.all(punches)).find((errno) => errno !== OK);
      return failed === undefined ? OK : writeOver(v, images, failed);
    });
  } finally {
    v.locks.unlockRange(first, last);
    v.intent.release(first, last);
  }
}

/**
 * Where one drive cannot punch some of the others may have: zeroes are written over all of them, also for a trim, before
 * anybody else sees the stripes.
 */
async function writeOver(
  v: VolumeCore,
  images: readonly StripeImage[],
  failed: Errno,
): Promise<Errno> {
  if (failed === ENOTSUP) v.canPunch = false;
  const asked = images.map(({ slot }) => v.members.at(slot));
  const written = images.map(async (image, i) => {
    const errno = await writeImage(v, image);
    const member = asked[i];
    if (errno !== OK && member !== undefined)
      v.members.fail(member, `write failed (errno ${errno})`, 'write-error');
  });
  await Promise.all(written);
  return v.halted ? EIO : OK;
}

/** A part of a stripe. A trim of that is a hint: contents stay what they were. */
async function zeroMembers(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
  trim: boolean,
): Promise<Errno> {
  return trim ? OK : writeZeroes(v, offset, lengthBytes);
}

async function writeZeroes(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
): Promise<Errno> {
  const { buffers } = v.environment;
  const zeroes = await buffers.takeLater(lengthBytes, 'request');
  if (zeroes === 0) return ENOMEM;
  try {
    buffers.bytes.fill(0, zeroes, zeroes + lengthBytes);
    return await writeMembers(v, offset, zeroes, lengthBytes);
  } finally {
    buffers.give(zeroes);
  }
}

async function writeZeroBytes(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
): Promise<Errno> {
  const { buffers } = v.environment;
  const zeroes = await buffers.takeLater(BLOCK_BYTES, 'client');
  if (zeroes === 0) return ENOMEM;
  try {
    buffers.bytes.fill(0, zeroes, zeroes + lengthBytes);
    return await write(v, offset, zeroes, lengthBytes, false);
  } finally {
    buffers.give(zeroes);
  }
}
