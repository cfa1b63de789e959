/**
 * What an operator may do with the drives of a running volume: add, fail, remove, replace. Each checks first and
 * changes nothing when it refuses. While a drive is opened, read and written the volume goes on, members fail and windows
 * open: whatever may have changed meanwhile is checked again in the same breath as the change. No command takes the last
 * copy of anything.
 */

import { OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset, roundUp } from '../base/units.ts';
import { wentOnApart } from '../core/assembly-identity.ts';
import { isUsedSince } from '../core/assembly-slots.ts';
import type { LabelResult } from '../core/format/label.ts';
import { encodeSuperblock } from '../core/format/superblock.ts';
import { decideDrive } from '../core/machines/drive.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { VerifyMode } from '../core/status.ts';
import type { Drive } from '../io/drive.ts';
import { UNREADABLE_CONTENT } from '../io/foreign-content.ts';
import { findMember } from './find-member.ts';
import { identify, isTooSmall, openMemberDrive } from './identify.ts';
import { emptyStripeLog } from './in-place.ts';
import { onOneDisk } from './log-setup.ts';
import { type MemberMetadata, readMemberMetadata } from './member-metadata.ts';
import { setMemberState } from './member-state.ts';
import { bit, bitCount, type Member } from './members.ts';
import { withoutWindow } from './new-superblock.ts';
import { startRebuild, startRebuildOfSpare } from './rebuild.ts';
import { recoveryOf } from './trust.ts';
import type { VolumeCore } from './volume-core.ts';
import { tellWindow } from './window-state.ts';

export function emptyMember(slot: number): Member {
  return {
    slot,
    deviceNumber: -1,
    uuid: '',
    path: '',
    state: 'missing',
    reason: 'no drive in this slot',
    reasonCode: 'none',
    changedWallMs: 0,
    drive: null,
    layout: null,
    superblock: null,
    errors: { read: 0, write: 0 },
    readErrorsAtMs: [],
    recovery: null,
    eventsAtChange: 0,
  };
}

export async function addDrive(
  v: VolumeCore,
  path: string,
  asSpare: boolean,
  force: boolean,
  verify: VerifyMode = 'sample',
): Promise<Outcome<void>> {
  const added = await add(v, path, asSpare, force, null, verify);
  return added.ok ? done(undefined) : added;
}

/** The spare that the drive has become; null: a former member is back in its slot. */
async function add(
  v: VolumeCore,
  path: string,
  asSpare: boolean,
  force: boolean,
  forSlot: number | null,
  verify: VerifyMode,
): Promise<Outcome<Member | null>> {
  const inUse = alreadyHere(v, path);
  if (inUse !== null) return inUse;
  const opened = await openMemberDrive(v, path);
  if (!opened.ok) return opened;
  const drive = opened.value;
  const outcome = await addOpened(v, drive, path, asSpare, force, forSlot, verify);
  if (!outcome.ok) await drive.close();
  return outcome;
}

async function addOpened(
  v: VolumeCore,
  drive: Drive,
  path: string,
  asSpare: boolean,
  force: boolean,
  forSlot: number | null,
  verify: VerifyMode,
): Promise<Outcome<Member | null>> {
  const elsewhere = await onLogDisk(v, path);
  if (elsewhere !== null) return elsewhere;
  const metadata = await readMemberMetadata(v.environment.buffers, drive);
  const superblock = metadata.superblock.kind === 'superblock' ? metadata.superblock.value : null;
  const former =
    superblock !== null && superblock.setUuid === v.uuid
      ? v.members.slots.find(
          ({ uuid, slot }) =>
            uuid === superblock.memberUuid && (forSlot === null || slot === forSlot),
        )
      : undefined;
  // Written to elsewhere, it is a drive with data like any other, and not a member that missed something.
  const usedSince =
    v.mode === 'direct' &&
    former !== undefined &&
    superblock !== null &&
    (isUsedSince(superblock, former.eventsAtChange) || isApart(v, metadata.label));
  if (
    former !== undefined &&
    superblock !== null &&
    metadata.layout?.kind === 'layout' &&
    (!usedSince || former.drive !== null)
  ) {
    if (former.state !== 'failed' && former.state !== 'missing') return notGone(former, path);
    const { value: layout } = metadata.layout;
    const tooSmall = isTooSmall(v, drive, layout);
    if (tooSmall !== null) return tooSmall;
    const back = await comeBack(v, former, drive, path, { ...superblock }, layout, verify);
    return back.ok ? done(null) : back;
  }
  if (!isDirect(v)) return inWindow(v);
  const content = usedSince
    ? `what was written to it since it left ${v.name}`
    : await contentOf(v, drive, metadata);
  if (content !== null && !force) return refuse('drive-has-data', { path, content });
  if (!isDirect(v)) return inWindow(v);
  const free = v.members.slots.find(
    (member) => member.state === 'failed' || member.state === 'missing',
  );
  if (free === undefined && !asSpare) return refuse('no-free-slot', { volume: v.name, path });

  const spare: Member = { ...emptyMember(-1), state: 'spare', reason: '' };
  const adopted = v.metadata.adopt(spare, drive, path);
  if (!adopted.ok) return adopted;
  if (forSlot !== null) v.members.meantFor.set(spare, forSlot);
  v.members.spares.push(spare);
  await v.intent.writeAll();
  await v.metadata.commit();
  await v.members.settled();
  if (spare.drive !== drive) return refuse('io-error', { what: `drive ${path}` });
  v.emit('drive-added', 'info', `Drive ${path} was added to ${v.name}`, { path, spare: true });
  await startRebuildOfSpare(v);
  return done(spare);
}

