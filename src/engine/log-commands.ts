/**
 * What an operator may do with the log of a running volume: put a new leg in the place of one that is out, at any
 * time, also in a window; and give a log to a volume that has none, or none that can be written, outside a window.
 *
 * Each checks first and changes nothing when it refuses. What was acknowledged stays where it is: a leg that is out is
 * let go only when another one holds everything.
 */

import type { Uuid } from '../base/uuid.ts';
import { done, type Outcome, type Problem, refuse } from '../core/problems.ts';
import type { Drive } from '../io/drive.ts';
import type { AddLogRequest, ReplaceLegRequest } from './contract.ts';
import { contentOf } from './drive-commands.ts';
import { openMemberDrive } from './identify.ts';
import { LogStore, peekLeg } from './log/log-store.ts';
import { attachLog, checkPlaces, refreshLogRecord } from './log-setup.ts';
import { readMemberMetadata } from './member-metadata.ts';
import type { VolumeCore } from './volume-core.ts';
import { tellWindow } from './window-state.ts';

export function replaceLeg(v: VolumeCore, request: ReplaceLegRequest): Promise<Outcome<void>> {
  return alone(v, () => replace(v, request));
}

export function addLog(v: VolumeCore, request: AddLogRequest): Promise<Outcome<void>> {
  return alone(v, () => add(v, request));
}

/** One change of the legs at a time. */
async function alone(v: VolumeCore, change: () => Promise<Outcome<void>>): Promise<Outcome<void>> {
  if (v.legsChanging) return refuse('job-running', { kind: 'change of the log', volume: v.name });
  v.legsChanging = true;
  try {
    return await change();
  } finally {
    v.legsChanging = false;
  }
}

async function replace(v: VolumeCore, request: ReplaceLegRequest): Promise<Outcome<void>> {
  const { log } = v;
  if (log === null) return refuse('log-none', { volume: v.name });
  const found = findLeg(v, log, request.leg);
  if (!found.ok) return found;
  const index = found.value;
  const legs = log.status().legs;
  const former = legs[index]?.path ?? '';
  if (legs[index]?.state === 'online') return refuse('leg-online', { leg: former, volume: v.name });
  if (log.isUnrecorded(index)) return refuse('leg-unrecorded', { path: former, volume: v.name });
  const others = legs.filter((leg, i) => i !== index && leg.state === 'online');
  if (others.length === 0) return refuse('log-lost', { volume: v.name });
  // Which legs count is in the labels: one that no label knows would look as if it had been replaced itself.
  if (v.members.slots.every(({ drive }) => drive === null)) {
    const wanted = 'with a drive that is there, to note which legs count';
    return refuse('volume-wrong-state', { volume: v.name, state: 'without any drive', wanted });
  }
  // That is another label, and in a halted volume the drive that it cannot do without may have missed one already. Nor would
  // a new leg get the images that a start has found and not released.
  if (v.halted) {
    const wanted = 'started anew, with the drive that it lacks';
    return refuse('volume-wrong-state', { volume: v.name, state: 'halted', wanted });
  }

  const { path } = request;
  const places = await checkPlaces(v.environment, memberPaths(v), [
    ...others.map((leg) => leg.path),
    path,
  ]);
  if (!places.ok) return places;
  const opened = await openNew(v, log, { ...request, paths: [path] });
  if (!opened.ok) return opened;
  if (v.stopping) {
    await opened.value.undo();
    return refuse('volume-not-running', { volume: v.name, reason: 'it stops' });
  }
  const [drive] = opened.value.drives as [Drive];
  log.onLegJoined = () => {
    tellWindow(v, 'leg-restored');
    const message = `Log leg ${path} is in the place of ${former}: the log of ${v.name} has two copies again`;
    v.emit('leg-replaced', 'info', message, { path, former });
  };
  const replaced = await log.replaceLeg(index, drive, () => v.stopping);
  if (!replaced.ok) {
    // Refused at once, the drive is still ours; afterwards it is the leg's, which is out as before.
    if (!log.holds(drive)) await opened.value.undo();
    return replaced;
  }
  v.logPaths = log.legPaths;
  v.legSharesFileSystem = places.value.sharesFileSystem;
  refreshLogRecord(v);
  if (!v.halted) await v.metadata.commit();
  return onRecord(v, log, index);
}

/** The drives may have gone while it was copied: then the next label that a drive takes makes it count. */
function onRecord(v: VolumeCore, log: LogStore, index: number): Outcome<void> {
  const leg = log.status().legs[index];
  if (leg?.state === 'online') return done(undefined);
  const path = leg?.path ?? '';
  return log.isUnrecorded(index)
    ? refuse('leg-unrecorded', { path, volume: v.name })
    : refuse('io-error', { path, reason: leg?.reason ?? 'it is out again' });
}

