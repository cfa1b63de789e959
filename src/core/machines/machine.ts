/**
 * State machines as tables. A row per state, a cell per event; `decide` looks the cell up and
 * answers what to do as plain data. No machine reads a clock, touches a drive or keeps anything:
 * whoever asked performs the effects in their order and reports back what came of them as events.
 *
 * A cell is
 *   a move      go to `to` (which may be the same state) and perform `effects`
 *   a choice    two moves: one while nothing else is absent (`alone`), one with a second member
 *               absent (`second`)
 *   'ignored'   can happen, and nothing follows
 *   'refused'   somebody asked for it, and the answer is no
 *   missing     cannot happen: asking for it is a bug, and stops the process with the label
 *               machine/state/event
 */

import { assert } from '../../base/assert.ts';

export interface Move<State extends string, Effect extends string> {
  readonly to: State;
  readonly effects: readonly Effect[];
}

export interface Choice<State extends string, Effect extends string> {
  readonly alone: Move<State, Effect>;
  readonly second: Move<State, Effect>;
}

export type Cell<State extends string, Effect extends string> =
  | Move<State, Effect>
  | Choice<State, Effect>
  | 'ignored'
  | 'refused';

export interface Machine<State extends string, Event extends string, Effect extends string> {
  readonly name: string;
  readonly states: readonly State[];
  readonly events: readonly Event[];
  readonly rows: Readonly<Record<State, Readonly<Partial<Record<Event, Cell<State, Effect>>>>>>;
}

export type Decision<State extends string, Effect extends string> =
  | { readonly kind: 'move'; readonly to: State; readonly effects: readonly Effect[] }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'refused' };

export function decide<State extends string, Event extends string, Effect extends string>(
  machine: Machine<State, Event, Effect>,
  state: State,
  event: Event,
  secondAbsent: boolean,
): Decision<State, Effect> {
  const cell = machine.rows[state][event];
  assert(cell !== undefined, `impossible: ${machine.name}/${state}/${event}`);
  if (typeof cell === 'string') return { kind: cell };
  const { to, effects } = moveOf(cell, secondAbsent);
  return { kind: 'move', to, effects };
}

function moveOf<State extends string, Effect extends string>(
  cell: Move<State, Effect> | Choice<State, Effect>,
  secondAbsent: boolean,
): Move<State, Effect> {
  if ('to' in cell) return cell;
  return secondAbsent ? cell.second : cell.alone;
}
