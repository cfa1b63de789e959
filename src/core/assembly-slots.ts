/**
 * Step 3 of an assembly: what each slot is worth. The table below is the whole decision; the first case that fits
 * counts.
 *
 *   role       the newest superblock gives this drive the slot
 *   recorded   the newest label's word for the slot's member (nothing when md has run the array since)
 *   behind     events or label of the drive are older than the newest by more than the one update under way
 *   covered    everything the drive missed is marked in the intent bitmap
 *
 * Metadata is updated on all members before the next update begins, so a crash leaves a member at most one step behind.
 * One step is not stale: the update that was going on had not taken effect. Only that the update was *about* this
 * member matters, and then the newest record says so.
 */

import type { Uuid } from '../base/uuid.ts';
import type { Authority, Member } from './assembly-identity.ts';
import type { LabelMember, LabelRecovery, LabelWindow, MemberReason } from './format/label.ts';
import type { Superblock } from './format/superblock.ts';
import { ownSlot, ROLE_SPARE } from './format/superblock.ts';
import type { DriveState } from './status.ts';

export type SlotVerdict =
  /** Has everything. */
  | 'in-sync'
  /** A rebuild is to be continued at `recovery`. */
  | 'recovering'
  /** Missed only what the bitmap marks: a short resync. Never a source. */
  | 'stale-by-bitmap'
  /** To be rebuilt completely. Never a source. */
  | 'stale'
  /** Recorded as failed; not used by itself even when it is here. */
  | 'failed'
  | 'missing'
  /** The slot of the open window. What the drive is worth depends on the state of the window. */
  | 'away';

export interface AssembledSlot {
  readonly slot: number;
  readonly verdict: SlotVerdict;
  /** Case of the table below. */
  readonly rule: string;
  /** The drive that is here for this slot. */
  readonly path: string | null;
  readonly uuid: Uuid | null;
  /** null: not known, the member is to get a new one. */
  readonly deviceNumber: number | null;
  readonly superblock: Superblock | null;
  /** As the label records it; 'none' without a record. */
  readonly reason: MemberReason;
  readonly eventsAtChange: number;
  /** Some record (label or superblock) knows that this member is not in use. */
  readonly recorded: boolean;
  /** With a window open: the drive is of the image that is frozen or being replayed, whatever its state word says. */
  readonly frozenGeneration: boolean;
  /** What it would take to bring the drive back: null when it is in sync or not here. */
  readonly readd: 'bitmap' | 'full' | null;
  readonly recovery: { readonly kind: LabelRecovery['kind']; readonly cursorStripe: number } | null;
}

export interface AssembledSpare {
  readonly path: string;
  readonly uuid: Uuid;
  readonly deviceNumber: number;
  readonly superblock: Superblock;
}

/** What the table looks at. */
export interface SlotFacts {
  readonly present: boolean;
  readonly windowSlot: boolean;
  readonly recorded: DriveState | null;
  readonly role: boolean;
  readonly behind: boolean;
  readonly covered: boolean;
  readonly recovering: boolean;
}

interface SlotCase {
  readonly label: string;
  readonly when: (facts: SlotFacts) => boolean;
  readonly verdict: SlotVerdict;
}

export const slotCases: readonly SlotCase[] = [
  // The slot of an open window: the window's own state says how far its drive is.
  { label: '@W', when: (f) => f.windowSlot, verdict: 'away' },
  // Not here.
  { label: '@N1', when: (f) => !f.present && f.recorded === 'failed', verdict: 'failed' },
  { label: '@N2', when: (f) => !f.present, verdict: 'missing' },
  // Here, but recorded as out: a drive that failed is not taken back without being asked for.
  { label: '@F', when: (f) => f.recorded === 'failed', verdict: 'failed' },
  { label: '@M1', when: (f) => f.recorded === 'missing' && f.covered, verdict: 'stale-by-bitmap' },
  { label: '@M2', when: (f) => f.recorded === 'missing', verdict: 'stale' },
  // Here and unknown to the superblock's roles: md dropped it.
  { label: '@D1', when: (f) => !f.role && f.covered, verdict: 'stale-by-bitmap' },
  { label: '@D2', when: (f) => !f.role, verdict: 'stale' },
  // In its slot, but of an older state: a restored image, or md without a record.
  { label: '@O1', when: (f) => f.behind && f.covered, verdict: 'stale-by-bitmap' },
  { label: '@O2', when: (f) => f.behind, verdict: 'stale' },
  { label: '@R', when: (f) => f.recovering, verdict: 'recovering' },
  { label: '@S', when: () => true, verdict: 'in-sync' },
];

