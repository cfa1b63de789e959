/** The status of a volume, gathered from its parts. The words come from core/machines/volume.ts, which is pure. */

import { GIB } from '../base/units.ts';
import type {
  Alarm,
  DriveStatus,
  JobStatus,
  LogStatus,
  VolumeState,
  VolumeStatus,
} from '../core/status.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';
import { windowStatusOf } from './window-report.ts';

export function statusOf(v: VolumeCore): VolumeStatus {
  const log = logStatusOf(v);
  const state = stateOf(v, log);
  const alarms = alarmsOf(v, log);
  return {
    name: v.name,
    uuid: v.uuid,
    level: v.geometry.level.number,
    state,
    sizeBytes: v.geometry.volumeBytes,
    chunkBytes: v.geometry.chunkBytes,
    io: v.environment.ioName,
    redundancy: { canLose: canLose(v) },
    writeHole: writeHoleOf(v, log),
    drives: [...v.members.slots, ...v.members.spares].map(driveStatusOf),
    log,
    window: windowStatusOf(v),
    jobs: jobsOf(v),
    alarms,
    story: storyOf(v, state, log),
  };
}

function driveStatusOf(member: Member): DriveStatus {
  const { slot, path, uuid, state, errors, reason } = member;
  return { slot: slot < 0 ? null : slot, path, uuid, state, errors: { ...errors }, reason };
}

/** Further members that may fail now with nothing acknowledged lost. In a window the drive that is away still counts. */
function canLose(v: VolumeCore): number {
  if (v.mode === 'halted') return 0;
  const awayCounts = v.mode === 'frozen' && v.window !== null ? 1 : 0;
  return Math.max(0, v.tolerated - v.absentCount + awayCounts);
}

function writeHoleOf(v: VolumeCore, log: LogStatus | null): 'closed' | 'open' {
  const exposed = v.geometry.level.parityChunks > 0 && v.degraded && v.mode !== 'frozen';
  return exposed && (log === null || log.state === 'failed') ? 'open' : 'closed';
}

function logStatusOf(v: VolumeCore): LogStatus | null {
  if (v.log === null) return null;
  const status = v.log.status();
  return v.mode === 'replaying' && status.state === 'logging'
    ? { ...status, state: 'replaying' }
    : status;
}

export function stateOf(v: VolumeCore, log: LogStatus | null): VolumeState {
  if (v.mode === 'halted') return 'halted';
  const window = v.window;
  if (window?.state === 'freezing') return 'freezing';
  if (window?.state === 'thawing') return 'thawing';
  if (v.mode === 'replaying') return 'replaying';
  if (v.mode === 'frozen')
    return v.writesHeld > 0 || log?.state === 'failed' ? 'suspended' : 'frozen';
  if (v.members.slots.some((member) => member.state === 'rebuilding')) return 'rebuilding';
  if (v.degraded) return 'degraded';
  return v.resync !== null ? 'resyncing' : 'optimal';
}

function jobsOf(v: VolumeCore): JobStatus[] {
  const jobs = [v.resyncJob, v.rebuildJob, v.verifyJob, v.scrubJob]
    .filter((job) => job !== null)
    .map((job) => job.status());
  const window = v.window;
  if (window !== null && v.mode === 'replaying') {
    const totalBytes = Math.max(window.replayTotalBytes, window.replayedBytes);
    const elapsedMs = Math.max(1, v.environment.clock.nowMs() - v.replayStartedMs);
    jobs.push({
      kind: 'replay',
      state: 'running',
      slot: null,
      doneBytes: window.replayedBytes,
      totalBytes,
      bytesPerSecond: Math.round((window.replayedBytes * 1000) / elapsedMs),
      mismatches: 0,
      reason: '',
    });
  }
  return jobs;
}

export const fillPercentOf = (log: LogStatus): number =>
  log.capacityBytes === 0 ? 0 : (log.usedBytes * 100) / log.capacityBytes;

