/**
 * The life of a drive in a volume.
 *
 * What may be trusted in each state
 *   online      every acknowledged write is on it, but for those that a window's log still holds
 *   away        closed by the server; its data is that of the freeze: current until a replay begins
 *   returning   open again, only to be compared with the frozen survivors
 *   failed      not used; in a window its data is that of the freeze, otherwise it misses writes
 *   missing     as failed, and not there
 *   rebuilding  right where the rebuild has been; not to be read elsewhere
 *   spare       nothing
 */

import type { DriveState } from '../status.ts';
import { driveStates } from '../status.ts';
import { type Cell, type Decision, decide, type Machine } from './machine.ts';

export const driveEvents = [
  'window-opened',
  'freeze-failed',
  'returned',
  'rejected',
  'verified',
  'replayed',
  'thawed',
  'io-failed',
  'vanished',
  'reappeared',
  'rebuild-started',
  'rebuilt',
  'failed-by-hand',
  'removed',
  'added-as-spare',
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
      vanished: to('missing'),
      'failed-by-hand': to('failed'),
      removed: 'refused',
      'added-as-spare': 'refused',
      replayed: 'ignored',
    },
    away: {
      // The freeze did not come about: nothing was written without it.
      'freeze-failed': to('online'),
      returned: to('returning'),
      // Nothing but the log has changed: what it lacks is marked, and a short resync brings it
      // back.
      thawed: to('failed'),
      // The server has closed it, so it may go and come as it likes.
      vanished: 'ignored',
      reappeared: 'ignored',
      'failed-by-hand': 'refused',
      removed: 'refused',
      'added-as-spare': 'refused',
    },
    returning: {
      verified: to('online'),
      // Nothing was written to it: whatever is wrong with it, it is as absent as before and may be
      // returned again.
      rejected: to('away'),
      'io-failed': to('away'),
      vanished: to('away'),
      // Blank or foreign, and all others are there: recreated from the frozen survivors.
      'rebuild-started': to('rebuilding'),
      'failed-by-hand': 'refused',
      removed: 'refused',
      'added-as-spare': 'refused',
    },
    failed: {
      // In a window it is still of the frozen generation. Outside, `rebuild-started` comes instead.
      reappeared: to('online'),
      'rebuild-started': to('rebuilding'),
      removed: to('missing'),
      vanished: 'ignored',
      'io-failed': 'ignored',
      'failed-by-hand': 'refused',
      'added-as-spare': 'refused',
      replayed: 'ignored',
      thawed: 'ignored',
    },
    missing: {
      reappeared: to('online'),
      'rebuild-started': to('rebuilding'),
      removed: 'ignored',
      vanished: 'ignored',
      'io-failed': 'ignored',
      'failed-by-hand': 'refused',
      replayed: 'ignored',
      thawed: 'ignored',
    },
    rebuilding: {
      rebuilt: to('online'),
      'io-failed': to('failed'),
      vanished: to('missing'),
      'failed-by-hand': to('failed'),
      // The blank drive of a window, given up: the slot is as absent as before.
      rejected: to('away'),
      // Resumed after a restart.
      'rebuild-started': 'ignored',
      removed: 'refused',
      'added-as-spare': 'refused',
      replayed: 'ignored',
    },
    spare: {
      'taken-from-spares': to('rebuilding'),
      'io-failed': to('failed'),
      vanished: to('missing'),
      'failed-by-hand': to('failed'),
      removed: to('missing'),
      'added-as-spare': 'refused',
      replayed: 'ignored',
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
