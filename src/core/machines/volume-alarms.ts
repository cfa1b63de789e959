/**
 * Everything about a volume that somebody should do something about, or know. Codes are stable:
 * monitoring depends on them. Critical: act now, or the next fault costs data or service. Warning:
 * act in working hours. Info: so that nobody is surprised.
 */

import type { Alarm, VolumeStatus } from '../status.ts';
import { logFillPercent, logMarkOf, logMarks } from './log-fill.ts';
import { type DriveFacts, failedBesides, named, type VolumeFacts } from './volume-facts.ts';

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
  'log-70',
  'log-85',
  'log-95',
  'write-hole',
  'parity-mismatch',
  'scrub-mismatch',
  'leg-shares-file-system',
] as const;
export type AlarmCode = (typeof alarmCodes)[number];

type Add = (code: AlarmCode, severity: Alarm['severity'], message: string) => void;

export function alarmsOf(facts: VolumeFacts, writeHole: VolumeStatus['writeHole']): Alarm[] {
  const alarms: Alarm[] = [];
  const add: Add = (code, severity, message) => alarms.push({ code, severity, message });
  if (facts.haltReason !== '')
    add('halted', 'critical', `Host I/O is refused: ${facts.haltReason}`);
  for (const drive of failedBesides(facts)) driveAlarm(facts, drive, add);
  windowAlarms(facts, add);
  if (facts.writesHeld > 0) {
    add(
      'writes-held',
      'critical',
      `${facts.writesHeld} writes are held until there is room in the log`,
    );
  }
  logAlarms(facts, add);
  if (writeHole === 'open') {
    add(
      'write-hole',
      'warning',
      'Degraded without a log: a crash can damage what the absent drive held',
    );
  }
  if (facts.parityErrors > 0) {
    add(
      'parity-mismatch',
      'critical',
      `${facts.parityErrors} reads met a stripe that does not add up`,
    );
  }
  const { mismatches, repairing } = facts.scrub;
  if (mismatches > 0) {
    const severity = repairing ? 'warning' : 'critical';
    add('scrub-mismatch', severity, `The scrub found ${mismatches} stripes that disagree`);
  }
  if (facts.legSharesFileSystem) {
    add(
      'leg-shares-file-system',
      'info',
      'A log leg and a member lie in one file system: fine for a trial only',
    );
  }
  return alarms;
}

function driveAlarm({ frozen, window }: VolumeFacts, drive: DriveFacts, add: Add): void {
  const what = `${named(drive)} is ${drive.state}`;
  if (frozen && window !== null) {
    const message = `${what} while ${window.path} is away; nothing is lost, bring either back`;
    add('second-failure', 'critical', `${capital(message)}`);
  } else {
    add('drive-failed', 'critical', `${capital(what)}: ${drive.reason}`);
  }
}

function windowAlarms({ name, frozen, window }: VolumeFacts, add: Add): void {
  if (window === null || !frozen) return;
  if (window.recall)
    add('recall', 'critical', `Bring ${window.path} back now: locum window close ${name}`);
  if (window.overdue) {
    add(
      'window-overdue',
      'critical',
      `The window on ${window.path} is past its limit and cannot end without a drive`,
    );
  }
  if (window.heldReads > 0) {
    add('reads-held', 'warning', `${window.heldReads} reads wait for one of the absent drives`);
  }
}

function logAlarms({ log, window }: VolumeFacts, add: Add): void {
  if (log === null) return;
  const lost = log.legs.filter(({ state }) => state !== 'online');
  if (lost.length > 0 && lost.length === log.legs.length)
    add('log-lost', 'critical', 'No leg of the log is online');
  for (const leg of lost)
    add('leg-lost', 'critical', `Log leg ${leg.path} is ${leg.state}: ${leg.reason}`);
  const mark = logMarkOf(log.usedBytes, log.capacityBytes);
  if (mark === 0 || window === null) return;
  const percent = Math.floor(logFillPercent(log.usedBytes, log.capacityBytes));
  const severity = mark === logMarks[0] ? 'warning' : 'critical';
  add(`log-${mark}` as AlarmCode, severity, `The log is ${percent} % full`);
}

const capital = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1);