export function classifySlots(
  members: readonly Member[],
  authority: Authority,
  chunkBytes: number,
  trail: string[],
): { slots: AssembledSlot[]; spares: AssembledSpare[] } {
  const { memberCount } = authority.superblock;
  const here: (Member | null)[] = Array.from({ length: memberCount }, () => null);
  const spares: AssembledSpare[] = [];
  // Members that the newest superblock names come first, so that an old claim never pushes them out of their slot.
  const ranked = [...members].sort(
    (a, b) =>
      Number(hasRole(b, authority)) - Number(hasRole(a, authority)) ||
      b.superblock.events - a.superblock.events,
  );
  for (const member of ranked) {
    const slot = slotOf(member, authority);
    if (slot !== null && here[slot] === null) here[slot] = member;
    else if (slot === null && ownSlot(member.superblock) === null) spares.push(spareOf(member));
    else trail.push(`@X ${member.path} is not used: its slot has been given to another drive`);
  }
  const slots = here.map((member, slot) => {
    const assembled = assembleSlot(slot, member, authority, chunkBytes);
    if (member === null || assembled.verdict !== 'in-sync') return assembled;
    if (!isBeforeFreeze(member, members, authority)) return assembled;
    trail.push(`@X ${member.path} is not used: it is of before the freeze, an older copy`);
    return assembleSlot(slot, null, authority, chunkBytes);
  });
  for (const { slot, rule, verdict, path } of slots) {
    trail.push(`${rule} slot ${slot}: ${verdict}${path === null ? '' : ` (${path})`}`);
  }
  return { slots, spares };
}

/** The label's record, unless md has run the array since it was written. */
function recordOf(uuid: Uuid, authority: Authority): LabelMember | null {
  if (authority.ranByMd) return null;
  return authority.label?.members.find((member) => member.uuid === uuid) ?? null;
}

function roleOf(deviceNumber: number, { superblock }: Authority): number | null {
  const role = superblock.roles[deviceNumber] ?? ROLE_SPARE;
  return role < superblock.memberCount ? role : null;
}

/**
 * The newest superblock gives this very drive a slot. A device number is given to another drive after its owner was
 * removed; then the label, or failing that the drive's own idea of its slot, tells them apart.
 */
function hasRole(member: Member, authority: Authority): boolean {
  const role = roleOf(member.superblock.deviceNumber, authority);
  if (role === null) return false;
  const record = recordOf(member.superblock.memberUuid, authority);
  const known = record ? record.slot : ownSlot(member.superblock);
  return known === role;
}

function slotOf(member: Member, authority: Authority): number | null {
  const { superblock } = member;
  if (hasRole(member, authority)) return roleOf(superblock.deviceNumber, authority);
  const record = recordOf(superblock.memberUuid, authority);
  const slot = record ? record.slot : ownSlot(superblock);
  return slot !== null && slot < authority.superblock.memberCount ? slot : null;
}

const spareOf = ({ path, superblock }: Member): AssembledSpare => ({
  path,
  uuid: superblock.memberUuid,
  deviceNumber: superblock.deviceNumber,
  superblock,
});

function assembleSlot(
  slot: number,
  member: Member | null,
  authority: Authority,
  chunkBytes: number,
): AssembledSlot {
  const record = member
    ? recordOf(member.superblock.memberUuid, authority)
    : absentRecord(slot, authority);
  const uuid = member?.superblock.memberUuid ?? record?.uuid ?? null;
  const facts = factsOf(slot, member, record, authority);
  const found = slotCases.find(({ when }) => when(facts))!;
  const { verdict } = found;
  const device = member ? member.superblock.deviceNumber : deviceOfAbsent(slot, authority);
  const readd = facts.covered ? 'bitmap' : 'full';
  return {
    slot,
    verdict,
    rule: found.label,
    path: member?.path ?? null,
    uuid,
    deviceNumber: device >= 0 ? device : null,
    superblock: member?.superblock ?? null,
    reason: record?.reason ?? doubtOf(uuid, verdict, authority),
    eventsAtChange: changedAt(member, record, verdict, authority),
    recorded: isRecorded(slot, record, authority),
    frozenGeneration: isFrozen(member, verdict, facts, authority),
    readd: member === null || verdict === 'in-sync' || verdict === 'away' ? null : readd,
    recovery: verdict === 'recovering' ? recoveryOf(slot, member!, authority, chunkBytes) : null,
  };
}

