/**
 * The fault classes and the states that the coverage table has rows and columns for. What a part reports is put into the row
 * whose identifier it begins with ("F-14 vanish, between two writes" is F-14); anything else gets a row of its own.
 */

import { volumeStates } from '../src/core/status.ts';

export interface FaultClass {
  readonly id: string;
  readonly name: string;
}

export const faultClasses: readonly FaultClass[] = [
  { id: 'F-1', name: 'EIO on write' },
  { id: 'F-2', name: 'EIO on read, transient' },
  { id: 'F-3', name: 'latent sector error' },
  { id: 'F-4', name: 'torn write' },
  { id: 'F-5', name: 'lost write (acknowledged, not stored)' },
  { id: 'F-6', name: 'misdirected write' },
  { id: 'F-7', name: 'misdirected read' },
  { id: 'F-8', name: 'bit rot' },
  { id: 'F-9', name: 'slow drive' },
  { id: 'F-10', name: 'hung drive, late completion' },
  { id: 'F-11', name: 'error on flush' },
  { id: 'F-12', name: 'flush that lies' },
  { id: 'F-13', name: 'no space' },
  { id: 'F-14', name: 'drive vanishes' },
  { id: 'F-15', name: 'drive re-appears, same generation' },
  { id: 'F-16', name: 'drive re-appears stale or rolled back' },
  { id: 'F-17', name: 'drive re-appears newer' },
  { id: 'F-18', name: 'cloned drive' },
  { id: 'F-19', name: 'drive of the wrong size' },
  { id: 'F-20', name: 'drive of the wrong sector size' },
  { id: 'F-21', name: 'read-only drive' },
  { id: 'F-22', name: 'drive returns with changed contents' },
  { id: 'F-23', name: 'partial transfer, EINTR, EAGAIN' },
  { id: 'F-24', name: 'ESTALE, EBADF from the layer below' },
  { id: 'R-1', name: 'one log leg fails' },
  { id: 'R-2', name: 'last log leg cannot be written' },
  { id: 'R-3', name: 'last log leg cannot be read' },
  { id: 'R-4', name: 'log full' },
  { id: 'R-5', name: 'damaged log record' },
  { id: 'R-6', name: 'torn tail of the log' },
  { id: 'R-7', name: 'stale log leg' },
  { id: 'R-8', name: 'foreign or recycled log' },
  { id: 'R-9', name: 'lost or misdirected log write' },
  { id: 'R-10', name: 'log missing at start' },
  { id: 'R-11', name: 'slow or hung log leg' },
  { id: 'C-1', name: 'kill -9 at any point' },
  { id: 'C-2', name: 'power cut, un-flushed writes lost in any subset' },
  { id: 'C-3', name: 'crash during recovery, repeatedly' },
  { id: 'C-4', name: 'SIGTERM with clients connected' },
  { id: 'C-5', name: 'stall of the event loop' },
  { id: 'C-6', name: 'memory pressure' },
  { id: 'C-7', name: 'jump of the clock' },
  { id: 'C-8', name: 'two servers on the same drives' },
  { id: 'C-9', name: 'another version of the format' },
  { id: 'C-10', name: 'assertion fails in production' },
  { id: 'N-1', name: 'half-sent request' },
  { id: 'N-2', name: 'disconnect with requests in flight' },
  { id: 'N-3', name: 'client does not read its replies' },
  { id: 'N-4', name: 'flood of connections' },
  { id: 'N-5', name: 'huge length' },
  { id: 'N-6', name: 'offset overflow, beyond the end, unaligned' },
  { id: 'N-7', name: 'bad magic, unknown command or flag' },
  { id: 'N-8', name: 'cookie reuse, many outstanding' },
  { id: 'N-9', name: 'flush covers writes of other connections' },
  { id: 'N-10', name: 'request of a dead connection, sent again' },
  { id: 'N-11', name: 'reset and half-open connections' },
];

export interface HoldingTest {
  /** Relative to the repository. */
  readonly file: string;
  readonly test: string;
}

/**
 * Classes that no part of the run may meet, and what holds them then: tests of their own, by the names they have in their
 * files (a test of this list looks). What a part does meet stands in the table all the same.
 */
export const heldBy: Readonly<Record<string, readonly HoldingTest[]>> = {
  'F-17': [
    {
      file: 'tests/unit/core/assembly.test.ts',
      test: '@H8 both halves of a mirror went on, each with no more events than a crash may leave',
    },
    {
      file: 'tests/directed-traps/former-members.test.ts',
      test: 'a drive that was used elsewhere since comes back: refused, and rebuilt when told to',
    },
  ],
  'F-20': [
    {
      file: 'tests/directed/window-end.test.ts',
      test: '6.3.1 it comes back with blocks of 4 KiB instead of 512 bytes: refused',
    },
  ],
  'C-6': [
    {
      file: 'tests/unit/nbd/session-limits.test.ts',
      test: 'greedy connections leave memory for the others',
    },
    {
      file: 'tests/unit/nbd/session-limits.test.ts',
      test: 'who finds the pool empty waits, and goes on when something comes back',
    },
    {
      file: 'tests/unit/engine/full-pool.test.ts',
      test: 'all members take a label while the pool has a buffer for each and no other: nobody who holds one waits for another',
    },
  ],
  'C-8': [
    {
      file: 'tests/e2e/crash.test.ts',
      test: 'two servers on one state: the second is refused and the first goes on',
    },
    {
      file: 'tests/e2e/crash.test.ts',
      test: 'two servers on the same drives: the second may not have them',
    },
  ],
  'C-9': [
    {
      file: 'tests/unit/core/format/label.test.ts',
      test: 'a copy written by newer software wins, wherever it lies; of two corrupt ones the first is told',
    },
    {
      file: 'tests/unit/core/format/leg-header.test.ts',
      test: 'a newer version is no blank: the magic is still there',
    },
    {
      file: 'tests/unit/core/assembly.test.ts',
      test: 'damaged drives are refused by name; force leaves them out',
    },
  ],
  'C-10': [
    {
      file: 'tests/unit/daemon/volume-thread.test.ts',
      test: 'a fault in a worker thread: it says so and stands still, and the process goes on',
    },
    {
      file: 'tests/unit/control/control-plane.test.ts',
      test: 'a thread that dies: an event, a halted volume, and the server goes on',
    },
  ],
};

const secondFailure = ', second failure';
export const otherState = 'other';

/** In the order of the table. */
export const stateColumns: readonly string[] = [
  'optimal',
  'resyncing',
  'degraded',
  'rebuilding',
  'freezing',
  'frozen',
  `frozen${secondFailure}`,
  'replaying',
  `replaying${secondFailure}`,
  'thawing',
  'suspended',
  'halted',
  otherState,
];

/** The column for a state as a part has named it; parts add their own words to the volume's. */
export function columnOf(state: string): string {
  const words = state.toLowerCase();
  const known = volumeStates.find((one) => words.startsWith(one));
  if (known === undefined) return otherState;
  const isSecond = /second|fail|two absent|doubly/.test(words.slice(known.length));
  const column = isSecond ? `${known}${secondFailure}` : known;
  return stateColumns.includes(column) ? column : known;
}

/** "F-14 vanish, quickly" → "F-14"; null for what has no identifier. */
export const classIdOf = (fault: string): string | null =>
  /^([FRCN]-\d+)\b/.exec(fault)?.[1] ?? null;
