/**
 * Everything about a volume that somebody should do something about, or know. Codes are stable:
 * monitoring depends on them. Critical: act now, or the next fault costs data or service. Warning:
 * act in working hours. Info: so that nobody is surprised.
 *
 * A message is read at night by somebody who did not set this up: what is wrong, what it means for
 * the data, and the next command.
 */

import type { Alarm, VolumeStatus } from '../status.ts';
import { logFillPercent, logMarkOf, logMarks } from './log-fill.ts';
import * as commands from './volume-commands.ts';
import {
  capital,
  type DriveFacts,
  described,
  failedBesides,
  isDegraded,
  returnable,
  sentence,
  type VolumeFacts,
  type WindowFactsForStatus,
} from './volume-facts.ts';

export const alarmCodes = [
  'halted',
  'second-failure',
  'drive-failed',
  'recall',
  'window-overdue',
  'reads-held',
  'writes-held',
  'log-lost',
  'leg-lost',
  'replay-stopped',
  'writes-unsettled',
  'log-70',
  'log-85',
  'log-95',
  'rebuild-stopped',
  'resync-stopped',
  'write-hole',
  'data-in-doubt',
  'drive-differed',
  'bad-blocks',
  'parity-mismatch',
  'scrub-mismatch',
  'leg-shares-file-system',
] as const;
export type AlarmCode = (typeof alarmCodes)[number];

type Add = (code: AlarmCode, severity: Alarm['severity'], message: string) => void;

export function alarmsOf(facts: VolumeFacts, writeHole: VolumeStatus['writeHole']): Alarm[] {
  const alarms: Alarm[] = [];
  const add: Add = (code, severity, message) => alarms.push({ code, severity, message });
  if (facts.haltReason !== '') {
    add(
      'halted',
      'critical',
      `Host I/O is refused: ${sentence(facts.haltReason)} The drives are left as they are. ` +
        `Bring the missing drives and log legs back, then: ${commands.restart(facts)}`,
    );
  }
  for (const drive of failedBesides(facts)) driveAlarm(facts, drive, add);
  if (facts.window !== null && facts.frozen) windowAlarms(facts, facts.window, add);
  logAlarms(facts, add);
  if (facts.replayStopped !== '') {
    const why = sentence(facts.replayStopped);
    add('replay-stopped', 'critical', `The log cannot be applied: ${why} ${commands.goOn(facts)}`);
  }
  if (facts.unsettled !== null) unsettledAlarm(facts, facts.unsettled, add);
  if (facts.rebuildStopped !== null) rebuildAlarm(facts, facts.rebuildStopped, add);
  if (facts.resyncStopped !== '' && facts.haltReason === '') {
    add(
      'resync-stopped',
      'critical',
      `The resync after an unclean stop has stopped: ${sentence(facts.resyncStopped)} What it has not reached may not ` +
        'agree on all drives: one that is lost now can leave wrong data there, so take none out. It is tried again by ' +
        `itself: ${commands.watch(facts)}`,
    );
  }
  if (writeHole === 'open' && isDegraded(facts)) {
    add(
      'write-hole',
      'warning',
      'Degraded, and no log to write to first: a crash in the middle of a write can damage what ' +
        `the absent drive held. Restore the redundancy soon: ${mendFirst(facts)}`,
    );
  }
  contentAlarms(facts, add);
  return alarms;
}

/** Why reads of some places fail although all drives that they need are there. */
function unsettledAlarm(
  facts: VolumeFacts,
  unsettled: NonNullable<VolumeFacts['unsettled']>,
  add: Add,
): void {
  const { places, offset } = unsettled;
  const next =
    facts.replayStopped !== ''
      ? commands.goOn(facts)
      : facts.window !== null && facts.frozen
        ? `The replay ends that. ${bringBack(facts, facts.window.path)}`
        : `The replay ends that by itself: ${commands.watch(facts)}`;
  const [which, them, where] =
    places === 1
      ? [`a write at byte ${offset}`, 'it', 'that place']
      : [`${places} writes, the first at byte ${offset}`, 'them', 'those places'];
  add(
    'writes-unsettled',
    'critical',
    `The log was lost in the middle of ${which} of the volume: the next start may find ${them} in the log, or not. ` +
      `Reads of ${where} wait, and then fail, rather than show what may change again; all the rest is served. ${next}`,
  );
}

/** A volume that has halted goes on where it was once it is assembled with what is missing. */
function rebuildAlarm(
  facts: VolumeFacts,
  stopped: NonNullable<VolumeFacts['rebuildStopped']>,
  add: Add,
): void {
  const next =
    facts.haltReason === ''
      ? `is tried again by itself: ${commands.watch(facts)}`
      : `goes on when the volume is assembled with what is missing: ${commands.restart(facts)}`;
  add(
    'rebuild-stopped',
    'critical',
    `The rebuild of slot ${stopped.slot} (${stopped.path}) has stopped: ${sentence(stopped.reason)} What is ` +
      `rebuilt is kept, and the rest ${next}`,
  );
}