/** Few events may be all that it took to use it elsewhere; its label says without whom. */
const isApart = ({ metadata, members }: VolumeCore, label: LabelResult): boolean =>
  label.kind === 'label' &&
  wentOnApart(label.value, {
    generation: metadata.generation,
    history: metadata.history,
    members: members.slots,
  });

/** A former member: current (frozen generation), or brought up to date with what it missed (trust.ts). */
async function comeBack(
  v: VolumeCore,
  member: Member,
  drive: Drive,
  path: string,
  superblock: NonNullable<Member['superblock']>,
  layout: NonNullable<Member['layout']>,
  verify: VerifyMode,
): Promise<Outcome<void>> {
  const window = v.window;
  if (v.mode === 'frozen' && window !== null) {
    const identity = await identify(v, drive, member);
    if (identity.kind !== 'same') return { ok: false, problem: identity.problem };
    if (v.stopping) return inWindow(v);
    // Another drive may have come back first: what is replayed from then on this one misses.
    if (v.mode !== 'frozen' || v.window !== window) return inWindow(v);
    if (member.state !== 'failed' && member.state !== 'missing') return notGone(member, path);
    if (member.eventsAtChange < window.frozenEvents) {
      return refuse('drive-stale', { path, events: superblock.events, volume: v.name });
    }
    member.layout = identity.layout;
    member.superblock = identity.superblock;
    const isBack = await readmit(v, member, drive, path);
    return isBack ? done(undefined) : refuse('io-error', { what: `drive ${path}` });
  }
  if (isDirect(v)) await emptyStripeLog(v);
  if (!isDirect(v)) return inWindow(v);
  // A spare may have taken its place meanwhile.
  if (v.members.slots[member.slot] !== member)
    return refuse('no-free-slot', { volume: v.name, path });
  if (member.state !== 'failed' && member.state !== 'missing') return notGone(member, path);
  const recovery = recoveryOf(v, member, superblock, verify);
  member.drive = drive;
  member.path = path;
  member.layout = layout;
  member.superblock = superblock;
  member.deviceNumber = superblock.deviceNumber;
  await startRebuild(v, member, recovery);
  return done(undefined);
}

/**
 * A member of the frozen generation is whole: nothing was written to any member since. False: it did not take the label that
 * says so, and is out again.
 */
export async function readmit(
  v: VolumeCore,
  member: Member,
  drive: Drive,
  path: string,
): Promise<boolean> {
  const before = member.state;
  member.drive = drive;
  member.path = path;
  setMemberState(v.members, member, 'reappeared');
  tellWindow(v, 'second-returned');
  v.changed.raise();
  await v.members.joins(member, v.metadata.commit(), before);
  if (member.drive !== drive) return false;
  v.emit('drive-readmitted', 'info', `Drive ${path} is back, as it was at the freeze`, {
    path,
    slot: member.slot,
  });
  return true;
}