/** What it holds besides what it missed is not known to be right: it left for a window and was not compared since. */
export const doubts: ReadonlySet<MemberReason> = new Set(['expired', 'window', 'verify-mismatch']);

/** md knows of no doubt: it stays, however md has run the others, as long as the member itself is behind. */
function doubtOf(uuid: Uuid | null, verdict: SlotVerdict, { label }: Authority): MemberReason {
  const known = label?.members.find((member) => member.uuid === uuid)?.reason ?? 'none';
  return verdict !== 'in-sync' && doubts.has(known) ? known : 'none';
}

/**
 * The event count that a member left with. A crash may have kept the superblocks that call it faulty and not the label:
 * then it is out although its record does not say so, and what it has itself is what it left with.
 */
function changedAt(
  member: Member | null,
  record: LabelMember | null,
  verdict: SlotVerdict,
  authority: Authority,
): number {
  const news = verdict === 'missing' || verdict === 'stale' || verdict === 'stale-by-bitmap';
  if (record !== null && (unused.has(record.state) || !news)) return record.eventsAtChange;
  return member?.superblock.events ?? authority.superblock.events;
}

/**
 * Carries the token of the freeze. Once replay has begun the members move on, and a drive that is out of it stays
 * behind: from then on only those in sync and the drive of the window are of the image. One in sync, with a label but
 * without the token, was not reached by the freeze before its server crashed: nothing was logged then. So it may be with the
 * drive that was to leave, and where the others were spares it is all that there is of the image. What looks like that and
 * is an older copy has been left out before (`isBeforeFreeze`).
 */
function isFrozen(
  member: Member | null,
  verdict: SlotVerdict,
  { behind }: SlotFacts,
  { window }: Authority,
): boolean {
  if (window === null || member === null || member.label === null) return false;
  if (member.label.window?.token === window.token)
    return !isMoving(window) || verdict === 'in-sync' || verdict === 'away';
  const isLeaving = verdict === 'away' && member.superblock.memberUuid === window.memberUuid;
  return verdict === 'in-sync' || (isLeaving && !behind && !isMoving(window));
}

/**
 * Nothing is written to any member while a window is open, so whoever carries its token is current. Superblocks stay as
 * they are then, and a crash in the middle of a return can leave some of them ahead of the others.
 */
function isOfFreeze(member: Member, window: LabelWindow | null): boolean {
  return window !== null && !isMoving(window) && member.label?.window?.token === window.token;
}

/**
 * The drive that is to leave is told of the freeze when all others have been: once it has it, one that has nothing of it,
 * neither label nor superblock, is no member that a crash kept from it but an older copy. What it lacks may have been
 * written before the freeze, so no log has that; and who had it on record as out may be gone.
 */
function isBeforeFreeze(
  { label, superblock }: Member,
  members: readonly Member[],
  { window }: Authority,
): boolean {
  if (window === null || isMoving(window)) return false;
  if (label?.window?.token === window.token || superblock.events >= window.frozenEvents)
    return false;
  return members.some(
    (other) =>
      other.superblock.memberUuid === window.memberUuid &&
      other.label?.window?.token === window.token,
  );
}

/** Its own label knows of no replay: its data is that of the freeze. */
export function isLabelledFrozen(member: Member, window: LabelWindow): boolean {
  const own = member.label?.window ?? null;
  return own !== null && own.token === window.token && !isMoving(own);
}

/** Members are changing again. */
export const isMoving = (window: LabelWindow): boolean =>
  window.state === 'replaying' || window.state === 'thawing';

/** The label's member of a slot whose drive is not here. */
function absentRecord(slot: number, authority: Authority): LabelMember | null {
  if (authority.ranByMd) return null;
  return authority.label?.members.find((member) => member.slot === slot) ?? null;
}

const unused: ReadonlySet<DriveState> = new Set(['failed', 'missing', 'away', 'returning']);

/**
 * By the newest label nobody has the slot: its member was removed. A superblock that names one is of the step after, in
 * which a spare was to take the slot; a crash has kept the labels of that step, and the drive has nothing of it yet.
 */
const isVacant = (slot: number, { label, ranByMd }: Authority): boolean =>
  label !== null && !ranByMd && !label.members.some((member) => member.slot === slot);

/** −1: none. */
const deviceOfAbsent = (slot: number, authority: Authority): number =>
  isVacant(slot, authority) ? -1 : authority.superblock.roles.indexOf(slot);

