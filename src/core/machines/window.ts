/**
 * A window, from the freeze to its end.
 *
 * "Alone": besides the drive of the window every member is there. "Second": another member is
 * absent, since before the freeze or since. It makes all the difference: alone, a window may be
 * ended without its drive, because the survivors are complete. With a second member absent the
 * drive that is away may be the only one that can complete the volume.
 *
 * Rules (numbers of the design's list) that this table holds, and a test proves for every cell:
 *   2. No second failure starts a thaw or a rebuild.
 *   3. Expired or full: alone → thaw. Second → never; the drive is recalled, and writes are held
 *      when the log is full.
 *   4. A second member may come back at any time (`second-returned`), before the drive or after it.
 *   5. Replay with a member absent rescues stripes first: `rescue` before or in `replay`.
 *
 * What may be trusted in each state
 *   freezing    nothing is logged yet; giving up costs nothing
 *   open        no member's data changes; what is newer is in the log
 *   returning   as open; the drive is being compared
 *   replaying   stripes below the cursor are on the members, others in the log; the drive is back
 *   thawing     the same without the drive
 *   closed      everything is on the members; who did not come back is on record as missing it
 *   aborted     the operator called it off: the drive is back and everything is on the members; or
 *               the freeze failed, and there never was a window
 *
 * Time and fill are events here, and conditions: they are reported again for as long as they hold,
 * so that a deadline that passed with a second member absent counts as soon as that one is back. An
 * event that leads to a replay or a thaw is put to the table when host I/O is already held: what was
 * true when it was noticed need not be true any more.
 */

import type { WindowState } from '../status.ts';
import { windowStates } from '../status.ts';
import { type Cell, type Decision, decide, type Machine, type Move } from './machine.ts';

export const windowEvents = [
  /** All members flushed and labelled, the leaving one last; the log's new epoch is on all legs. */
  'frozen',
  'freeze-failed',
  /** The time limit is over. */
  'expired',
  'log-70',
  'log-85',
  'log-95',
  /** Space was freed: below the last mark again. */
  'log-relieved',
  /** Any member but the one that is away; in replay, any. */
  'second-failed',
  'second-returned',
  /**
   * More members are gone than the level tolerates, while members change: in replay and thaw only.
   */
  'redundancy-lost',
  'leg-lost',
  /** Another leg is in its place and holds everything. */
  'leg-restored',
  'log-lost',
  'drive-returned',
  'drive-verified',
  'drive-rejected',
  'replayed',
  /** The same in a window that the operator called off. */
  'replayed-aborted',
  'abort',
  'extend',
] as const;
export type WindowEvent = (typeof windowEvents)[number];

export const windowEffects = [
  /** Close the leaving drive completely, then let writes in: to the log. */
  'release-drive',
  'admit-to-log',
  'start-timer',
  /** The leaving drive is a member again; labels as before. */
  'undo-freeze',
  'warn',
  /** Ask for the drive, loudly, until it is back. */
  'recall',
  /** The drive is not wanted in a hurry any more. What else asks for it does so again at once. */
  'end-recall',
  /** A write that finds no room in the log waits. */
  'hold-writes',
  'admit-writes',
  /** Identify the drive and compare it with the frozen survivors. */
  'verify',
  /** On record: replaying; from now on members change. */
  'replay',
  /** The same without the drive: it is on record as missing what comes now. */
  'replay-without',
  /**
   * On record: the failed member misses writes from here; stripes are rescued into the log before
   * they change.
   */
  'rescue',
  /** Bump the generation, release the log, allow spares again. */
  'close',
  /** Hold all host I/O that cannot be served; the log is the only copy of what was acknowledged. */
  'suspend',
  'halt',
] as const;
export type WindowEffect = (typeof windowEffects)[number];

type WindowCell = Cell<WindowState, WindowEffect>;
const to = (state: WindowState, ...effects: WindowEffect[]): Move<WindowState, WindowEffect> => ({
  to: state,
  effects,
});

/** Nothing touches a window that has ended; late timers and marks may still arrive. */
const ended: Partial<Record<WindowEvent, WindowCell>> = {
  expired: 'ignored',
  'log-70': 'ignored',
  'log-85': 'ignored',
  'log-95': 'ignored',
  'log-relieved': 'ignored',
  'second-failed': 'ignored',
  'second-returned': 'ignored',
  'leg-lost': 'ignored',
  'leg-restored': 'ignored',
  'log-lost': 'ignored',
  'drive-returned': 'refused',
  abort: 'refused',
  extend: 'refused',
};

