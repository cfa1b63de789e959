/**
 * What came back to a window: whose drive it is, whether it holds what it held at the freeze, and whether there are
 * enough others to replay the log. Nothing is on record before all that is known.
 */

import { OK } from '../base/errno.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { Drive } from '../io/drive.ts';
import type { CloseRequest } from './contract.ts';
import { identify } from './identify.ts';
import { setMemberState } from './member-state.ts';
import { bit, bitCount, type Member } from './members.ts';
import { rebuildFrozen } from './rebuild.ts';
import { startVerify } from './verify.ts';
import type { VolumeCore } from './volume-core.ts';

/**
 * A replay makes the members that are not there stale, so it must not begin before there are enough to hold everything:
 * in the open window all of them are of the frozen image, and any may still come back (rule 4).
 */
export function tooFewWith(v: VolumeCore, member: Member): boolean {
  return bitCount(v.members.absentMask & ~bit(member.slot)) > v.tolerated;
}

export function othersAbsent(
  v: VolumeCore,
  member: Member,
  path: string,
): ReturnType<typeof refuse> {
  return refuse('window-others-absent', { path, absent: namedOut(v, member) });
}

function namedOut(v: VolumeCore, besides: Member): string {
  const out = v.members.slots.filter(
    ({ slot, state }) => slot !== besides.slot && state !== 'online',
  );
  return out.map(({ slot, path }) => `slot ${slot} (${path || 'no drive'})`).join(', ');
}

/** Nothing is there to make its contents from. A drive that holds something is not called blank for that. */
function cannotRebuild(
  v: VolumeCore,
  member: Member,
  path: string,
  isBlank: boolean,
): ReturnType<typeof refuse> {
  const absent = namedOut(v, member);
  if (!isBlank) return refuse('window-rebuild-others-absent', { path, absent, volume: v.name });
  const why = 'another drive has failed: only the drive that left can complete the volume';
  return refuse('drive-blank', { path, why, absent, volume: v.name });
}

/** What came back, and whether it can be trusted. */
export async function takeBack(
  v: VolumeCore,
  member: Member,
  drive: Drive,
  path: string,
  request: CloseRequest,
): Promise<Outcome<'returned' | 'rebuilt'>> {
  const identity = await identify(v, drive, member);
  const othersComplete = v.absentCount <= v.tolerated;
  setMemberState(v.members, member, 'returned');
  if (identity.kind === 'same' && !request.rebuild) {
    member.drive = drive;
    member.path = path;
    member.layout = identity.layout;
    member.superblock = identity.superblock;
    return verify(v, member, request);
  }
  const problem = identity.kind === 'same' ? null : identity.problem;
  const blank = identity.kind === 'blank';
  if (problem !== null && !blank && !request.rebuild) return { ok: false, problem };
  if (problem !== null && problem.code === 'drive-smaller') return { ok: false, problem };
  if (!othersComplete) return cannotRebuild(v, member, path, blank);
  if (v.stopping) return refuse('volume-wrong-state', { volume: v.name, state: 'stopping' });
  const prepared = v.metadata.adopt(member, drive, path);
  if (!prepared.ok) return prepared;
  v.members.refresh();
  // Of a replacement nothing else was expected.
  v.emit(
    'rebuild-started',
    request.rebuild || v.window?.purpose === 'replacement' ? 'info' : 'warning',
    `Drive ${path} ${blank ? 'is blank' : 'is taken as blank'}: rebuilding it from the frozen drives`,
    { path },
  );
  const job = rebuildFrozen(v, member);
  if ((await job.finished) !== 'done') return refuse('io-error', { what: job.status().reason });
  if ((await drive.flush()) !== OK) return refuse('io-error', { what: `drive ${path}` });
  return done('rebuilt');
}

async function verify(
  v: VolumeCore,
  member: Member,
  request: CloseRequest,
): Promise<Outcome<'returned'>> {
  const window = v.window;
  if (window === null) return refuse('window-none', { volume: v.name });
  // The stop has ended the jobs that were there, and waits for none that begins now.
  if (v.stopping) return refuse('volume-wrong-state', { volume: v.name, state: 'stopping' });
  const others = v.absentCount - 1;
  const comparable = v.geometry.level.mirrored ? others < v.geometry.members - 1 : others === 0;
  if (!comparable) {
    // What is known to be wrong on it is not taken because nobody can look any more.
    if (member.reasonCode === 'verify-mismatch' && request.force !== true)
      return refuse('window-known-mismatch', { path: member.path, volume: v.name });
    v.emit(
      'verify-impossible',
      'warning',
      `Drive ${member.path} is back; with another drive failed its contents cannot be compared`,
      { path: member.path },
    );
    window.verify = { mode: request.verify, checkedBytes: 0, differingStripes: 0 };
    return done('returned');
  }
  const absentBefore = v.members.absentMask;
  const job = startVerify(v, member, request.verify);
  const state = await job.finished;
  v.verifyJob = null;
  if (member.state !== 'returning') return refuse('io-error', { what: `drive ${member.path}` });
  // Another drive came or went: what it was compared with has changed, and what is left counts.
  if (v.members.absentMask !== absentBefore) return verify(v, member, request);
  const { mismatches: stripes } = job;
  if (state !== 'done') return refuse('io-error', { what: job.status().reason });
  window.verify = {
    mode: request.verify,
    checkedBytes: job.workedBytes - job.skippedBytes,
    differingStripes: stripes,
  };
  return stripes > 0
    ? refuse('window-verify-mismatch', { path: member.path, stripes, volume: v.name })
    : done('returned');
}
