/**
 * Steps 4 and 5 of an assembly: the log is opened and what it holds made good: its overlay, a freeze that was interrupted,
 * the stripes that a crash left half-written.
 */

import { EIO, type Errno, OK } from '../base/errno.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import type { AssemblyDecision } from '../core/assembly.ts';
import type { OverridableByForce } from '../core/assembly-force.ts';
import { LABEL_LEGS_MAX, type Label } from '../core/format/label.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { LegStatus } from '../core/status.ts';
import type { Opened } from './assemble-core.ts';
import { catchUp, catchUpOne } from './catch-up.ts';
import { doubtBelow } from './doubt.ts';
import { startedInDoubt, stillInDoubt } from './failure.ts';
import { HAS_MISSED } from './log/choose-legs.ts';
import { LogStore } from './log/log-store.ts';
import { attachLog, refreshLogRecord } from './log-setup.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';
import { writeImage } from './write-image.ts';

export async function openLog(
  v: VolumeCore,
  decision: AssemblyDecision,
  opened: Opened,
): Promise<Outcome<void>> {
  const expected = decision.label?.log ?? null;
  const used = decision.legs.filter(({ state }) => state === 'online').map(({ path }) => path);
  const drives = used
    .map((path) => opened.legs.get(path)?.drive)
    .filter((drive) => drive !== undefined);
  v.logPaths = [...opened.legs.keys()];
  if (drives.length === 0) {
    const given = decision.blankLegs.length;
    if (given === 0 || v.mode !== 'direct') {
      v.legsOut = legsOut(decision);
      return done(undefined);
    }
    if (given > LABEL_LEGS_MAX) return refuse('leg-count', { given });
    return formatLog(v, decision, opened);
  }
  const log = await LogStore.open(v.environment, drives, {
    volumeUuid: v.uuid,
    logUuid: expected?.uuid ?? null,
    ...(v.window === null ? {} : { epoch: v.window.logEpoch, windowId: v.window.id }),
    failedLegs:
      expected?.legs.filter(({ state }) => state === 'failed').map(({ uuid }) => uuid) ?? [],
    ...(v.window === null || expected === null ? {} : { lastSequence: expected.lastSequence }),
  });
  switch (log.kind) {
    case 'recovered':
    case 'idle':
      break;
    case 'missing':
      return refuse('log-missing', { volume: v.name, reason: log.reason });
    case 'damaged':
      return refuse('log-damaged', { volume: v.name, reason: log.reason });
    case 'foreign':
      return refuse('log-foreign', { volume: v.name, path: log.path ?? '', reason: log.reason });
    case 'stale':
      return refuse('log-stale', { volume: v.name, path: log.path ?? '', reason: log.reason });
  }
  if (v.window === null && expected !== null && log.store.epoch > expected.epoch) {
    // Nothing is logged before every member has its label of the freeze: these are older, or have never been reached by it.
    const { records, epoch } = log.store.report();
    if (records > 0) {
      await log.store.leave();
      const reason = `it has ${records} records of a window (epoch ${epoch}) of which no label knows`;
      return refuse('log-ahead', { volume: v.name, reason });
    }
  }
  const { records } = log.store.report();
  const older = records > 0 ? fromBeforeFreeze(v, opened) : null;
  if (older !== null) {
    await log.store.leave();
    const reason = `the log has ${records} records of a window of which it does not know: start without it`;
    return refuse('drive-stale', { path: older.path, reason });
  }
  attachLog(v, log.store);
  for (const { drive, readErrors } of opened.legs.values())
    log.store.countReadErrors(drive, readErrors);
  if (v.window === null) {
    // A crash between the labels that closed a window and the log's header: the labels are right.
    if (log.kind === 'recovered') await log.store.endEpoch();
  } else if (v.mode === 'replaying') {
    await log.store.pauseCheckpoints();
    log.store.overlay.removeBelow(v.geometry.stripeStart(v.cursor) / SECTOR_BYTES);
    v.window.replayTotalBytes = log.store.overlay.liveSectors * SECTOR_BYTES;
  }
  refreshLogRecord(v);
  return done(undefined);
}

