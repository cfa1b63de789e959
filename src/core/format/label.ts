/**
 * Locum's label: what md has no field for, on every member, beside the superblock.
 *
 * One 4096-byte block, two places (member-layout.ts). Label number n goes to copy A when n is odd and to copy B when it
 * is even, so the copy being written is never the newest valid one; a torn write leaves the other. All members of a
 * volume carry the same label except for `memberUuid` and `slot`. Numbers rise by one with each label written, across
 * the whole volume; the highest number found on any member is the truth, everything older is history.
 *
 * A label is valid if and only if
 *   1. magic, and the digest (SHA-256 of the block with the digest field zero, cut to 128 bits) is right,
 *   2. its version is ours, reserved bytes and unused table entries are zero,
 *   3. every coded word is one we know, and the counts are possible.
 * A block with our magic and a right digest but a newer version is `newer-version`: never overwritten by old software.
 *
 * This file has the words and the rules; label-codec.ts makes and judges blocks, label-tables.ts has the bytes.
 */

import { BLOCK_BYTES } from '../../base/units.ts';
import type { Uuid } from '../../base/uuid.ts';
import type { DriveState, Purpose, WindowState } from '../status.ts';

export const LABEL_BYTES = BLOCK_BYTES;
export const LABEL_MAGIC = 'LOCUMLBL';
export const LABEL_VERSION = 1;

export const LABEL_MEMBERS_MAX = 64;
export const LABEL_LEGS_MAX = 2;
export const LABEL_HISTORY_MAX = 8;
export const LABEL_RECOVERIES_MAX = 8;
export const LABEL_DOUBTS_MAX = 32;

/** Why a member is not online. The place in this list is its code on the drives: append only. */
export const memberReasons = [
  'none',
  'write-error',
  'read-errors',
  'flush-error',
  'timeout',
  'vanished',
  'operator',
  'window',
  'stale',
  'verify-mismatch',
  'changed',
  'expired',
  'replaced',
  'absent-at-start',
  'md-faulty',
  'rebuild-failed',
] as const;
export type MemberReason = (typeof memberReasons)[number];

/** How a window ended. Append only, as above. */
export const windowOutcomes = ['none', 'returned', 'rebuilt', 'thawed', 'aborted'] as const;
export type WindowOutcome = (typeof windowOutcomes)[number];

/**
 * What the stripe log is worth to a start after this label. Append only.
 *
 *   void    stripes are written in place without it: whatever it holds is old and is not redone
 *   kept    every change of a stripe with parity is durable in it first: what is not released is redone, in order
 *   whole   kept, and once that is redone every stripe adds up, whoever is absent
 */
export const stripeLogWords = ['void', 'kept', 'whole'] as const;
export type StripeLogWord = (typeof stripeLogWords)[number];

/** Codes again: append only. */
export const legStates = ['online', 'failed', 'missing'] as const;
export const recoveryKinds = ['full', 'bitmap'] as const;
export const doubleAbsenceWords = ['wait', 'error'] as const;

export interface LabelMember {
  uuid: Uuid;
  /** null for a spare, and for a member that has lost its slot. */
  slot: number | null;
  state: DriveState;
  reason: MemberReason;
  /** Event counter of the superblock when the state last changed: the member has everything up to there. */
  eventsAtChange: number;
  /** Wall clock, for people. */
  changedWallMs: number;
}

export interface LabelLeg {
  uuid: Uuid;
  state: (typeof legStates)[number];
}

export interface LabelLog {
  uuid: Uuid;
  epoch: number;
  /** A lower bound: the log has at least this. */
  lastSequence: number;
  legs: LabelLeg[];
}

export interface LabelWindow {
  id: Uuid;
  /** The freeze token, new for each window: the generation that the freeze began. */
  token: Uuid;
  purpose: Purpose;
  state: WindowState;
  /** Who is away. */
  slot: number;
  memberUuid: Uuid;
  openedWallMs: number;
  /** Time the window has been open, as far as it was counted; the monotonic clock adds to it after a restart. */
  elapsedMs: number;
  maxMs: number;
  onDoubleAbsence: (typeof doubleAbsenceWords)[number];
  waitMs: number;
  logEpoch: number;
  /** Event counter of every member at the freeze. */
  frozenEvents: number;
  /** Replay: stripes below are on the members. */
  cursorStripe: number;
  /** Replay: log records up to this sequence are on the members. */
  appliedThrough: number;
  /** The drive that was away has been compared and is trusted. */
  verified: boolean;
  outcome: WindowOutcome;
}

export interface LabelRecovery {
  slot: number;
  kind: (typeof recoveryKinds)[number];
  /** Stripes below are rebuilt. */
  cursorStripe: number;
}

/** Stripes whose parity may be wrong, in a volume that lacks a drive: what could be made only from it is lost. */
export interface LabelDoubt {
  firstStripe: number;
  /** How many. */
  stripes: number;
}

export interface LabelScrub {
  active: boolean;
  repair: boolean;
  cursorStripe: number;
  mismatches: number;
}

export interface Label {
  volumeUuid: Uuid;
  memberUuid: Uuid;
  /** null on a spare. */
  slot: number | null;
  /** Number of this label; decides which of two is newer. */
  sequence: number;
  /** New random value at each of: member out, freeze, thaw, forced start, rebuild done. */
  generation: Uuid;
  /** Earlier generations, newest first, at most 8. */
  history: Uuid[];
  /** Event counter of the superblocks when this label was written. */
  events: number;
  /** At most 32 printable ASCII characters. */
  name: string;
  /** Locum's level: 1, 3, 4, 5. */
  level: number;
  memberCount: number;
  chunkBytes: number;
  memberDataBytes: number;
  /** Written by an orderly stop; false while the volume runs. */
  clean: boolean;
  /** The server that runs the volume; null when stopped. */
  owner: { token: Uuid; wallMs: number } | null;
  members: LabelMember[];
  log: LabelLog | null;
  stripeLog: StripeLogWord;
  window: LabelWindow | null;
  recovery: LabelRecovery[];
  /** Ascending, without overlap. Counts where `stripeLog` is `kept`. */
  doubt: LabelDoubt[];
  scrub: LabelScrub | null;
}

export type LabelResult =
  | { readonly kind: 'label'; readonly value: Label }
  | { readonly kind: 'none' }
  | { readonly kind: 'corrupt'; readonly reason: string }
  | { readonly kind: 'newer-version'; readonly version: number };
