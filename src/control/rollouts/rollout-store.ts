/**
 * STATE/rollouts: a record of each rollout, and what its tools printed on spares. It alone knows which spares are out of
 * their volume.
 */

import { rolloutStates } from '../../core/rollout-report.ts';
import { type RecordKind, RecordStore } from '../record-store.ts';
import { keyAnew, type RolloutRecord } from './rollout-record.ts';

export const ROLLOUTS_MAX = 200;

export type RolloutStore = RecordStore<RolloutRecord>;

export const openRolloutStore = (
  folder: string,
  onTrouble: (reason: string) => void,
  retryMs?: number,
): Promise<RolloutStore> => RecordStore.open(rolloutKind, folder, onTrouble, retryMs);

const rolloutKind: RecordKind<RolloutRecord> = {
  name: 'firmware update',
  most: ROLLOUTS_MAX,
  idOf: ({ report }) => report.id,
  order: ({ report }) => `${report.startedAt} ${report.id}`,
  isEnded: ({ report }) => report.endedAt !== null,
  parse: (text) => {
    try {
      const record = JSON.parse(text) as RolloutRecord;
      if (!isWhole(record)) return null;
      keyAnew(record);
      return record;
    } catch {
      return null;
    }
  },
};

/** What everything else relies on: a record that lacks it would end the server each time it is started. */
function isWhole({ version, report, task, window, ...record }: RolloutRecord): boolean {
  const { baselines, before, spares, tries } = record;
  const parts: unknown[] = [task, window, report.image, baselines, before, spares, tries];
  return (
    version === 1 &&
    typeof report.id === 'string' &&
    rolloutStates.includes(report.state) &&
    Array.isArray(report.drives) &&
    report.drives.every(({ volumes }) => Array.isArray(volumes)) &&
    parts.every((part) => typeof part === 'object' && part !== null)
  );
}
