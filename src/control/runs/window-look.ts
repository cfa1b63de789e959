/**
 * How the windows of a run stand, from the last thing each volume said. A volume that does not answer or does not run is
 * `unknown`: nothing is concluded from silence.
 */

import type { WindowReport } from '../../core/status.ts';
import type { VolumeTable } from '../volume-table.ts';

export type WindowSight =
  | { readonly state: 'unknown'; readonly why: string }
  /** No such window, and none on record: it was never opened. */
  | { readonly state: 'none' }
  | {
      readonly state: 'open' | 'returning' | 'replaying' | 'thawing';
      /** The drive is wanted back; the volume's own sentence. */
      readonly recall: string | null;
      readonly report: WindowReport | null;
      readonly loggedBytes: number;
      readonly replayedBytes: number;
    }
  | { readonly state: 'returned' | 'thawed'; readonly report: WindowReport };

export async function lookAtWindow(
  table: VolumeTable,
  volume: string,
  windowId: string | null,
): Promise<WindowSight> {
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
    if (state === 'closed' || state === 'aborted') return { state: 'replaying', ...numbersOf() };
    const going = state === 'freezing' ? 'open' : state;
    return { state: going, ...numbersOf() };
  }
  if (windowId === null) return { state: 'none' };
  const ended =
    report?.id === windowId && report.closedAt !== null
      ? report
      : table.options.history.ended(volume).findLast(({ id }) => id === windowId);
  if (!ended) return { state: 'none' };
  return { state: ended.outcome === 'thawed' ? 'thawed' : 'returned', report: ended };

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
