/**
 * Steps 3 and 4 of a write (write.ts): to the log, and whether a stripe's writes go there while the log is replayed. What
 * the log cannot take is held, never failed while there is hope; what it was lost in stays unsettled then (read.ts, 7).
 */

import { EIO, ENOSPC, type Errno } from '../base/errno.ts';
import { type Address, SECTOR_BYTES, type StripeIndex, type VolumeOffset } from '../base/units.ts';
import type { OverlayKind } from '../core/overlay.ts';
import type { VolumeCore } from './volume-core.ts';

/**
 * The log is full, or no leg of it can be written: the write is held until a drive comes back, the window ends, or
 * replay has passed its stripes.
 */
export function logRefuses(v: VolumeCore, errno: Errno): boolean {
  const logged = v.mode === 'frozen' || v.mode === 'replaying';
  return logged && (errno === ENOSPC || v.log?.window?.failed === true);
}

/**
 * Held writes are outside the gate, so that what frees them can pass it. False: nothing will (`refusalOf`). The volume
 * stops; or the replay that would let them go to the members cannot go on: what it needs can be read on no leg, or no leg
 * takes a write. A replay that stopped for anything else goes on when it is tried again.
 */
export async function heldForLogSpace(v: VolumeCore): Promise<boolean> {
  // The stop has woken those who were held; one that is refused since would wait beyond its end.
  if (v.stopping) return false;
  v.writesHeld++;
  try {
    await v.changed.wait(v.environment.clock, v.limits.tickMs);
    const isStuck = v.replayStopped !== '' && (v.logUnreadable || v.log?.window?.failed === true);
    return !v.stopping && !isStuck;
  } finally {
    v.writesHeld--;
  }
}

export async function writeLog(
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

/** Chooses the way of one stripe in replay. Above the cursor: the log. While the cursor is about to pass: wait. */
export async function byCursor(
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
    if (v.logWritesInFlight === 0) v.logWritesDone.raise();
  }
}
