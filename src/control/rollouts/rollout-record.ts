/**
 * A rollout as it is kept in STATE/rollouts/ID.json: its report, and what a server that is started again needs to go on.
 * Plain data; only its worker changes it, and writes it down before it acts.
 */

import type { DriveFacts } from '../../core/drive-facts.ts';
import { timeLeftMs, type VolumeBaseline } from '../../core/machines/rollout-decisions.ts';
import type { RolloutDrive, RolloutReport } from '../../core/rollout-report.ts';
import type { TaskRequest } from '../../core/run-report.ts';
import type { RunWindow } from '../runs/run-service.ts';

/** A spare needs no window: it is released from its volume, flashed, and added again. */
export interface SpareWork {
  /** Where it is within its drive: the kernel gives names as they come, so that it may move. */
  memberPath: string;
  /** By which it is known again, whatever its name is by then. */
  readonly memberUuid: string;
  /** `released`: nothing has touched it yet. `begun`: a tool is or was at work on it. */
  phase: 'released' | 'begun';
  /** Of the task; its tool outlives the server, and is found by what it prints to. Empty before the first. */
  step: string;
}

export interface RolloutRecord {
  readonly version: 1;
  readonly report: RolloutReport;
  readonly task: TaskRequest;
  window: RunWindow;
  /** What each volume is held against; by name. */
  baselines: Record<string, VolumeBaseline>;
  /** What each drive said before it was begun; by path, as everything here that is about a drive. */
  readonly before: Record<string, DriveFacts>;
  /** Spares that are out of their volume at the moment; by path. */
  readonly spares: Record<string, SpareWork>;
  /** How often a drive was begun, by path: a server that dies again and again must not try for ever. */
  readonly tries: Record<string, number>;
}

/** A drive that is found under another name from now on. */
export function moveDrive(record: RolloutRecord, drive: RolloutDrive, path: string): void {
  const old = drive.path;
  if (old === path) return;
  drive.path = path;
  for (const by of [record.before, record.spares, record.tries] as Record<string, unknown>[]) {
    if (!(old in by)) continue;
    by[path] = by[old];
    delete by[old];
  }
}

export const volumesOf = ({ drives }: RolloutReport): string[] => [
  ...new Set(drives.flatMap(({ volumes }) => volumes)),
];

/** As people call it: `/dev/sdb (slot 1 of tank)`. */
export const nameOf = ({ path, slot, volumes }: RolloutDrive): string =>
  `${path} (${slot === null ? 'spare' : `slot ${slot}`} of ${volumes[0]})`;

/** A copy that nobody else changes, with the time left as it is now. */
export function reportOf({ report }: RolloutRecord, nowMs: number): RolloutReport {
  const drives = report.drives.map(({ volumes, state, startedAt, endedAt }) => ({
    volumes,
    state,
    tookMs:
      startedAt === null
        ? null
        : (endedAt === null ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt),
  }));
  const leftMs = report.endedAt === null ? timeLeftMs(drives, report.canary) : null;
  return { ...structuredClone(report), leftMs };
}
