/**
 * The status of a volume: facts gathered from its parts, and what core/machines/volume.ts makes of them. No opinion is
 * formed here.
 */

import { SECTOR_BYTES } from '../base/units.ts';
import { deriveVolume } from '../core/machines/volume.ts';
import type { VolumeFacts, WindowFactsForStatus } from '../core/machines/volume-facts.ts';
import type { DriveStatus, JobStatus, LogStatus, VolumeStatus } from '../core/status.ts';
import { isOfFrozenImage } from './member-state.ts';
import type { Member } from './members.ts';
import type { VolumeCore } from './volume-core.ts';
import { windowStatusOf } from './window-report.ts';
import { driveOf } from './window-state.ts';

export function statusOf(v: VolumeCore): VolumeStatus {
  const log = logStatusOf(v);
  const opinion = deriveVolume(factsOf(v, log));
  return {
    name: v.name,
    uuid: v.uuid,
    level: v.geometry.level.number,
    state: opinion.state,
    sizeBytes: v.geometry.volumeBytes,
    chunkBytes: v.geometry.chunkBytes,
    io: v.environment.ioName,
    redundancy: opinion.redundancy,
    writeHole: opinion.writeHole,
    drives: membersOf(v).map((member) => driveStatusOf(v, member)),
    log,
    window: windowStatusOf(v),
    jobs: jobsOf(v),
    alarms: opinion.alarms,
    story: opinion.story,
  };
}

const membersOf = (v: VolumeCore): Member[] => [...v.members.slots, ...v.members.spares];

function factsOf(v: VolumeCore, log: LogStatus | null): VolumeFacts {
  const frozen = v.mode === 'frozen';
  const { window } = v;
  return {
    name: v.name,
    level: v.geometry.level,
    drives: membersOf(v).map((member) => ({
      slot: member.slot < 0 ? null : member.slot,
      path: member.path,
      state: v.members.stateOnRecord(member),
      reason: reasonOf(member),
      ofFrozenImage: frozen && window !== null && isOfFrozenImage(window, member),
    })),
    haltReason: v.halted ? v.haltReason : '',
    frozen,
    // Also between the record that ends the window and the change of mode: nothing that needs a direct volume is done yet.
    replaying: v.mode === 'replaying',
    replayStopped: v.mode === 'replaying' ? v.replayStopped : '',
    resyncing: v.resync !== null,
    window: windowFactsOf(v),
    log,
    legsWaitFor: v.log?.legsWaitFor ?? [],
    logsStripes: v.logsStripes,
    unsettled: unsettledOf(v),
    writesHeld: v.writesHeld,
    legSharesFileSystem: v.legSharesFileSystem,
    dataInDoubt: v.dataInDoubt,
    differed: v.differed,
    unmade: unmadeOf(v),
    resyncLeft: resyncLeftOf(v),
    resyncStopped: v.mode === 'direct' ? (v.resync?.stopped ?? '') : '',
    rebuildStopped: rebuildStoppedOf(v),
    parityErrors: v.parityErrors,
    scrub: {
      mismatches: v.scrubJob?.mismatches ?? 0,
      repairing: v.scrubRepair,
      unreadableBytes: v.scrubJob?.skippedBytes ?? 0,
    },
  };
}

function unsettledOf(v: VolumeCore): VolumeFacts['unsettled'] {
  const ranges = v.log?.window?.unsettled ?? [];
  if (ranges.length === 0 || v.halted) return null;
  const first = Math.min(...ranges.map(({ from }) => from));
  return { places: ranges.length, offset: first * SECTOR_BYTES };
}

function unmadeOf(v: VolumeCore): VolumeFacts['unmade'] {
  const member = v.members.slots.find(({ recovery }) => (recovery?.unmade.size ?? 0) > 0);
  if (member?.recovery == null) return null;
  const { unmade, cursor } = member.recovery;
  const first = member.recovery.completeTo(cursor);
  return { path: member.path, stripes: unmade.size, offset: v.geometry.stripeStart(first) };
}

function resyncLeftOf({ resync, geometry }: VolumeCore): VolumeFacts['resyncLeft'] {
  const stripes = resync?.unmade.size ?? 0;
  if (resync === null || stripes === 0) return null;
  return { stripes, offset: geometry.stripeStart(resync.completeTo(resync.cursor)) };
}

function rebuildStoppedOf(v: VolumeCore): VolumeFacts['rebuildStopped'] {
  const member = v.members.slots.find(({ recovery }) => (recovery?.stopped ?? '') !== '');
  if (member?.recovery == null) return null;
  return { slot: member.slot, path: member.path, reason: member.recovery.stopped };
}

/** One that is being rebuilt has a reason only while nobody is at it. */
const reasonOf = ({ reason, recovery }: Member): string =>
  recovery === null || recovery.stopped === ''
    ? reason
    : `its rebuild has stopped: ${recovery.stopped}`;

function windowFactsOf({ window }: VolumeCore): WindowFactsForStatus | null {
  if (window === null) return null;
  const { state, purpose, slot, recall, expired, heldReads, waitMs } = window;
  const path = driveOf(window);
  return { state, purpose, slot, path, recall, overdue: expired, heldReads, waitMs };
}

function driveStatusOf(v: VolumeCore, member: Member): DriveStatus {
  const { slot, path, uuid, errors } = member;
  const state = v.members.stateOnRecord(member);
  return {
    slot: slot < 0 ? null : slot,
    path,
    uuid,
    state,
    errors: { ...errors },
    reason: reasonOf(member),
  };
}

function logStatusOf(v: VolumeCore): LogStatus | null {
  if (v.log === null) {
    const legs = [...v.legsOut];
    return legs.length === 0 ? null : { state: 'failed', capacityBytes: 0, usedBytes: 0, legs };
  }
  const status = v.log.status();
  // Labels come first, the headers of the legs a moment later.
  return v.mode === 'replaying' && status.state === 'logging'
    ? { ...status, state: 'replaying' }
    : status;
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
