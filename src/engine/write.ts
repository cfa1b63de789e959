/**
 * The way of a write. `write` tells it in order; the numbers are those of ARCHITECTURE.md.
 *
 *   1  whole sectors only below this line
 *   2  through the gate: a change of mode waits for the writes inside, and they for it
 *   3  frozen: to the log, all legs, nothing else
 *   4  replaying: stripes that the cursor has not passed go to the log, the others to the members
 *   5  direct: intent bits durable, then stripe by stripe under its lock (stripe-write.ts)
 *   6  a member that missed the write is on record as out
 *   7  FUA: flushed
 *   8  answered
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
import { DATA, type OverlayKind, TRIM, ZERO } from '../core/overlay.ts';
import { ABSENT, heldForDrive, readOnce } from './read.ts';
import { type DataPiece, writeStripe } from './stripe-write.ts';
import type { VolumeCore } from './volume-core.ts';

export async function write(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
  fua: boolean,
): Promise<Errno> {
  if (offset % SECTOR_BYTES !== 0 || lengthBytes % SECTOR_BYTES !== 0) {
    return writeUnaligned(v, offset, address, lengthBytes, fua); // 1
  }
  for (;;) {
    if (!v.gate.tryEnter()) await v.gate.entered(); // 2
    let errno: Errno;
    try {
      errno = await writeInside(v, offset, address, lengthBytes);
      if (errno === OK && fua) errno = await flush(v); // 7
    } finally {
      v.gate.leave();
    }
    if (errno === OK || !logRefuses(v, errno)) return errno; // 8
    if (!(await heldForLogSpace(v))) return errno;
  }
}

async function writeInside(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  switch (v.mode) {
    case 'direct':
      return writeMembers(v, offset, address, lengthBytes);
    case 'frozen':
      return writeLog(v, DATA, offset, address, lengthBytes); // 3
    case 'replaying':
      return writeSplit(v, offset, address, lengthBytes); // 4
    case 'halted':
      return EIO;
  }
}

/**
 * The log is full, or no leg of it can be written: the write is held until a drive comes back, the window ends, or replay has
 * passed its stripes.
 */
function logRefuses(v: VolumeCore, errno: Errno): boolean {
  const logged = v.mode === 'frozen' || v.mode === 'replaying';
  return logged && (errno === ENOSPC || v.log?.window?.failed === true);
}

/** Held writes are outside the gate, so that what frees them can pass it. */
async function heldForLogSpace(v: VolumeCore): Promise<boolean> {
  v.writesHeld++;
  try {
    await v.changed.wait(v.environment.clock, v.limits.tickMs);
    return !v.stopping;
  } finally {
    v.writesHeld--;
  }
}

async function writeLog(
  v: VolumeCore,
  kind: OverlayKind,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const log = v.log;
  if (log === null) return EIO;
  if (log.window === null) return EIO;
  return log.window.append(kind, offset / SECTOR_BYTES, lengthBytes / SECTOR_BYTES, address);
}

/** 4: each stripe by itself, since the cursor may lie inside the range. */
async function writeSplit(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  let result: Errno = OK;
  for (let at: number = offset; at < offset + lengthBytes; ) {
    const stripe = g.stripeOf(at as VolumeOffset);
    const stripeEnd = g.stripeStart((stripe + 1) as StripeIndex);
    const bytes = Math.min(offset + lengthBytes, stripeEnd) - at;
    const target = (address + (at - offset)) as Address;
    const errno = await byCursor(
      v,
      stripe,
      () => writeMembers(v, at as VolumeOffset, target, bytes),
      () => writeLog(v, DATA, at as VolumeOffset, target, bytes),
    );
    if (errno !== OK) result = errno;
    at += bytes;
  }
  return result;
}

/** Chooses the way of one stripe in replay. Above the cursor: the log. While the cursor is about to pass: wait. */
async function byCursor(
  v: VolumeCore,
  stripe: StripeIndex,
  direct: () => Promise<Errno>,
  log: () => Promise<Errno>,
): Promise<Errno> {
  while (stripe >= v.cursor && stripe < v.holdBelow) {
    await v.changed.wait(v.environment.clock, v.limits.tickMs);
  }
  if (stripe < v.cursor) return direct();
  v.logWritesInFlight++;
  try {
    return await log();
  } finally {
    v.logWritesInFlight--;
    if (v.logWritesInFlight === 0) v.changed.raise();
  }
}

/** 5: in place. */
async function writeMembers(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  const first = g.stripeOf(offset);
  const last = g.stripeOf((offset + lengthBytes - 1) as VolumeOffset);
  const marked = v.intent.mark(first, last);
  if (marked !== null) await marked;
  try {
    const errno = g.level.mirrored
      ? await writeMirrors(v, first, last, offset, address, lengthBytes)
      : await writeStripes(v, first, last, offset, address, lengthBytes);
    const settled = v.members.settled();
    if (settled !== null) await settled; // 6
    return v.halted ? EIO : errno;
  } finally {
    v.intent.release(first, last);
  }
}

