/**
 * The freeze: how a window begins, and how a beginning that fails is taken back.
 *
 *   1 hold new writes, let those inside finish          4 label and superblock on all members, the leaving one last
 *   2 flush every member                                5 close the leaving drive
 *   3 log header of the new epoch on all legs           6 let writes in: to the log
 *
 * The newest label decides what a restart finds: none written yet, no window; one written, the window is open and its log
 * is at the new epoch, empty or not. That is why the log header comes before the first label and not after. Until every
 * label is written the window is `freezing`, and a member or a leg that fails then ends it: there was no window.
 */

import { OK } from '../base/errno.ts';
import { uuidFromBytes } from '../base/uuid.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { WindowReport } from '../core/status.ts';
import type { WindowRequest } from './contract.ts';
import type { LogStore } from './log/log-store.ts';
import { setMemberState } from './member-state.ts';
import type { Member } from './members.ts';
import { startRebuildOfSpare } from './rebuild.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';
import { planWindow } from './window-plan.ts';
import { reportOf } from './window-report.ts';
import { nothingSeenYet, tellWindow } from './window-state.ts';

/** Null when nothing is against it at this moment. */
export function refusedByPlan(v: VolumeCore, request: WindowRequest): Outcome<never> | null {
  const planned = planWindow(v, request);
  if (!planned.ok) return planned;
  if (planned.value.allowed) return null;
  const { checks } = planned.value;
  return refuse('window-refused', { volume: v.name, drive: request.drive }, checks);
}

export async function freeze(
  v: VolumeCore,
  member: Member,
  request: WindowRequest,
): Promise<Outcome<WindowReport>> {
  const log = v.log;
  if (log === null) return refuse('log-none', { volume: v.name });
  await v.scrubJob?.stop();
  const startMs = v.environment.clock.nowMs();
  await v.gate.close(); // 1
  try {
    // Since the plan a drive may have failed, another have come, a rebuild have begun; and until the window is on record.
    const late = refusedByPlan(v, request);
    if (late !== null) return late;
    const degradedBefore = v.absentCount;
    const steady = (): boolean =>
      refusedByPlan(v, request) === null &&
      v.absentCount === degradedBefore &&
      v.members.slots[member.slot] === member;
    if ((await v.flushMembers()) !== OK || !steady()) {
      // 2
      return notFrozen(v, request, 'WP020', 'Every member takes a flush');
    }
    const legsBefore = onlineLegs(log);
    await log.stripes.releaseAll();
    const id = uuidFromBytes(v.environment.random(16));
    if ((await log.beginEpoch(id)) !== OK) return refuse('io-error', { what: 'the log' }); // 3
    if (!steady() || onlineLegs(log) < legsBefore) {
      await log.endEpoch();
      return notFrozen(v, request, 'WP021', 'Every member and leg takes the freeze');
    }
    v.metadata.newGeneration();
    const window = factsOf(v, member, request, id, log.epoch);
    v.window = window;
    v.metadata.clean = true;
    if (v.metadata.log) v.metadata.log.epoch = log.epoch;
    member.reason = `away for ${request.purpose}`;
    member.reasonCode = 'window';
    member.changedWallMs = window.openedWallMs;
    setMemberState(v.members, member, 'window-opened');
    await v.metadata.idle();
    window.frozenEvents = v.metadata.events + 1;
    member.eventsAtChange = window.frozenEvents;
    await v.metadata.commit(member); // 4
    await v.members.settled();
    if (window.state !== 'freezing') return await unfreeze(v, member, request);
    tellWindow(v, 'frozen');
    v.members.frozen = true;
    v.metadata.labelsOnly = true;
    v.mode = 'frozen';
    const drive = member.drive;
    member.drive = null;
    if (drive !== null) await drive.close(); // 5
  } finally {
    v.gate.open(); // 6
    v.changed.raise();
  }
  const pauseMs = v.environment.clock.nowMs() - startMs;
  v.emit(
    'window-opened',
    'info',
    `Drive ${member.path} of ${v.name} is away for ${request.purpose}`,
    {
      window: v.window?.id ?? '',
      slot: member.slot,
      path: member.path,
      pauseMs: Math.round(pauseMs),
    },
  );
  return done(reportOf(v));
}

/** A member or a leg failed while the labels were written: back to a direct volume, degraded by that failure alone. */
async function unfreeze(
  v: VolumeCore,
  member: Member,
  request: WindowRequest,
): Promise<Outcome<never>> {
  v.window = null;
  setMemberState(v.members, member, 'freeze-failed');
  // Halted, the labels stay: they say open, the log is empty, and every member is of that image.
  if (!v.halted) {
    v.metadata.newGeneration();
    await v.metadata.commit();
    await v.members.settled();
    await v.log?.endEpoch();
    v.ownBeside(startRebuildOfSpare(v));
  }
  return notFrozen(v, request, 'WP021', 'Every member and leg takes the freeze');
}

function factsOf(
  v: VolumeCore,
  member: Member,
  request: WindowRequest,
  id: string,
  logEpoch: number,
): WindowFacts {
  const { clock } = v.environment;
  return {
    id,
    // So the labels know, for as long as the window lasts, what generation its drive was left at.
    token: v.metadata.generation,
    purpose: request.purpose,
    state: 'freezing',
    slot: member.slot,
    memberUuid: member.uuid,
    path: member.path,
    openedWallMs: clock.wallMs(),
    elapsedBeforeMs: 0,
    sinceMs: clock.nowMs(),
    maxMs: request.maxMs,
    onDoubleAbsence: request.onDoubleAbsence,
    waitMs: request.waitMs,
    logEpoch,
    frozenEvents: 0,
    blockBytes: member.drive?.blockBytes ?? null,
    outcome: 'none',
    ...nothingSeenYet(),
  };
}

function notFrozen(
  v: VolumeCore,
  request: WindowRequest,
  id: string,
  title: string,
): Outcome<never> {
  return refuse('window-refused', { volume: v.name, drive: request.drive }, [
    {
      id,
      title,
      result: 'block',
      reason: 'a drive or a log leg failed while the volume was being frozen',
      fix: `look at \`locum status ${v.name}\`, then plan again`,
    },
  ]);
}

const onlineLegs = (log: LogStore): number =>
  log.status().legs.filter(({ state }) => state === 'online').length;
