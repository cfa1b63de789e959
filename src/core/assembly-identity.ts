/**
 * Steps 1 and 2 of an assembly: which of the drives belong together, and which of their records is the truth.
 *
 * Identity    A member is its superblock (set and member uuid). A label on it counts only when it names the same two:
 *             otherwise it is left over from an earlier life of the drive.
 * Authority   label: one that remembers the other's generation, else the higher number. Where only the drive of a window is
 *             left to go on with, it goes on from the number of the freeze, and the others had counted further by then.
 *             superblock: highest events, among equals the one beside the newest label.
 * Ancestors   Every other member must be explained by the authority:
 *   @H1  same number, other contents (and not one server's torn update)           → history-split
 *   @H2  a generation the newest label neither has nor remembers (nor its window) → history-split
 *        or remembers, with a number that it has not come to, of one that is in  → history-split
 *   @H7  of the same window, and with more of its log than the newest label       → history-split
 *   @H3  recorded as out, yet with more events than when it went                  → history-split
 *   @H8  recorded as out by those that it records as out itself: each went on     → history-split
 *   @H9  one label behind, in which one is out, or unknown, who is in use now      → history-split
 *   @H4  not recorded as out, an old label, and the highest events of all         → history-split
 *   @H5  md only: calls every member that is in sync faulty (both went on alone)  → history-split
 *   @H6  same events, another geometry                                            → members-disagree
 */

import type { Uuid } from '../base/uuid.ts';
import { isOverridable, type OverridableByForce } from './assembly-force.ts';
import { isMoving } from './assembly-slots.ts';
import type { BitmapHeader, BitmapHeaderResult } from './format/bitmap.ts';
import type { Label, LabelMember, LabelResult, LabelWindow } from './format/label.ts';
import { encodeLabel } from './format/label-codec.ts';
import {
  FEATURE_LOCUM_WINDOW,
  ownSlot,
  type Superblock,
  type SuperblockResult,
} from './format/superblock.ts';
import { done, type Outcome, refuse } from './problems.ts';

/** One drive as it was read: the superblock at 4096, the bitmap header and the newer label where it says they are. */
export interface FoundDrive {
  readonly path: string;
  readonly sizeBytes: number;
  readonly superblock: SuperblockResult;
  /** null when the superblock knows no bitmap or cannot be read. */
  readonly bitmap: BitmapHeaderResult | null;
  /** Without a readable superblock: from `likelyLabelOffsets`. */
  readonly label: LabelResult;
}

export interface AssemblyOptions {
  /** Must match the label; names an adopted array. */
  readonly name: string | null;
  readonly force: boolean;
}

export interface Member {
  readonly path: string;
  readonly sizeBytes: number;
  readonly superblock: Superblock;
  /** null: none, or not readable. */
  readonly bitmap: BitmapHeader | null;
  /** null: never labelled, or left over. */
  readonly label: Label | null;
}

type Labelled = Member & { readonly label: Label };

export interface Authority {
  readonly superblock: Superblock;
  readonly label: Label | null;
  /** The window that is open according to the label. */
  readonly window: LabelWindow | null;
  readonly events: number;
  readonly ranByMd: boolean;
  /** Event counter at which members in sync last cleared bits; null without a bitmap. */
  readonly eventsCleared: number | null;
}

export function identify(
  drives: readonly FoundDrive[],
  options: AssemblyOptions,
  trail: string[],
  overridden: Set<OverridableByForce>,
): Outcome<{ members: Member[]; leftOut: number }> {
  const members: Member[] = [];
  let leftOut = 0;
  for (const drive of drives) {
    const read = memberOf(drive, trail);
    if (read.ok) members.push(read.value);
    else if (read.problem.code === 'drive-blank') {
      // No member, and no harm: a replacement that a crash caught before it was one. What it should have been is
      // missing.
      trail.push(`@I0 ${drive.path} is left out: it is blank`);
    } else if (options.force && isOverridable(read.problem.code)) {
      trail.push(`@I1 forced: ${drive.path} is left out (${read.problem.code})`);
      overridden.add(read.problem.code);
      leftOut++;
    } else return read;
  }
  if (members.length === 0) {
    return refuse('member-not-found', { paths: drives.map(({ path }) => path).join(', ') });
  }
  const expected = expectedSet(members, options);
  for (const { path, superblock } of members) {
    if (superblock.setUuid !== expected) {
      return refuse('drive-foreign', { path, found: superblock.setUuid, expected });
    }
  }
  const paths = new Map<Uuid, string>();
  for (const { path, superblock } of members) {
    const other = paths.get(superblock.memberUuid);
    if (other !== undefined) return refuse('member-cloned', { path, other });
    paths.set(superblock.memberUuid, path);
  }
  return done({ members, leftOut });
}

