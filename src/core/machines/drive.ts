/**
 * The life of a drive in a volume.
 *
 * What may be trusted in each state
 *   online      every acknowledged write is on it, but for those that a window's log still holds
 *   away        closed by the server; its data is that of the freeze: current until a replay begins
 *   returning   open again: compared with the frozen survivors or, blank, made from them
 *   failed      not used; in a window its data is that of the freeze, otherwise it misses writes
 *   missing     as failed, and not there since the start; or no drive is in the slot
 *   rebuilding  right where the rebuild has been; not to be read elsewhere
 *   spare       nothing
 *
 * Every change of a state in a running volume is one of these events. What a drive is when its
 * volume is assembled or created, or when it is added, is decided there: a state to begin with, and
 * no event.
 */

import type { DriveState } from '../status.ts';
import { driveStates } from '../status.ts';
import { type Cell, type Decision, decide, type Machine } from './machine.ts';

export const driveEvents = [
  /** A window is being opened on it: it is about to leave. */
  'window-opened',
  /** The window did not come about: nothing was written without it. */
  'freeze-failed',
  /** Open again, to be compared. */
  'returned',
  'rejected',
  /** Compared or rebuilt, and the replay begins. */
  'verified',
  /** The replay begins without it. */
  'thawed',
  /** It failed a write or a flush, missed its deadline, or had too many read errors. */
  'io-failed',
  /** A probe found it gone. */
  'vanished',
  /** A member of the frozen generation is there again. */
  'reappeared',
  'rebuild-started',
  'rebuilt',
  'failed-by-hand',
  'removed',
  'taken-from-spares',
] as const;
export type DriveEvent = (typeof driveEvents)[number];

/** Nothing but the state follows from an event here: the window and the jobs do the work. */
type DriveCell = Cell<DriveState, never>;
const to = (state: DriveState): DriveCell => ({ to: state, effects: [] });

export const driveMachine: Machine<DriveState, DriveEvent, never> = {
  name: 'drive',
  states: driveStates,
  events: driveEvents,
  rows: {
    online: {
      'window-opened': to('away'),
      'io-failed': to('failed'),
      vanished: to('failed'),
      'failed-by-hand': to('failed'),
      removed: 'refused',
    },
    away: {
      'freeze-failed': to('online'),
      returned: to('returning'),
      // Nothing but the log has changed: what it lacks is marked, and a short resync brings it
      // back.
      thawed: to('failed'),
      // While the window is opened it is still in use. Once it has left it may go and come as it likes: the server does not
      // look. That a start could not put the freeze on it is no such event either: it stays away.
      'io-failed': to('failed'),
      vanished: to('failed'),
      // It failed while it was compared, and was away again before the verdict.
      rejected: 'ignored',
      'failed-by-hand': 'refused',
      removed: 'refused',
    },
    returning: {
      verified: to('online'),
      // Nothing was written to it, or it was blank before: whatever is wrong with it, it is as
      // absent as before and may be returned again.
      rejected: to('away'),
      'io-failed': to('away'),
      vanished: to('away'),
      'failed-by-hand': 'refused',
      removed: 'refused',
    },
    failed: {
      // In a window it is still of the frozen generation. Outside, `rebuild-started` comes instead.
      reappeared: to('online'),
      'rebuild-started': to('rebuilding'),
      removed: to('missing'),
      // The freeze did not come about, and it failed meanwhile.
      'freeze-failed': 'ignored',
      'io-failed': 'ignored',
      vanished: 'ignored',
      'failed-by-hand': 'refused',
    },
    missing: {
      reappeared: to('online'),
      'rebuild-started': to('rebuilding'),
      removed: 'ignored',
      'io-failed': 'ignored',
      vanished: 'ignored',
      'failed-by-hand': 'refused',
    },
    rebuilding: {
      rebuilt: to('online'),
      'io-failed': to('failed'),
      vanished: to('failed'),
      'failed-by-hand': to('failed'),
      removed: 'refused',
    },
    spare: {
      'taken-from-spares': to('rebuilding'),
      'io-failed': to('failed'),
      vanished: to('failed'),
      'failed-by-hand': to('failed'),
      removed: to('missing'),
    },
  },
};

export const decideDrive = (state: DriveState, event: DriveEvent): Decision<DriveState, never> =>
  decide(driveMachine, state, event, false);

/** The state after the event; the same one where it is ignored or refused. */
export function nextDriveState(state: DriveState, event: DriveEvent): DriveState {
  const decision = decideDrive(state, event);
  return decision.kind === 'move' ? decision.to : state;
}