function driveAlarm(facts: VolumeFacts, drive: DriveFacts, add: Add): void {
  const { window, frozen } = facts;
  const what = sentence(capital(described(drive)));
  if (window === null) {
    const next = facts.haltReason === '' ? ` Next: ${commands.mend(facts, drive)}` : '';
    add('drive-failed', 'critical', what + next);
  } else if (!frozen) {
    add(
      'drive-failed',
      'critical',
      `${what} Once the replay is done: ${commands.mend(facts, drive)}`,
    );
  } else if (drive.ofFrozenImage) {
    add(
      'second-failure',
      'critical',
      `${what} It failed while ${window.path} is away: nothing is lost, either of them completes ` +
        `the volume. Bring ${window.path} back: ${commands.closeWindow(facts)}; ` +
        `or this one: ${commands.addBack(facts, drive.path)}`,
    );
  } else {
    add(
      'drive-failed',
      'critical',
      `${what} It was out before the window was opened, so only ${window.path} completes the ` +
        `volume. Bring that back first: ${commands.closeWindow(facts)}`,
    );
  }
}

function windowAlarms(facts: VolumeFacts, window: WindowFactsForStatus, add: Add): void {
  const { path } = window;
  const close = commands.closeWindow(facts);
  const back = bringBack(facts, path);
  if (window.recall) {
    add(
      'recall',
      'critical',
      `${path} is wanted back now: begin nothing long on it, and as soon as it is safe: ${close}`,
    );
  }
  if (window.overdue) {
    add(
      'window-overdue',
      'critical',
      `The window on ${path} is past its limit, and is held open because another drive is out: ` +
        `without ${path} the volume is not complete. ${back}; or, if it needs more time: ` +
        commands.extendWindow(facts),
    );
  }
  if (window.heldReads > 0) {
    add(
      'reads-held',
      'warning',
      `${count(window.heldReads, 'read')} of what only absent drives hold ` +
        `${window.heldReads === 1 ? 'waits' : 'wait'}, each for up to ` +
        `${Math.round(window.waitMs / 1000)} s and then fails. ${back}`,
    );
  }
}

/** The way out of a double absence: the drive of the window, or one that is as good. */
function bringBack(facts: VolumeFacts, path: string): string {
  const others = returnable(facts).map((drive) => commands.addBack(facts, drive.path));
  const next = `Bring ${path} back: ${commands.closeWindow(facts)}`;
  return others.length === 0 ? next : `${next} (or ${others.join(', or ')})`;
}

function logAlarms(facts: VolumeFacts, add: Add): void {
  const { log, window } = facts;
  const back = window === null ? '' : bringBack(facts, window.path);
  if (facts.writesHeld > 0) {
    const next = window === null ? commands.watch(facts) : back;
    add(
      'writes-held',
      'critical',
      `${count(facts.writesHeld, 'write')} held until there is room in the log; nothing ` +
        `acknowledged is lost. ${next}`,
    );
  }
  if (log === null) return;
  const lost = log.legs.filter(({ state }) => state !== 'online');
  const none = lost.length === log.legs.length;
  // A halted volume takes no leg, nor a log: what they are would have to go on record.
  const first =
    facts.haltReason === '' ? null : `Start the volume anew first: ${commands.restart(facts)}`;
  const newLog = first ?? (window === null ? `Give it new legs: ${commands.newLog(facts)}` : back);
  if (none && lost.length > 0) {
    const meaning =
      window === null
        ? 'Writes go on, but no window can be opened, and a crash leaves parity in doubt.'
        : 'It may be the only copy of what was written since the drive left.';
    add('log-lost', 'critical', `No leg of the log takes a write. ${meaning} ${newLog}`);
  }
  // With every drive out there is none to note a new leg on: it would be refused.
  const isAnyIn = facts.drives.some(({ state }) => state === 'online' || state === 'rebuilding');
  const nextOf = (index: number): string => {
    if (first !== null || none) return newLog;
    const isWaiting = (facts.legsWaitFor[index] ?? null) !== null;
    const isRefused = !isAnyIn && !isWaiting;
    return isRefused && back !== '' ? back : commands.mendLeg(facts, index);
  };
  for (const [index, leg] of log.legs.entries()) {
    if (leg.state === 'online') continue;
    const what = leg.reason === '' ? leg.state : `${leg.state}: ${leg.reason}`;
    const meaning =
      window === null
        ? 'The log has one copy fewer.'
        : 'What was written since the drive left has one copy fewer.';
    const text = `Log leg ${leg.path} is ${sentence(what)} ${meaning} ${nextOf(index)}`;
    add('leg-lost', 'critical', text);
  }
  const mark = logMarkOf(log.usedBytes, log.capacityBytes);
  if (mark === 0 || window === null) return;
  const percent = Math.floor(logFillPercent(log.usedBytes, log.capacityBytes));
  const severity = mark === logMarks[0] ? 'warning' : 'critical';
  const then =
    failedBesides(facts).length === 0
      ? `at ${logMarks[2]} % the window ends without ${window.path}`
      : 'when it is full, writes are held';
  const what = facts.frozen ? `; ${then}. ${back}` : '; the replay is freeing it.';
  add(`log-${mark}` as AlarmCode, severity, `The log is ${percent} % full${what}`);
}