async function add(v: VolumeCore, request: AddLogRequest): Promise<Outcome<void>> {
  const { log } = v;
  const { paths } = request;
  if (log !== null && log.status().state !== 'failed')
    return refuse('log-exists', { volume: v.name });
  if (v.mode !== 'direct' || v.window !== null) {
    return refuse('volume-wrong-state', {
      volume: v.name,
      state: v.mode === 'direct' ? 'in a window' : v.mode,
      wanted: 'without a window',
    });
  }
  if (paths.length < 1 || paths.length > 2) return refuse('leg-count', { given: paths.length });
  const places = await checkPlaces(v.environment, memberPaths(v), paths);
  if (!places.ok) return places;
  const opened = await openNew(v, log, request);
  if (!opened.ok) return opened;
  const made = await LogStore.format(v.environment, opened.value.drives, {
    volumeUuid: v.uuid as Uuid,
    volumeName: v.name,
  });
  if (!made.ok || v.stopping) {
    await opened.value.undo();
    return made.ok ? refuse('volume-not-running', { volume: v.name, reason: 'it stops' }) : made;
  }
  // No write is on its way while the log changes: one that was begun with the old log would end with the new one.
  await v.gate.exclusively(async () => {
    attachLog(v, made.value);
    v.logPaths = [...paths];
    v.legSharesFileSystem = places.value.sharesFileSystem;
    await v.metadata.commit();
    await log?.close();
  });
  v.emit('log-added', 'info', `Volume ${v.name} has a new log on ${paths.join(' and ')}`, {
    legs: paths.length,
  });
  return done(undefined);
}

/** LEG on the command line: its number in `locum log show`, its path, or, of one that was not found, its uuid. */
function findLeg(v: VolumeCore, log: LogStore, leg: string): Outcome<number> {
  const { legs } = log.status();
  const index = /^\d$/.test(leg)
    ? Number(leg)
    : legs.findIndex(({ path }, i) => path === leg || log.legUuids[i] === leg.toLowerCase());
  if (legs[index] !== undefined) return done(index);
  const known = legs.map(({ path }, i) => `${i} (${path})`).join(', ');
  return refuse('leg-unknown', { leg, volume: v.name, known });
}

/** Each once: names of drives change, and a slot without its drive may still say what is another one's by now. */
const memberPaths = (v: VolumeCore): string[] => {
  const paths = [...v.members.slots, ...v.members.spares].map(({ path }) => path);
  return [...new Set(paths)].filter((path) => path !== '');
};

interface NewDrives {
  readonly drives: readonly Drive[];
  /** Closes them, and takes images back that were made for this. */
  readonly undo: () => Promise<void>;
}

/** Missing images made, drives opened and looked at; nothing of it stays when one is refused. */
async function openNew(
  v: VolumeCore,
  log: LogStore | null,
  request: AddLogRequest,
): Promise<Outcome<NewDrives>> {
  const { environment } = v;
  const images: string[] = [];
  const drives: Drive[] = [];
  const undo = async (): Promise<void> => {
    for (const drive of drives) await drive.close();
    await environment.removeImages(images);
  };
  const open = async (path: string): Promise<Problem | null> => {
    const { sizeBytes } = request;
    if (sizeBytes !== null && !(await environment.exists(path))) {
      const created = await environment.createImage(path, sizeBytes);
      if (!created.ok) return created.problem;
      images.push(path);
    }
    // The same drive may come back as a new leg; what is out keeps it open until then.
    await log?.letGo(path);
    const opened = await openMemberDrive(v, path);
    if (!opened.ok) return opened.problem;
    drives.push(opened.value);
    return request.force ? null : contentProblem(v, log, opened.value);
  };
  for (const path of request.paths) {
    const problem = await open(path);
    if (problem === null) continue;
    await undo();
    return { ok: false, problem };
  }
  return done({ drives, undo });
}

/** A former leg of this very log holds nothing that the log does not; anything else on the drive would be lost. */
async function contentProblem(
  v: VolumeCore,
  log: LogStore | null,
  drive: Drive,
): Promise<Problem | null> {
  const { path } = drive;
  const leg = await peekLeg(v.environment.buffers, drive);
  if (leg.valid) {
    if (leg.logUuid === log?.uuid) return null;
    const content = `the log of volume "${leg.volumeName}"`;
    return refuse('leg-in-use', { path, content }).problem;
  }
  const metadata = await readMemberMetadata(v.environment.buffers, drive);
  const content = await contentOf(v, drive, metadata);
  return content === null ? null : refuse('drive-has-data', { path, content }).problem;
}
