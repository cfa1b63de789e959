/** How a run sees the windows of its volumes, from what they said last. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookAtWindow } from '../../../../src/control/runs/window-look.ts';
import type { VolumeTable } from '../../../../src/control/volume-table.ts';
import type { WindowReport } from '../../../../src/core/status.ts';
import { sampleReport, sampleStatus } from '../../api/samples.ts';

/** A volume that has just said that its window is closed, and is not direct yet. */
function endingWith(report: WindowReport): VolumeTable {
  const status = sampleStatus({ state: 'replaying' });
  const window = { ...status.window!, state: report.state };
  const handle = {
    lost: null,
    last: { status: { ...status, window }, report },
    lastMs: Number.POSITIVE_INFINITY,
    refresh: () => Promise.resolve(),
  };
  return { entries: new Map([['v1', { handle, problem: null }]]) } as unknown as VolumeTable;
}

test('a window that is on record as ended, in a volume that is not direct yet, has not ended for its run', async () => {
  const { drive } = sampleReport();
  const member = { volume: 'v1', slot: drive.slot, uuid: drive.uuid, path: drive.path };
  for (const [state, outcome, seen] of [
    ['closed', 'returned', 'replaying'],
    ['aborted', 'aborted', 'replaying'],
    // Without the drive: what its run is told must not be that somebody gave it back.
    ['closed', 'thawed', 'thawing'],
  ] as const) {
    const report = sampleReport({ state, outcome, closedAt: '2026-01-01T00:06:00.000Z' });
    const sight = await lookAtWindow(endingWith(report), member, report.id, false);
    assert.equal(sight.state, seen, outcome);
  }
});
