/**
 * Every (state, event) cell of the drive and window machines, and the design's rules over all of
 * them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DriveEvent,
  decideDrive,
  driveEvents,
  driveMachine,
  nextDriveState,
} from '../../../../src/core/machines/drive.ts';
import { logMarkOf, mustHoldWrites } from '../../../../src/core/machines/log-fill.ts';
import type { Machine } from '../../../../src/core/machines/machine.ts';
import { renderMachine } from '../../../../src/core/machines/render.ts';
import {
  decideWindow,
  mayThaw,
  type WindowEvent,
  windowEffects,
  windowEvents,
  windowMachine,
} from '../../../../src/core/machines/window.ts';
import {
  type DriveState,
  driveStates,
  type WindowState,
  windowStates,
} from '../../../../src/core/status.ts';

/**
 * Each machine once more as text, written by hand: a cell that changes has to change here too. '-'
 * cannot happen.
 */
const driveCells: Record<DriveEvent, string> = {
  // online, away, returning, failed, missing, rebuilding, spare
  'window-opened': 'away - - - - - -',
  'freeze-failed': '- online - ignored - - -',
  returned: '- returning - - - - -',
  rejected: '- ignored away - - - -',
  verified: '- - online - - - -',
  thawed: '- failed - - - - -',
  'io-failed': 'failed failed away ignored ignored failed failed',
  vanished: 'failed failed away ignored ignored failed failed',
  reappeared: '- - - online online - -',
  'rebuild-started': '- - - rebuilding rebuilding - -',
  rebuilt: '- - - - - online -',
  'failed-by-hand': 'failed refused refused refused refused failed failed',
  removed: 'refused refused refused missing ignored refused missing',
  'taken-from-spares': '- - - - - - rebuilding',
};

const windowCells: Record<WindowEvent, string> = {
  // freezing, open, returning, replaying, thawing, closed, aborted; alone/second where they differ
  frozen: 'open - - - - - -',
  'freeze-failed': 'aborted - - - - - -',
  expired: '- thawing/open ignored ignored ignored ignored ignored',
  'log-70': '- open returning replaying thawing ignored ignored',
  'log-85': '- open returning replaying thawing ignored ignored',
  'log-95': '- thawing/open returning replaying thawing ignored ignored',
  'log-relieved': '- open returning replaying thawing ignored ignored',
  'second-failed': 'aborted open returning replaying thawing ignored ignored',
  'second-returned': 'ignored open returning ignored ignored ignored ignored',
  'redundancy-lost': '- - - replaying thawing - -',
  'leg-lost': 'aborted open returning replaying thawing ignored ignored',
  'leg-restored': 'ignored open ignored ignored ignored ignored ignored',
  'log-lost': 'aborted thawing/open returning replaying thawing ignored ignored',
  'drive-returned': 'refused returning refused refused refused refused refused',
  'drive-verified': '- - replaying - - - -',
  'drive-rejected': '- - open - - - -',
  replayed: '- - - closed closed - -',
  'replayed-aborted': '- - - aborted - - -',
  abort: 'refused returning refused refused refused refused refused',
  extend: 'refused open returning refused refused refused refused',
};

function answerOf(
  run: () => ReturnType<typeof decideDrive> | ReturnType<typeof decideWindow>,
  label: string,
): string {
  try {
    const decision = run();
    return decision.kind === 'move' ? decision.to : decision.kind;
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'AssertionError');
    assert.equal(error.message, `impossible: ${label}`);
    return '-';
  }
}

test('every cell of the drive machine', () => {
  for (const event of driveEvents) {
    const cells = driveStates.map((state) =>
      answerOf(() => decideDrive(state, event), `drive/${state}/${event}`),
    );
    assert.equal(cells.join(' '), driveCells[event], event);
  }
});

test('every cell of the window machine', () => {
  for (const event of windowEvents) {
    const cells = windowStates.map((state) => {
      const [alone, second] = [false, true].map((secondAbsent) =>
        answerOf(() => decideWindow(state, event, { secondAbsent }), `window/${state}/${event}`),
      );
      return alone === second ? alone : `${alone}/${second}`;
    });
    assert.equal(cells.join(' '), windowCells[event], event);
  }
});

function eachWindowMove(
  run: (
    from: WindowState,
    event: WindowEvent,
    second: boolean,
    to: WindowState,
    effects: readonly string[],
  ) => void,
): void {
  for (const state of windowStates) {
    for (const event of windowEvents) {
      if (windowMachine.rows[state][event] === undefined) continue;
      for (const secondAbsent of [false, true]) {
        const decision = decideWindow(state, event, { secondAbsent });
        if (decision.kind === 'move')
          run(state, event, secondAbsent, decision.to, decision.effects);
      }
    }
  }
}

test('rules 2 and 3: with a second member absent nothing leads to a thaw', () => {
  eachWindowMove((from, event, second, to, effects) => {
    if (!effects.includes('replay-without') && !(to === 'thawing' && from !== 'thawing')) return;
    assert.equal(second, false, `${from}/${event}`);
    assert.notEqual(event, 'second-failed');
    assert.ok(mayThaw(from, { secondAbsent: second }));
  });
  for (const state of windowStates) assert.equal(mayThaw(state, { secondAbsent: true }), false);
});