export const windowMachine: Machine<WindowState, WindowEvent, WindowEffect> = {
  name: 'window',
  states: windowStates,
  events: windowEvents,
  rows: {
    freezing: {
      frozen: to('open', 'release-drive', 'admit-to-log', 'start-timer'),
      'freeze-failed': to('aborted', 'undo-freeze'),
      'second-failed': to('aborted', 'undo-freeze'),
      'leg-lost': to('aborted', 'undo-freeze'),
      'leg-restored': 'ignored',
      'log-lost': to('aborted', 'undo-freeze'),
      // A moment later it is open, and can be called off.
      abort: 'refused',
      'second-returned': 'ignored',
      'drive-returned': 'refused',
      extend: 'refused',
    },
    open: {
      expired: { alone: to('thawing', 'replay-without'), second: to('open', 'recall') },
      'log-70': to('open', 'warn'),
      'log-85': to('open', 'recall'),
      'log-95': {
        alone: to('thawing', 'replay-without'),
        second: to('open', 'recall', 'hold-writes'),
      },
      'log-relieved': to('open', 'admit-writes'),
      'second-failed': to('open', 'recall'),
      'second-returned': {
        alone: to('open', 'end-recall', 'admit-writes'),
        second: to('open', 'admit-writes'),
      },
      'leg-lost': to('open', 'recall'),
      'leg-restored': { alone: to('open', 'end-recall'), second: to('open') },
      // Alone, what the log still answers can be brought home. Second: only waiting keeps every way
      // open.
      'log-lost': {
        alone: to('thawing', 'suspend', 'replay-without'),
        second: to('open', 'suspend', 'recall'),
      },
      'drive-returned': to('returning', 'verify'),
      // As a return: the drive comes back as it left, and what was logged is replayed.
      abort: to('returning', 'verify'),
      extend: to('open', 'start-timer'),
    },
    returning: {
      'drive-verified': to('replaying', 'replay'),
      // With a second member absent it is still this drive that is wanted, or another one like it.
      'drive-rejected': { alone: to('open'), second: to('open', 'recall') },
      // The drive is here: it is decided first, and the timer asked again if it is rejected.
      expired: 'ignored',
      'log-70': to('returning', 'warn'),
      'log-85': to('returning', 'warn'),
      'log-95': to('returning', 'hold-writes'),
      'log-relieved': to('returning', 'admit-writes'),
      // What it was compared with has changed: what is left of it counts.
      'second-failed': to('returning', 'verify'),
      // It could not be compared, or only in part: now it can.
      'second-returned': to('returning', 'verify', 'admit-writes'),
      'leg-lost': to('returning', 'warn'),
      'leg-restored': 'ignored',
      'log-lost': to('returning', 'suspend'),
      'drive-returned': 'refused',
      abort: 'refused',
      extend: to('returning', 'start-timer'),
    },
    replaying: {
      replayed: to('closed', 'close'),
      'replayed-aborted': to('aborted', 'close'),
      expired: 'ignored',
      'log-70': to('replaying', 'warn'),
      'log-85': to('replaying', 'warn'),
      'log-95': to('replaying', 'hold-writes'),
      'log-relieved': to('replaying', 'admit-writes'),
      'second-failed': to('replaying', 'rescue'),
      // It misses what was replayed meanwhile: a rebuild by bitmap, once the window is closed.
      'second-returned': 'ignored',
      'redundancy-lost': to('replaying', 'halt'),
      'leg-lost': to('replaying', 'warn'),
      'leg-restored': 'ignored',
      'log-lost': to('replaying', 'suspend'),
      'drive-returned': 'refused',
      abort: 'refused',
      extend: 'refused',
    },
    thawing: {
      replayed: to('closed', 'close'),
      expired: 'ignored',
      'log-70': to('thawing', 'warn'),
      'log-85': to('thawing', 'warn'),
      'log-95': to('thawing', 'hold-writes'),
      'log-relieved': to('thawing', 'admit-writes'),
      'second-failed': to('thawing', 'rescue'),
      'second-returned': 'ignored',
      'redundancy-lost': to('thawing', 'halt'),
      'leg-lost': to('thawing', 'warn'),
      'leg-restored': 'ignored',
      'log-lost': to('thawing', 'suspend'),
      // It has missed writes by now; once the thaw is done it comes back by a short resync.
      'drive-returned': 'refused',
      abort: 'refused',
      extend: 'refused',
    },
    closed: ended,
    aborted: ended,
  },
};

export interface WindowContext {
  /**
   * Is a member other than the drive of the window absent? After the event, for events that change
   * it.
   */
  readonly secondAbsent: boolean;
}

export const decideWindow = (
  state: WindowState,
  event: WindowEvent,
  context: WindowContext,
): Decision<WindowState, WindowEffect> => decide(windowMachine, state, event, context.secondAbsent);

/**
 * May this window go on without its drive? The one question that rules 2 and 3 turn on, asked again
 * right before a thaw becomes durable, however it was decided.
 */
export const mayThaw = (state: WindowState, context: WindowContext): boolean =>
  state === 'open' && !context.secondAbsent;