function memberOf(drive: FoundDrive, trail: string[]): Outcome<Member> {
  const { path, superblock, label, bitmap } = drive;
  switch (superblock.kind) {
    case 'none':
      if (label.kind !== 'label') return refuse('drive-blank', { path });
      return refuse('superblock-corrupt', { path, reason: 'it is gone, the label is still there' });
    case 'corrupt':
      return refuse('superblock-corrupt', { path, reason: superblock.reason });
    case 'unsupported':
      return refuse('md-unsupported', { path, reason: superblock.reason });
    case 'superblock':
      break;
  }
  const value = superblock.value;
  if (label.kind === 'newer-version') {
    const reason = `they are of version ${label.version}, written by a newer Locum`;
    return refuse('label-corrupt', { path, reason });
  }
  if (label.kind === 'corrupt') return refuse('label-corrupt', { path, reason: label.reason });
  let own: Label | null = label.kind === 'label' ? label.value : null;
  if (own && (own.volumeUuid !== value.setUuid || own.memberUuid !== value.memberUuid)) {
    trail.push(`@I2 ${path}: the label is left over from another volume`);
    own = null;
  }
  if (own === null && (value.features & FEATURE_LOCUM_WINDOW) !== 0) {
    const reason = 'the superblock says that a window is open, the label is gone';
    return refuse('label-corrupt', { path, reason });
  }
  const header =
    bitmap?.kind === 'bitmap' && bitmap.value.uuid === value.setUuid ? bitmap.value : null;
  return done({ path, sizeBytes: drive.sizeBytes, superblock: value, bitmap: header, label: own });
}

