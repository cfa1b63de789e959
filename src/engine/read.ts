/**
 * The way of a read. `read` tells it in order; the numbers are those of ARCHITECTURE.md.
 *
 *   1  whole sectors only below this line
 *   2  direct volume, one chunk, its member online: straight from the drive into the caller's buffer
 *   3  what the log has newer: from the log
 *   4  the rest: from the member that holds it
 *   5  that member is absent or cannot read it: made from the others
 *   6  two are absent: wait for either, up to the window's limit, then EIO
 *   7  the log was lost in a write of it, and a start may find that write or not: wait until that is known, or as 6
 *   8  an error is the answer only when it was met twice
 *
 * Never stale, mixed or made-up data: a read that cannot be answered waits or fails.
 */

import { EIO, ENOMEM, type Errno, ESHUTDOWN, isDriveGone, OK } from '../base/errno.ts';
import {
  type Address,
  type MemberOffset,
  SECTOR_BYTES,
  type StripeIndex,
  type VolumeOffset,
} from '../base/units.ts';
import { NONE } from '../core/levels/descriptor.ts';
import { DATA, GAP } from '../core/overlay.ts';
import type { SlotSet } from '../core/slot-set.ts';
import { copyFor } from '../core/stripe-plan.ts';
import { agreeByBlocks } from './agree.ts';
import { noteReadError, repairRange } from './member-errors.ts';
import { bit } from './members.ts';
import { readChecked } from './read-checked.ts';
import { consistent, reconstruct } from './reconstruct.ts';
import { inPortions, isUnaligned, withSectors } from './unaligned.ts';
import type { VolumeCore } from './volume-core.ts';

/** Not an errno of any system: two members that this range needs are absent. */
export const ABSENT = -1;
/** Nor this: the log was lost in a write of this range, and it may be found there, or not. */
const UNSETTLED = -3;

export async function read(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  if (isUnaligned(offset, lengthBytes)) return readUnaligned(v, offset, address, lengthBytes); // 1
  const g = v.geometry;
  if (
    v.mode === 'direct' &&
    v.members.absentMask === 0 &&
    !g.level.lockstep &&
    g.isInOneChunk(offset, lengthBytes) &&
    !copiesInDoubt(v, g.stripeOf(offset))
  ) {
    const stripe = g.stripeOf(offset);
    const slot = g.level.mirrored
      ? mirrorSlot(v, stripe, 0)
      : g.dataSlot(stripe, g.indexOf(offset));
    const memberOffset = g.memberOffset(stripe, g.columnOf(offset));
    const member = v.members.at(slot);
    const errno = await v.members.readData(slot, memberOffset, address, lengthBytes); // 2
    if (errno === OK) return OK;
    noteReadError(v, member, errno);
  }
  return patiently(v, offset, lengthBytes, () => readOnce(v, offset, address, lengthBytes));
}

/** Reads whole sectors; what cannot be answered yet waits for what may change that, and looks again. */
async function patiently(
  v: VolumeCore,
  offset: VolumeOffset,
  lengthBytes: number,
  once: () => Promise<Errno>,
): Promise<Errno> {
  const { clock } = v.environment;
  const startedMs = clock.nowMs();
  for (let isFirst = true; ; ) {
    const errno = isUnsettled(v, offset, lengthBytes) ? UNSETTLED : await once();
    if (errno === OK) return OK;
    if (errno === ABSENT && (await heldForDrive(v, startedMs))) continue;
    if (errno === UNSETTLED && (await held(v, startedMs))) continue;
    // 8: a drive that could not read may be able to now, and the one that would have stood in for it may have been taken
    // out meanwhile: nothing is lost yet.
    if (errno === EIO && isFirst && !v.halted && !v.stopping) {
      isFirst = false;
      continue;
    }
    // In a stop the drives are closed under it: nothing is wrong with what was asked for.
    return errno === ABSENT || errno === UNSETTLED || v.stopping ? refusalOf(v) : errno;
  }
}

/**
 * 7: what is there without that write is shown to nobody: the next start may find the write in the log and bring it to the
 * members, and whoever had read in between would see it come back. The server itself goes on with what is there
 * (`readOnce`): it never applies that record, and it writes to that place only when the cursor has passed it, on record.
 */
const isUnsettled = (v: VolumeCore, offset: VolumeOffset, lengthBytes: number): boolean =>
  v.log?.window?.anyUnsettledIn(offset / SECTOR_BYTES, lengthBytes / SECTOR_BYTES) === true;

/** 6: waits for either of two absent drives, and is counted. */
export async function heldForDrive(v: VolumeCore, startedMs: number): Promise<boolean> {
  const { window } = v;
  if (window === null) return false;
  window.heldReads++;
  try {
    return await held(v, startedMs);
  } finally {
    window.heldReads--;
  }
}

