/**
 * The state of a volume, its story and its alarms, derived from every combination of facts that
 * matters.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LevelDescriptor } from '../../../../src/core/levels/descriptor.ts';
import { levelByNumber } from '../../../../src/core/levels/index.ts';
import { deriveVolume, volumeRules, volumeStateOf } from '../../../../src/core/machines/volume.ts';
import { alarmCodes } from '../../../../src/core/machines/volume-alarms.ts';
import type {
  DriveFacts,
  VolumeFacts,
  WindowFactsForStatus,
} from '../../../../src/core/machines/volume-facts.ts';
import { type DriveState, type LogStatus, volumeStates } from '../../../../src/core/status.ts';

const drive = (
  slot: number,
  state: DriveState,
  reason = state === 'online' ? '' : 'it is gone',
): DriveFacts => ({
  slot,
  path: `/dev/sd${'abcd'[slot]}`,
  state,
  reason,
  ofFrozenImage: state === 'failed' || state === 'missing',
});
const drives = (...states: DriveState[]): DriveFacts[] =>
  states.map((state, slot) => drive(slot, state));

const healthy: VolumeFacts = {
  name: 'v',
  level: levelByNumber(5) as LevelDescriptor,
  drives: drives('online', 'online', 'online'),
  haltReason: '',
  frozen: false,
  replaying: false,
  replayStopped: '',
  resyncing: false,
  window: null,
  log: null,
  legsWaitFor: [],
  logsStripes: true,
  unsettled: null,
  writesHeld: 0,
  legSharesFileSystem: false,
  dataInDoubt: null,
  differed: null,
  unmade: null,
  resyncLeft: null,
  resyncStopped: '',
  rebuildStopped: null,
  parityErrors: 0,
  scrub: { mismatches: 0, repairing: false, unreadableBytes: 0 },
};
const open: WindowFactsForStatus = {
  state: 'open',
  purpose: 'firmware',
  slot: 1,
  path: '/dev/sdb',
  recall: false,
  overdue: false,
  heldReads: 0,
  waitMs: 60_000,
};
const log: LogStatus = {
  state: 'logging',
  capacityBytes: 1000,
  usedBytes: 10,
  legs: [
    { path: '/log/a', state: 'online', errors: { read: 0 }, reason: '' },
    { path: '/log/b', state: 'online', errors: { read: 0 }, reason: '' },
  ],
};
const window: VolumeFacts = {
  ...healthy,
  drives: drives('online', 'away', 'online'),
  frozen: true,
  window: open,
  log,
};
const second: VolumeFacts = { ...window, drives: drives('online', 'away', 'failed') };
const codes = (facts: VolumeFacts): string[] => deriveVolume(facts).alarms.map(({ code }) => code);

test('a healthy volume', () => {
  assert.deepEqual(deriveVolume(healthy), {
    state: 'optimal',
    redundancy: { canLose: 1 },
    writeHole: 'closed',
    alarms: [],
    story: {
      state: 'All data is protected.',
      why: 'Every member is online and in sync.',
      next: 'Nothing to do.',
    },
  });
});

test('each state word, from the facts that lead to it', () => {
  const cases: [string, VolumeFacts][] = [
    [
      'optimal',
      {
        ...healthy,
        drives: [
          ...healthy.drives,
          { slot: null, path: '/dev/x', state: 'spare', reason: '', ofFrozenImage: false },
        ],
      },
    ],
    ['resyncing', { ...healthy, resyncing: true }],
    ['degraded', { ...healthy, drives: drives('online', 'failed', 'online') }],
    ['degraded', { ...healthy, drives: drives('online', 'missing', 'online'), resyncing: true }],
    ['rebuilding', { ...healthy, drives: drives('online', 'rebuilding', 'online') }],
    [
      'degraded',
      {
        ...healthy,
        drives: drives('online', 'rebuilding', 'online'),
        rebuildStopped: { slot: 1, path: '/dev/sdb', reason: 'x' },
      },
    ],
    ['freezing', { ...healthy, window: { ...open, state: 'freezing' } }],
    ['frozen', window],
    ['frozen', second],
    [
      'frozen',
      {
        ...window,
        window: { ...open, state: 'returning' },
        drives: drives('online', 'returning', 'online'),
      },
    ],
    [
      'replaying',
      { ...window, frozen: false, replaying: true, window: { ...open, state: 'replaying' } },
    ],
    [
      'thawing',
      { ...window, frozen: false, replaying: true, window: { ...open, state: 'thawing' } },
    ],
    ['suspended', { ...second, writesHeld: 3 }],
    ['suspended', { ...window, log: { ...log, state: 'failed' } }],
    ['halted', { ...healthy, haltReason: 'two members failed' }],
    ['halted', { ...second, writesHeld: 3, haltReason: 'the log is missing' }],
  ];
  for (const [state, facts] of cases) assert.equal(volumeStateOf(facts), state);
  assert.deepEqual([...new Set(cases.map(([state]) => state))].sort(), [...volumeStates].sort());
  assert.deepEqual(volumeRules.map(({ state }) => state).sort(), [...volumeStates].sort());
});

test('every story is three sentences, and says nothing it does not know', () => {
  const worlds = [
    healthy,
    window,
    second,
    { ...healthy, drives: drives('online', 'failed', 'online') },
  ];
  for (const world of worlds) {
    for (const rule of volumeRules) {
      // Facts that make this very rule hold on top of the world.
      for (const facts of [
        { ...world, haltReason: rule.state === 'halted' ? 'the log is missing' : '' },
        { ...world, writesHeld: rule.state === 'suspended' ? 2 : 0 },
      ]) {
        const { story } = deriveVolume(facts);
        for (const part of [story.state, story.why, story.next]) {
          assert.ok(part.length > 4);
          assert.doesNotMatch(part, /undefined|null|NaN|\(\)| {2}|\.\.|: \.|: $/);
        }
      }
    }
  }
});

test('the story of a second failure says that nothing is lost and what to do', () => {
  const { story, redundancy } = deriveVolume(second);
  assert.match(
    story.state,
    /^Nothing is lost: \/dev\/sdb is away and slot 2 \(\/dev\/sdc\) is out/,
  );
  assert.match(story.why, /it is gone/);
  assert.match(story.next, /locum window close v --wait; the other: locum drive add v \/dev\/sdc$/);
  assert.equal(redundancy.canLose, 0);
  assert.equal(deriveVolume(window).redundancy.canLose, 1);
});

test('the write hole is open when stripes with parity are written in place without the log', () => {
  const hole = (facts: VolumeFacts): string => deriveVolume(facts).writeHole;
  const without = { ...healthy, logsStripes: false };
  const degraded = { ...without, drives: drives('online', 'failed', 'online') };
  assert.equal(hole(healthy), 'closed');
  assert.equal(hole(without), 'open', 'a crash, and then the loss of a member');
  assert.equal(hole(degraded), 'open');
  assert.equal(hole({ ...degraded, logsStripes: true }), 'closed');
  assert.equal(hole({ ...degraded, level: levelByNumber(1) as LevelDescriptor }), 'closed');
  assert.equal(hole({ ...second, logsStripes: false }), 'closed', 'frozen: nothing is in place');
  assert.deepEqual(codes(without), [], 'said in the status; no reason to get up at night');
  assert.deepEqual(codes(degraded), ['drive-failed', 'write-hole']);
});

test('alarms of a window', () => {
  assert.deepEqual(codes(window), []);
  assert.deepEqual(codes(second), ['second-failure']);
  const loud = {
    ...second,
    window: { ...open, recall: true, overdue: true, heldReads: 4 },
    writesHeld: 2,
  };
  const expected = ['second-failure', 'recall', 'window-overdue', 'reads-held', 'writes-held'];
  assert.deepEqual(codes(loud), expected);
  for (const [usedBytes, code] of [
    [690, ''],
    [700, 'log-70'],
    [850, 'log-85'],
    [990, 'log-95'],
  ] as const) {
    assert.deepEqual(codes({ ...window, log: { ...log, usedBytes } }), code === '' ? [] : [code]);
  }
  assert.deepEqual(
    codes({ ...healthy, log: { ...log, usedBytes: 990 } }),
    [],
    'no window: after-images, trimmed at once',
  );
});

test('alarms of the log', () => {
  const [a, b] = log.legs;
  assert.ok(a && b);
  const oneLost: LogStatus = {
    ...log,
    state: 'degraded',
    legs: [a, { ...b, state: 'failed', reason: 'errno 5' }],
  };
  assert.deepEqual(codes({ ...window, log: oneLost }), ['leg-lost']);
  const allLost: LogStatus = {
    ...log,
    state: 'failed',
    legs: log.legs.map((leg) => ({ ...leg, state: 'failed' })),
  };
  assert.deepEqual(codes({ ...window, log: allLost }), ['log-lost', 'leg-lost', 'leg-lost']);
});

test('every alarm of something wrong ends with a command, volume and drive filled in', () => {
  const failedLog: LogStatus = {
    ...log,
    state: 'failed',
    usedBytes: 990,
    legs: log.legs.map((leg) => ({ ...leg, state: 'failed' })),
  };
  const out = {
    path: '/log/a',
    state: 'failed',
    errors: { read: 0 },
    reason: 'it is gone',
  } as const;
  const noisy: VolumeFacts = {
    ...second,
    log: failedLog,
    window: { ...open, recall: true, overdue: true, heldReads: 1 },
    writesHeld: 1,
    unsettled: { places: 1, offset: 8192 },
    dataInDoubt: { path: '/dev/sdd', regions: 3, cause: 'lost' },
    parityErrors: 1,
    scrub: { mismatches: 2, repairing: false, unreadableBytes: 4096 },
  };
  const degraded = { ...healthy, drives: drives('online', 'failed', 'online') };
  const worlds = [
    noisy,
    degraded,
    { ...degraded, log: failedLog },
    { ...degraded, log: { ...log, legs: log.legs.map((leg, i) => (i === 0 ? out : leg)) } },
    { ...healthy, haltReason: 'x' },
  ];
  for (const { code, message } of worlds.flatMap((facts) => deriveVolume(facts).alarms)) {
    assert.match(message, /locum (window|drive|volume|scrub|log) [a-z]+ v( |$|&|;|\))/, code);
    assert.doesNotMatch(message, /undefined|null|NaN| {2}|\.\.|: $/, code);
    assert.doesNotMatch(message, /locum drive (add|replace) v( --with|$)/, code);
  }
});

test('a drive that was out before the window is not asked for: only the one that is away helps', () => {
  const before = {
    ...window,
    drives: window.drives.map((one) =>
      one.slot === 2 ? { ...one, state: 'failed' as const, reason: 'it is gone' } : one,
    ),
  };
  const { alarms, story } = deriveVolume(before);
  assert.deepEqual(codes(before), ['drive-failed']);
  assert.match(alarms[0]?.message ?? '', /only \/dev\/sdb completes the volume/);
  assert.match(story.next, /only it completes the volume: locum window close v --wait$/);
  for (const text of [alarms[0]?.message, story.next]) assert.doesNotMatch(text ?? '', /drive add/);
});

test('a mirror of three with one drive away and one out: nobody waits, and no drive is the only one', () => {
  const mirror = levelByNumber(1) as LevelDescriptor;
  const before = second.drives.map((one) => ({ ...one, ofFrozenImage: false }));
  const { story } = deriveVolume({ ...second, level: mirror, drives: before });
  assert.match(story.why, /Everything goes on\.$/);
  assert.equal(story.next, 'Bring /dev/sdb back: locum window close v --wait');
});

test('every alarm code is raised by something', () => {
  const noisy: VolumeFacts[] = [
    {
      ...healthy,
      haltReason: 'x',
      logsStripes: false,
      drives: drives('failed', 'online', 'online'),
    },
    { ...second, window: { ...open, recall: true, overdue: true, heldReads: 1 }, writesHeld: 1 },
    ...[700, 850, 950].map((usedBytes) => ({ ...window, log: { ...log, usedBytes } })),
    {
      ...window,
      log: { ...log, legs: log.legs.map((leg) => ({ ...leg, state: 'missing' as const })) },
    },
    {
      ...healthy,
      dataInDoubt: { path: '/dev/sdd', regions: 3, cause: 'lost' },
      differed: { path: '/dev/sdb', stripes: 2 },
      unmade: { path: '/dev/sdd', stripes: 1, offset: 0 },
      rebuildStopped: { slot: 1, path: '/dev/sdb', reason: 'x' },
      resyncStopped: 'x',
      parityErrors: 1,
      scrub: { mismatches: 2, repairing: false, unreadableBytes: 4096 },
      legSharesFileSystem: true,
      unsettled: { places: 1, offset: 0 },
      replayStopped: 'x',
    },
  ];
  const raised = new Map(
    noisy.flatMap((facts) =>
      deriveVolume(facts).alarms.map(({ code, severity }) => [code, severity]),
    ),
  );
  assert.deepEqual([...raised.keys()].sort(), [...alarmCodes].sort());
  assert.equal(raised.get('log-70'), 'warning');
  assert.equal(raised.get('log-85'), 'critical');
  assert.equal(raised.get('leg-shares-file-system'), 'info');
});
