/**
 * The state × second-fault matrix: what must come of every fault in every state. Design section 6 decides where the
 * words differ.
 *
 *   whole     nothing is lost and nothing is refused: all of it reads right, writes go on, optimal in the end
 *   no window the freeze is given up, and the rest is as `whole`
 *   held      what needs both drives, and only that, is answered with an error (or waits); the return brings all of it back
 *   held, errors  as `held`, and as `errors` once the drive is back: what is bad on one and was on the other
 *   errors    exactly the sectors that exist nowhere any more are errors, nothing is wrong, everything else goes on
 *   around    as `errors`; the rebuild goes around them, and ends by itself once they were written anew
 *   halted    host I/O is refused, nothing is touched; with the drives back everything acknowledged is there
 */

import type { Fault } from './matrix-faults.ts';
import type { State } from './matrix-states.ts';

export type Outcome =
  | 'whole'
  | 'no window'
  | 'held'
  | 'held, errors'
  | 'errors'
  | 'around'
  | 'halted';

const matrix: Record<State, Partial<Record<Fault, Outcome>>> = {
  optimal: {
    'another member is lost': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'whole',
  },
  unclean: {
    'another member is lost': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'whole',
  },
  // Stripes are not in the log first here: parity that a crash left in doubt makes nothing of a chunk that is then lost.
  resyncing: {
    'another member is lost': 'errors',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'whole',
  },
  degraded: {
    'another member is lost': 'halted',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'errors',
  },
  rebuilding: {
    'another member is lost': 'halted',
    'the drive itself is lost for good': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'around',
  },
  'about to freeze': {
    'another member is lost': 'no window',
    'the drive itself is lost for good': 'no window',
    'one log leg is lost': 'no window',
    'no log leg takes writes': 'no window',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'held',
  },
  freezing: {
    'another member is lost': 'no window',
    'the drive itself is lost for good': 'no window',
    // The log's header is on both legs already: the window opens, and its drive is wanted back at once.
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'held',
  },
  frozen: {
    'another member is lost': 'held',
    'the drive itself is lost for good': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'held',
  },
  'frozen, one failed': {
    'another member is lost': 'held',
    'the drive itself is lost for good': 'errors',
    'one log leg is lost': 'held',
    'no log leg takes writes': 'held',
    kill: 'held',
    'power cut': 'held',
    'bad sectors on another member': 'held, errors',
  },
  returning: {
    'another member is lost': 'whole',
    'the drive itself is lost for good': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'whole',
  },
  replaying: {
    'another member is lost': 'whole',
    'the drive itself is lost for good': 'whole',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'whole',
  },
  'replaying, one failed': {
    'another member is lost': 'halted',
    'the drive itself is lost for good': 'halted',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'errors',
  },
  thawing: {
    'another member is lost': 'halted',
    'one log leg is lost': 'whole',
    'no log leg takes writes': 'whole',
    kill: 'whole',
    'power cut': 'whole',
    'bad sectors on another member': 'errors',
  },
};

/**
 * A mirror of two with both absent has no member left that could record the second failure. Nothing was written to any
 * member since the freeze, so a start may use the one that is there, and does.
 */
const mirrorOfTwo: Partial<Record<State, Partial<Record<Fault, Outcome>>>> = {
  'frozen, one failed': { kill: 'whole', 'power cut': 'whole' },
};

/** Copies need no parity, and the member that is lost held nothing but parity in levels 3 and 4. */
const withoutDoubt: readonly number[] = [1, 3, 4];

/** undefined: there is no such cell. */
export function outcomeOf(level: number, state: State, fault: Fault): Outcome | undefined {
  const isDoubt = state === 'resyncing' && fault === 'another member is lost';
  if (isDoubt && withoutDoubt.includes(level)) return 'whole';
  if (level !== 1) return matrix[state][fault];
  // The other member is the one that has failed already.
  if (fault.endsWith('another member') && state.endsWith('one failed')) return undefined;
  if (fault === 'another member is lost' && state.endsWith('one failed')) return undefined;
  return mirrorOfTwo[state]?.[fault] ?? matrix[state][fault];
}
