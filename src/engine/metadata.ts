/**
 * Superblocks and labels on the members: built from the state in memory, written as a whole, one commit at a time.
 *
 * A commit gives the label the next sequence number and md's event counter the next value, writes bitmap header,
 * superblock and label to every open member, and flushes each. It resolves when all of them have it; a member that cannot
 * take it is failed, which asks for another commit.
 *
 * Invariants
 *   1. Commits do not overlap; whoever asks while one runs shares the next one, which is built after they asked.
 *   2. Events and sequence only rise (rule 10 of the design).
 *   3. In a frozen volume labels are written, superblocks are not: every member keeps the event count of the freeze,
 *      which is how a member of the frozen generation is recognised.
 *   4. No label calls a drive that has come back one of them before its own label is that of the others.
 */

import { assert } from '../base/assert.ts';
import { ENOMEM, type Errno, OK } from '../base/errno.ts';
import { type Address, BLOCK_BYTES, type DriveOffset } from '../base/units.ts';
import { type Uuid, uuidFromBytes } from '../base/uuid.ts';
import { type BitmapHeader } from '../core/format/bitmap.ts';
import {
  LABEL_HISTORY_MAX,
  type Label,
  type LabelLog,
  type LabelScrub,
  type StripeLogWord,
} from '../core/format/label.ts';
import { decodeLabel, encodeLabel, labelFor } from '../core/format/label-codec.ts';
import { type MemberLayout, planMember } from '../core/format/member-layout.ts';
import {
  encodeSuperblock,
  FEATURE_LOCUM_WINDOW,
  FEATURE_RECOVERY_OFFSET,
  ROLE_FAULTY,
  ROLE_SPARE,
  ROLES_COUNT,
  type Superblock,
} from '../core/format/superblock.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import type { Drive } from '../io/drive.ts';
import { doubtOf } from './doubt.ts';
import { type Copy, copiesFor, type Newest, newestCopy } from './label-copies.ts';
import { labelMembers, labelRecovery, labelWindow } from './label-parts.ts';
import type { Member } from './members.ts';
import { newSuperblock, withoutWindow } from './new-superblock.ts';
import type { VolumeCore } from './volume-core.ts';

/** What one commit writes to one member. */
interface Content {
  readonly member: Member;
  readonly label: Uint8Array;
  /** null: labels only. */
  readonly superblock: Uint8Array | null;
  readonly sequence: number;
}

export class Metadata {
  readonly #v: VolumeCore;
  /** md's event counter and the number of the newest label. */
  events: number;
  sequence: number;
  generation: Uuid;
  history: Uuid[];
  /** On the members: no write may be under way. False from before the first write until all intent bits are clear. */
  clean: boolean;
  /** Set by an orderly stop. */
  stopped = false;
  readonly owner: Uuid;
  /** The log as the labels know it, also while its legs are missing. */
  log: LabelLog | null = null;
  scrub: LabelScrub | null = null;
  /** The strongest word on the journal that a label on a member may carry: `void` only when all of them say so. */
  stripeLogWritten: StripeLogWord;
  /** While true only labels are written (invariant 3). */
  labelsOnly = false;
  /** Members with no superblock on the drive yet: it goes there first; a label alone would look like damage. */
  readonly #fresh = new Set<Member>();
  #absentOnRecord = 0;
  /** Where the newest label of an open drive lies. */
  readonly #newestCopy = new WeakMap<Drive, Newest | null>();
  /** What the last commit wrote: but for whom it is on, every label is this one. */
  #written: Uint8Array | null = null;
  /** Drives that were greeted, whether they took it or not. */
  readonly #greeted = new WeakSet<Drive>();
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  /** Who is to be written last by the commit that waits. */
  #lastNext: Member | null = null;

  constructor(
    v: VolumeCore,
    from: {
      events: number;
      sequence: number;
      generation: Uuid;
      history: Uuid[];
      clean: boolean;
      stripeLog: StripeLogWord;
    },
  ) {
    this.#v = v;
    this.events = from.events;
    this.sequence = from.sequence;
    this.generation = from.generation;
    this.history = from.history;
    this.clean = from.clean;
    this.stripeLogWritten = from.stripeLog;
    this.owner = uuidFromBytes(v.environment.random(16));
  }

