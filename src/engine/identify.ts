/**
 * Who came back? A drive is taken as the member that left only when it says so in every respect: volume, member, freeze
 * token, event count, size, blocks. Anything else is named for what it is.
 */

import type { Label } from '../core/format/label.ts';
import type { MemberLayout } from '../core/format/member-layout.ts';
import type { Superblock } from '../core/format/superblock.ts';
import { type Outcome, type Problem, refuse } from '../core/problems.ts';
import { DeadlineDrive } from '../io/deadline-drive.ts';
import type { Drive } from '../io/drive.ts';
import type { EngineEnvironment } from './contract.ts';
import type { Limits } from './limits.ts';
import { noteReturnErrors } from './member-errors.ts';
import { readMemberMetadata } from './member-metadata.ts';
import type { Member } from './members.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';

export type Identity =
  | { readonly kind: 'same'; readonly layout: MemberLayout; readonly superblock: Superblock }
  /** Nothing on it: it may be taken without asking. */
  | { readonly kind: 'blank'; readonly problem: Problem }
  | { readonly kind: 'other'; readonly problem: Problem };

export async function openGuarded(
  environment: EngineEnvironment,
  limits: Limits,
  path: string,
): Promise<Outcome<Drive>> {
  const opened = await environment.openDrive(path);
  if (!opened.ok) return opened;
  const { clock, buffers } = environment;
  const guarded = new DeadlineDrive(opened.value, clock, buffers, {
    deadlineMs: limits.driveDeadlineMs,
  });
  return { ok: true, value: guarded };
}

export const openMemberDrive = (v: VolumeCore, path: string): Promise<Outcome<Drive>> =>
  openGuarded(v.environment, v.limits, path);

/** Refused: the drive has less room than what lies on it takes. Its capacity was changed, or it is a copy cut short. */
export function isTooSmall(
  v: VolumeCore,
  drive: Drive,
  layout: MemberLayout,
): Outcome<never> | null {
  const leastBytes = layout.dataOffset + v.geometry.memberDataBytes;
  if (drive.sizeBytes >= leastBytes) return null;
  return refuse('drive-smaller', { path: drive.path, sizeBytes: drive.sizeBytes, leastBytes });
}

export async function identify(v: VolumeCore, drive: Drive, member: Member): Promise<Identity> {
  const { path } = drive;
  const other = (problem: { problem: Problem }): Identity => ({
    kind: 'other',
    problem: problem.problem,
  });
  // Before what else may be missing with its end: told by what was known of it, and below by its own word.
  const tooSmall = member.layout ? isTooSmall(v, drive, member.layout) : null;
  if (tooSmall !== null && !tooSmall.ok) return other(tooSmall);
  const metadata = await readMemberMetadata(v.environment.buffers, drive);
  const { superblock, label, layout } = metadata;
  // The other copy may be enough; that there was one to read twice is to be known all the same.
  if (metadata.readErrors > 0) noteReturnErrors(v, member, path, metadata.readErrors);
  if (superblock.kind === 'none' && label.kind === 'none') {
    const content = await v.environment.foreignContent(drive);
    if (content !== null)
      return other(refuse('drive-changed', { path, what: `there is ${content} on it` }));
    return {
      kind: 'blank',
      problem: refuse('drive-blank', { path, why: 'it carries nothing of this volume' }).problem,
    };
  }
  if (superblock.kind === 'corrupt')
    return other(refuse('superblock-corrupt', { path, reason: superblock.reason }));
  if (superblock.kind === 'unsupported')
    return other(refuse('md-unsupported', { path, reason: superblock.reason }));
  if (superblock.kind === 'none')
    return other(refuse('drive-changed', { path, what: 'its superblock is gone' }));
  if (superblock.value.setUuid !== v.uuid) {
    return other(
      refuse('drive-foreign', { path, found: superblock.value.setUuid, expected: v.uuid }),
    );
  }
  if (superblock.value.memberUuid !== member.uuid) {
    return other(
      refuse('drive-foreign', { path, found: superblock.value.memberUuid, expected: member.uuid }),
    );
  }
  const left = v.window?.slot === member.slot ? v.window.blockBytes : null;
  if (left !== null && drive.blockBytes !== left) {
    const what = `its blocks are ${drive.blockBytes} bytes long, they were ${left}`;
    return other(refuse('drive-changed', { path, what }));
  }
  if (label.kind !== 'label') {
    const reason = label.kind === 'corrupt' ? label.reason : `no label (${label.kind})`;
    return other(refuse('label-corrupt', { path, reason }));
  }
  if (layout === null || layout.kind !== 'layout') {
    return other(refuse('drive-changed', { path, what: 'its layout is not the one it left with' }));
  }
  // A server that came up without the drive knows nothing of it.
  const shrunk = isTooSmall(v, drive, layout.value);
  if (shrunk !== null && !shrunk.ok) return other(shrunk);
  const { window } = v;
  const { events } = superblock.value;
  const isOld = window !== null && !isOfFreeze(label.value, events, window, v.metadata.events);
  if (isOld && metadata.newestCopy === undefined) {
    const reason = 'one of the copies cannot be read, and the other is an older one';
    return other(refuse('label-corrupt', { path, reason }));
  }
  if (isOld) return other(refuse('drive-stale', { path, events, volume: v.name }));
  // Rule 10: what is written next counts higher than anything that was seen.
  v.metadata.events = Math.max(v.metadata.events, events);
  return { kind: 'same', layout: layout.value, superblock: superblock.value };
}

/**
 * Its label is of this freeze and not of a replay, so nothing was written to its data since: the label that says otherwise
 * is flushed on every member before the first of those writes. Its superblock may be ahead by as much: a crash in the
 * middle of that update can leave the one without the other.
 */
export function isOfFreeze(
  label: Label,
  events: number,
  window: Pick<WindowFacts, 'token' | 'frozenEvents'>,
  eventsNow: number,
): boolean {
  const { window: told } = label;
  return (
    told !== null &&
    told.token === window.token &&
    told.state !== 'replaying' &&
    told.state !== 'thawing' &&
    events >= window.frozenEvents &&
    events <= eventsNow + 1
  );
}