test('rule 3: expired or full, alone it thaws; otherwise it stays and asks for the drive', () => {
  for (const event of ['expired', 'log-95'] as const) {
    const alone = decideWindow('open', event, { secondAbsent: false });
    assert.deepEqual(alone, { kind: 'move', to: 'thawing', effects: ['replay-without'] });
    const second = decideWindow('open', event, { secondAbsent: true });
    assert.ok(second.kind === 'move' && second.to === 'open' && second.effects.includes('recall'));
    assert.equal(second.effects.includes('hold-writes'), event === 'log-95');
  }
});

test('rule 1: members change only after a decision to replay', () => {
  eachWindowMove((from, event, _second, to, effects) => {
    const changes = effects.some((effect) => effect === 'replay' || effect === 'replay-without');
    const entered = (to === 'replaying' || to === 'thawing') && from !== to;
    assert.equal(changes, entered, `${from}/${event}`);
    if (effects.includes('rescue')) assert.ok(from === 'replaying' || from === 'thawing');
    if (effects.includes('replay')) assert.equal(event, 'drive-verified');
  });
});

test('only a second failure, before or after the freeze, makes a returned drive wanted again', () => {
  const moved = (second: boolean, event: WindowEvent, from: WindowState): readonly string[] => {
    const decision = decideWindow(from, event, { secondAbsent: second });
    return decision.kind === 'move' ? decision.effects : [];
  };
  assert.deepEqual(moved(true, 'drive-rejected', 'returning'), ['recall']);
  assert.deepEqual(moved(false, 'drive-rejected', 'returning'), []);
  assert.ok(moved(false, 'second-returned', 'open').includes('end-recall'));
  assert.ok(!moved(true, 'second-returned', 'open').includes('end-recall'));
});

test('a window that replays never goes back to being open, and what has ended stays so', () => {
  eachWindowMove((from, event, _second, to) => {
    if (from === 'replaying') assert.ok(['replaying', 'closed', 'aborted'].includes(to), event);
    if (from === 'thawing') assert.ok(['thawing', 'closed'].includes(to), event);
    assert.notEqual(from, 'closed');
    assert.notEqual(from, 'aborted');
  });
});

test('every state but the last ones has a way out, and every state is reached', () => {
  const reached = new Set<WindowState>(['freezing']);
  const left = new Set<WindowState>();
  eachWindowMove((from, _event, _second, to) => {
    reached.add(to);
    if (to !== from) left.add(from);
  });
  assert.deepEqual([...reached].sort(), [...windowStates].sort());
  assert.deepEqual([...windowStates.filter((state) => !left.has(state))], ['closed', 'aborted']);
  const driveReached = new Set<DriveState>();
  for (const state of driveStates) {
    for (const event of driveEvents) {
      if (driveMachine.rows[state][event] !== undefined)
        driveReached.add(nextDriveState(state, event));
    }
  }
  // A drive is added as a spare; nothing becomes one.
  assert.deepEqual([...driveReached, 'spare'].sort(), [...driveStates].sort());
});

test('every effect is used, and every event has a cell', () => {
  const used = new Set<string>();
  eachWindowMove((_from, _event, _second, _to, effects) =>
    effects.forEach((effect) => used.add(effect)),
  );
  assert.deepEqual([...used].sort(), [...windowEffects].sort());
  for (const machine of [driveMachine, windowMachine] as unknown as Machine<
    string,
    string,
    string
  >[]) {
    for (const event of machine.events) {
      assert.ok(
        machine.states.some((state) => machine.rows[state]?.[event] !== undefined),
        event,
      );
    }
    for (const state of machine.states) {
      for (const event of Object.keys(machine.rows[state] ?? {}))
        assert.ok(machine.events.includes(event));
    }
  }
});

test('a refused or ignored event leaves a drive as it is', () => {
  assert.equal(nextDriveState('away', 'removed'), 'away');
  assert.equal(nextDriveState('failed', 'vanished'), 'failed');
  assert.throws(() => nextDriveState('away', 'verified'), /drive\/away\/verified/);
});

test('the marks of the log', () => {
  const marks = [0, 69, 70, 84, 85, 94, 95, 100].map((percent) => logMarkOf(percent, 100));
  assert.deepEqual(marks, [0, 0, 70, 70, 85, 85, 95, 95]);
  assert.equal(logMarkOf(0, 0), 0);
  assert.equal(logMarkOf(50, 100, [10, 20, 60]), 20);
  assert.equal(mustHoldWrites(95, true), true);
  assert.equal(mustHoldWrites(95, false), false);
  assert.equal(mustHoldWrites(85, true), false);
});

test('a machine as text has a line for every way and a cell for every event', () => {
  const text = renderMachine(windowMachine);
  assert.match(text, /open --> thawing: expired \(alone\), log-95 \(alone\), log-lost \(alone\)/);
  assert.match(text, /\| replayed \| — \| — \| — \| \*\*closed\*\* \/ close \|/);
  const rows = text.split('\n').filter((line) => line.startsWith('| '));
  assert.equal(rows.length, windowEvents.length + 2);
  for (const row of rows) assert.equal(row.split(' | ').length, windowStates.length + 1);
});
