/**
 * The members of a volume: which slot is which drive, what each may be trusted with, and what happens to one that fails.
 *
 * Invariants
 *   1. A member is used for a stripe only if every acknowledged write to that stripe is on it: `unusable(stripe)` is the
 *      one place that knows (online: all stripes; rebuilding: those its recovery has passed).
 *   2. `fail` changes the memory at once and hands the durable record to `onFailed`; a write that the member missed is
 *      acknowledged only after `settled()`.
 *   3. In a frozen volume no write reaches a member's data region except through `WritePermit`s for the returning drive
 *      (rule 1 of the design). `writeData` is the only way to a data region.
 */

import { assert } from '../base/assert.ts';
import { ENODEV, type Errno, ETIMEDOUT, OK } from '../base/errno.ts';
import type { Address, DriveOffset, MemberOffset, Slot, StripeIndex } from '../base/units.ts';
import type { MemberReason } from '../core/format/label.ts';
import type { MemberLayout } from '../core/format/member-layout.ts';
import type { Superblock } from '../core/format/superblock.ts';
import type { DriveState } from '../core/status.ts';
import type { Drive, Part } from '../io/drive.ts';
import type { Recovery } from './recovery-map.ts';

export interface Member {
  /** −1 for a spare. */
  slot: number;
  /** Position in md's roles table, permanent for the life of the member. */
  deviceNumber: number;
  uuid: string;
  path: string;
  state: DriveState;
  /** Why it is not online: a sentence for people and the code that the label keeps. */
  reason: string;
  reasonCode: MemberReason;
  changedWallMs: number;
  /** null while it is away, failed or missing: the server has closed it completely. */
  drive: Drive | null;
  layout: MemberLayout | null;
  superblock: Superblock | null;
  errors: { read: number; write: number };
  /** Times of the read errors of the last hour. */
  readErrorsAtMs: number[];
  /** What is still to be brought up to date; null when nothing is. */
  recovery: Recovery | null;
  /** md's event count when its state last changed: tells a member of the frozen generation from one that missed writes. */
  eventsAtChange: number;
}

export type OnFailed = (member: Member, reason: string, code: MemberReason) => Promise<void>;

export const bit = (slot: number): number => 1 << slot;

export const bitCount = (mask: number): number => {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
};

export class Members {
  readonly slots: Member[];
  readonly spares: Member[] = [];
  /** Slots that are not online for every stripe. */
  #notOnline = 0;
  #recovering: Member[] = [];
  /** True while members must not be written: only a permit holder may. */
  frozen = false;
  /** Spares added to replace the member of a slot. Not on record: after a restart they are spares like any other. */
  readonly meantFor = new WeakMap<Member, number>();
  /** Online, and not yet on record as such: what a power cut now finds each of them as. */
  readonly #joining = new Map<Member, DriveState>();
  /** Everything is flushed and on record; what fails from here on is only the closing itself. */
  closing = false;
  readonly #onFailed: OnFailed;
  #settling: Promise<void> | null = null;

  constructor(slots: Member[], onFailed: OnFailed) {
    assert(slots.length <= 30, 'members: slots are kept in one 32-bit mask');
    this.slots = slots;
    this.#onFailed = onFailed;
    this.refresh();
  }

  get count(): number {
    return this.slots.length;
  }

  /** After any change of a member's state, drive or recovery. */
  refresh(): void {
    this.#notOnline = 0;
    this.#recovering = [];
    for (const member of this.slots) {
      if (member.state === 'online') {
        assert(member.drive !== null, 'members: an online member has its drive open');
        continue;
      }
      this.#notOnline |= bit(member.slot);
      if (member.state === 'rebuilding' && member.drive) this.#recovering.push(member);
    }
  }

  /** Slots that are not online for all of the volume. */
  get absentMask(): number {
    return this.#notOnline;
  }