export async function failDrive(v: VolumeCore, name: string): Promise<Outcome<void>> {
  const found = findMember(v, name);
  if (!found.ok) return found;
  const member = found.value;
  if (decideDrive(member.state, 'failed-by-hand').kind === 'refused') {
    return refuse('drive-wrong-state', {
      drive: member.path || name,
      state: member.state,
      wanted: 'online',
    });
  }
  if (v.mode !== 'frozen' && isLastCopy(v, member)) {
    return refuse('drive-last-copy', { drive: member.path, volume: v.name });
  }
  await takeOut(v, member, 'taken out by the operator', 'operator');
  return done(undefined);
}

/** By an operator's word: still, no write that it misses is answered before that is on record (rule 8). */
async function takeOut(
  v: VolumeCore,
  member: Member,
  reason: string,
  code: 'operator' | 'replaced',
): Promise<void> {
  v.members.fail(member, reason, code);
  await v.members.settled();
}

/** Would the volume be lost without it? */
function isLastCopy(v: VolumeCore, member: Member): boolean {
  if (member.slot < 0) return false;
  return bitCount(v.members.absentMask | bit(member.slot)) > v.tolerated;
}

export async function removeDrive(v: VolumeCore, name: string): Promise<Outcome<void>> {
  const found = findMember(v, name);
  if (!found.ok) return found;
  const member = found.value;
  if (decideDrive(member.state, 'removed').kind === 'refused') {
    return refuse('drive-wrong-state', {
      drive: member.path,
      state: member.state,
      wanted: 'failed, missing or spare',
    });
  }
  // In a frozen volume a failed member may still be wanted: it is as current as the others.
  if (member.slot >= 0 && v.mode !== 'direct') return inWindow(v);
  setMemberState(v.members, member, 'removed');
  if (member.slot >= 0) {
    v.members.slots[member.slot] = emptyMember(member.slot);
  } else {
    v.members.spares.splice(v.members.spares.indexOf(member), 1);
    await member.drive?.close();
  }
  v.members.refresh();
  await v.metadata.commit();
  v.emit('drive-removed', 'info', `Drive ${member.path} was removed from ${v.name}`, {
    path: member.path,
  });
  return done(undefined);
}

export async function replaceDrive(
  v: VolumeCore,
  name: string,
  path: string,
  force: boolean,
): Promise<Outcome<void>> {
  const found = findMember(v, name);
  if (!found.ok) return found;
  const member = found.value;
  if (member.slot < 0)
    return refuse('drive-wrong-state', { drive: name, state: 'spare', wanted: 'a member' });
  const refused = mayNotReplace(v, member);
  if (refused !== null) return refused;
  const works = isInUse(member);
  const added = await add(v, path, true, force, member.slot, 'sample');
  if (!added.ok) return added;
  const spare = added.value;
  // The new drive is a spare now, or has the slot if the old one was out; one that works goes only now.
  if (!works || !isInUse(member) || spare === null) return done(undefined);
  const late = mayNotReplace(v, member) ?? failedMeanwhile(v, spare);
  if (late !== null) {
    await giveBack(v, spare);
    return late;
  }
  await takeOut(v, member, 'replaced by the operator', 'replaced');
  return done(undefined);
}

const isInUse = ({ state }: Member): boolean => state === 'online' || state === 'rebuilding';

function mayNotReplace(v: VolumeCore, member: Member): ReturnType<typeof refuse> | null {
  if (!isDirect(v)) return inWindow(v);
  if (v.rebuildJob?.running === true)
    return refuse('job-running', { volume: v.name, kind: 'rebuild' });
  return isInUse(member) && isLastCopy(v, member)
    ? refuse('drive-last-copy', { drive: member.path, volume: v.name })
    : null;
}

const failedMeanwhile = (v: VolumeCore, spare: Member): ReturnType<typeof refuse> | null =>
  v.members.spares.includes(spare) ? null : refuse('io-error', { what: `drive ${spare.path}` });

/** A spare that nobody needs after all: nothing on it says any more that it is one of this volume. */
async function giveBack(v: VolumeCore, spare: Member): Promise<void> {
  const at = v.members.spares.indexOf(spare);
  if (at < 0) return;
  v.members.spares.splice(at, 1);
  v.members.meantFor.delete(spare);
  setMemberState(v.members, spare, 'removed');
  // Whatever still writes to it does so before it is wiped.
  await v.metadata.idle();
  await wipeMember(v, spare);
  const { drive } = spare;
  spare.drive = null;
  await drive?.close();
  await v.metadata.commit();
  v.emit('drive-removed', 'info', `Drive ${spare.path} was removed from ${v.name}`, {
    path: spare.path,
  });
}

