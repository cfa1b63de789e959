/**
 * The one place where the state of a window changes. core/machines/window.ts decides; what it wants done is returned to
 * the caller, after the part that is a word to somebody (ask for the drive, wake up those who wait) is done here.
 *
 *   release-drive, admit-to-log, undo-freeze, verify, replay, replay-without, close   the window runner
 *   rescue                                 the stripe journal, by itself, for every stripe of a degraded volume
 *   hold-writes, suspend                   the write path: what finds no room waits outside the gate
 *   warn, start-timer                      events of the ticker; the time limit is looked at each second
 *   halt                                   failure.ts
 */

import { assert } from '../base/assert.ts';
import {
  decideWindow,
  type WindowContext,
  type WindowEffect,
  type WindowEvent,
} from '../core/machines/window.ts';
import { bit } from './members.ts';
import type { VolumeCore, WindowFacts } from './volume-core.ts';

const NOTHING: readonly WindowEffect[] = [];

/** Is a member besides the drive of the window absent? */
export const contextOf = (v: VolumeCore, window: WindowFacts): WindowContext => ({
  secondAbsent: (v.members.absentMask & ~bit(window.slot)) !== 0,
});

/** What would follow, with nothing changed. */
export function askWindow(v: VolumeCore, event: WindowEvent): readonly WindowEffect[] {
  const window = v.window;
  if (window === null) return NOTHING;
  const decision = decideWindow(window.state, event, contextOf(v, window));
  return decision.kind === 'move' ? decision.effects : NOTHING;
}

export function isRefused(v: VolumeCore, event: WindowEvent): boolean {
  const window = v.window;
  return (
    window !== null && decideWindow(window.state, event, contextOf(v, window)).kind === 'refused'
  );
}

/** The event has happened: the window moves, and what is left to do is returned. */
export function tellWindow(v: VolumeCore, event: WindowEvent): readonly WindowEffect[] {
  const window = v.window;
  if (window === null) return NOTHING;
  const decision = decideWindow(window.state, event, contextOf(v, window));
  assert(decision.kind !== 'refused', `window: ${event} is asked for before it is told`);
  if (decision.kind !== 'move') return NOTHING;
  window.state = decision.to;
  for (const effect of decision.effects) speak(v, window, effect);
  return decision.effects;
}

type Seen = Pick<
  WindowFacts,
  | 'verify'
  | 'secondFailures'
  | 'recall'
  | 'replayedBytes'
  | 'replayTotalBytes'
  | 'heldReads'
  | 'expired'
>;

/** What a server sees of a window itself, and on no record: at the freeze, and again after each start. */
export const nothingSeenYet = (): Seen => ({
  verify: null,
  secondFailures: [],
  recall: false,
  replayedBytes: 0,
  replayTotalBytes: 0,
  heldReads: 0,
  expired: false,
});

/** The drive of the window, for people: after a start nobody may know where it was. */
export const driveOf = ({ path, slot }: WindowFacts): string => path || `slot ${slot}`;

function speak(v: VolumeCore, window: WindowFacts, effect: WindowEffect): void {
  switch (effect) {
    case 'recall':
      if (window.recall) return;
      window.recall = true;
      v.emit(
        'recall',
        'critical',
        `Drive ${driveOf(window)} of ${v.name} is wanted back now: \`locum status ${v.name}\` tells what to do.`,
        { slot: window.slot, path: window.path, window: window.id },
      );
      return;
    case 'end-recall':
      window.recall = false;
      return;
    case 'admit-writes':
      v.changed.raise();
      return;
    default:
      return;
  }
}
