/**
 * The way of a write. `write` tells it in order; the numbers are those of ARCHITECTURE.md.
 *
 *   1  whole sectors only below this line
 *   2  through the gate: a change of mode waits for the writes inside, and they for it
 *   3  frozen: to the log, all legs, nothing else
 *   4  replaying: stripes that the cursor has not passed go to the log, the others to the members
 *   5  direct: intent bits durable, then stripe by stripe under its lock (write-members.ts)
 *   6  a member that missed the write is on record as out
 *   7  FUA: flushed
 *   8  answered
 */

import { EIO, type Errno, OK } from '../base/errno.ts';
import { type Address, type StripeIndex, type VolumeOffset } from '../base/units.ts';
import { DATA } from '../core/overlay.ts';
import { ABSENT, heldForDrive, readOnce, refusalOf } from './read.ts';
import { inPortions, isUnaligned, type Portion, withSectors } from './unaligned.ts';
import type { VolumeCore } from './volume-core.ts';
import { byCursor, heldForLogSpace, logRefuses, writeLog } from './write-log.ts';
import { writeMembers } from './write-members.ts';

export async function write(
  v: VolumeCore,
  offset: VolumeOffset,
  address: Address,
  lengthBytes: number,
  fua: boolean,
): Promise<Errno> {
  if (isUnaligned(offset, lengthBytes)) return writeUnaligned(v, offset, address, lengthBytes, fua); // 1
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
    if (!(await heldForLogSpace(v))) return refusalOf(v);
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
  const startedMs = v.environment.clock.nowMs();
  const errno = await inPortions(v, offset, address, lengthBytes, (portion) =>
    writePortion(v, portion, startedMs),
  );
  return errno === OK && fua ? flush(v) : errno;
}

async function writePortion(v: VolumeCore, portion: Portion, startedMs: number): Promise<Errno> {
  const { from, bytes, skipBytes, address, lengthBytes } = portion;
  for (;;) {
    // The buffer is taken inside: one that was held at the gate could be what somebody inside is waiting for.
    const errno = await v.gate.exclusively(() =>
      withSectors(v, portion, async (whole) => {
        // Without waiting: a drive that is to come back has to pass this gate itself.
        const got = await readOnce(v, from, whole, bytes);
        if (got !== OK) return got;
        v.environment.buffers.bytes.copyWithin(whole + skipBytes, address, address + lengthBytes);
        return writeInside(v, from, whole, bytes);
      }),
    );
    if (errno === ABSENT) {
      if (!(await heldForDrive(v, startedMs))) return refusalOf(v);
    } else if (errno !== OK && logRefuses(v, errno)) {
      if (!(await heldForLogSpace(v))) return refusalOf(v);
    } else return errno;
  }
}