function contentAlarms(facts: VolumeFacts, add: Add): void {
  const { parityErrors, legSharesFileSystem } = facts;
  const { mismatches, repairing, unreadableBytes } = facts.scrub;
  if (facts.dataInDoubt !== null) {
    const { path, regions, cause } = facts.dataInDoubt;
    const where = `in ${count(regions, 'region')} that had been written to`;
    const said = {
      lost:
        `Drive ${path} failed after an unclean stop and before the resync: ${where}, what only it held may be wrong. ` +
        'Check or restore that data; if the drive still works, stop the volume and assemble it with the drive: ',
      forced:
        'The volume was started by force after an unclean stop, ' +
        `without drive ${path} and without a log that covers it: ${where}, what only that drive held may be wrong. ` +
        'Check or restore that data; then start the volume anew: ',
      older:
        `The volume was started by force without drive ${path}, of which no record says that it was out: if it was ` +
        'the last one in use, what was written since is missing here. ' +
        'Check or restore that data; then start the volume anew: ',
    };
    add('data-in-doubt', 'critical', `${said[cause]}${commands.restart(facts)}`);
  }
  if (facts.differed !== null) {
    const { path, stripes } = facts.differed;
    add(
      'drive-differed',
      'critical',
      `Drive ${path} came back after its window with other contents than it left with (${count(stripes, 'stripe')} of those ` +
        'compared). None of it is used: all of it is made anew from the other drives. What did this to it may do it again: ' +
        'flash no other drive like it before that is known, and replace this one when in doubt. ' +
        `To end this alarm: ${commands.restart(facts)}`,
    );
  }
  if (facts.unmade !== null) {
    const { path, stripes, offset } = facts.unmade;
    add(
      'bad-blocks',
      'critical',
      `${count(stripes, 'stripe')} of ${path} could not be rebuilt, the first at byte ${offset} of the ` +
        'volume: another drive cannot read its part of them, or parity is in doubt there after an unclean ' +
        'stop. What is lost there is answered with an error, all the rest is served; write it anew, or ' +
        'restore it, and the rebuild ends by itself.',
    );
  }
  if (facts.resyncLeft !== null) {
    const { stripes, offset } = facts.resyncLeft;
    add(
      'bad-blocks',
      'critical',
      `${count(stripes, 'stripe')} could not be brought in sync after an unclean stop, the first at byte ${offset} ` +
        'of the volume: two drives cannot read the same place of them, or one where parity is in doubt. What is ' +
        'lost there is answered with an error, all the rest is served, and no window can be opened; write it ' +
        'anew, or restore it, and the resync ends by itself.',
    );
  }
  if (unreadableBytes > 0) {
    add(
      'bad-blocks',
      'critical',
      `The scrub met ${count(unreadableBytes, 'byte')} of each drive that two drives cannot read, and went ` +
        'around them: what only they hold there is answered with an error. Restore that data, or write ' +
        `it anew; then check again: ${commands.check(facts)}`,
    );
  }
  if (parityErrors > 0) {
    add(
      'parity-mismatch',
      'critical',
      `${count(parityErrors, 'read')} met a stripe whose parity does not agree with its data: a ` +
        `drive has returned wrong data. Check them all: ${commands.check(facts)}`,
    );
  }
  if (mismatches > 0 && repairing) {
    add(
      'scrub-mismatch',
      'warning',
      `The scrub found ${count(mismatches, 'stripe')} whose redundancy did not agree with the data, ` +
        `and rewrote it. If it happens again a drive is at fault: locum drive ls ${facts.name}`,
    );
  } else if (mismatches > 0) {
    add(
      'scrub-mismatch',
      'critical',
      `The scrub found ${count(mismatches, 'stripe')} whose redundancy does not agree with the ` +
        `data: a rebuild would make wrong data there. Rewrite it: ${commands.repair(facts)}`,
    );
  }
  if (legSharesFileSystem) {
    add(
      'leg-shares-file-system',
      'info',
      'A log leg and a member lie in one file system: one disk can take both. Fine for a trial; ' +
        'for real data keep the legs on disks of their own.',
    );
  }
}

function mendFirst(facts: VolumeFacts): string {
  const out = failedBesides(facts)[0];
  return out === undefined || facts.window !== null
    ? commands.watch(facts)
    : commands.mend(facts, out);
}

const count = (number: number, what: string): string =>
  `${number} ${what}${number === 1 ? '' : 's'}`;
