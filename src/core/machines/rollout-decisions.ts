/**
 * What a rollout decides between its drives: in which order they go, which may go now, which need
 * not, whether a volume is well enough for the next one, and how long it will take. Plain functions
 * of what is known; the states are in rollout.ts.
 *
 * A volume is held against what it was when it was last found well (`VolumeBaseline`): a member that
 * was absent then does not count, so that a volume may be degraded from the start, and a member
 * absent since is a second failure. Counted errors begin again at 0 with a restart of the server:
 * fewer than before is no news.
 */

import type { DriveFacts } from '../drive-facts.ts';
import type { RolloutDrive } from '../rollout-report.ts';
import type { RunOutcome } from '../run-report.ts';
import type { VolumeStatus } from '../status.ts';
import type { RolloutDriveEvent } from './rollout.ts';

// --- order -----------------------------------------------------------------------------------------

type Placed = Pick<RolloutDrive, 'volumes' | 'slot'>;

/** Spares first: they hold nothing yet. Then volume by volume as they were named, by slot. */
export function inWorkingOrder<T extends Placed>(
  drives: readonly T[],
  volumes: readonly string[],
): T[] {
  const volumeOf = (drive: T): number => volumes.indexOf(drive.volumes[0]!);
  return [...drives].sort(
    (a, b) =>
      Number(a.slot !== null) - Number(b.slot !== null) ||
      volumeOf(a) - volumeOf(b) ||
      (a.slot ?? 0) - (b.slot ?? 0),
  );
}

export const isAtWork = ({ state }: Pick<RolloutDrive, 'state'>): boolean =>
  state === 'running' || state === 'soaking';

/** Nothing is pending, at work or soaking. */
export const isSettled = (drives: readonly Pick<RolloutDrive, 'state'>[]): boolean =>
  !drives.some((drive) => drive.state === 'pending' || isAtWork(drive));

/** A spare that went well says nothing of how a drive with the new version serves hosts, and much to other spares. */
const isServing = ({ slot }: Pick<RolloutDrive, 'slot'>): boolean => slot !== null;

/**
 * The drives that may go now, of a list in working order: at most one at work per volume, soaking
 * included, and one over all volumes until `canary` drives that serve hosts are through with a good end.
 */
export function nextDrives<T extends Placed & Pick<RolloutDrive, 'state'>>(
  drives: readonly T[],
  canary: number,
): T[] {
  const atWork = drives.filter(isAtWork);
  const pending = drives.filter(({ state }) => state === 'pending');
  const done = drives.filter(({ state }) => state === 'done');
  if (done.length < canary) return atWork.length > 0 ? [] : pending.slice(0, 1);
  const areTried = done.filter(isServing).length >= canary;
  if (!areTried && atWork.some(isServing)) return [];
  const taken = new Set(atWork.flatMap(({ volumes }) => volumes));
  const next: T[] = [];
  for (const drive of pending) {
    if (!areTried && isServing(drive)) return atWork.length + next.length > 0 ? next : [drive];
    if (drive.volumes.some((volume) => taken.has(volume))) continue;
    for (const volume of drive.volumes) taken.add(volume);
    next.push(drive);
  }
  return next;
}

// --- skip ------------------------------------------------------------------------------------------

/** What one image is known to have made of one model, from runs that ended well. */
export interface KnownRevision {
  readonly model: string;
  readonly firmware: string;
}

export interface Wanted {
  readonly version: string | null;
  readonly model: string | null;
  readonly known: readonly KnownRevision[];
}

/** The version that this image gives the drive, as far as that is known. */
export function wantedVersion(facts: Pick<DriveFacts, 'model'>, wanted: Wanted): string | null {
  if (wanted.version !== null) return wanted.version;
  return wanted.known.find(({ model }) => model === facts.model)?.firmware ?? null;
}

/** Why the drive is left out; null when it is to be flashed. */
export function skipReason(
  facts: Pick<DriveFacts, 'model' | 'firmware'>,
  wanted: Wanted,
): { readonly kind: 'model' | 'version'; readonly note: string } | null {
  if (wanted.model !== null && !facts.model.toLowerCase().includes(wanted.model.toLowerCase())) {
    const is = facts.model === '' ? 'gives no model' : `is a ${facts.model}`;
    return { kind: 'model', note: `it ${is}, not a ${wanted.model}` };
  }
  if (facts.firmware !== '' && facts.firmware === wantedVersion(facts, wanted)) {
    return { kind: 'version', note: `it has ${facts.firmware} already` };
  }
  return null;
}

// --- results ---------------------------------------------------------------------------------------

/** What the end of a run means for its drive. */
export const eventOfOutcome = {
  done: 'applied',
  'not-applied': 'unchanged',
  unhealthy: 'went-wrong',
  failed: 'went-wrong',
  recalled: 'put-off',
  refused: 'put-off',
  rehearsed: 'put-off',
  'drive-lost': 'went-wrong',
} as const satisfies Record<RunOutcome, RolloutDriveEvent>;

/**
 * Does this event end the rollout for now? A drive that was put off stands for a reason that the
 * next one would meet as well; a bad result counts by request.
 */
export function isTrouble(event: RolloutDriveEvent, stopOnError: boolean): boolean {
  if (event === 'put-off' || event === 'unwell') return true;
  return stopOnError && (event === 'unchanged' || event === 'went-wrong');
}

// --- health ----------------------------------------------------------------------------------------

export interface VolumeBaseline {
  readonly absentSlots: readonly number[];
  /** Errors counted per drive, by uuid. */
  readonly errors: Readonly<Record<string, number>>;
  readonly absentLegs: readonly string[];
}

