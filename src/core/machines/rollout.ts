/**
 * A rollout as a whole, and each of its drives, as two tables. What leads to an event is decided in
 * rollout-decisions.ts; who carries it out is control/rollouts.
 *
 * Rules
 *   - Whatever the administrator says, and whatever went wrong, a drive at work is finished first:
 *     a flash that is broken off half-way is the worst that can be done to a drive.
 *   - A rollout that has halted says why once; trouble that follows from it does not replace the
 *     reason. Only `resume` lets another drive go.
 *   - `stopped` and `done` are for good.
 */

import type { RolloutDriveState, RolloutState } from '../rollout-report.ts';
import { rolloutDriveStates, rolloutStates } from '../rollout-report.ts';
import { type Cell, type Decision, decide, type Machine, type Move } from './machine.ts';

export const rolloutEvents = [
  'pause',
  'resume',
  'stop',
  /** A bad result, new errors, a second failure, a refusal. */
  'trouble',
  /** No drive is pending, at work or soaking. */
  'settled',
] as const;
export type RolloutEvent = (typeof rolloutEvents)[number];

export const rolloutEffects = [
  /** What the volumes are like now is what they are held against from now on. */
  'take-as-it-is',
  /** Look which drive may go next. */
  'go-on',
  'say-why',
  /** Nothing more begins; its volumes are free again as soon as nothing is at work. */
  'release',
] as const;
export type RolloutEffect = (typeof rolloutEffects)[number];

type RolloutCell = Cell<RolloutState, RolloutEffect>;
const to = (
  state: RolloutState,
  ...effects: RolloutEffect[]
): Move<RolloutState, RolloutEffect> => ({
  to: state,
  effects,
});

const over: Record<RolloutEvent, RolloutCell> = {
  pause: 'refused',
  resume: 'refused',
  stop: 'refused',
  // Of the drive that was at work when it was stopped: it is on record with the drive.
  trouble: 'ignored',
  settled: 'ignored',
};

export const rolloutMachine: Machine<RolloutState, RolloutEvent, RolloutEffect> = {
  name: 'rollout',
  states: rolloutStates,
  events: rolloutEvents,
  rows: {
    running: {
      pause: to('paused', 'say-why'),
      resume: 'ignored',
      stop: to('stopped', 'say-why', 'release'),
      trouble: to('halted', 'say-why'),
      settled: to('done', 'release'),
    },
    paused: {
      pause: 'ignored',
      resume: to('running', 'take-as-it-is', 'go-on'),
      stop: to('stopped', 'say-why', 'release'),
      trouble: to('halted', 'say-why'),
      // The drive at work was the last one.
      settled: to('done', 'release'),
    },
    halted: {
      // It stands still already; the reason to halt is worth more than the wish to pause.
      pause: 'ignored',
      resume: to('running', 'take-as-it-is', 'go-on'),
      stop: to('stopped', 'say-why', 'release'),
      trouble: 'ignored',
      // There may be a drive to try again: `resume` or `stop` ends it.
      settled: 'ignored',
    },
    // Asking twice to stop is asking once.
    stopped: { ...over, stop: 'ignored' },
    done: over,
  },
};

export const decideRollout = (
  state: RolloutState,
  event: RolloutEvent,
): Decision<RolloutState, RolloutEffect> => decide(rolloutMachine, state, event, false);

export const rolloutDriveEvents = [
  /** Its turn came, and it turned out that nothing is to be done. */
  'needless',
  'begun',
  /** Its run did not begin, or was recalled before it touched the drive. */
  'put-off',
  /** Back, with the new version. */
  'applied',
  /** Back, with the version it had. */
  'unchanged',
  'went-wrong',
  /** The soak time is over, and drive and volume are well. */
  'soaked',
  /** While it was soaking, or at the end of it: gone, failed, errors, another version. */
  'unwell',
  'retry',
] as const;
export type RolloutDriveEvent = (typeof rolloutDriveEvents)[number];

/** Nothing but the state follows from an event of a drive: the rollout's own table does the rest. */
type DriveCell = Cell<RolloutDriveState, never>;
const into = (state: RolloutDriveState): DriveCell => ({ to: state, effects: [] });

export const rolloutDriveMachine: Machine<RolloutDriveState, RolloutDriveEvent, never> = {
  name: 'rollout-drive',
  states: rolloutDriveStates,
  events: rolloutDriveEvents,
  rows: {
    pending: {
      needless: into('skipped'),
      begun: into('running'),
      // It does not answer, before anything has begun.
      'went-wrong': into('failed'),
      retry: 'ignored',
    },
    running: {
      'put-off': into('pending'),
      applied: into('soaking'),
      unchanged: into('not-applied'),
      'went-wrong': into('failed'),
      retry: 'ignored',
    },
    soaking: {
      soaked: into('done'),
      unwell: into('failed'),
      retry: 'ignored',
    },
    done: { retry: 'ignored' },
    skipped: { retry: 'ignored' },
    'not-applied': { retry: into('pending') },
    failed: { retry: into('pending') },
  },
};

/** The state after the event; the same one where it is ignored. */
export function nextRolloutDriveState(
  state: RolloutDriveState,
  event: RolloutDriveEvent,
): RolloutDriveState {
  const decision = decide(rolloutDriveMachine, state, event, false);
  return decision.kind === 'move' ? decision.to : state;
}