function alarmsOf(v: VolumeCore, log: LogStatus | null): Alarm[] {
  const alarms: Alarm[] = [];
  const add = (code: string, severity: Alarm['severity'], message: string): void => {
    alarms.push({ code, severity, message });
  };
  if (v.mode === 'halted') add('halted', 'critical', `Host I/O is refused: ${v.haltReason}`);
  const window = v.window;
  const others = v.members.slots.filter(
    (member) =>
      (member.state === 'failed' || member.state === 'missing') && member.slot !== window?.slot,
  );
  for (const member of others) {
    if (window !== null && v.mode === 'frozen') {
      add(
        'second-failure',
        'critical',
        `Slot ${member.slot} is ${member.state} while ${window.path} is away; nothing is lost, bring either back`,
      );
    } else
      add(
        'drive-failed',
        'critical',
        `Slot ${member.slot} (${member.path || 'no drive'}) is ${member.state}: ${member.reason}`,
      );
  }
  if (window !== null && v.mode === 'frozen') {
    if (window.recall)
      add('recall', 'critical', `Bring ${window.path} back now: locum window close ${v.name}`);
    if (window.expired)
      add('window-overdue', 'critical', `The window on ${window.path} is past its limit`);
    if (window.heldReads > 0)
      add('reads-held', 'warning', `${window.heldReads} reads wait for an absent drive`);
  }
  if (v.writesHeld > 0)
    add('writes-held', 'critical', 'The log is full: writes are held until a drive comes back');
  if (log !== null) {
    for (const leg of log.legs.filter(({ state }) => state !== 'online')) {
      add('leg-lost', 'critical', `Log leg ${leg.path} is ${leg.state}: ${leg.reason}`);
    }
    const fill = fillPercentOf(log);
    const { logWarnPercent, logRecallPercent, logThawPercent } = v.limits;
    const mark = [logThawPercent, logRecallPercent, logWarnPercent].find(
      (percent) => fill >= percent,
    );
    if (mark !== undefined && window !== null) {
      add(
        `log-${mark}`,
        mark === logWarnPercent ? 'warning' : 'critical',
        `The log is ${Math.floor(fill)} % full`,
      );
    }
  }
  if (writeHoleOf(v, log) === 'open') {
    add(
      'write-hole',
      'warning',
      'Degraded without a log: a crash can damage what the absent drive held',
    );
  }
  if (v.parityErrors > 0)
    add('parity-mismatch', 'critical', `${v.parityErrors} reads met a stripe that does not add up`);
  const mismatches = v.scrubJob?.mismatches ?? 0;
  if (mismatches > 0)
    add(
      'scrub-mismatch',
      v.scrubRepair ? 'warning' : 'critical',
      `The scrub found ${mismatches} stripes that disagree`,
    );
  if (v.legSharesFileSystem) {
    add(
      'leg-shares-file-system',
      'info',
      'A log leg and a member lie in one file system: fine for a trial only',
    );
  }
  return alarms;
}

function storyOf(v: VolumeCore, state: VolumeState, log: LogStatus | null): VolumeStatus['story'] {
  const { name } = v;
  const window = v.window;
  const failed = v.members.slots.filter(
    ({ state: word }) => word === 'failed' || word === 'missing',
  );
  const listed = failed
    .map((member) => `slot ${member.slot} (${member.path || 'no drive'})`)
    .join(', ');
  const size = `${(v.geometry.volumeBytes / GIB).toFixed(2)} GiB`;
  switch (state) {
    case 'optimal':
      return {
        state: `All data is protected; ${size} served.`,
        why: 'Every member is online and in sync.',
        next: 'Nothing to do.',
      };
    case 'degraded':
      return {
        state: 'All data is readable, with less redundancy.',
        why: `${listed} is out: ${failed[0]?.reason ?? ''}.`,
        next: failed[0]
          ? `locum drive replace ${name} ${failed[0].slot} --with PATH`
          : 'Add a drive.',
      };
    case 'rebuilding':
      return {
        state: 'All data is readable; a drive is being rebuilt.',
        why: 'A drive was replaced or came back.',
        next: 'Wait: locum status --watch.',
      };
    case 'resyncing':
      return {
        state: 'All data is readable; parity is being checked where writes were under way.',
        why: 'The server was not stopped cleanly.',
        next: 'Wait: locum status --watch.',
      };
    case 'freezing':
      return {
        state: 'Writes are held for a moment.',
        why: `Drive ${window?.path ?? ''} is about to leave.`,
        next: 'Wait.',
      };
    case 'frozen': {
      const away = window?.path ?? '';
      if (failed.length === 0) {
        return {
          state: `All data is protected; ${away} is away and the log stands in for it.`,
          why: `Window for ${window?.purpose ?? ''}; every write goes to the log.`,
          next: `When the drive is ready: locum window close ${name}`,
        };
      }
      return {
        state: `Nothing is lost: ${away} is away and ${listed} is out; the members are frozen and every write is in the log.`,
        why: `${failed[0]?.reason ?? ''}. Reads that need both wait; everything else goes on.`,
        next: `Bring either back: locum window close ${name}`,
      };
    }
    case 'replaying':
      return {
        state: 'All data is readable; the log is being replayed.',
        why: 'The drive is back and verified.',
        next: 'Wait: locum status --watch.',
      };
    case 'thawing':
      return {
        state: 'All data is readable; the log is being applied without the drive that was away.',
        why: `${window?.path ?? ''} did not come back in time.`,
        next: `Then bring it back: locum drive add ${name} PATH`,
      };
    case 'suspended':
      return {
        state: 'Writes are held; nothing is lost.',
        why:
          log?.state === 'failed'
            ? 'No leg of the log can be written.'
            : 'The log is full and two drives are absent.',
        next: `Bring a drive back: locum window close ${name}`,
      };
    case 'halted':
      return {
        state: 'Host I/O is refused.',
        why: v.haltReason,
        next: `Bring the drives back, then: locum volume stop ${name} and assemble it again.`,
      };
  }
}