/**
 * Nothing is logged before every member has superblock and label of the freeze, or is on record as out. One that is to be
 * used and has neither is no member that a crash kept from it but an older copy. With force, too: whoever leaves it out
 * loses nothing by that.
 */
function fromBeforeFreeze({ window, mode, members }: VolumeCore, opened: Opened): Member | null {
  if (window === null || mode !== 'frozen') return null;
  const isOlder = ({ path, state }: Member): boolean => {
    const metadata = opened.drives.get(path)?.metadata;
    if (state !== 'online' || metadata?.superblock.kind !== 'superblock') return false;
    const { label, superblock } = metadata;
    const told = label.kind === 'label' && label.value.window?.token === window.token;
    return !told && superblock.value.events < window.frozenEvents;
  };
  return members.slots.find(isOlder) ?? null;
}

/** Who starts without its log has to say so: no later start would tell what has become of it (P6). */
function legsOut({ label, legs }: AssemblyDecision): LegStatus[] {
  const known = label?.log?.legs ?? [];
  return known.map(({ uuid, state }) => {
    const found = legs.find((leg) => leg.uuid === uuid);
    const errors = { read: 0 };
    return found === undefined && state !== 'failed'
      ? { path: uuid, state: 'missing', errors, reason: 'not found at the start' }
      : { path: found?.path ?? uuid, state: 'failed', errors, reason: HAS_MISSED };
  });
}

async function formatLog(
  v: VolumeCore,
  decision: AssemblyDecision,
  opened: Opened,
): Promise<Outcome<void>> {
  const drives = decision.blankLegs
    .map((path) => opened.legs.get(path)?.drive)
    .filter((drive) => drive !== undefined);
  for (const drive of drives) {
    const content = await v.environment.foreignContent(drive);
    if (content !== null) return refuse('drive-has-data', { path: drive.path, content });
  }
  const log = await LogStore.format(v.environment, drives, {
    volumeUuid: v.uuid,
    volumeName: v.name,
  });
  if (!log.ok) return log;
  attachLog(v, log.value);
  return done(undefined);
}

/**
 * A crash in the middle of a freeze: the newest label says that the window is open, the drive that was to leave has not been
 * told, and no write was admitted yet. The freeze is completed, with the numbers that it has on the others (catch-up.ts)
 * and the leaving drive last, so that the drive will be known when it comes back. A flush that fails changes nothing:
 * whether the drive is known is asked again when it is back.
 */
export async function completeFreeze(
  v: VolumeCore,
  decision: AssemblyDecision,
  opened: Opened,
  labels: ReadonlyMap<string, Label>,
): Promise<void> {
  const window = v.window;
  if (window === null || v.mode !== 'frozen' || v.log === null || v.log.report().records > 0)
    return;
  const member = v.members.at(window.slot);
  const found = opened.drives.get(member.path);
  if (found === undefined || found.metadata.superblock.kind !== 'superblock') return;
  const { label, superblock } = found.metadata;
  const told = label.kind === 'label' && label.value.window?.token === window.token;
  const { events } = superblock.value;
  if (told && events === window.frozenEvents) {
    // A kill may have left that in a cache only: without it the drive would be an older copy after a power cut.
    await found.drive.flush();
    return;
  }
  if (events < window.frozenEvents - 1) return;
  v.metadata.labelsOnly = false;
  await catchUp(v, decision, labels);
  member.drive = found.drive;
  await catchUpOne(v, decision, member);
  await v.members.settled();
  v.metadata.labelsOnly = true;
  member.drive = null;
}

/**
 * 5: whatever a crash left half-written is written again, in order, whole. Then parity is as good as the label says. What
 * `force` has overridden here.
 */
