/** The audit record of a window and its share of the status, from the facts. */

import { assert } from '../base/assert.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { restoredBy } from '../core/redundancy.ts';
import type { WindowReport, WindowStatus } from '../core/status.ts';
import { isOfFrozenImage } from './member-state.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';

const iso = (wallMs: number): string => new Date(wallMs).toISOString();
const deadlineOf = (window: WindowFacts): string => iso(window.openedWallMs + window.maxMs);

export function loggedBytesOf(v: VolumeCore): number {
  if ((v.window ?? v.windowEnding) === null || v.log === null) return 0;
  return v.log.status().usedBytes;
}

export function reportOf(v: VolumeCore): WindowReport {
  const window = v.window;
  assert(window !== null, 'window report: no window');
  return {
    id: window.id,
    volume: v.name,
    purpose: window.purpose,
    state: window.state,
    drive: { slot: window.slot, path: window.path, uuid: window.memberUuid },
    openedAt: iso(window.openedWallMs),
    deadlineAt: deadlineOf(window),
    closedAt: null,
    outcome: window.outcome === 'none' ? '' : window.outcome,
    loggedBytes: loggedBytesOf(v),
    replayedBytes: window.replayedBytes,
    verify: window.verify,
    secondFailures: window.secondFailures,
  };
}

export function windowStatusOf(v: VolumeCore): WindowStatus | null {
  const window = v.window ?? v.windowEnding;
  if (window === null) return null;
  const absent = v.members.slots
    .filter((member) => member.state !== 'online')
    .map(({ slot }) => slot);
  return {
    id: window.id,
    purpose: window.purpose,
    state: window.state,
    drive: { slot: window.slot, path: window.path },
    openedAt: iso(window.openedWallMs),
    deadlineAt: deadlineOf(window),
    loggedBytes: loggedBytesOf(v),
    replayedBytes: window.replayedBytes,
    recall: window.recall,
    onDoubleAbsence: window.onDoubleAbsence,
    waitMs: window.waitMs,
    heldReads: window.heldReads,
    restoredBy: v.mode === 'frozen' ? restoringSets(v, window, absent) : [],
  };
}

/** One that was out before the freeze is out of date: its return restores nothing. */
function restoringSets(v: VolumeCore, window: WindowFacts, absent: number[]): number[][] {
  const counts = (slot: number): boolean =>
    slot === window.slot || isOfFrozenImage(window, v.members.at(slot));
  return restoredBy(v.geometry.level, v.geometry.members, absent).filter((set) =>
    set.every(counts),
  );
}

export const liveBytesOf = (v: VolumeCore): number =>
  (v.log?.overlay.liveSectors ?? 0) * SECTOR_BYTES;
