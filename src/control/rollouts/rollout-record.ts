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
  /** What each drive said before it was begun; by `keyOf`, as everything here that is about a drive. */
  readonly before: Record<string, DriveFacts>;
  /** Spares that are out of their volume at the moment. */
  readonly spares: Record<string, SpareWork>;
  /** How often a drive was begun: a server that dies again and again must not try for ever. */
  readonly tries: Record<string, number>;
}

/** Of a drive, for good: its place in the list. Its path may become another one's, and a spare gets a new uuid. */
export const keyOf = ({ report }: RolloutRecord, drive: RolloutDrive): string =>
  String(report.drives.indexOf(drive));

/** Of the hold on the drive of a spare. */
export const ownerOf = (record: RolloutRecord, drive: RolloutDrive): string =>
  `${record.report.id} spare-${keyOf(record, drive)}`;

/** Spares that were out of their volume when the server before this one ended. */
export function sparesAtWork(record: RolloutRecord): [RolloutDrive, SpareWork][] {
  if (record.report.endedAt !== null) return [];
  return record.report.drives.flatMap((drive): [RolloutDrive, SpareWork][] => {
    const work = record.spares[keyOf(record, drive)];
    return work && drive.state === 'running' && drive.slot === null ? [[drive, work]] : [];
  });
}

/** Records were keyed by path once. */
export function keyAnew({ report, before, spares, tries }: RolloutRecord): void {
  for (const by of [before, spares, tries] as Record<string, unknown>[]) {
    for (const path of Object.keys(by).filter((key) => !/^\d+$/.test(key))) {
      const index = report.drives.findIndex((drive) => drive.path === path);
      if (index >= 0) by[index] = by[path];
      delete by[path];
    }
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
  const drives = report.drives.map(({ volumes, slot, state, startedAt, endedAt }) => ({
    volumes,
    slot,
    state,
    tookMs:
      startedAt === null
        ? null
        : (endedAt === null ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt),
  }));
  const leftMs = report.endedAt === null ? timeLeftMs(drives, report.canary) : null;
  return { ...structuredClone(report), leftMs };
}
