/**
 * What the state of a volume is derived from: facts that the engine has at hand, nothing that is
 * itself an opinion.
 */

import type { LevelDescriptor } from '../levels/descriptor.ts';
import type { DriveState, LogStatus, Purpose, WindowState } from '../status.ts';

export interface DriveFacts {
  /** null for a spare. */
  readonly slot: number | null;
  readonly path: string;
  readonly state: DriveState;
  /** Empty when online. */
  readonly reason: string;
  /**
   * In a frozen volume: nothing has been written since it went, so it may come back as it is. False
   * for one that had failed before the freeze.
   */
  readonly ofFrozenImage: boolean;
}

export interface WindowFactsForStatus {
  readonly state: WindowState;
  readonly purpose: Purpose;
  readonly slot: number;
  readonly path: string;
  readonly recall: boolean;
  /** Past its limit and held open, because a second member is absent. */
  readonly overdue: boolean;
  readonly heldReads: number;
  /** How long a read that needs two absent drives waits before it is answered EIO. */
  readonly waitMs: number;
}

export interface VolumeFacts {
  readonly name: string;
  readonly level: LevelDescriptor;
  readonly drives: readonly DriveFacts[];
  /** Why host I/O is refused; empty when it is not. */
  readonly haltReason: string;
  /** No member's data changes: from the freeze to the beginning of replay or thaw. */
  readonly frozen: boolean;
  /** The log is being applied to the members, with or without a window that led to it. */
  readonly replaying: boolean;
  /** Why the log cannot be applied any further; empty: nothing is in its way. */
  readonly replayStopped: string;
  readonly resyncing: boolean;
  readonly window: WindowFactsForStatus | null;
  readonly log: LogStatus | null;
  /** For each leg: what it waits for before it counts, or null. It is in use, and no other can take its place. */
  readonly legsWaitFor: readonly ('copy' | 'record' | null)[];
  /** Stripes go to the log before they are changed in place. */
  readonly logsStripes: boolean;
  /**
   * Places that were being written when the last leg was lost, and where the first begins in the volume: a start may find
   * those writes in the log or not, so reads of them wait, and fail. Null: there is none.
   */
  readonly unsettled: { readonly places: number; readonly offset: number } | null;
  /** Host writes that wait for room in the log or for a drive. */
  readonly writesHeld: number;
  readonly legSharesFileSystem: boolean;
  /** A member was lost while parity was in doubt, or a start was forced without it; null when neither happened. */
  readonly dataInDoubt: {
    readonly path: string;
    readonly regions: number;
    /** `older`: started by force from copies, or a log, of which something that is missing may have newer ones. */
    readonly cause: 'lost' | 'forced' | 'older';
  } | null;
  /** A drive that came back after its window with other contents than it left with: so many stripes of those compared. */
  readonly differed: { readonly path: string; readonly stripes: number } | null;
  /** Stripes of a member that a rebuild could not make; where the first begins in the volume. */
  readonly unmade: {
    readonly path: string;
    readonly stripes: number;
    readonly offset: number;
  } | null;
  /** Stripes that a resync could not bring in sync; where the first begins in the volume. */
  readonly resyncLeft: { readonly stripes: number; readonly offset: number } | null;
  /** Why the resync has ended before its end, until it is tried again; empty: it has not. */
  readonly resyncStopped: string;
  /** The rebuild of this member has stopped short of its end; nobody is at work on it until it is tried again. */
  readonly rebuildStopped: {
    readonly slot: number;
    readonly path: string;
    readonly reason: string;
  } | null;
  /** Lockstep levels: reads whose stripe did not add up. */
  readonly parityErrors: number;
  /** `unreadableBytes`: columns that two drives could not read; they were left out. */
  readonly scrub: {
    readonly mismatches: number;
    readonly repairing: boolean;
    readonly unreadableBytes: number;
  };
}

/** Members that are out, besides the drive of the window. */
export const failedBesides = (facts: VolumeFacts): readonly DriveFacts[] =>
  facts.drives.filter(
    ({ slot, state }) =>
      slot !== null && slot !== facts.window?.slot && (state === 'failed' || state === 'missing'),
  );

export const slotStatesOf = (facts: VolumeFacts): DriveState[] =>
  facts.drives.filter(({ slot }) => slot !== null).map(({ state }) => state);

export const isDegraded = (facts: VolumeFacts): boolean =>
  slotStatesOf(facts).some((state) => state !== 'online');

/** Of those, the ones that are as good as the drive of the window: any of them may come back. */
export const returnable = (facts: VolumeFacts): readonly DriveFacts[] =>
  facts.frozen ? failedBesides(facts).filter(({ ofFrozenImage }) => ofFrozenImage) : [];

/** "slot 2 (/dev/sdc)" */
export const named = ({ slot, path }: DriveFacts): string =>
  `slot ${slot} (${path === '' ? 'no drive' : path})`;

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** "it is gone" and "it is gone." as the end of a sentence. */
export const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`);

/** "slot 2 (/dev/sdc) is failed: it is gone" */
export const described = (drive: DriveFacts): string => {
  const what = `${named(drive)} is ${drive.state}`;
  return drive.reason === '' ? what : `${what}: ${drive.reason}`;
};
