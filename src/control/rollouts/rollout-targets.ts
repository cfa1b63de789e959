/**
 * Which drives are meant: the members and spares of the volumes, all or those that were named, each physical drive once
 * however many members it carries.
 */

import { inWorkingOrder } from '../../core/machines/rollout-decisions.ts';
import { done, type Outcome, refuse } from '../../core/problems.ts';
import type { DriveState, DriveStatus, VolumeStatus } from '../../core/status.ts';
import type { RolloutVolumes } from './rollout-tools.ts';

export interface Target {
  readonly volumes: string[];
  readonly slot: number | null;
  /** Where the member is: a partition, perhaps. */
  readonly memberPath: string;
  /** The whole drive; empty when no drive is there. */
  readonly path: string;
  readonly uuid: string;
  readonly state: DriveState;
}

export async function targetsOf(
  volumes: RolloutVolumes,
  names: readonly string[],
  wanted: readonly string[],
): Promise<Outcome<Target[]>> {
  const statuses: VolumeStatus[] = [];
  for (const name of new Set(names)) {
    const status = await volumes.status(name);
    if (!status.ok) return status;
    statuses.push(status.value);
  }
  const chosen = chooseDrives(statuses, wanted);
  if (!chosen.ok) return chosen;
  const targets = new Map<string, Target>();
  for (const { volume, drive } of chosen.value) {
    const target = await targetOf(volumes, volume, drive);
    const [key] = target;
    // The first member named stands for the drive; a spare beside it is the business of the drive's checks.
    const before = targets.get(key);
    if (before === undefined || (before.slot === null && drive.slot !== null))
      targets.set(...target);
  }
  return done(inWorkingOrder([...targets.values()], [...names]));
}

interface Chosen {
  readonly volume: string;
  readonly drive: DriveStatus;
}

function chooseDrives(
  statuses: readonly VolumeStatus[],
  wanted: readonly string[],
): Outcome<Chosen[]> {
  const all = statuses.flatMap(({ name, drives }) =>
    drives.map((drive) => ({ volume: name, drive })),
  );
  if (wanted.length === 0) return done(all);
  const chosen: Chosen[] = [];
  for (const name of wanted) {
    const fitting = fittingDrives(all, name);
    const volume = statuses.map((status) => status.name).join(', ');
    if (fitting.length === 0) {
      const known = all.map(
        ({ drive }) => `${drive.slot ?? 'spare'} (${drive.path || 'no drive'})`,
      );
      return refuse('drive-unknown', { drive: name, volume, known: known.join(', ') });
    }
    if (fitting.length > 1)
      return refuse('drive-ambiguous', { drive: name, volume, matches: fitting.length });
    chosen.push(...fitting);
  }
  return done(chosen);
}

function fittingDrives(all: readonly Chosen[], name: string): Chosen[] {
  const byPath = all.filter(({ drive }) => drive.path === name);
  if (byPath.length > 0) return byPath.slice(0, 1);
  if (/^\d{1,2}$/.test(name)) {
    const bySlot = all.filter(({ drive }) => drive.slot === Number(name));
    if (bySlot.length > 0) return bySlot;
  }
  const byName = all.filter(({ drive }) => drive.path !== '' && drive.path.endsWith(`/${name}`));
  if (byName.length > 0) return byName;
  return all.filter(({ drive }) => name.length >= 2 && drive.uuid.startsWith(name.toLowerCase()));
}

async function targetOf(
  volumes: RolloutVolumes,
  volume: string,
  drive: DriveStatus,
): Promise<[string, Target]> {
  const { slot, uuid, state, path } = drive;
  const common = { slot, uuid, state, memberPath: path };
  if (path === '') {
    return [`${volume} slot ${slot}`, { ...common, volumes: [volume], path: '' }];
  }
  const found = slot === null ? null : await volumes.find(volume, path);
  if (found?.ok) {
    const { key, wholePath, members } = found.value;
    const all = [...new Set([volume, ...members.map((member) => member.volume)])];
    return [key, { ...common, volumes: all, path: wholePath }];
  }
  const { key, wholePath } = await volumes.wholeOf(path);
  return [key, { ...common, volumes: [volume], path: wholePath }];
}