/** Mirrors: every stripe of the range locked, then one write to each member. */
async function writeMirrors(
  v: VolumeCore,
  first: StripeIndex,
  last: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  if (first !== last) await v.locks.lockRange(first, last);
  else if (!v.locks.tryLock(first)) await v.locks.lock(first);
  try {
    const memberOffset = g.memberOffset(first, g.columnOf(offset));
    let written = 0;
    const writes: Promise<void>[] = [];
    for (let slot = 0; slot < g.members; slot++) {
      const member = v.members.at(slot);
      // A copy that is being rebuilt takes part everywhere (what it has not reached is redone), but counts for nothing.
      if (member.state !== 'online' && member.state !== 'rebuilding') continue;
      writes.push(
        v.members.writeData(slot, memberOffset, address, lengthBytes).then((errno) => {
          if (errno === OK) written += member.state === 'online' ? 1 : 0;
          else v.members.fail(member, `write failed (errno ${errno})`, 'write-error');
        }),
      );
    }
    await Promise.all(writes);
    return written > 0 ? OK : EIO;
  } finally {
    v.locks.unlockRange(first, last);
  }
}

/** Stripes of one request under way at a time: bounds the scratch buffers of a large write. */
const STRIPES_AT_ONCE = 16;

async function writeStripes(
  v: VolumeCore,
  first: StripeIndex,
  last: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  if (first === last) return writeOneStripe(v, first, offset, address, lengthBytes);
  let result: Errno = OK;
  for (let from: number = first; from <= last; from += STRIPES_AT_ONCE) {
    const group: Promise<Errno>[] = [];
    for (let stripe = from; stripe <= Math.min(last, from + STRIPES_AT_ONCE - 1); stripe++) {
      group.push(writeOneStripe(v, stripe as StripeIndex, offset, address, lengthBytes));
    }
    for (const errno of await Promise.all(group)) if (errno !== OK) result = errno;
  }
  return result;
}

async function writeOneStripe(
  v: VolumeCore,
  stripe: StripeIndex,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const pieces: DataPiece[] = [];
  for (const { index, from, to, bufferOffset } of v.geometry.piecesOf(
    stripe,
    offset,
    lengthBytes,
  )) {
    pieces.push({ index, from, to, address: (address + bufferOffset) as Address });
  }
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    const head = pieces[0];
    const tail = pieces[1];
    // The tail of one chunk and the head of the next share no column: two narrow writes instead of a wide one.
    if (pieces.length === 2 && head && tail && tail.to < head.from) {
      const errno = await writeStripe(v, stripe, [head]);
      return errno === OK ? await writeStripe(v, stripe, [tail]) : errno;
    }
    return await writeStripe(v, stripe, pieces);
  } finally {
    v.locks.unlock(stripe);
  }
}

/** Covers every write answered before, of any connection. */
export async function flush(v: VolumeCore): Promise<Errno> {
  switch (v.mode) {
    case 'halted':
      return EIO;
    case 'frozen':
      return v.log?.window?.sync() ?? EIO;
    case 'direct':
      return v.flushMembers();
    case 'replaying': {
      const [members, log] = await Promise.all([v.flushMembers(), v.log?.window?.sync() ?? OK]);
      return members !== OK ? members : log;
    }
  }
}

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
  if (whole && !how.keepAllocated && !v.degraded) {
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
    const punches = v.members.slots.map((member) =>
      v.members.punchData(member.slot, offset, g.columnsOf(stripe)),
    );
    // Where one cannot, the caller writes zeroes over all of them: the stripe is made whole again.
    for (const errno of await Promise.all(punches)) if (errno !== OK) return errno;
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

/**
 * 1: bytes that are no whole sectors are merged into the sectors around them. Nobody else may write those sectors in
 * between, so the merge runs alone: rare, slow, and right.
 */
async function writeUnaligned(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
  fua: boolean,
): Promise<Errno> {
  const { buffers } = v.environment;
  const from = roundDown(offset, SECTOR_BYTES) as VolumeOffset;
  const bytes = roundUp(offset + lengthBytes, SECTOR_BYTES) - from;
  const whole = await buffers.takeLater(Math.max(bytes, BLOCK_BYTES), 'client');
  if (whole === 0) return ENOMEM;
  try {
    const startedMs = v.environment.clock.nowMs();
    for (;;) {
      const errno = await v.gate.exclusively(async () => {
        // Without waiting: a drive that is to come back has to pass this gate itself.
        const got = await readOnce(v, from, whole, bytes);
        if (got !== OK) return got;
        const start = whole + (offset - from);
        buffers.bytes.copyWithin(start, address, address + lengthBytes);
        return writeInside(v, from, whole, bytes);
      });
      if (errno !== OK && logRefuses(v, errno) && (await heldForLogSpace(v))) continue;
      if (errno === ABSENT) {
        if (!(await heldForDrive(v, startedMs))) return EIO;
        continue;
      }
      return errno === OK && fua ? await flush(v) : errno;
    }
  } finally {
    buffers.give(whole);
  }
}
