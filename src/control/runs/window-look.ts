/**
 * How the windows of a run stand, from the last thing each volume said. A volume that does not answer or does not run is
 * `unknown`: nothing is concluded from silence.
 *
 * How a window ended is on record as a rule (window-history.ts). Where that could not be written, and the server was
 * killed, the volume knows at least whether it has its member.
 */

import type { DriveStatus, WindowReport } from '../../core/status.ts';
import type { VolumeTable } from '../volume-table.ts';
import { ENDED_UNSEEN } from '../window-history.ts';
import type { GroupMember } from './shared-drive.ts';

export type WindowSight =
  | { readonly state: 'unknown'; readonly why: string }
  /** No such window, and none on record; the volume has its member. */
  | { readonly state: 'none' }
  | {
      readonly state: 'open' | 'returning' | 'replaying' | 'thawing';
      /** The drive is wanted back; the volume's own sentence. */
      readonly recall: string | null;
      readonly report: WindowReport | null;
      readonly loggedBytes: number;
      readonly replayedBytes: number;
    }
  | { readonly state: 'returned'; readonly report: WindowReport }
  /** Null: its report was lost. */
  | { readonly state: 'thawed'; readonly report: WindowReport | null };

/** `mayDiffer`: another drive in the place of the member is what was asked for. */
export async function lookAtWindow(
  table: VolumeTable,
  member: GroupMember,
  windowId: string | null,
  mayDiffer: boolean,
): Promise<WindowSight> {
  const { volume } = member;
  const entry = table.entries.get(volume);
  const handle = entry?.handle;
  if (!handle || entry.problem !== null || handle.lost !== null) {
    return { state: 'unknown', why: `volume ${volume} is not running` };
  }
  const askedMs = performance.now();
  await handle.refresh();
  if (handle.last === null || handle.lastMs < askedMs) {
    return { state: 'unknown', why: `volume ${volume} does not answer` };
  }
  const { status, report } = handle.last;
  const { window } = status;
  if (window !== null && (windowId === null || window.id === windowId)) {
    const { state } = window;
    // On record as ended, and the volume is not direct yet: it has its member back, or goes on without it.
    if (state === 'closed' || state === 'aborted') {
      const last = report?.outcome === 'thawed' ? 'thawing' : 'replaying';
      return { state: last, ...numbersOf() };
    }
    const going = state === 'freezing' ? 'open' : state;
    return { state: going, ...numbersOf() };
  }
  if (windowId === null) return { state: 'none' };
  const ended =
    report?.id === windowId && report.closedAt !== null
      ? report
      : table.options.history.ended(volume).findLast(({ id }) => id === windowId);
  const wentOn =
    ended === undefined || ended.outcome === ENDED_UNSEEN
      ? !hasMember(status.drives, member, mayDiffer)
      : ended.outcome === 'thawed';
  if (wentOn) return { state: 'thawed', report: ended ?? null };
  return ended ? { state: 'returned', report: ended } : { state: 'none' };

  function numbersOf() {
    const { recall = false, loggedBytes = 0, replayedBytes = 0 } = window ?? {};
    const { why, state } = status.story;
    return {
      recall: recall ? why || state : null,
      report,
      loggedBytes,
      replayedBytes,
    };
  }
}

function hasMember(
  drives: readonly DriveStatus[],
  { slot, uuid }: GroupMember,
  mayDiffer: boolean,
): boolean {
  const drive = drives.find((one) => one.slot === slot);
  const isIn = drive?.state === 'online' || drive?.state === 'rebuilding';
  return isIn && (mayDiffer || drive.uuid === uuid);
}