  /** Slots that may not be read, and are not written, in this stripe. */
  unusable(stripe: StripeIndex): number {
    if (this.#recovering.length === 0) return this.#notOnline;
    let mask = this.#notOnline;
    for (const member of this.#recovering) {
      if (member.recovery?.has(stripe) === false) mask &= ~bit(member.slot);
    }
    return mask;
  }

  /** Everything is on the member; nobody is told that it counts until `recorded` is over. */
  async joins(member: Member, recorded: Promise<void>, before: DriveState): Promise<void> {
    this.#joining.set(member, before);
    try {
      await recorded;
    } finally {
      this.#joining.delete(member);
    }
  }

  /** Some member is online, and a start would find it being rebuilt. */
  get anyJoining(): boolean {
    return this.#joining.size > 0;
  }

  /** What an administrator may rely on: a member is online when a power cut would find it so. */
  stateOnRecord(member: Member): DriveState {
    const { state } = member;
    return state === 'online' ? (this.#joining.get(member) ?? state) : state;
  }

  at(slot: number): Member {
    const member = this.slots[slot];
    assert(member !== undefined, 'members: no such slot');
    return member;
  }

  present(): Member[] {
    return [...this.slots, ...this.spares].filter((member) => member.drive !== null);
  }

  /** Members whose metadata is kept up to date: all that are open. */
  *open(): Generator<Member & { drive: Drive }> {
    for (const member of [...this.slots, ...this.spares]) {
      if (member.drive) yield member as Member & { drive: Drive };
    }
  }

  #driveOffset(member: Member, offset: MemberOffset): DriveOffset {
    assert(member.layout !== null, 'members: an open member has a layout');
    return (member.layout.dataOffset + offset) as DriveOffset;
  }

  readData(slot: number, offset: MemberOffset, address: Address, length: number): Promise<Errno> {
    return this.readFrom(this.at(slot), offset, address, length);
  }

  /** From this member, whoever has its slot by now. */
  readFrom(member: Member, offset: MemberOffset, address: Address, length: number): Promise<Errno> {
    const drive = member.drive;
    if (!drive) return GONE;
    return drive.read(this.#driveOffset(member, offset), address, length);
  }

  /** Writes a data region. `permit`: the returning drive of a frozen volume, which is not a member of the image yet. */
  writeData(
    slot: number,
    offset: MemberOffset,
    address: Address,
    length: number,
    permit = false,
  ): Promise<Errno> {
    assert(!this.frozen || permit, 'a frozen volume: the data region of a member is immutable');
    const member = this.at(slot);
    const drive = member.drive;
    if (!drive) return GONE;
    const offsetOnDrive = this.#driveOffset(member, offset);
    return drive.write(offsetOnDrive, address, length).then((errno) => {
      if (errno === OK || errno === ETIMEDOUT) return errno;
      // One more try: a drive that was reset answers the first command with an error and takes the next.
      member.errors.write++;
      return drive.write(offsetOnDrive, address, length);
    });
  }

  async writeParts(slot: number, offset: MemberOffset, parts: readonly Part[]): Promise<Errno> {
    assert(!this.frozen, 'a frozen volume: the data region of a member is immutable');
    const member = this.at(slot);
    const drive = member.drive;
    if (!drive) return GONE;
    return drive.writeParts(this.#driveOffset(member, offset), parts);
  }

  async punchData(slot: number, offset: MemberOffset, length: number): Promise<Errno> {
    assert(!this.frozen, 'a frozen volume: the data region of a member is immutable');
    const member = this.at(slot);
    const drive = member.drive;
    if (!drive) return GONE;
    return drive.punch(this.#driveOffset(member, offset), length);
  }

  /** Flushes every member that holds current data; one that cannot is failed (a failed flush is final). */
  async flush(): Promise<void> {
    const flushes: Promise<void>[] = [];
    for (const member of this.slots) {
      const drive = member.drive;
      if (!drive || (member.state !== 'online' && member.state !== 'rebuilding')) continue;
      flushes.push(
        drive.flush().then((errno) => {
          if (errno !== OK && member.drive === drive)
            this.fail(member, `flush failed (errno ${errno})`, 'flush-error');
        }),
      );
    }
    await Promise.all(flushes);
  }

  /**
   * Takes the member out of use at once. The durable record is under way when this returns; `settled()` waits for it.
   */
  fail(member: Member, reason: string, code: MemberReason): void {
    if (this.closing || member.state === 'failed' || member.state === 'missing') return;
    // Away it is closed, and nothing can fail; but for the moment of the freeze, when it has not left yet.
    if (member.state === 'away' && member.drive === null) return;
    const record = this.#onFailed(member, reason, code);
    const before = this.#settling;
    const settling = (before ? before.then(() => record) : record).finally(() => {
      if (this.#settling === settling) this.#settling = null;
    });
    this.#settling = settling;
  }

  /** null when every failure is on record; else what to wait for before a write may be acknowledged. */
  settled(): Promise<void> | null {
    return this.#settling;
  }
}

/** What an operation on a member that was just closed answers. */
const GONE: Promise<Errno> = Promise.resolve(ENODEV);

export const slotOf = (member: Member): Slot => member.slot as Slot;