/** Waits until something changed; false when the wait is over or not wanted. */
async function held(v: VolumeCore, startedMs: number): Promise<boolean> {
  const { clock } = v.environment;
  const window = v.window;
  if (v.mode === 'halted' || v.stopping || window === null) return false;
  if (window.onDoubleAbsence === 'error' || v.changed.waiters >= v.limits.heldReadsMax)
    return false;
  const leftMs = startedMs + window.waitMs - clock.nowMs();
  // Less than a microsecond is what the difference of two fractions leaves: a timer that short ends in its own moment.
  if (leftMs < 0.001) return false;
  await v.changed.wait(clock, leftMs);
  return true;
}

/** Nothing of the volume is lost when it is stopped while somebody waits: whoever asks again later is answered. */
export const refusalOf = (v: VolumeCore): Errno => (v.stopping ? ESHUTDOWN : EIO);

export async function readOnce(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  if (v.mode === 'halted') return EIO;
  if (v.mode === 'direct') return readBase(v, offset, address, lengthBytes);
  // The overlay and the log must not change their meaning under a read: mode changes wait for it.
  if (!v.overlayReads.tryEnter()) await v.overlayReads.entered();
  try {
    return v.log === null
      ? await readBase(v, offset, address, lengthBytes)
      : await readMerged(v, offset, address, lengthBytes);
  } finally {
    v.overlayReads.leave();
  }
}

/** 3: newest wins; what the log does not have comes from the members. */
async function readMerged(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const log = v.log;
  const window = log?.window ?? null;
  const start = offset / SECTOR_BYTES;
  const sectors = lengthBytes / SECTOR_BYTES;
  if (log === null || window === null || !log.overlay.anyIn(start, sectors))
    return readBase(v, offset, address, lengthBytes);
  const parts: Promise<Errno>[] = [];
  log.overlay.forEachPiece(start, sectors, (from, count, kind, location) => {
    const target = (address + (from - start) * SECTOR_BYTES) as Address;
    const bytes = count * SECTOR_BYTES;
    if (kind === GAP) {
      parts.push(readBase(v, (from * SECTOR_BYTES) as VolumeOffset, target, bytes));
    } else if (kind === DATA) {
      parts.push(window.readPayload(location, count, target));
    } else {
      v.environment.buffers.bytes.fill(0, target, target + bytes);
    }
  });
  return worst(await Promise.all(parts));
}

/** From the members, chunk by chunk. */
async function readBase(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  const first = g.stripeOf(offset);
  const last = g.stripeOf((offset + lengthBytes - 1) as VolumeOffset);
  if (first === last && g.isInOneChunk(offset, lengthBytes)) {
    const column = g.columnOf(offset);
    return readChunk(v, first, g.indexOf(offset), column, address, lengthBytes);
  }
  let result: Errno = OK;
  let parts: Promise<Errno>[] = [];
  for (let stripe: number = first; stripe <= last; stripe++) {
    for (const piece of g.piecesOf(stripe as StripeIndex, offset, lengthBytes)) {
      const target = (address + piece.bufferOffset) as Address;
      parts.push(
        readChunk(v, stripe as StripeIndex, piece.index, piece.from, target, piece.to - piece.from),
      );
    }
    if (parts.length >= CHUNKS_AT_ONCE || stripe === last) {
      result = worst([result, ...(await Promise.all(parts))]);
      parts = [];
    }
  }
  return result;
}

/** Chunk reads of one request under way at a time: bounds the buffers of a large degraded read. */
const CHUNKS_AT_ONCE = 64;

/** 4 and 5: columns of one chunk, from its member or from the others. */
async function readChunk(
  v: VolumeCore,
  stripe: StripeIndex,
  index: number,
  column: number,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const g = v.geometry;
  const offset = g.memberOffset(stripe, column);
  let unnoted: Errno = OK;
  if (
    g.level.lockstep &&
    v.members.absentMask === 0 &&
    v.mode === 'direct' &&
    v.parityTrusted(stripe)
  ) {
    const checked = await readChecked(v, stripe, index, column, address, lengthBytes);
    if (checked.errno === OK) return OK;
    unnoted = checked.own;
  }
  if (copiesInDoubt(v, stripe)) {
    const errno = await readAlike(v, stripe, offset, address, lengthBytes);
    if (errno === OK) return OK;
  }
  // Slots that turned out to be unreadable here; they are also what is repaired in the end.
  let bad = 0;
  let slot: number = NONE;
  for (let turn = 0; turn <= g.members; turn++) {
    const unusable = v.members.unusable(stripe) | bad;
    slot = g.level.mirrored ? mirrorSlot(v, stripe, unusable) : g.dataSlot(stripe, index);
    if (slot !== NONE && (unusable & bit(slot)) === 0) {
      const member = v.members.at(slot);
      const errno = await v.members.readData(slot, offset, address, lengthBytes); // 4
      if (errno === OK) {
        if (unnoted !== OK) noteReadError(v, member, unnoted);
        if (bad !== 0) await repairBad(v, stripe, bad, offset, address, lengthBytes);
        return OK;
      }
      unnoted = OK;
      noteReadError(v, member, errno);
      if (!isDriveGone(errno)) bad |= bit(slot);
      continue;
    }
    if (g.level.mirrored) return absentOrLost(v, bad);
    const made = await readFromOthers(v, stripe, slot, bad, column, address, lengthBytes); // 5
    if (made !== RETRY) return made;
  }
  return EIO;
}

