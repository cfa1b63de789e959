/**
 * Write-zeroes and trim. In a window both are small typed records in the log, in order with the writes. On the members a
 * whole stripe of zeroes is punched, since its parity is zero as well; a part of one is written. A trim of a part is a hint
 * and changes nothing.
 */

import { EIO, ENOMEM, ENOSPC, type Errno, OK } from '../base/errno.ts';
import {
  type Address,
  BLOCK_BYTES,
  roundDown,
  roundUp,
  SECTOR_BYTES,
  type StripeIndex,
  type VolumeOffset,
} from '../base/units.ts';
import { type OverlayKind, TRIM, ZERO } from '../core/overlay.ts';
import type { VolumeCore } from './volume-core.ts';
import { flush, write } from './write.ts';
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
    if (!(await heldForLogSpace(v))) return errno;
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
    const bytes = Math.min(offset + lengthBytes, g.stripeStart((stripe + 1) as StripeIndex)) - at;
    const direct = (): Promise<Errno> => zeroMembers(v, stripe, at as VolumeOffset, bytes, how);
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

/** A whole stripe of zeroes has parity zero: every member's chunk is punched. A part of one is written. */
async function zeroMembers(
  v: VolumeCore,
  stripe: StripeIndex,
  offset: VolumeOffset,
  lengthBytes: number,
  how: { readonly trim: boolean; readonly keepAllocated: boolean },
): Promise<Errno> {
  const g = v.geometry;
  const whole = lengthBytes === g.columnsOf(stripe) * g.dataChunks;
  // Not in a replay: its stripes are in the journal, and redoing them would bring back what was punched.
  if (whole && !how.keepAllocated && !v.degraded && v.mode === 'direct') {
    const errno = await punchStripe(v, stripe);
    if (errno === OK) return OK;
  }
  if (how.trim) return OK; // A hint: contents stay what they were.
  const { buffers } = v.environment;
  const zeroes = await buffers.takeLater(lengthBytes, 'engine');
  if (zeroes === 0) return ENOMEM;
  try {
    buffers.bytes.fill(0, zeroes, zeroes + lengthBytes);
    return await writeMembers(v, offset, zeroes, lengthBytes);
  } finally {
    buffers.give(zeroes);
  }
}

async function punchStripe(v: VolumeCore, stripe: StripeIndex): Promise<Errno> {
  const g = v.geometry;
  const marked = v.intent.mark(stripe, stripe);
  if (marked !== null) await marked;
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    if (v.degraded) return ENOSPC;
    const offset = g.memberOffset(stripe, 0);
    v.beginUnlogged();
    try {
      const punches = v.members.slots.map((member) =>
        v.members.punchData(member.slot, offset, g.columnsOf(stripe)),
      );
      // Where one cannot, the caller writes zeroes over all of them: the stripe is made whole again.
      for (const errno of await Promise.all(punches)) if (errno !== OK) return errno;
    } finally {
      v.endUnlogged();
    }
    return OK;
  } finally {
    v.locks.unlock(stripe);
    v.intent.release(stripe, stripe);
  }
}

async function writeZeroBytes(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
): Promise<Errno> {
  const { buffers } = v.environment;
  const zeroes = await buffers.takeLater(BLOCK_BYTES, 'engine');
  if (zeroes === 0) return ENOMEM;
  try {
    buffers.bytes.fill(0, zeroes, zeroes + lengthBytes);
    return await write(v, offset, zeroes, lengthBytes, false);
  } finally {
    buffers.give(zeroes);
  }
}
