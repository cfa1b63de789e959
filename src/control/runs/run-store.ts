/**
 * STATE/runs: a record of each run, and what its commands print. Of an ended run that is in its file only, and read when it
 * is shown.
 */

import { runPhases } from '../../core/machines/run.ts';
import { type RecordKind, RecordStore } from '../record-store.ts';
import type { RunRecord } from './run-record.ts';

export const RUNS_MAX = 1_000;

export type RunStore = RecordStore<RunRecord>;

export const openRunStore = (
  folder: string,
  onTrouble: (reason: string) => void,
  retryMs?: number,
): Promise<RunStore> => RecordStore.open(runKind, folder, onTrouble, retryMs);

const runKind: RecordKind<RunRecord> = {
  name: 'run',
  most: RUNS_MAX,
  idOf: ({ report }) => report.id,
  order: ({ report }) => `${report.startedAt} ${report.id}`,
  isEnded: ({ phase }) => phase === 'ended',
  parse: (text) => {
    try {
      const record = JSON.parse(text) as RunRecord;
      return isWhole(record) ? record : null;
    } catch {
      return null;
    }
  },
  lighten: ({ report }) => {
    for (const step of report.steps) step.output = '';
  },
};

/** What everything else relies on: a record that lacks it would end the server each time it is started. */
function isWhole({
  version,
  report,
  request,
  phase,
  members,
  drive,
  stepsLeft,
}: RunRecord): boolean {
  const lists = [members, stepsLeft, report.steps, report.windowIds, report.volumes, report.checks];
  return (
    version === 1 &&
    lists.every((list) => Array.isArray(list)) &&
    [report.id, report.startedAt, report.drive.path, drive.path, request.task.purpose].every(
      (text) => typeof text === 'string',
    ) &&
    runPhases.includes(phase)
  );
}