  /** A turn of the volume's history: a member out, a freeze, a thaw, a rebuild done. */
  newGeneration(): void {
    this.history = [this.generation, ...this.history].slice(0, LABEL_HISTORY_MAX);
    this.generation = uuidFromBytes(this.#v.environment.random(16));
  }

  /** Makes the state in memory durable on every open member; `last` is written after all others. */
  commit(last: Member | null = null): Promise<void> {
    if (!this.busy) return this.#start(last);
    this.#lastNext = last ?? this.#lastNext;
    this.#next ??= (this.#running ?? Promise.resolve()).then(() => {
      this.#next = null;
      const after = this.#lastNext;
      this.#lastNext = null;
      return this.#start(after);
    });
    return this.#next;
  }

  /** One that waits counts too: between the end of a commit and the beginning of the next there is a moment. */
  get busy(): boolean {
    return this.#running !== null || this.#next !== null;
  }

  /** Resolves when no commit is running or waiting. */
  async idle(): Promise<void> {
    while (this.busy) await (this.#next ?? this.#running);
  }

  #start(last: Member | null): Promise<void> {
    this.#running = this.#write(last).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #write(last: Member | null): Promise<void> {
    // Whoever comes back while something is waited for is greeted as well.
    do {
      await Promise.all(this.#strangers().map((stranger) => this.#greet(stranger)));
      await this.#flushBeforeLoss();
      // The word may be another one after each wait: nothing is waited for between the last look at it and the labels.
      if (this.stripeLogWritten === 'void' && this.#v.stripeLogWord !== 'void') {
        await this.#v.unloggedWritten();
        await this.#v.members.flush();
      }
    } while (this.#strangers().length > 0);
    const stripeLog = this.#v.stripeLogWord;
    if (stripeLog !== 'void') this.stripeLogWritten = stripeLog;
    if (this.#v.logsStripes) this.#v.goesUnlogged = false;
    this.sequence++;
    if (!this.labelsOnly) this.events++;
    // All content is made here, in one moment: members must not carry different labels of one number.
    // A new member gets its first label with its superblock; until then it is nobody's, and a start leaves it out.
    const targets = this.#v.members
      .present()
      .filter((member) => !this.labelsOnly || !this.#fresh.has(member));
    const [first] = targets;
    if (first !== undefined) this.#written = encodeLabel(this.label(first));
    const contents = targets.map((member) => this.#contentFor(member));
    const { log } = this.#v;
    const legs = (this.log?.legs ?? []).filter(({ state }) => state === 'online');
    const legUuids = legs.map(({ uuid }) => uuid);
    const others = contents.filter(({ member }) => member !== last);
    const put = async (content: Content): Promise<boolean> =>
      (await this.#writeMember(content)) && content.member.slot >= 0;
    const taken = await Promise.all(others.map(put));
    for (const content of contents) if (content.member === last) taken.push(await put(content));
    if (stripeLog === 'void') this.stripeLogWritten = 'void';
    // What a start is to know of the legs must be on a drive that it can be made from; a spare is not one.
    if (taken.includes(true)) log?.joined(legUuids);
  }

  /** Drives that are open again, with a label that may be of any age. A new one has none, and no generation. */
  #strangers(): Member[] {
    return this.#v.members.present().filter((member) => {
      const { drive } = member;
      if (drive === null || this.#fresh.has(member) || this.#greeted.has(drive)) return false;
      return this.#newestCopy.get(drive) === undefined;
    });
  }

  /**
   * Labels remember some generations, and this drive may have left more than that ago. With such a label the next start
   * would take it for one that had lived elsewhere, if it died when the others have it in use already. So it gets theirs
   * first, which still says that it is out.
   */
  async #greet(member: Member): Promise<void> {
    const { drive, uuid, slot } = member;
    if (drive !== null) this.#greeted.add(drive);
    const written = this.#written === null ? null : decodeLabel(this.#written);
    if (written?.kind !== 'label') return;
    const { sequence } = written.value;
    const label = encodeLabel({ ...written.value, memberUuid: uuid, slot: slot < 0 ? null : slot });
    await this.#writeMember({ member, label, superblock: null, sequence });
  }

  /**
   * Once a member's absence is on record its chunks exist only through the others. What those were written before, without
   * an image in the stripe log, must be on stable storage then: a power cut that takes some of it would change chunks that
   * nobody has written.
   */
  async #flushBeforeLoss(): Promise<void> {
    const { absentMask } = this.#v.members;
    const isNews = (absentMask & ~this.#absentOnRecord) !== 0;
    this.#absentOnRecord = absentMask;
    if (isNews && !this.labelsOnly) await this.#v.members.flush();
  }

  /** Its label is the newest one, which may be another member's. */
  #contentFor(member: Member): Content {
    assert(this.#written !== null, 'a label has been made');
    const label = labelFor(this.#written, member.uuid, member.slot < 0 ? null : member.slot);
    if (this.labelsOnly) return { member, label, superblock: null, sequence: this.sequence };
    member.superblock = this.superblock(member);
    const superblock = encodeSuperblock(member.superblock);
    return { member, label, superblock, sequence: this.sequence };
  }

  /** False: the drive does not have it. */
  async #writeMember(content: Content): Promise<boolean> {
    const { member, superblock } = content;
    const drive = member.drive;
    const layout = member.layout;
    if (drive === null || layout === null) return false;
    const { buffers } = this.#v.environment;
    const buffer = await buffers.takeLater(3 * BLOCK_BYTES, 'engine');
    let errno: Errno = ENOMEM;
    try {
      if (this.#fresh.has(member)) {
        errno = await this.#writeFirst(content, drive, layout, buffer);
        if (errno === OK) {
          this.#fresh.delete(member);
          this.noteCopy(drive, null);
        }
      }
      buffers.slice(buffer, BLOCK_BYTES).set(content.label);
      const bitmapAddress = (buffer + 2 * BLOCK_BYTES) as Address;
      const newest = await this.newestCopy(drive, layout, bitmapAddress);
      const { spare, turn } = copiesFor(content.sequence, newest);
      const put = (copy: Copy): Promise<Errno> =>
        drive.write(layout.labelOffsets[copy] as DriveOffset, buffer, BLOCK_BYTES);
      const durably = async (copy: Copy): Promise<Errno> => {
        const written = await put(copy);
        return written === OK ? drive.flush() : written;
      };
      // Without the first of two the second must not be touched: it is the newest.
      let labelled: Errno = spare === null ? OK : await durably(spare);
      // Of starts that die one after the other each could leave a superblock that no label knows; more than one step of
      // those looks like the work of somebody else.
      // And on a drive without any label a power cut could keep the superblock of an open window alone.
      const inOrder = this.#v.assembling || newest === null;
      if (inOrder && labelled === OK) labelled = await durably(turn);
      const writes = [inOrder || labelled !== OK ? Promise.resolve(labelled) : put(turn)];
      if (superblock !== null && labelled === OK) {
        const superAddress = (buffer + BLOCK_BYTES) as Address;
        buffers.slice(superAddress, BLOCK_BYTES).set(superblock);
        writes.push(drive.write(layout.superOffset as DriveOffset, superAddress, BLOCK_BYTES));
        this.#v.intent.encodeFirstPage(buffers.slice(bitmapAddress, BLOCK_BYTES));
        writes.push(drive.write(layout.bitmapOffset as DriveOffset, bitmapAddress, BLOCK_BYTES));
      }
      errno = (await Promise.all(writes)).find((result) => result !== OK) ?? OK;
      if (errno === OK) errno = await drive.flush();
      this.noteCopy(drive, errno === OK ? { copy: turn, sequence: content.sequence } : undefined);
    } finally {
      if (buffer !== 0) buffers.give(buffer);
    }
    if (errno !== OK && member.drive === drive) {
      this.#v.members.fail(
        member,
        `its metadata could not be written (errno ${errno})`,
        'write-error',
      );
    }
    return errno === OK;
  }

  /** Where the newest label of this open drive is: as a start found it, as it was written last, or as it is read there. */
  async newestCopy(drive: Drive, layout: MemberLayout, scratch: Address): Promise<Newest | null> {
    const known = this.#newestCopy.get(drive);
    const { buffers } = this.#v.environment;
    return known === undefined ? newestCopy(buffers, drive, layout, scratch) : known;
  }

  /** `undefined`: a write came to nothing, or nobody has looked. */
  noteCopy(drive: Drive, copy: Newest | null | undefined): void {
    if (copy === undefined) this.#newestCopy.delete(drive);
    else this.#newestCopy.set(drive, copy);
  }

  /** The drive has no superblock of ours yet. */
  markFresh(member: Member): void {
    this.#fresh.add(member);
  }

  /**
   * On a new member: first the superblock, which makes labels of an earlier life somebody else's; then those go, and only
   * then, as usual, comes the label. The other way round a kill would leave the superblock of an open window without one.
   */
  async #writeFirst(
    content: Content,
    drive: Drive,
    layout: MemberLayout,
    buffer: Address,
  ): Promise<Errno> {
    const { buffers } = this.#v.environment;
    if (content.superblock === null) return OK;
    buffers.slice(buffer, BLOCK_BYTES).fill(0);
    const superAddress = (buffer + BLOCK_BYTES) as Address;
    // Its label comes only after this.
    const { superblock } = content.member;
    buffers
      .slice(superAddress, BLOCK_BYTES)
      .set(superblock ? encodeSuperblock(withoutWindow(superblock)) : content.superblock);
    let errno = await drive.write(layout.superOffset as DriveOffset, superAddress, BLOCK_BYTES);
    if (errno === OK) errno = await drive.flush();
    // One after the other: both torn by a power cut would be damage, one beside a place without any is none.
    for (const offset of layout.labelOffsets) {
      if (errno === OK) errno = await drive.write(offset as DriveOffset, buffer, BLOCK_BYTES);
      if (errno === OK) errno = await drive.flush();
    }
    return errno;
  }

  /**
   * Makes a drive the member of a slot (or a spare): plans its layout, gives it a new identity. Written by the next commit.
   */
  adopt(member: Member, drive: Drive, path: string): Outcome<void> {
    const v = this.#v;
    const planned = planMember(drive.sizeBytes, v.intent.geometry);
    if (planned.kind === 'too-small') {
      return refuse('drive-too-small', {
        path,
        sizeBytes: drive.sizeBytes,
        leastBytes: planned.leastBytes,
      });
    }
    const layout = planned.value;
    // A slot that it was in before has no drive from here on, least of all this one.
    for (const other of v.members.slots)
      if (other !== member && other.drive === null && other.path === path) other.path = '';
    member.drive = drive;
    member.path = path;
    member.layout = layout;
    member.uuid = uuidFromBytes(v.environment.random(16));
    member.deviceNumber = this.#freeDeviceNumber();
    member.errors = { read: 0, write: 0 };
    member.readErrorsAtMs = [];
    member.superblock = newSuperblock(v, member, layout, this.events);
    this.#fresh.add(member);
    return done(undefined);
  }

  /** A member is to be in use again; if another one has got its number meanwhile it gets a new one, with its superblock. */
  renumber(member: Member): void {
    if (member.superblock === null || !this.#isNumberOfAnother(member)) return;
    member.deviceNumber = this.#freeDeviceNumber();
    member.superblock = { ...member.superblock, deviceNumber: member.deviceNumber };
  }

  #isNumberOfAnother(member: Member): boolean {
    return [...this.#v.members.slots, ...this.#v.members.spares].some(
      (other) => other !== member && other.deviceNumber === member.deviceNumber && !isOut(other),
    );
  }

  #freeDeviceNumber(): number {
    const used = new Set(
      [...this.#v.members.slots, ...this.#v.members.spares].map(({ deviceNumber }) => deviceNumber),
    );
    // md never gives a number out twice while it can help it: a member that was kicked may still turn up.
    let number = this.#v.geometry.members;
    for (const taken of used) number = Math.max(number, taken + 1);
    if (number < ROLES_COUNT) return number;
    for (number = 0; used.has(number); number++);
    return number;
  }

  label(member: Member): Label {
    const v = this.#v;
    const g = v.geometry;
    return {
      volumeUuid: v.uuid,
      memberUuid: member.uuid,
      slot: member.slot < 0 ? null : member.slot,
      sequence: this.sequence,
      generation: this.generation,
      history: this.history,
      events: this.events,
      name: v.name,
      level: g.level.number,
      memberCount: g.members,
      chunkBytes: g.chunkBytes,
      memberDataBytes: g.memberDataBytes,
      clean: this.stopped,
      owner: this.stopped ? null : { token: this.owner, wallMs: v.environment.clock.wallMs() },
      members: labelMembers(this.#v),
      log: this.#labelLog(),
      stripeLog: this.#v.stripeLogWord,
      window: labelWindow(this.#v),
      recovery: labelRecovery(this.#v),
      doubt: doubtOf(v),
      scrub: this.scrub,
    };
  }

  /** With how far the log is flushed: a log that ends before was rolled back. */
  #labelLog(): LabelLog | null {
    const store = this.#v.log;
    if (this.log === null || store === null || this.#v.window === null) return this.log;
    return { ...this.log, lastSequence: store.report().committedThrough };
  }

  superblock(member: Member): Superblock {
    const v = this.#v;
    const before = member.superblock;
    if (before === null) throw new Error('metadata: an open member has a superblock');
    assert(this.events > before.events, 'events only rise: no count is used twice on a member');
    const windowOpen = labelWindow(v) !== null;
    const rebuilding = member.recovery !== null;
    let features = before.features & ~(FEATURE_LOCUM_WINDOW | FEATURE_RECOVERY_OFFSET);
    if (windowOpen) features += FEATURE_LOCUM_WINDOW;
    if (rebuilding) features |= FEATURE_RECOVERY_OFFSET;
    // A short resync by bitmap has no single offset; to md it counts as not begun.
    const recoveryStripe = member.recovery?.kind === 'full' ? member.recovery.saved : 0;
    return {
      ...before,
      features: features >>> 0,
      recoveryBytes: rebuilding ? recoveryStripe * v.geometry.chunkBytes : null,
      events: this.events,
      updatedUs: v.environment.clock.wallMs() * 1000,
      correctedErrors: member.errors.read,
      resyncBytes: this.clean ? null : 0,
      roles: this.#roles(before.roles.length),
      byLocum: true,
    };
  }

  #roles(length: number): number[] {
    const roles = new Array<number>(length).fill(ROLE_SPARE);
    for (const member of [...this.#v.members.slots, ...this.#v.members.spares]) {
      if (member.deviceNumber < 0) continue;
      // A member that was out and not there at a start is not known by its number, which another may have by the time that
      // it is back: the number is that of whoever is in use.
      if (isOut(member) && this.#isNumberOfAnother(member)) continue;
      roles[member.deviceNumber] = this.#roleOf(member);
    }
    return roles;
  }

  #roleOf(member: Member): number {
    switch (member.state) {
      case 'online':
      case 'away':
      case 'returning':
      case 'rebuilding':
        return member.slot;
      case 'spare':
        return ROLE_SPARE;
      case 'failed':
      case 'missing':
        return ROLE_FAULTY;
    }
  }

  bitmapHeader(eventsCleared: number, chunkBytes: number, reservedBytes: number): BitmapHeader {
    return {
      uuid: this.#v.uuid,
      events: this.events,
      eventsCleared,
      syncBytes: this.#v.geometry.memberDataBytes,
      stale: false,
      chunkBytes,
      daemonSleepSeconds: 5,
      reservedBytes,
    };
  }
}

const isOut = ({ state }: Member): boolean => state === 'failed' || state === 'missing';