export async function redoStripes(
  v: VolumeCore,
  decision: AssemblyDecision,
  force: boolean,
): Promise<Outcome<readonly OverridableByForce[]>> {
  const { log } = v;
  const lost = lostImages(v, decision);
  const whole = decision.stripeLog === 'whole' && log !== null && lost === 0;
  const isForced = force && lost > 0 && v.degraded;
  const isUncovered = decision.inDoubt || isForced;
  // Before the redo: a member that fails in it leaves nothing in doubt, or just that.
  if (whole) v.resync = null;
  else if (isUncovered && decision.unclean && !decision.level.mirrored) v.resync = doubtBelow(v);
  const redone = await redoPending(v, decision, lost, force);
  if (!redone.ok) return redone;
  // Of a mirror nothing is in the log outside a window: a leg that is back has missed nothing.
  if (decision.unclean && !decision.level.mirrored) await log?.excludeMissing();
  v.stripeLogFound = null;
  v.parityUnknown = decision.unclean && !whole && v.resync === null && v.mode !== 'frozen';
  // A member that failed in the redo has said so itself.
  if (isUncovered && (decision.inDoubt || v.dataInDoubt === null))
    startedInDoubt(v, decision.mayBeOlder);
  else if (v.dataInDoubt === null) stillInDoubt(v);
  return done(isForced ? ['log-damaged'] : []);
}

/** Images that a start has to do without. Where nothing was under way, what cannot be read is of no matter. */
function lostImages({ log, mode }: VolumeCore, { stripeLog, unclean }: AssemblyDecision): number {
  if (log === null || stripeLog === 'void') return 0;
  const { lostSegments, unreadableSegments } = log.stripes;
  return lostSegments + (unclean && mode !== 'frozen' ? unreadableSegments : 0);
}

async function redoPending(
  v: VolumeCore,
  decision: AssemblyDecision,
  lost: number,
  force: boolean,
): Promise<Outcome<void>> {
  const { log } = v;
  if (log === null) return done(undefined);
  if (decision.stripeLog === 'void') {
    // Stripes were written without it since, or md wrote to them: what it holds is older than what they hold.
    if (!log.stripes.isSettled) await log.stripes.releaseAll();
    return done(undefined);
  }
  if (lost > 0 && v.degraded && !force) {
    const reason = `${lost} stripe images are on no leg, or cannot be read: what they covered may be half written`;
    return refuse('log-damaged', { volume: v.name, reason });
  }
  if (log.stripes.pendingSegments === 0) return done(undefined);
  if (v.mode === 'frozen')
    return refuse('log-damaged', { volume: v.name, reason: 'stripe images in a frozen volume' });
  // What is lost may be newer than what is left of the same place, and may be on the members, answered and flushed. With all
  // members there data needs no image, and the resync makes parity from it: nothing older is written over it. Degraded, what
  // an absent member held is made with that parity, so all that is left of it counts; that takes force, and is an alarm.
  const errno = lost > 0 && !v.degraded ? OK : await redo(v, log);
  await v.members.settled();
  if (errno !== OK)
    return refuse('io-error', { what: 'the stripes that a crash left half-written' });
  if ((await v.flushMembers()) !== OK) return refuse('io-error', { what: 'the members' });
  return done(undefined);
}

function redo(v: VolumeCore, log: LogStore): Promise<Errno> {
  return log.stripes.redo(async (images) => {
    for (const image of images) {
      const member = v.members.at(image.slot);
      if (member.drive === null || (member.state !== 'online' && member.state !== 'rebuilding'))
        continue;
      const written = await writeImage(v, image);
      // One that does not take it is out; the image is whole on the others.
      if (written !== OK) v.members.fail(member, `write failed (errno ${written})`, 'write-error');
    }
    return v.halted ? EIO : OK;
  });
}

/**
 * After step 6: what the start found in the journal is redone, told, or of no matter, and no later start asks for it again.
 * Only when the labels say what is in doubt: a journal that is empty beside a label that calls it whole would vouch for
 * stripes whose images are lost. Until then nothing is written to a stripe, so to redo it once more changes nothing.
 */
export async function releaseFound({ log, halted }: VolumeCore): Promise<void> {
  if (!halted && log !== null && !log.stripes.isSettled) await log.stripes.releaseAll();
}
