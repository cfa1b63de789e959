/**
 * May this drive go away now? Every check with a stable id, its reason and what to do about it. Changes nothing; opening
 * a window runs the same checks.
 */

import { done, type Outcome } from '../core/problems.ts';
import type { Check, WindowPlan } from '../core/status.ts';
import type { WindowRequest } from './contract.ts';
import { findMember } from './find-member.ts';
import { bit } from './members.ts';
import type { VolumeCore } from './volume-core.ts';
import { driveOf } from './window-state.ts';

export function planWindow(v: VolumeCore, request: WindowRequest): Outcome<WindowPlan> {
  const found = findMember(v, request.drive);
  if (!found.ok) return found;
  const member = found.value;
  const checks: Check[] = [];
  const check = (
    id: string,
    title: string,
    result: Check['result'],
    reason = '',
    fix = '',
  ): void => {
    checks.push({ id, title, result, reason, fix });
  };

  if (v.window === null) check('WP001', 'No other window is open', 'pass');
  else {
    const reason = `a window on ${driveOf(v.window)} is ${v.window.state}`;
    const fix = `\`locum window show ${v.name}\` tells whether its run ends it by itself; else: locum window close ${v.name}`;
    check('WP001', 'No other window is open', 'block', reason, fix);
  }

  if (v.mode === 'halted') {
    check(
      'WP002',
      'The volume serves I/O',
      'block',
      v.haltReason,
      'bring the failed drives back first',
    );
  } else check('WP002', 'The volume serves I/O', 'pass');

  const jobs = [v.resyncJob, v.rebuildJob].filter((job) => job?.running === true);
  const unmade = v.members.slots.find(({ recovery }) => (recovery?.unmade.size ?? 0) > 0);
  const stopped = v.members.slots.find(({ recovery }) => (recovery?.stopped ?? '') !== '');
  if (unmade !== undefined && jobs.length === 0) {
    check(
      'WP003',
      'Members are in sync',
      'block',
      `${unmade.path} is not rebuilt everywhere: another drive cannot read there (alarm bad-blocks)`,
      `write those blocks anew: locum status ${v.name}`,
    );
  } else if (stopped !== undefined && jobs.length === 0) {
    check(
      'WP003',
      'Members are in sync',
      'block',
      `the rebuild of ${stopped.path} has stopped: ${stopped.recovery?.stopped}`,
      `see what is in its way: locum status ${v.name}`,
    );
  } else if (v.resync !== null && v.resync.unmade.size > 0 && jobs.length === 0) {
    check(
      'WP003',
      'Members are in sync',
      'block',
      'drives cannot be read where an unclean stop has left parity in doubt (alarm bad-blocks)',
      `write those blocks anew: locum status ${v.name}`,
    );
  } else if (jobs.length === 0 && v.resync === null && !isRebuilding(v))
    check('WP003', 'Members are in sync', 'pass');
  else {
    const kind = jobs[0]?.plan.kind ?? (isRebuilding(v) ? 'rebuild' : 'resync');
    check(
      'WP003',
      'Members are in sync',
      'block',
      `a ${kind} is under way`,
      'wait for it: locum status --watch',
    );
  }

  if (member.state === 'online') check('WP004', 'The drive is online', 'pass');
  else {
    check(
      'WP004',
      'The drive is online',
      'block',
      `it is ${member.state}`,
      `choose another drive: locum drive ls ${v.name}`,
    );
  }

  checkRedundancy(v, request, member.slot, check);
  checkLog(v, request, check);
  const allowed = checks.every(({ result }) => result !== 'block');
  return done({
    allowed,
    drive: { slot: member.slot, path: member.path },
    purpose: request.purpose,
    checks,
  });
}

/** Also before its job has begun: the first thing a rebuild does is to put itself on record. */
const isRebuilding = (v: VolumeCore): boolean =>
  v.members.slots.some(({ state }) => state === 'rebuilding');

type AddCheck = (
  id: string,
  title: string,
  result: Check['result'],
  reason?: string,
  fix?: string,
) => void;

function checkRedundancy(
  v: VolumeCore,
  request: WindowRequest,
  slot: number,
  check: AddCheck,
): void {
  const title = 'The other members are complete';
  // The drive of an open window is the business of WP001: bringing it back is all that helps there.
  const away = v.window === null ? 0 : bit(v.window.slot);
  const absent = v.members.absentMask & ~bit(slot) & ~away;
  if (absent === 0) {
    check('WP005', title, 'pass');
    return;
  }
  const failed = v.members.slots.filter((member) => (absent & bit(member.slot)) !== 0);
  const names = failed
    .map(
      (member) => `slot ${member.slot} (${member.path || 'no drive'}) is already ${member.state}`,
    )
    .join(', ');
  const exposure =
    `${names}: while this drive is away, reads of what only it holds ` +
    'wait for it, and if it does not come back that data is lost';
  if (request.allowDegraded)
    check('WP005', title, 'warn', exposure, 'replace the failed drive first if you can');
  else
    check(
      'WP005',
      title,
      'block',
      exposure,
      'replace the failed drive first, or accept this with --allow-degraded',
    );
}

function checkLog(v: VolumeCore, request: WindowRequest, check: AddCheck): void {
  const log = v.log;
  if (log === null) {
    check(
      'WP006',
      'The volume has a log',
      'block',
      'without a log nothing can stand in for the drive',
      `locum log add ${v.name} PATH PATH`,
    );
    return;
  }
  check('WP006', 'The volume has a log', 'pass');
  const legs = log.status().legs;
  const online = legs.filter((leg) => leg.state === 'online').length;
  const lost = legs.findIndex((leg) => leg.state !== 'online');
  const second =
    lost < 0
      ? 'give the volume a log of two legs'
      : `replace the leg that is lost: locum log replace ${v.name} ${lost} --with PATH`;
  const why =
    'in a window the log is the only copy of what is written: with one leg, its loss is loss of data';
  if (online >= 2) check('WP007', 'The log has two legs', 'pass');
  else if (online === 0)
    check(
      'WP007',
      'The log has two legs',
      'block',
      'no leg of the log is online',
      `give it a new log: locum log add ${v.name} PATH PATH`,
    );
  else if (request.allowSingleLog) check('WP007', 'The log has two legs', 'warn', why, second);
  else
    check(
      'WP007',
      'The log has two legs',
      'block',
      why,
      `${second}, or accept this with --allow-single-log`,
    );
  if (v.legSharesFileSystem) {
    check(
      'WP008',
      'Members and legs are on different file systems',
      'warn',
      'a leg shares a file system with a member: one disk may hold both',
      'fine for a trial; use separate disks for real data',
    );
  } else check('WP008', 'Members and legs are on different file systems', 'pass');
  const seconds = request.maxMs / 1000;
  const freeBytes = log.status().capacityBytes - log.status().usedBytes;
  const rate = Math.floor(freeBytes / Math.max(1, seconds) / 1024);
  check(
    'WP009',
    'Room in the log',
    rate < 64 ? 'warn' : 'pass',
    `${rate} KiB/s can be written for the whole window before the log is full`,
    'a larger log, or a shorter window',
  );
}
