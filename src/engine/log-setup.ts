/** Ties a log to its volume: who is told when a leg fails, and where legs may lie. */

import { OK } from '../base/errno.ts';
import { BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import type { Outcome } from '../core/problems.ts';
import { done, refuse } from '../core/problems.ts';
import type { Place } from '../io/place.ts';
import type { EngineEnvironment } from './contract.ts';
import { openMemberDrive } from './identify.ts';
import type { LogStore } from './log/log-store.ts';
import type { VolumeCore } from './volume-core.ts';
import { tellWindow } from './window-state.ts';

/** The header copies and the first blocks of the stripe area: the leg is nobody's, and looks blank. */
const LEG_WIPE_BLOCKS = 64;

export function attachLog(v: VolumeCore, log: LogStore): void {
  v.log = log;
  log.stripes.flushMembers = () => v.flushMembers();
  log.onLegFailed = async (index, reason) => {
    const states = log.legStates;
    const legs = v.metadata.log?.legs ?? [];
    // One that joins in this moment is in the headers already: labels that do not list it would call it replaced.
    for (const [i, uuid] of log.legUuids.entries())
      if (legs[i]?.uuid !== uuid) legs[i] = { uuid, state: states[i] ?? 'missing' };
    const leg = legs[index];
    // In a frozen volume the last leg has missed nothing that was answered: it stays the one to start from.
    const last = !states.includes('online');
    if (leg && !(last && v.mode === 'frozen')) leg.state = 'failed';
    const path = log.status().legs[index]?.path ?? '';
    v.emit('leg-failed', 'critical', `Log leg ${path} failed: ${reason}`, { path, reason });
    // A leg that is gone leaves the window without its second copy: the drive is wanted back.
    tellWindow(v, 'leg-lost');
    await v.metadata.commit();
  };
  refreshLogRecord(v);
}

/** What the labels say of the log. */
export function refreshLogRecord(v: VolumeCore): void {
  const log = v.log;
  if (log === null) return;
  const states = log.legStates;
  v.metadata.log = {
    uuid: log.uuid,
    epoch: log.epoch,
    lastSequence: log.report().lastSequence,
    legs: log.legUuids.map((uuid, index) => ({ uuid, state: states[index] ?? 'missing' })),
  };
}

/**
 * A leg must not share a disk with a member: one disk would take both the member and the log of what it missed. Files in
 * one file system are allowed (a trial, the demo) and said in the status.
 */
export async function checkPlaces(
  environment: EngineEnvironment,
  drivePaths: readonly string[],
  logPaths: readonly string[],
): Promise<Outcome<{ sharesFileSystem: boolean }>> {
  const drives = await Promise.all(
    drivePaths.map(async (path) => ({ path, place: await environment.place(path) })),
  );
  const logs = await Promise.all(
    logPaths.map(async (path) => ({ path, place: await environment.place(path) })),
  );
  const seen = new Map<string, string>();
  for (const { path, place } of drives) {
    const other = seen.get(place.identity);
    if (other !== undefined) return refuse('drive-given-twice', { path, other });
    seen.set(place.identity, path);
  }
  let sharesFileSystem = false;
  for (const { path, place } of logs) {
    for (const drive of drives) {
      if (place.identity === drive.place.identity || onOneDisk(place, drive.place)) {
        return refuse('leg-on-member-drive', { path, drive: drive.path });
      }
      if (place.file !== null && place.file === drive.place.file) sharesFileSystem = true;
    }
    const other = seen.get(place.identity);
    if (other !== undefined) return refuse('drive-given-twice', { path, other });
    seen.set(place.identity, path);
  }
  return done({ sharesFileSystem });
}

/** Two partitions of one disk, or a file and a partition of the disk it lies on. Two files are a matter of the warning. */
export function onOneDisk(a: Place, b: Place): boolean {
  if (a.disk !== null) return a.disk === b.disk || a.disk === b.fileDisk;
  return b.disk !== null && b.disk === a.fileDisk;
}

export async function wipeLeg(v: VolumeCore, path: string): Promise<boolean> {
  const opened = await openMemberDrive(v, path);
  if (!opened.ok) return false;
  const drive = opened.value;
  const { buffers } = v.environment;
  const bytes = LEG_WIPE_BLOCKS * BLOCK_BYTES;
  const zeroes = await buffers.takeLater(bytes, 'engine');
  try {
    if (zeroes === 0) return false;
    buffers.slice(zeroes, bytes).fill(0);
    return (
      (await drive.write(0 as DriveOffset, zeroes, bytes)) === OK && (await drive.flush()) === OK
    );
  } finally {
    if (zeroes !== 0) buffers.give(zeroes);
    await drive.close();
  }
}