const isAbsent = (state: string): boolean => state === 'failed' || state === 'missing';
const atRest: readonly string[] = ['optimal', 'degraded'];

export function baselineOf(status: VolumeStatus): VolumeBaseline {
  return {
    absentSlots: absentSlots(status),
    errors: Object.fromEntries(
      status.drives.map(({ uuid, errors }) => [uuid, errors.read + errors.write]),
    ),
    absentLegs: absentLegs(status),
  };
}

const absentSlots = ({ drives }: VolumeStatus): number[] =>
  drives.flatMap(({ slot, state }) => (slot !== null && isAbsent(state) ? [slot] : []));

const absentLegs = ({ log }: VolumeStatus): string[] =>
  (log?.legs ?? []).flatMap(({ state, path }) => (state === 'online' ? [] : [path]));

export type Verdict =
  | { readonly kind: 'well' }
  /** Nothing is wrong, but it is not the moment for another drive. */
  | { readonly kind: 'busy'; readonly why: string }
  | {
      readonly kind: 'trouble';
      readonly what: 'second-failure' | 'errors' | 'log' | 'halted';
      /** The slot concerned; null for a spare, or when it is not about a drive. */
      readonly slot: number | null;
      readonly why: string;
    };

/** `atWork`: the slot whose drive is away for the rollout itself; it is not judged. */
export function judgeVolume(
  baseline: VolumeBaseline,
  status: VolumeStatus,
  atWork: number | null,
): Verdict {
  const { name, state } = status;
  const failed = status.drives.find(
    (drive) =>
      drive.slot !== null &&
      drive.slot !== atWork &&
      isAbsent(drive.state) &&
      !baseline.absentSlots.includes(drive.slot),
  );
  if (failed) {
    const { slot, reason } = failed;
    const because = reason === '' ? '' : `: ${reason}`;
    const why = `the drive in slot ${slot} of ${name} is ${failed.state}${because}`;
    return { kind: 'trouble', what: 'second-failure', slot, why };
  }
  if (state === 'halted' || state === 'suspended') {
    return { kind: 'trouble', what: 'halted', slot: null, why: `volume ${name} is ${state}` };
  }
  const leg = absentLegs(status).find((path) => !baseline.absentLegs.includes(path));
  if (leg !== undefined) {
    return {
      kind: 'trouble',
      what: 'log',
      slot: null,
      why: `the log leg ${leg} of ${name} is lost`,
    };
  }
  for (const { uuid, slot, errors, path } of status.drives) {
    const more = errors.read + errors.write - (baseline.errors[uuid] ?? 0);
    if (more <= 0 || slot === atWork) continue;
    const why = `${more} new I/O ${more === 1 ? 'error' : 'errors'} on ${path} of ${name}`;
    return { kind: 'trouble', what: 'errors', slot, why };
  }
  return atRest.includes(state) ? { kind: 'well' } : { kind: 'busy', why: `${name} is ${state}` };
}

// --- time ------------------------------------------------------------------------------------------

export interface DriveTime extends Pick<RolloutDrive, 'volumes' | 'state' | 'slot'> {
  /** What it took from its beginning to the end of its soak, or has taken so far; null: not begun. */
  readonly tookMs: number | null;
}

/**
 * How long what is left will take, from the drives that are done; null while there are none. The
 * volumes go side by side, so the one with most work counts; as long as canaries are awaited, they
 * come one by one before it.
 */
export function timeLeftMs(drives: readonly DriveTime[], canary: number): number | null {
  const done = drives.filter(({ state, tookMs }) => state === 'done' && tookMs !== null);
  if (done.length === 0) return null;
  const meanMs = done.reduce((sum, { tookMs }) => sum + tookMs!, 0) / done.length;

  let canaries = Math.max(0, canary - done.filter(isServing).length);
  let aloneMs = 0;
  const perVolume = new Map<string, number>();
  for (const drive of drives) {
    if (drive.state !== 'pending' && !isAtWork(drive)) continue;
    const costMs = Math.max(0, meanMs - (drive.tookMs ?? 0));
    if (canaries > 0 && isServing(drive)) {
      canaries -= 1;
      aloneMs += costMs;
      continue;
    }
    for (const volume of drive.volumes) {
      perVolume.set(volume, (perVolume.get(volume) ?? 0) + costMs);
    }
  }
  return Math.round(aloneMs + Math.max(0, ...perVolume.values()));
}

/** For the volume with most drives: what a rollout takes when each takes `eachMs`. */
export function oneByOneMs(
  drives: readonly Pick<RolloutDrive, 'volumes'>[],
  eachMs: number,
): number {
  const counts = new Map<string, number>();
  for (const volume of drives.flatMap(({ volumes }) => volumes)) {
    counts.set(volume, (counts.get(volume) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values()) * eachMs;
}

// --- inventory -------------------------------------------------------------------------------------

export interface ModelVersions {
  readonly model: string;
  readonly versions: readonly { readonly firmware: string; readonly drives: number }[];
}

/** How many drives of each model have which version; the most frequent version first. */
export function versionsPerModel(
  drives: readonly Pick<DriveFacts, 'path' | 'model' | 'firmware'>[],
): ModelVersions[] {
  const models = new Map<string, Map<string, Set<string>>>();
  for (const { path, model, firmware } of drives) {
    const versions = models.get(model) ?? new Map<string, Set<string>>();
    models.set(model, versions);
    const paths = versions.get(firmware) ?? new Set<string>();
    versions.set(firmware, paths);
    paths.add(path);
  }
  return [...models].map(([model, versions]) => ({
    model,
    versions: [...versions]
      .map(([firmware, paths]) => ({ firmware, drives: paths.size }))
      .sort((a, b) => b.drives - a.drives),
  }));
}