/** Absence is on record: in the label, or in the roles of the superblock, which then name no drive for the slot. */
function isRecorded(slot: number, record: LabelMember | null, authority: Authority): boolean {
  if (record !== null && unused.has(record.state)) return true;
  return isVacant(slot, authority) || !authority.superblock.roles.includes(slot);
}

function factsOf(
  slot: number,
  member: Member | null,
  record: LabelMember | null,
  authority: Authority,
): SlotFacts {
  const { label, window } = authority;
  const recorded = record?.state ?? null;
  // From the replay on it is a member like any other: it may have failed, or be an older image, restored. But for the
  // first moment: its label may still be that of the freeze, and nothing but what the log repeats was written yet.
  const left =
    window?.state === 'replaying' &&
    recorded !== 'away' &&
    recorded !== 'returning' &&
    !(member !== null && window.cursorStripe === 0 && isLabelledFrozen(member, window));
  const windowSlot = window?.slot === slot && !left;
  if (member === null) {
    return {
      present: false,
      windowSlot,
      recorded,
      role: false,
      behind: false,
      covered: false,
      recovering: false,
    };
  }
  const { superblock } = member;
  const labelLag = label === null ? 0 : label.sequence - (member.label?.sequence ?? 0);
  // A member that lost its label must be exactly current; one that got none yet, while an array was being adopted by a
  // server that crashed, may be the usual step behind.
  const lostLabel = label !== null && member.label === null && label.sequence > 1;
  const allowed = lostLabel ? 0 : 1;
  // Superblock against superblock: of the same update crashes may have kept labels only, which count further.
  const superblockLag = authority.superblock.events - superblock.events;
  const behind =
    !isOfFreeze(member, window) &&
    (superblockLag > allowed || (member.label !== null && labelLag > 1));
  return {
    present: true,
    windowSlot,
    recorded,
    role: hasRole(member, authority),
    behind,
    covered: isCovered(member, record, authority),
    recovering:
      superblock.recoveryBytes !== null ||
      recorded === 'rebuilding' ||
      recoveryEntry(slot, authority) !== null,
  };
}

/** A member at the moment of its loss may lack the update then going on, and the counter may be that of either. */
const EVENTS_SLACK = 2;

/** Neither an older image of the drive that was lost, nor one that was used elsewhere since. */
export const isAsItLeft = ({ events }: Superblock, eventsAtChange: number): boolean =>
  Math.abs(events - eventsAtChange) <= EVENTS_SLACK;

/** It held a slot, and all of it: not a spare that had only just been given one, nor half-way through its rebuild. */
export const wasComplete = (superblock: Superblock): boolean =>
  superblock.recoveryBytes === null && ownSlot(superblock) !== null;

/** Something was written to it after it was lost here: that would be gone. */
export const isUsedSince = ({ events }: Superblock, eventsAtChange: number): boolean =>
  events > eventsAtChange + EVENTS_SLACK;

/**
 * Has the bitmap marked all that this drive missed? Bits are not cleared while a member is absent (`eventsCleared`
 * is the proof). With a label the drive must also have left in the state it is in now: an older image of it,
 * restored since, missed things before it left.
 */
function isCovered(member: Member, record: LabelMember | null, authority: Authority): boolean {
  const { superblock } = member;
  const { label, eventsCleared } = authority;
  if (!wasComplete(superblock) || member.bitmap === null) return false;
  if (label !== null && !authority.ranByMd) {
    if (record === null || !unused.has(record.state)) return false;
    if (!isAsItLeft(superblock, record.eventsAtChange)) return false;
  }
  return eventsCleared !== null && superblock.events >= eventsCleared;
}

const recoveryEntry = (slot: number, { label, ranByMd }: Authority): LabelRecovery | null =>
  ranByMd ? null : (label?.recovery.find((entry) => entry.slot === slot) ?? null);

/**
 * md's offset and the label's cursor are written together; the lower is certainly true. A resync by
 * bitmap has no offset.
 */
function recoveryOf(
  slot: number,
  member: Member,
  authority: Authority,
  chunkBytes: number,
): { kind: LabelRecovery['kind']; cursorStripe: number } {
  const entry = recoveryEntry(slot, authority);
  const bytes = member.superblock.recoveryBytes;
  if (entry === null) return { kind: 'full', cursorStripe: Math.floor((bytes ?? 0) / chunkBytes) };
  if (bytes === null || entry.kind === 'bitmap') {
    return { kind: entry.kind, cursorStripe: entry.cursorStripe };
  }
  const cursorStripe = Math.min(entry.cursorStripe, Math.floor(bytes / chunkBytes));
  return { kind: entry.kind, cursorStripe };
}