/** The volume that was meant: the one with the name asked for, else the one most drives belong to. */
function expectedSet(members: readonly Member[], options: AssemblyOptions): Uuid {
  const named = members.find(({ label }) => label !== null && label.name === options.name);
  if (named) return named.superblock.setUuid;
  const counts = new Map<Uuid, number>();
  for (const { superblock } of members) {
    counts.set(superblock.setUuid, (counts.get(superblock.setUuid) ?? 0) + 1);
  }
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

/** States in which a member takes no part: the label says when it left. */
const out: ReadonlySet<LabelMember['state']> = new Set(['failed', 'missing']);

export function chooseAuthority(members: readonly Member[], trail: string[]): Outcome<Authority> {
  const newest = newestLabelled(members);
  const label = newest?.label ?? null;
  const eventsOf = (member: Member): number => member.superblock.events;
  const events = Math.max(label?.events ?? 0, ...members.map(eventsOf));
  const highest = Math.max(...members.map(eventsOf));
  const source =
    newest && eventsOf(newest) === highest
      ? newest
      : members.find((member) => eventsOf(member) === highest)!;
  const splitOf = (member: Member): string | null =>
    newest === null ? splitByMd(member, source) : splitBeside(newest, member, members);
  for (const member of members) {
    const split = splitOf(member);
    if (split !== null) {
      const pathsOf = (isApart: boolean): string =>
        members
          .filter((each) => (splitOf(each) !== null) === isApart)
          .map(({ path }) => path)
          .join(', ');
      const halves = { half: pathsOf(false), apart: pathsOf(true) };
      const reason = `${member.path}: ${split}`;
      return refuse('history-split', { path: member.path, reason, ...halves });
    }
    if (eventsOf(member) === highest && geometryOf(member) !== geometryOf(source)) {
      const reason = `${member.path} and ${source.path} describe different volumes (@H6)`;
      return refuse('members-disagree', { reason });
    }
  }
  trail.push(
    `@A truth: superblock of ${source.path} (events ${highest}), ` +
      (newest ? `label of ${newest.path} (number ${newest.label.sequence})` : 'no label'),
  );
  const window = label?.window ?? null;
  const open = window !== null && window.state !== 'closed' && window.state !== 'aborted';
  return done({
    superblock: source.superblock,
    label,
    window: open ? window : null,
    events,
    ranByMd: label !== null && label.clean && !open && highest > label.events,
    eventsCleared: source.bitmap?.eventsCleared ?? null,
  });
}

/**
 * A drive that was replaced: it carries our label, and the newest table does not know it. Never
 * used, never a source.
 */
export function wasReplaced(member: Member, authority: Authority): boolean {
  const { label, ranByMd } = authority;
  if (label === null || ranByMd || member.label === null) return false;
  return !label.members.some(({ uuid }) => uuid === member.superblock.memberUuid);
}

function newestLabelled(members: readonly Member[]): Labelled | null {
  return members
    .filter((member): member is Labelled => member.label !== null)
    .reduce<Labelled | null>(
      (best, member) => (best === null || isLater(member.label, best.label) ? member : best),
      null,
    );
}

/** Generations go before numbers. Of one number the label that records more members as out was made later. */
function isLater(a: Label, b: Label): boolean {
  if (remembers(a, b)) return true;
  if (remembers(b, a)) return false;
  if (a.sequence !== b.sequence) return a.sequence > b.sequence;
  const outIn = ({ members }: Label): number =>
    members.filter(({ state }) => out.has(state)).length;
  return outIn(a) > outIn(b);
}

/**
 * The list of generations is short, and starts by force or without a member make one each: those of a window may be more
 * than it has room for, while the drive that is away still has the label of the freeze. The window itself names that one.
 */
function remembers({ generation, history, window }: Label, other: Label): boolean {
  const isOfFreeze = window?.token === other.generation && generation !== other.generation;
  return isOfFreeze || history.includes(other.generation);
}

/**
 * With whom the other half is, too: the one that is named may be among many that agree, and whoever leaves out one after the
 * other of those would end with a single drive that had been used elsewhere.
 */
function splitBeside(newest: Labelled, member: Member, members: readonly Member[]): string | null {
  const split = splitByLabel(member, newest, members);
  return split === null ? null : `by the records of ${newest.path}, ${split}`;
}

function splitByLabel(member: Member, newest: Labelled, members: readonly Member[]): string | null {
  const own = member.label;
  const truth = newest.label;
  if (own === null) return null;
  const remembered = remembers(truth, own);
  if (own.sequence === truth.sequence && !remembered) {
    return sameContents(own, truth)
      ? null
      : `its label has the number of the newest, ${truth.sequence}, but other contents (@H1)`;
  }
  const record = truth.members.find(({ uuid }) => uuid === member.superblock.memberUuid);
  const recordedOut = record !== undefined && out.has(record.state);
  const windowMember = truth.window?.memberUuid === member.superblock.memberUuid;
  // Unless md has run the array since, and took it back.
  const mdRan = truth.clean && newest.superblock.events > truth.events;
  const rejoined = mdRan && member.superblock.events <= newest.superblock.events;
  const moved = recordedOut && member.superblock.events > record.eventsAtChange + 1;
  if (moved && !windowMember && !rejoined) {
    return `it was used after it had left the volume (@H3)`;
  }
  const known = own.generation === truth.generation || remembered;
  // The list of generations is short. A member that left long ago and did nothing since is known by the table as
  // well, and one that the table does not know was replaced: it is left out below, whatever it did since.
  if (!known && !recordedOut && record !== undefined)
    return `the others do not know its generation ${own.generation} (@H2)`;
  if (recordedOut && wentOnApart(own, truth))
    return `it went on without those that went on without it (@H8)`;
  // A crash in the middle of a return leaves a superblock ahead of its label, which is still that of the freeze.
  const { window } = truth;
  const ofFreeze = window !== null && own.window?.token === window.token;
  // One that was being taken back got superblocks, and crashes kept its label from it; it is no source of anything.
  const takenBack = record?.state === 'rebuilding';
  // Members that a start without them had left behind, ahead in number: out on record, unless the image is frozen still.
  const frozenStill = ofFreeze && !isMoving(window);
  const isAhead = remembered && own.sequence >= truth.sequence;
  if (isAhead && record !== undefined && !recordedOut && !takenBack && !frozenStill)
    return `its label ${own.sequence} was made when the others had turned to another generation (@H2)`;
  if (remembered && ofFreeze && logEnd(own) > logEnd(truth))
    return `it knows more of the log of the window than the others (@H7)`;
  if (remembered && record?.state === 'online' && isSteppedOver(member, own, truth))
    return `one step before the newest label it went on without a drive that is in use by that (@H9)`;
  if (!recordedOut && !ofFreeze && !takenBack && truth.sequence - own.sequence > 1) {
    const current = members.filter((other) => other.label?.sequence === truth.sequence);
    const highest = Math.max(...current.map((other) => other.superblock.events));
    if (member.superblock.events > highest) {
      return `its label is older and its event counter newer than the others' (@H4)`;
    }
  }
  return null;
}

/**
 * A drive of a generation that nobody here knows, although one before it is known: the list of generations goes back further
 * than that, and the history of the drive has branched off. On its own record nobody is in use of those that are here: it
 * went on without them. However few events that took, the two are no more one history.
 */
export function wentOnApart(
  own: Pick<Label, 'generation' | 'history' | 'members'>,
  here: {
    readonly generation: Uuid;
    readonly history: readonly Uuid[];
    readonly members: readonly Pick<LabelMember, 'uuid' | 'state'>[];
  },
): boolean {
  const isKnown = (generation: Uuid): boolean =>
    generation === here.generation || here.history.includes(generation);
  if (isKnown(own.generation) || !own.history.some(isKnown)) return false;
  const inUse = here.members.filter(({ state }) => state === 'online');
  return own.members.every(
    ({ uuid, state }) => out.has(state) || !inUse.some((member) => member.uuid === uuid),
  );
}

/**
 * The newest label is the next in number, as after a crash in the middle of an update, and no update leads there: outside
 * a window a drive that is out, or new, is on record as being rebuilt before it is in use. It was brought up to date on
 * another host, beside copies of the others, which have gone on here, and have given its slot away perhaps.
 */
function isSteppedOver({ superblock }: Member, own: Label, truth: Label): boolean {
  if (truth.sequence - own.sequence !== 1 || own.window !== null || truth.window !== null)
    return false;
  // What md has made of the members is on no label before the next one.
  if (own.clean && superblock.events > own.events) return false;
  const known = new Map(own.members.map(({ uuid, state }) => [uuid, state]));
  return truth.members.some(
    ({ uuid, state }) => state === 'online' && out.has(known.get(uuid) ?? 'missing'),
  );
}

const logEnd = ({ log }: Label): number => log?.lastSequence ?? 0;

function splitByMd(member: Member, newest: Member): string | null {
  const { superblock } = member;
  if (member === newest) return null;
  const truth = newest.superblock;
  if (superblock.events === truth.events) {
    const same = superblock.roles.join() === truth.roles.join();
    return same ? null : `it has the events of ${newest.path}, but other roles (@H5)`;
  }
  const slotOf = (roles: readonly number[], device: number): number | null => {
    const role = roles[device] ?? truth.memberCount;
    return role < truth.memberCount ? role : null;
  };
  const inSync = truth.roles.flatMap((_, device) =>
    slotOf(truth.roles, device) === null ? [] : device,
  );
  const abandoned = inSync.every((device) => slotOf(superblock.roles, device) === null);
  return abandoned && ownSlot(superblock) !== null
    ? `it went on without ${newest.path}, which went on without it (@H5)`
    : null;
}

/**
 * All labels of one number are alike but for whom they are on and the moment they were made. A server that crashed
 * while it wrote them may also have changed its mind between two members: one owner is one history.
 */
function sameContents(a: Label, b: Label): boolean {
  if (a.owner !== null && a.owner.token === b.owner?.token && a.generation === b.generation) {
    return true;
  }
  const shared = (label: Label): Uint8Array =>
    encodeLabel({
      ...label,
      memberUuid: label.volumeUuid,
      slot: null,
      owner: label.owner && { ...label.owner, wallMs: 0 },
      window: label.window && { ...label.window, elapsedMs: 0 },
    });
  const bytes = shared(b);
  return shared(a).every((byte, index) => byte === bytes[index]);
}

const geometryOf = ({ superblock }: Member): string =>
  [
    superblock.level,
    superblock.parityLayout,
    superblock.chunkBytes,
    superblock.memberCount,
    superblock.memberDataBytes,
  ].join();