const RETRY = -2;

async function readFromOthers(
  v: VolumeCore,
  stripe: StripeIndex,
  slot: number,
  bad: number,
  column: number,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const offset = v.geometry.memberOffset(stripe, column);
  // A frozen stripe cannot change; any other is locked, so that data and parity are of one moment.
  const locked = v.mode !== 'frozen';
  if (locked && !v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    // The write that held the lock may have halted the volume: the stripe does not add up then, and nobody is out for it.
    if (v.halted || !v.parityTrusted(stripe)) return EIO;
    const unusable = v.members.unusable(stripe) | bad;
    const made = await reconstruct(v.sources, slot, unusable, offset, address, lengthBytes);
    if (made.errno === OK) {
      if ((bad & bit(slot)) !== 0)
        await repairRange(v, v.members.at(slot), offset, address, lengthBytes);
      return OK;
    }
    if (made.errno === ENOMEM) return ENOMEM;
    if (made.member === null) return absentOrLost(v, bad);
    const { slot: other } = made.member;
    noteReadError(v, made.member, made.errno);
    // A second unreadable sector in the stripe: with a drive away it may still be saved by its return.
    return isDriveGone(made.errno) ? RETRY : absentOrLost(v, bad | bit(other));
  } finally {
    if (locked) v.locks.unlock(stripe);
  }
}

/** Waiting helps only while a member is away or failed since the freeze; otherwise the block is lost. */
function absentOrLost(v: VolumeCore, bad: number): Errno {
  const waitable = v.window !== null && v.mode !== 'halted' && v.members.absentMask !== 0;
  return waitable || bad === 0 ? (v.window === null ? EIO : ABSENT) : EIO;
}

const copiesInDoubt = (v: VolumeCore, stripe: StripeIndex): boolean =>
  v.resync !== null && v.geometry.level.mirrored && v.mode !== 'frozen' && !v.parityTrusted(stripe);

/**
 * After an unclean stop copies may differ until the resync has passed. What is read is made alike first: whoever has seen
 * it goes on seeing it when the copy that it came from is lost. Not OK: one copy is the answer, as otherwise.
 * While this has the lock the resync cannot pass, so no window can be opened and nothing is frozen meanwhile.
 */
async function readAlike(
  v: VolumeCore,
  stripe: StripeIndex,
  offset: MemberOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    if (v.halted || !copiesInDoubt(v, stripe)) return EIO;
    const compare = () =>
      consistent(v.sources, offset, address, lengthBytes, v.members.unusable(stripe));
    let found = await compare();
    if (isDriveGone(found.errno)) {
      if (found.member !== null) noteReadError(v, found.member, found.errno);
      found = await compare();
    } else if (found.errno !== OK || !found.equal) {
      await agreeByBlocks(v, stripe, offset, lengthBytes, address, true);
      found = await compare();
    }
    return found.errno === OK && !found.equal ? EIO : found.errno;
  } finally {
    v.locks.unlock(stripe);
  }
}

/** Which copy of a mirror. One that is being rebuilt may be further than a start knows. */
const mirrorSlot = (v: VolumeCore, stripe: StripeIndex, unusable: number): number =>
  copyFor(v.geometry, stripe, unusable as SlotSet, v.members.absentMask as SlotSet);

async function repairBad(
  v: VolumeCore,
  stripe: StripeIndex,
  bad: number,
  offset: ReturnType<VolumeCore['geometry']['memberOffset']>,
  address: Address,
  lengthBytes: number,
): Promise<void> {
  if (v.mode === 'frozen') return;
  if (!v.locks.tryLock(stripe)) await v.locks.lock(stripe);
  try {
    for (let slot = 0; slot < v.geometry.members; slot++) {
      if ((bad & bit(slot)) === 0) continue;
      // Read again under the lock: a host write may have come between.
      const source = mirrorSlot(v, stripe, v.members.unusable(stripe) | bad);
      if (source === NONE) return;
      if ((await v.members.readData(source, offset, address, lengthBytes)) !== OK) return;
      await repairRange(v, v.members.at(slot), offset, address, lengthBytes);
    }
  } finally {
    v.locks.unlock(stripe);
  }
}

/** 1: the sectors around the range, then the bytes that were asked for. No buffer is held while a drive is waited for. */
function readUnaligned(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
): Promise<Errno> {
  const { bytes } = v.environment.buffers;
  return inPortions(v, offset, address, lengthBytes, (portion) =>
    patiently(v, portion.from, portion.bytes, () =>
      withSectors(v, portion, async (whole) => {
        const errno = await readOnce(v, portion.from, whole, portion.bytes);
        const start = whole + portion.skipBytes;
        if (errno === OK) bytes.copyWithin(portion.address, start, start + portion.lengthBytes);
        return errno;
      }),
    ),
  );
}

function worst(results: readonly Errno[]): Errno {
  let result: Errno = OK;
  for (const errno of results) {
    if (errno === ABSENT) return ABSENT;
    if (errno !== OK) result = errno;
  }
  return result;
}
