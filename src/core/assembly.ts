/**
 * What the drives and legs found add up to: may this volume start, from which copy of the truth, and what is each slot
 * worth? A pure decision over decoded blocks; the engine reads them before and acts on the answer after.
 *
 *   1. identify   (assembly-identity.ts)  one volume, no clone, no foreigner, nothing damaged
 *   2. authority  (assembly-identity.ts)  the newest label and superblock; every other member must be an ancestor
 *   3. slots      (assembly-slots.ts)     a labelled table: one verdict for each slot
 *   4. legs       (assembly-legs.ts)      the log of an open window must be there and current
 *   5. start?     (here)                  enough members, none missing that no record calls missing (in a window: none and a
 *                                         leg), no write hole
 *
 * P5 of the design is the aim: nothing starts by itself from stale, foreign, cloned or split members, nor without the
 * log of an open window. `force` overrides only what a person can know better: that a member is really gone, that a
 * damaged drive may be left out, that a write hole is acceptable (assembly-force.ts). The trail lists every rule that
 * fired, for the log.
 */

import type { Uuid } from '../base/uuid.ts';
import type { OverridableByForce } from './assembly-force.ts';
import {
  type AssemblyOptions,
  type Authority,
  chooseAuthority,
  type FoundDrive,
  identify,
  type Member,
  wasReplaced,
} from './assembly-identity.ts';
import { type AssembledLeg, decideLegs, type FoundLeg } from './assembly-legs.ts';
import {
  type AssembledSlot,
  type AssembledSpare,
  classifySlots,
  isMoving,
} from './assembly-slots.ts';
import type { Label, LabelWindow, StripeLogWord } from './format/label.ts';
import { layoutOfSuperblock, type MemberLayout } from './format/member-layout.ts';
import type { Superblock } from './format/superblock.ts';
import type { LevelDescriptor } from './levels/descriptor.ts';
import { levelOfMd } from './levels/index.ts';
import { done, type Outcome, refuse } from './problems.ts';

export interface AssemblyDecision {
  readonly volumeUuid: Uuid;
  readonly name: string;
  readonly level: LevelDescriptor;
  readonly chunkBytes: number;
  /** The truth: the newest of each. No label: an md array to be adopted. */
  readonly superblock: Superblock;
  readonly label: Label | null;
  readonly adopt: boolean;
  /**
   * md has run the array since our last orderly stop: the label's member table is out of date, the
   * superblock counts.
   */
  readonly ranByMd: boolean;
  /** By slot. */
  readonly slots: readonly AssembledSlot[];
  readonly spares: readonly AssembledSpare[];
  /** Layout of each drive that is used, by path. */
  readonly layouts: ReadonlyMap<string, MemberLayout>;
  /** Highest counters seen anywhere; what is written next must be higher. */
  readonly events: number;
  readonly sequence: number;
  /** Not stopped cleanly: the regions marked in the bitmaps of the members in sync (their union) need a resync. */
  readonly unclean: boolean;
  /** False: the bitmap cannot be believed (or is not there), every region counts as marked. */
  readonly bitmapTrusted: boolean;
  /**
   * What the stripe log is worth, by the newest label; `void` when md has written to the members since, or when no leg
   * of it is here.
   */
  readonly stripeLog: StripeLogWord;
  /** The window to go on with; null when none is open. */
  readonly window: LabelWindow | null;
  readonly legs: readonly AssembledLeg[];
  /** Given paths that carry no leg yet: to be made legs, if the caller wishes. */
  readonly blankLegs: readonly string[];
  /** Legs the label calls online that were not given. */
  readonly missingLegs: readonly Uuid[];
  /** Some label is older than the newest, or there is none: write all before anything else. */
  readonly rollForward: boolean;
  /** `force` was needed: a new generation begins. */
  readonly forced: boolean;
  /**
   * A member is not here that no record calls missing, in a window: a new generation begins, too. It may have a label that
   * counts as far as the next one of the others, or further, and is not of their making.
   */
  readonly leavesBehind: boolean;
  /**
   * Of that: a stripe may be half written, a member of it is absent, and no log says what that one held; or what was written
   * last may not be here.
   */
  readonly inDoubt: boolean;
  /** Of that: a mirror is without a copy that may have gone on alone, or a leg may lack records that only others know of. */
  readonly mayBeOlder: boolean;
  /** Every refusal that `force` has overridden. */
  readonly overridden: readonly OverridableByForce[];
  readonly trail: readonly string[];
}