/** No window is open, none is being opened, and nobody stops the volume. */
const isDirect = (v: VolumeCore): boolean =>
  v.mode === 'direct' && v.window === null && !v.stopping;

const inWindow = (v: VolumeCore): ReturnType<typeof refuse> =>
  refuse('volume-wrong-state', {
    volume: v.name,
    state: v.stopping ? 'stopping' : v.mode === 'direct' ? 'freezing' : v.mode,
    wanted: 'without a window',
  });

const notGone = ({ state }: Member, path: string): ReturnType<typeof refuse> =>
  refuse('drive-wrong-state', { drive: path, state, wanted: 'failed or missing' });

function alreadyHere(v: VolumeCore, path: string): ReturnType<typeof refuse> | null {
  const member = [...v.members.slots, ...v.members.spares].find(
    (one) => one.path === path && one.drive !== null,
  );
  if (member) return refuse('drive-in-other-volume', { path, volume: v.name });
  if (v.logPaths.includes(path)) return refuse('leg-on-member-drive', { path, drive: path });
  return null;
}

async function onLogDisk(v: VolumeCore, path: string): Promise<ReturnType<typeof refuse> | null> {
  const place = await v.environment.place(path);
  for (const leg of v.logPaths) {
    const other = await v.environment.place(leg);
    const same = place.identity === other.identity || onOneDisk(place, other);
    if (same) return refuse('leg-on-member-drive', { path: leg, drive: path });
  }
  return null;
}

/** What would be lost on the drive, as people would say it; null when it is empty. */
export async function contentOf(
  v: { readonly environment: Pick<VolumeCore['environment'], 'foreignContent'> },
  drive: Drive,
  { superblock, label, readErrors }: MemberMetadata,
): Promise<string | null> {
  if (superblock.kind === 'superblock' || superblock.kind === 'unsupported') {
    const name = superblock.kind === 'superblock' ? superblock.value.setName : '';
    return `a member of the volume or md array "${name}"`;
  }
  if (label.kind === 'label') return 'a damaged member of a Locum volume';
  // A moment later it may be there again, with all that is on it.
  return (
    (await v.environment.foreignContent(drive)) ?? (readErrors > 0 ? UNREADABLE_CONTENT : null)
  );
}

/**
 * Makes a drive nobody's: superblock, bitmap and both labels are zeroed. The data stays.
 *
 * In steps, each on stable storage before the next, so that a crash leaves nothing that looks like a damaged member, which
 * would stop the next start: first the superblock no longer says that a window is open, for which it would need its label;
 * then the labels go, the newest last; then the superblock. In between it is what it was, with a label or without.
 */
export async function wipeMember(v: VolumeCore, member: Member): Promise<boolean> {
  const { drive, layout, superblock } = member;
  if (drive === null || layout === null || superblock === null) return false;
  const { buffers } = v.environment;
  const bitmapBytes = roundUp(layout.bitmapBytes, BLOCK_BYTES);
  const zeroBytes = Math.max(BLOCK_BYTES, bitmapBytes);
  const block = await buffers.takeLater(BLOCK_BYTES + zeroBytes, 'engine');
  if (block === 0) return false;
  const zeroes = (block + BLOCK_BYTES) as Address;
  const put = async (offset: number, from: Address, lengthBytes: number): Promise<boolean> =>
    (await drive.write(offset as DriveOffset, from, lengthBytes)) === OK &&
    (await drive.flush()) === OK;
  try {
    const newest = await v.metadata.newestCopy(drive, layout, block);
    buffers.slice(block, BLOCK_BYTES).fill(0);
    buffers.slice(block, BLOCK_BYTES).set(encodeSuperblock(withoutWindow(superblock)));
    buffers.slice(zeroes, zeroBytes).fill(0);
    const [first, second] = layout.labelOffsets;
    const labels = newest?.copy === 0 ? [second, first] : [first, second];
    if (!(await put(layout.superOffset, block, BLOCK_BYTES))) return false;
    for (const offset of labels) if (!(await put(offset, zeroes, BLOCK_BYTES))) return false;
    return (
      (await put(layout.superOffset, zeroes, BLOCK_BYTES)) &&
      (!layout.bitmapPresent || (await put(layout.bitmapOffset, zeroes, bitmapBytes)))
    );
  } finally {
    buffers.give(block);
  }
}
