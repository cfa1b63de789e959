/** Two labels: the least and the most that one can say. */

import { type Label, memberReasons, recoveryKinds } from '../../../../src/core/format/label.ts';
import { driveStates } from '../../../../src/core/status.ts';

export const uuid = (digit: number): string =>
  `${String(digit).padStart(8, '0')}-0000-4000-8000-000000000000`;

export const plain: Label = {
  volumeUuid: uuid(1),
  memberUuid: uuid(2),
  slot: 0,
  sequence: 5,
  generation: uuid(3),
  history: [],
  events: 9,
  name: 'tank',
  level: 5,
  memberCount: 4,
  chunkBytes: 65536,
  memberDataBytes: 63 * 2 ** 20,
  clean: true,
  owner: null,
  members: [],
  log: null,
  stripeLog: 'void',
  window: null,
  recovery: [],
  doubt: [],
  scrub: null,
};

export const full: Label = {
  ...plain,
  slot: null,
  sequence: Number.MAX_SAFE_INTEGER,
  history: Array.from({ length: 8 }, (_, index) => uuid(100 + index)),
  name: 'n'.repeat(32),
  clean: false,
  owner: { token: uuid(4), wallMs: 1_795_376_765_123 },
  members: Array.from({ length: 64 }, (_, index) => ({
    uuid: uuid(200 + index),
    slot: index < 31 ? index : null,
    state: driveStates[index % driveStates.length]!,
    reason: memberReasons[index % memberReasons.length]!,
    eventsAtChange: index * 1e12,
    changedWallMs: 1_795_376_765_000 + index,
  })),
  log: {
    uuid: uuid(5),
    epoch: 12,
    lastSequence: 1e15,
    legs: [
      { uuid: uuid(6), state: 'online' },
      { uuid: uuid(7), state: 'failed' },
    ],
  },
  stripeLog: 'whole',
  window: {
    id: uuid(8),
    token: uuid(9),
    purpose: 'reset',
    state: 'thawing',
    slot: 3,
    memberUuid: uuid(203),
    openedWallMs: 1_795_376_765_000,
    elapsedMs: 1234,
    maxMs: 1_800_000,
    onDoubleAbsence: 'error',
    waitMs: 60_000,
    logEpoch: 12,
    frozenEvents: 44,
    cursorStripe: 1e12,
    appliedThrough: 1e14,
    verified: true,
    outcome: 'thawed',
  },
  recovery: Array.from({ length: 8 }, (_, index) => ({
    slot: index,
    kind: recoveryKinds[index % 2]!,
    cursorStripe: index * 1e11,
  })),
  scrub: { active: true, repair: true, cursorStripe: 77, mismatches: 3 },
};
