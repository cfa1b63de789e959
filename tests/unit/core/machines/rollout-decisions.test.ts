/** Order, canary, skip, health and time of a rollout. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baselineOf,
  eventOfOutcome,
  inWorkingOrder,
  isSettled,
  isTrouble,
  judgeVolume,
  nextDrives,
  oneByOneMs,
  skipReason,
  timeLeftMs,
  versionsPerModel,
  wantedVersion,
} from '../../../../src/core/machines/rollout-decisions.ts';
import {
  type RolloutDrive,
  type RolloutDriveState,
  rolloutDriveStates,
} from '../../../../src/core/rollout-report.ts';
import { runOutcomes } from '../../../../src/core/run-report.ts';
import {
  type DriveState,
  type VolumeState,
  type VolumeStatus,
  volumeStates,
} from '../../../../src/core/status.ts';

const drive = (change: Partial<RolloutDrive> = {}): RolloutDrive => ({
  volumes: ['v1'],
  slot: 0,
  path: '/dev/sda',
  uuid: 'u0',
  model: 'M',
  serial: 'S0',
  firmwareBefore: 'A1',
  firmwareAfter: '',
  state: 'pending',
  step: '',
  runId: null,
  startedAt: null,
  soakUntil: null,
  endedAt: null,
  note: '',
  ...change,
});
const of = (volume: string, slot: number | null, state: RolloutDriveState = 'pending') =>
  drive({ volumes: volume.split('+'), slot, state, path: `${volume}/${slot}` });
const paths = (drives: readonly RolloutDrive[]): string[] => drives.map(({ path }) => path);

test('spares first, then volumes as named, then slots', () => {
  const drives = [
    of('b', 1),
    of('a', 2),
    of('a', 0),
    of('b', null),
    of('b', 0),
    of('a', null),
    of('a', null),
  ];
  assert.deepEqual(paths(inWorkingOrder(drives, ['a', 'b'])), [
    'a/null',
    'a/null',
    'b/null',
    'a/0',
    'a/2',
    'b/0',
    'b/1',
  ]);
});

test('a canary goes alone over all volumes', () => {
  const drives = [of('a', 0), of('a', 1), of('b', 0)];
  assert.deepEqual(paths(nextDrives(drives, 1)), ['a/0']);
  for (const state of ['running', 'soaking'] as const) {
    assert.deepEqual(nextDrives([of('a', 0, state), ...drives.slice(1)], 1), [], state);
  }
});

test('a canary that came to nothing does not count', () => {
  for (const state of ['failed', 'not-applied', 'skipped'] as const) {
    const drives = [of('a', 0, state), of('a', 1), of('b', 0)];
    assert.deepEqual(paths(nextDrives(drives, 1)), ['a/1'], state);
  }
});

test('a spare is no canary for drives that serve hosts, and one for other spares', () => {
  const drives = [of('a', null, 'done'), of('a', 0), of('b', 0)];
  assert.deepEqual(paths(nextDrives(drives, 1)), ['a/0']);
  const spares = [of('a', null, 'done'), of('b', null), of('c', null), of('b', 0)];
  assert.deepEqual(paths(nextDrives(spares, 1)), ['b/null', 'c/null']);
  for (const state of ['running', 'soaking'] as const) {
    spares[1] = of('b', null, state);
    assert.deepEqual(paths(nextDrives(spares, 1)), ['c/null'], 'no canary beside a spare at work');
    assert.deepEqual(nextDrives([of('a', null, 'done'), of('b', 0, state), of('c', null)], 1), []);
  }
});

test('after the canaries volumes go side by side, one drive each', () => {
  const drives = [of('a', 0, 'done'), of('a', 1), of('a', 2), of('b', 0), of('b', 1)];
  assert.deepEqual(paths(nextDrives(drives, 1)), ['a/1', 'b/0']);
  assert.deepEqual(paths(nextDrives(drives, 2)), ['a/1']);
  drives[3] = of('b', 0, 'soaking');
  assert.deepEqual(paths(nextDrives(drives, 1)), ['a/1']);
});

test('a drive with members of two volumes needs both to itself', () => {
  const both = of('a+b', 1);
  assert.deepEqual(paths(nextDrives([of('a', 0, 'done'), both, of('b', 2)], 1)), ['a+b/1']);
  assert.deepEqual(nextDrives([of('a', 0, 'done'), both, of('b', 2, 'running')], 1), []);
});

test('never two drives at work in one volume, whatever comes first', () => {
  const states = rolloutDriveStates;
  for (const one of states) {
    for (const other of states) {
      for (const third of states) {
        for (const canary of [0, 1, 2]) {
          const drives = [of('a', 0, one), of('a+b', 1, other), of('b', 1, third)];
          const working = drives.filter(({ state }) => state === 'running' || state === 'soaking');
          const all = [...working, ...nextDrives(drives, canary)].flatMap(({ volumes }) => volumes);
          const now = working.flatMap(({ volumes }) => volumes);
          // A state that cannot come about by the rules says nothing.
          if (new Set(now).size < now.length) continue;
          assert.equal(new Set(all).size, all.length, `${one} ${other} ${third} ${canary}`);
        }
      }
    }
  }
});

test('settled: nothing pending, at work or soaking', () => {
  for (const state of rolloutDriveStates) {
    const open = ['pending', 'running', 'soaking'].includes(state);
    assert.equal(isSettled([of('a', 0, state)]), !open, state);
  }
});

test('left out: another model, or the version is there', () => {
  const facts = { model: 'ACME 900', firmware: 'B2' };
  const wanted = { version: null, model: null, known: [] };
  assert.equal(skipReason(facts, wanted), null);
  assert.equal(skipReason(facts, { ...wanted, version: 'B2' })?.kind, 'version');
  assert.equal(skipReason(facts, { ...wanted, version: 'B3' }), null);
  assert.equal(skipReason(facts, { ...wanted, model: '900' }), null);
  assert.match(skipReason(facts, { ...wanted, model: '800' })!.note, /is a ACME 900, not a 800/);
  assert.match(skipReason({ ...facts, model: '' }, { ...wanted, model: '8' })!.note, /no model/);
  const known = [
    { model: 'other', firmware: 'B1' },
    { model: 'ACME 900', firmware: 'B2' },
  ];
  assert.match(skipReason(facts, { ...wanted, known })!.note, /has B2 already/);
  assert.equal(skipReason({ ...facts, model: 'third' }, { ...wanted, known }), null);
  assert.equal(wantedVersion(facts, { ...wanted, known }), 'B2');
  assert.equal(wantedVersion(facts, { ...wanted, known, version: 'B9' }), 'B9');
});

test('a drive that gives no version is flashed', () => {
  const wanted = { version: null, model: null, known: [{ model: 'M', firmware: '' }] };
  assert.equal(skipReason({ model: 'M', firmware: '' }, wanted), null);
});

test('every outcome of a run means something, and only a good one goes on by itself', () => {
  for (const outcome of runOutcomes) {
    assert.equal(isTrouble(eventOfOutcome[outcome], true), outcome !== 'done', outcome);
  }
});

test('on request a bad result does not end the rollout; a recall and an unwell drive do', () => {
  assert.equal(isTrouble('unchanged', false), false);
  assert.equal(isTrouble('went-wrong', false), false);
  assert.equal(isTrouble('put-off', false), true);
  assert.equal(isTrouble('unwell', false), true);
  assert.equal(isTrouble('soaked', true), false);
});

// --- health ----------------------------------------------------------------------------------------

const volumeOf = (
  states: readonly DriveState[],
  change: Partial<VolumeStatus> = {},
  errors: readonly number[] = [],
): VolumeStatus => ({
  name: 'v1',
  uuid: '',
  level: 5,
  state: 'optimal',
  sizeBytes: 0,
  chunkBytes: 0,
  io: 'memory',
  redundancy: { canLose: 1 },
  writeHole: 'closed',
  drives: states.map((state, slot) => ({
    slot: state === 'spare' ? null : slot,
    path: `/dev/${slot}`,
    uuid: `u${slot}`,
    state,
    errors: { read: errors[slot] ?? 0, write: 0 },
    reason: '',
  })),
  log: {
    state: 'idle',
    capacityBytes: 0,
    usedBytes: 0,
    legs: [{ path: 'l0', state: 'online', errors: { read: 0 }, reason: '' }],
  },
  window: null,
  jobs: [],
  alarms: [],
  story: { state: '', why: '', next: '' },
  ...change,
});

test('well: at rest, nobody absent who was not, no new errors', () => {
  const before = baselineOf(volumeOf(['online', 'failed', 'online'], { state: 'degraded' }, [3]));
  const now = volumeOf(['online', 'missing', 'online'], { state: 'degraded' }, [3]);
  assert.deepEqual(judgeVolume(before, now, null), { kind: 'well' });
  // It has become better, and the counters began again with the server.
  assert.deepEqual(judgeVolume(before, volumeOf(['online', 'online', 'online']), null), {
    kind: 'well',
  });
});

test('a member absent since is a second failure, but for the drive at work', () => {
  const before = baselineOf(volumeOf(['online', 'online', 'online']));
  const now = volumeOf(['online', 'failed', 'online'], { state: 'degraded' });
  const verdict = judgeVolume(before, now, null);
  assert.ok(verdict.kind === 'trouble' && verdict.what === 'second-failure' && verdict.slot === 1);
  assert.equal(judgeVolume(before, now, 1).kind, 'well');
  now.drives[1]!.reason = 'write error';
  const told = judgeVolume(before, now, 0);
  assert.ok(told.kind === 'trouble' && told.why.endsWith('is failed: write error'));
});

test('a failed spare is no second failure', () => {
  const before = baselineOf(volumeOf(['online', 'online', 'spare']));
  const now = volumeOf(['online', 'online', 'spare']);
  now.drives[2]!.state = 'failed';
  assert.equal(judgeVolume(before, now, null).kind, 'well');
});

test('new errors, a lost log leg', () => {
  const before = baselineOf(volumeOf(['online', 'online'], {}, [1, 0]));
  const one = judgeVolume(before, volumeOf(['online', 'online'], {}, [1, 1]), null);
  assert.ok(one.kind === 'trouble' && one.what === 'errors' && one.slot === 1);
  assert.match(one.why, /1 new I\/O error on/);
  const many = judgeVolume(before, volumeOf(['online', 'online'], {}, [1, 2]), 0);
  assert.ok(many.kind === 'trouble' && /2 new I\/O errors on/.test(many.why));
  assert.equal(judgeVolume(before, volumeOf(['online', 'online'], {}, [9, 0]), 0).kind, 'well');
  const fresh = volumeOf(['online', 'online'], {}, [0, 4]);
  fresh.drives[1]!.uuid = 'new';
  assert.equal(judgeVolume(before, fresh, null).kind, 'trouble');

  const lost = volumeOf(['online', 'online'], {}, [1, 0]);
  lost.log!.legs[0]!.state = 'failed';
  const leg = judgeVolume(before, lost, null);
  assert.ok(leg.kind === 'trouble' && leg.what === 'log');
  assert.equal(judgeVolume(baselineOf(lost), lost, null).kind, 'well');
  assert.equal(
    judgeVolume(before, volumeOf(['online', 'online'], { log: null }), null).kind,
    'well',
  );
});

test('every state of a volume: at rest, busy, or trouble', () => {
  const before = baselineOf(volumeOf(['online']));
  const expected: Record<VolumeState, string> = {
    optimal: 'well',
    degraded: 'well',
    resyncing: 'busy',
    rebuilding: 'busy',
    freezing: 'busy',
    frozen: 'busy',
    replaying: 'busy',
    thawing: 'busy',
    suspended: 'trouble',
    halted: 'trouble',
  };
  for (const state of volumeStates) {
    assert.equal(
      judgeVolume(before, volumeOf(['online'], { state }), null).kind,
      expected[state],
      state,
    );
  }
});

// --- time ------------------------------------------------------------------------------------------

const took = (volume: string, state: RolloutDriveState, tookMs: number | null = null) => ({
  volumes: volume.split('+'),
  slot: 0 as number | null,
  state,
  tookMs,
});

test('time left: unknown before the first drive is done, then from the mean', () => {
  const done = took('a', 'done', 120);
  const [first, second, other] = [took('a', 'pending'), took('a', 'pending'), took('b', 'pending')];
  assert.equal(timeLeftMs([first, second], 1), null);
  assert.equal(timeLeftMs([took('a', 'done'), first], 1), null);
  assert.equal(timeLeftMs([done, first, second], 1), 240);
  assert.equal(timeLeftMs([done, took('a', 'done', 60), first, second], 1), 180);
  assert.equal(timeLeftMs([done, first, other], 1), 120);
  assert.equal(timeLeftMs([done, first, other], 3), 240);
  assert.equal(
    timeLeftMs([{ ...done, slot: null }, first, second, other, other], 1),
    360,
    'a spare is no canary',
  );
  assert.equal(timeLeftMs([done, took('a+b', 'pending'), other], 1), 240);
  assert.equal(timeLeftMs([done, took('a', 'failed', 60)], 1), 0);
});

test('time left: a spare that is pending is no canary', () => {
  const [done, first, other] = [took('a', 'done', 120), took('a', 'pending'), took('b', 'pending')];
  const spare = { ...first, slot: null };
  // One canary alone; then the spare and one drive of a, beside one of b.
  assert.equal(timeLeftMs([done, spare, first, first, other], 2), 360);
});

test('time left: a drive at work counts for the rest of its time, and never below 0', () => {
  const done = took('a', 'done', 120);
  assert.equal(timeLeftMs([done, took('a', 'running', 50)], 1), 70);
  assert.equal(timeLeftMs([done, took('a', 'soaking', 500)], 1), 0);
});

test('one by one: of the volume with most drives', () => {
  assert.equal(oneByOneMs([of('a', 0), of('a+b', 1), of('b', 0), of('b', 2)], 10), 30);
  assert.equal(oneByOneMs([], 10), 0);
});

test('inventory: versions per model, the most frequent first, a drive counted once', () => {
  const facts = (path: string, model: string, firmware: string) => ({ path, model, firmware });
  assert.deepEqual(
    versionsPerModel([
      facts('a', 'M', '1'),
      facts('b', 'M', '2'),
      facts('c', 'M', '2'),
      facts('c', 'M', '2'),
      facts('d', 'N', '1'),
    ]),
    [
      {
        model: 'M',
        versions: [
          { firmware: '2', drives: 2 },
          { firmware: '1', drives: 1 },
        ],
      },
      { model: 'N', versions: [{ firmware: '1', drives: 1 }] },
    ],
  );
});
