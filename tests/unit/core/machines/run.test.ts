/** Every (phase, event) cell of the run machine, and what must hold over all of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decideRun,
  type RunEvent,
  type RunPhase,
  runEffects,
  runEvents,
  runMachine,
  runPhases,
} from '../../../../src/core/machines/run.ts';

/** The machine once more as text, written by hand. '-' cannot happen. */
const cells: Record<RunEvent, string> = {
  // opening, frozen, exchanging, working, recalled, identifying, returning, replaying, late, ended
  opened: 'frozen - - - - - - - - -',
  'not-opened': 'returning - - - - - - - - -',
  'nothing-to-do': '- identifying - - - - - - - -',
  'task-begins': '- working - - - - - - - -',
  'exchange-begins': '- exchanging - - - - - - - -',
  'drive-exchanged': '- - returning - - - - - - -',
  'step-ended': '- - - working identifying - - - - -',
  'task-ended': '- - - identifying identifying - - - - -',
  recall: 'ignored returning returning recalled ignored ignored ignored ignored ignored refused',
  answered: '- - - - - returning - - - -',
  'not-answered': '- - - - - identifying - - - -',
  returned: '- - - - - - replaying - - -',
  'not-returned': '- - - - - - returning - - -',
  replayed: '- - - - - - - ended - -',
  thawed: '- late late recalled ignored late late late ignored -',
  'closed-by-hand': '- replaying replaying recalled ignored replaying ignored ignored ignored -',
  'taken-back': '- - - - - - - - ended -',
  'not-taken-back': '- - - - - - - - late -',
  'gave-up': '- - - - - - - - ended -',
  restarted:
    'returning returning exchanging working recalled identifying returning replaying late -',
};

test('every cell of the run machine', () => {
  for (const event of runEvents) {
    const found = runPhases.map((phase) => {
      if (runMachine.rows[phase][event] === undefined) {
        assert.throws(() => decideRun(phase, event), /impossible: run/);
        return '-';
      }
      const decision = decideRun(phase, event);
      return decision.kind === 'move' ? decision.to : decision.kind;
    });
    assert.equal(found.join(' '), cells[event], event);
  }
});

test('a drive that was touched says who it is before a volume is asked to take it back', () => {
  const touched = new Set(['working', 'recalled']);
  for (const phase of runPhases) {
    for (const event of runEvents) {
      if (runMachine.rows[phase][event] === undefined) continue;
      const decision = decideRun(phase, event);
      if (decision.kind !== 'move') continue;
      if (touched.has(phase)) {
        assert.ok(
          touched.has(decision.to) || decision.to === 'identifying',
          `${phase}/${event} → ${decision.to}`,
        );
      }
      // Whatever has begun is never begun again.
      if (decision.effects.includes('begin')) assert.equal(event, 'opened');
    }
  }
});

test('every phase but the last goes on after a restart, and has a way to end', () => {
  for (const phase of runPhases.filter((one) => one !== 'ended')) {
    const restarted = decideRun(phase, 'restarted');
    assert.ok(restarted.kind === 'move' && restarted.effects.length === 1, phase);
    const reached = new Set<RunPhase>([phase]);
    for (const from of reached) {
      for (const event of runEvents) {
        if (runMachine.rows[from][event] === undefined) continue;
        const decision = decideRun(from, event);
        if (decision.kind === 'move') reached.add(decision.to);
      }
    }
    assert.ok(reached.has('ended'), phase);
  }
});

test('every effect is wanted somewhere', () => {
  const wanted = new Set(
    Object.values(runMachine.rows).flatMap((row) =>
      Object.values(row).flatMap((cell) =>
        typeof cell === 'object' && 'effects' in cell ? cell.effects : [],
      ),
    ),
  );
  assert.deepEqual(wanted, new Set(runEffects));
});
