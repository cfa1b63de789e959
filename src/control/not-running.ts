/** How a volume is shown that this server knows and does not serve: stopped, unable to start, or crashed. */

import { explain } from '../api/errors.ts';
import type { Problem } from '../core/problems.ts';
import type { Alarm, VolumeStatus } from '../core/status.ts';
import type { KnownVolume } from './known-volumes.ts';

/** `problem` is null when it was stopped on request. */
export function statusOfStopped(
  known: KnownVolume,
  problem: Problem | null,
  io: VolumeStatus['io'],
): VolumeStatus {
  const { name, lastSeen } = known;
  const { message, fix } = problem
    ? explain(problem)
    : {
        message: 'It was stopped on request.',
        fix: `\`locum volume assemble ${name}\` starts it.`,
      };
  const alarm: Alarm = problem
    ? { code: problem.code, severity: 'critical', message }
    : { code: 'volume-stopped', severity: 'info', message };
  return {
    name,
    uuid: lastSeen.uuid,
    level: lastSeen.level,
    state: 'halted',
    sizeBytes: lastSeen.sizeBytes,
    chunkBytes: lastSeen.chunkBytes,
    io,
    redundancy: { canLose: 0 },
    writeHole: 'closed',
    drives: lastSeen.drives.map(({ slot, path, uuid }) => ({
      slot,
      path,
      uuid,
      state: 'missing',
      errors: { read: 0, write: 0 },
      reason: 'not opened: the volume is not running',
    })),
    log: null,
    window: null,
    jobs: [],
    alarms: [alarm],
    story: { state: 'The volume is not running.', why: message, next: fix },
  };
}

/** The last status of a volume whose thread has crashed, made to say so. */
export function statusOfCrashed(last: VolumeStatus, problem: Problem): VolumeStatus {
  const { message, fix } = explain(problem);
  return {
    ...last,
    state: 'halted',
    jobs: [],
    alarms: [{ code: problem.code, severity: 'critical', message }, ...last.alarms],
    story: { state: 'The volume is not served any more.', why: message, next: fix },
  };
}
