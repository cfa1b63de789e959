/** Every cell of the two tables of a rollout, written once more by hand, and the rules over them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Machine } from '../../../../src/core/machines/machine.ts';
import { decide } from '../../../../src/core/machines/machine.ts';
import {
  decideRollout,
  nextRolloutDriveState,
  type RolloutDriveEvent,
  type RolloutEvent,
  rolloutDriveEvents,
  rolloutDriveMachine,
  rolloutEffects,
  rolloutEvents,
  rolloutMachine,
} from '../../../../src/core/machines/rollout.ts';
import { rolloutDriveStates, rolloutStates } from '../../../../src/core/rollout-report.ts';

const rolloutCells: Record<RolloutEvent, string> = {
  // running, paused, halted, stopped, done
  pause: 'paused ignored ignored refused refused',
  resume: 'ignored running running refused refused',
  stop: 'stopped stopped stopped ignored refused',
  trouble: 'halted halted ignored ignored ignored',
  settled: 'done done ignored ignored ignored',
};

const driveCells: Record<RolloutDriveEvent, string> = {
  // pending, running, soaking, done, skipped, not-applied, failed
  needless: 'skipped - - - - - -',
  begun: 'running - - - - - -',
  'put-off': '- pending - - - - -',
  applied: '- soaking - - - - -',
  unchanged: '- not-applied - - - - -',
  'went-wrong': 'failed failed - - - - -',
  soaked: '- - done - - - -',
  unwell: '- - failed - - - -',
  retry: 'ignored ignored ignored ignored ignored pending pending',
};

function cellsOf<State extends string, Event extends string, Effect extends string>(
  machine: Machine<State, Event, Effect>,
  event: Event,
): string {
  return machine.states
    .map((state) => {
      if (machine.rows[state][event] === undefined) {
        assert.throws(() => decide(machine, state, event, false), /impossible/);
        return '-';
      }
      const decision = decide(machine, state, event, false);
      assert.deepEqual(decide(machine, state, event, true), decision);
      return decision.kind === 'move' ? decision.to : decision.kind;
    })
    .join(' ');
}

for (const event of rolloutEvents) {
  test(`rollout: ${event} in every state`, () => {
    assert.equal(cellsOf(rolloutMachine, event), rolloutCells[event]);
  });
}

for (const event of rolloutDriveEvents) {
  test(`rollout drive: ${event} in every state`, () => {
    assert.equal(cellsOf(rolloutDriveMachine, event), driveCells[event]);
  });
}

test('only resume lets another drive go, and takes the volumes as they are then', () => {
  for (const state of rolloutStates) {
    for (const event of rolloutEvents) {
      const decision = decideRollout(state, event);
      if (decision.kind !== 'move') continue;
      assert.equal(decision.effects.includes('go-on'), event === 'resume', `${state}/${event}`);
      assert.equal(decision.effects.includes('take-as-it-is'), event === 'resume');
      assert.equal(decision.effects.includes('release'), ['stopped', 'done'].includes(decision.to));
    }
  }
});

test('nothing leads out of stopped and done', () => {
  for (const state of ['stopped', 'done'] as const) {
    for (const event of rolloutEvents) assert.notEqual(decideRollout(state, event).kind, 'move');
  }
});

test('every effect is used', () => {
  const used = rolloutStates.flatMap((state) =>
    rolloutEvents.flatMap((event) => {
      const decision = decideRollout(state, event);
      return decision.kind === 'move' ? decision.effects : [];
    }),
  );
  assert.deepEqual(new Set(used), new Set(rolloutEffects));
});

test('a drive at work leaves that state only by the end of its run', () => {
  assert.equal(nextRolloutDriveState('running', 'retry'), 'running');
  assert.equal(nextRolloutDriveState('running', 'put-off'), 'pending');
  assert.equal(nextRolloutDriveState('failed', 'retry'), 'pending');
  assert.equal(rolloutDriveStates.length, 7);
});