export function decideAssembly(
  drives: readonly FoundDrive[],
  legs: readonly FoundLeg[],
  options: AssemblyOptions,
): Outcome<AssemblyDecision> {
  const trail: string[] = [];
  const overridden = new Set<OverridableByForce>();
  const identified = identify(drives, options, trail, overridden);
  if (!identified.ok) return identified;
  const chosen = chooseAuthority(identified.value.members, trail);
  if (!chosen.ok) return chosen;
  const authority = chosen.value;
  const stillMembers = identified.value.members.filter((member) => {
    const replaced = wasReplaced(member, authority);
    if (replaced) trail.push(`@X ${member.path} is not used: it was replaced`);
    return !replaced;
  });
  const longEnough = withoutShrunk(stillMembers, options.force, trail, overridden);
  if (!longEnough.ok) return longEnough;
  const members = longEnough.value;
  const leftOut = identified.value.leftOut + (stillMembers.length - members.length);
  const { superblock, label } = authority;

  const chunkOfMd = superblock.chunkBytes;
  const level = levelOfMd(
    superblock.level,
    superblock.parityLayout,
    chunkOfMd,
    label?.level ?? null,
  );
  if (level === null) {
    return refuse('members-disagree', { reason: 'label and superblock name different levels' });
  }
  const named = nameOf(superblock, label, options);
  if (!named.ok) return named;
  const name = named.value;

  const laidOut = layoutsOf(members);
  if (!laidOut.ok) return laidOut;

  const chunkBytes = level.mirrored ? level.defaultChunkBytes : chunkOfMd;
  const { slots, spares } = classifySlots(members, authority, chunkBytes, trail);
  // One that was being taken back is none: its own label comes last, and a crash may have kept it from being written.
  const rebuilding = label?.members.filter(({ state }) => state === 'rebuilding') ?? [];
  const restored = slots.find(
    (slot) =>
      (slot.rule === '@O1' || slot.rule === '@O2') &&
      !rebuilding.some(({ uuid }) => uuid === slot.uuid),
  );
  if (restored !== undefined && label !== null) {
    // Only a drive that is here can be behind.
    const { events } = restored.superblock!;
    const reason = 'the others have it in use, so this is an older copy of the drive';
    if (!options.force) return refuse('drive-stale', { path: restored.path!, events, reason });
    trail.push(`@I1 forced: ${restored.path} does not count as it is (drive-stale)`);
    overridden.add('drive-stale');
  }
  const inSync = slots.filter((slot) => slot.verdict === 'in-sync');
  const decidedLegs = decideLegs(legs, superblock.setUuid, name, authority, trail);
  if (!decidedLegs.ok) return decidedLegs;

  const { window } = authority;
  const unclean = inSync.some((slot) => slot.superblock!.resyncBytes !== null);
  const stripeLog = stripeLogOf(inSync, authority, decidedLegs.value.usable);
  if (stripeLog !== 'void') trail.push(`@J the stripe log is ${stripeLog}`);
  const startable = mayStart({
    name,
    level,
    slots,
    window,
    unclean,
    stripeLog,
    unheardLegs: decidedLegs.value.unheard,
    doubtful: (label?.doubt.length ?? 0) > 0,
    force: options.force,
    overridden,
    trail,
  });
  if (!startable.ok) return startable;

  return done({
    volumeUuid: superblock.setUuid,
    name,
    level,
    chunkBytes,
    superblock,
    label,
    adopt: label === null,
    ranByMd: authority.ranByMd,
    slots,
    spares,
    layouts: laidOut.value,
    events: authority.events,
    sequence: label?.sequence ?? 0,
    unclean,
    bitmapTrusted: bitmapTrusted(members, inSync, authority.events),
    stripeLog,
    window,
    legs: decidedLegs.value.legs,
    blankLegs: decidedLegs.value.blank,
    missingLegs: decidedLegs.value.missing,
    rollForward: members.some((member) => member.label?.sequence !== label?.sequence),
    forced: startable.value.forced || leftOut > 0,
    leavesBehind: slots.some(({ verdict, recorded }) => verdict === 'missing' && !recorded),
    inDoubt: startable.value.inDoubt,
    mayBeOlder: startable.value.mayBeOlder,
    overridden: [...overridden],
    trail,
  });
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

function nameOf(
  superblock: Superblock,
  label: Label | null,
  options: AssemblyOptions,
): Outcome<string> {
  if (label !== null) {
    if (options.name === null || options.name === label.name) return done(label.name);
    const reason = `they are the drives of volume ${label.name}, not of ${options.name}`;
    return refuse('members-disagree', { reason });
  }
  // md's set name is `host:name`.
  const name = options.name ?? superblock.setName.slice(superblock.setName.indexOf(':') + 1);
  return namePattern.test(name) ? done(name) : refuse('volume-name-invalid', { name });
}

/** One whose end has gone is as good as damaged: named, and left out only by force. */
function withoutShrunk(
  members: readonly Member[],
  force: boolean,
  trail: string[],
  overridden: Set<OverridableByForce>,
): Outcome<readonly Member[]> {
  const kept: Member[] = [];
  for (const member of members) {
    const { path, sizeBytes, superblock } = member;
    const neededBytes = superblock.dataOffset + superblock.memberDataBytes;
    if (sizeBytes >= neededBytes) kept.push(member);
    else if (!force) return refuse('drive-smaller', { path, sizeBytes, neededBytes });
    else {
      trail.push(`@I1 forced: ${path} is left out (drive-smaller)`);
      overridden.add('drive-smaller');
    }
  }
  return done(kept);
}

function layoutsOf(members: readonly Member[]): Outcome<ReadonlyMap<string, MemberLayout>> {
  // The geometry of the bitmap is one for the whole array: a member whose header is damaged borrows it.
  const shared = members.find((member) => member.bitmap !== null)?.bitmap ?? null;
  const layouts = new Map<string, MemberLayout>();
  for (const { path, superblock, bitmap } of members) {
    const layout = layoutOfSuperblock(superblock, bitmap ?? shared);
    if (layout.kind === 'no-room') {
      return refuse('md-no-room-for-label', { path, reason: layout.reason });
    }
    layouts.set(path, layout.value);
  }
  return done(layouts);
}

/** As md judges it: a bitmap whose header is behind the superblock was not kept while the array was written to. */
function bitmapTrusted(
  members: readonly Member[],
  inSync: readonly AssembledSlot[],
  events: number,
): boolean {
  const used = members.filter((member) => inSync.some((slot) => slot.path === member.path));
  return (
    used.length > 0 &&
    used.every(({ bitmap }) => bitmap !== null && !bitmap.stale && bitmap.events + 1 >= events)
  );
}

/**
 * The label's word, unless somebody else has written to the members since: then what the log holds is older than what is
 * on them, and to redo it would bring that back. A crash may leave superblock and label one step apart, not more.
 */
function stripeLogOf(
  inSync: readonly AssembledSlot[],
  authority: Authority,
  logUsable: boolean,
): StripeLogWord {
  const { label, ranByMd } = authority;
  if (label === null || ranByMd || !logUsable) return 'void';
  const foreign = inSync.some(
    ({ superblock }) => !superblock!.byLocum || superblock!.events > label.events + 1,
  );
  return foreign ? 'void' : label.stripeLog;
}

interface StartFacts {
  readonly name: string;
  readonly level: LevelDescriptor;
  readonly slots: readonly AssembledSlot[];
  readonly window: LabelWindow | null;
  readonly unclean: boolean;
  readonly stripeLog: StripeLogWord;
  readonly unheardLegs: readonly Uuid[];
  /** The label says where parity is in doubt. */
  readonly doubtful: boolean;
  readonly force: boolean;
  readonly overridden: Set<OverridableByForce>;
  readonly trail: string[];
}

interface MayStart {
  readonly forced: boolean;
  readonly inDoubt: boolean;
  readonly mayBeOlder: boolean;
}

function mayStart(facts: StartFacts): Outcome<MayStart> {
  const { name, level, slots, window, unclean, stripeLog, unheardLegs, doubtful, force } = facts;
  const { overridden, trail } = facts;
  const tolerated = level.tolerates(slots.length);
  // The drive of a window whose replay has only just begun is as good as the others.
  const returned = window?.state === 'replaying' ? 'away' : 'in-sync';
  const inSync = slots.filter(
    ({ verdict, path }) => path !== null && (verdict === 'in-sync' || verdict === returned),
  ).length;
  const missing = slots.filter((slot) => slot.verdict === 'missing');
  const listed = missing.map((slot) => `slot ${slot.slot}${slot.uuid ? ` (${slot.uuid})` : ''}`);
  const refused = (given: number, needed: number): Outcome<MayStart> =>
    refuse('members-missing', { volume: name, given, needed, missing: listed.join(', ') });

  const moving = window !== null && isMoving(window);
  const unrecorded = missing.filter((slot) => !slot.recorded);
  // That a leg is out is on record on the members that go on and on the other legs. With one of each absent, and not known
  // to be out before, the leg that is here may be the one that failed, and have missed what was answered since.
  const mayLackRecords = window !== null && unheardLegs.length > 0 && unrecorded.length > 0;
  if (mayLackRecords && !force) {
    listed.push(...unheardLegs.map((uuid) => `leg (${uuid})`));
    return refused(slots.length - missing.length, slots.length);
  }
  if (mayLackRecords) {
    trail.push('@Q4 forced: the log that is here may lack records');
    overridden.add('members-missing');
  }
  if (window !== null && !moving) {
    // Frozen members cannot go on by themselves, and what was acknowledged since is in the log, which has been checked.
    // So one more than usual may be absent, recorded or not: reads that need both wait for either to come back.
    const frozen = slots.filter((slot) => slot.path !== null && slot.frozenGeneration).length;
    const needed = Math.max(slots.length - tolerated - 1, 1);
    if (frozen < needed) return refused(frozen, needed);
    trail.push(`@Q1 ${frozen} of ${slots.length} members of the frozen image, ${needed} needed`);
    return done({ forced: mayLackRecords, inDoubt: mayLackRecords, mayBeOlder: mayLackRecords });
  }

  const needed = slots.length - tolerated;
  if (inSync < needed) return refused(inSync, needed);
  let forced = mayLackRecords;
  // In a replay members change only with what the log repeats, whoever was there.
  if (unrecorded.length > 0 && !moving) {
    if (!force) return refused(inSync, slots.length);
    trail.push(`@Q2 forced: ${unrecorded.length} missing members that no record calls missing`);
    overridden.add('members-missing');
    forced = true;
  }
  // Mirrors agree with themselves; parity that may be wrong makes the absent chunk wrong. While the absence is on
  // record every write of a degraded stripe was in the log first, and redoing those makes parity right again. If every
  // write was there first, it does not matter whether anybody knew: of a replay too that is what the label says.
  const degraded = inSync < slots.length;
  const holeClosed =
    level.parityChunks === 0 ||
    stripeLog === 'whole' ||
    (stripeLog === 'kept' && unrecorded.length === 0);
  // On record where: those stripes are errors, unless a person wants parity to be believed.
  const isBelieved = force && doubtful && stripeLog === 'kept';
  const isOpen = unclean && degraded && (!holeClosed || isBelieved);
  if (isOpen) {
    if (!force) return refuse('dirty-and-degraded', { volume: name });
    trail.push('@Q3 forced: unclean, degraded and without a log that covers it');
    overridden.add('dirty-and-degraded');
    forced = true;
  }
  // With parity those that are needed tell of each other; a mirror may be what the others went on without.
  const mayBeOlder = mayLackRecords || (level.mirrored && forced);
  return done({ forced, inDoubt: isOpen || mayBeOlder, mayBeOlder });
}
