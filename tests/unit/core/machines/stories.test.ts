/**
 * What people read, word for word where a word matters: the story of every state, and the alarms whose sentence depends
 * on the facts. Each of these is read at night by somebody who types the command at its end.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LevelDescriptor } from '../../../../src/core/levels/descriptor.ts';
import { levelByNumber } from '../../../../src/core/levels/index.ts';
import { deriveVolume } from '../../../../src/core/machines/volume.ts';
import { newLog } from '../../../../src/core/machines/volume-commands.ts';
import type {
  DriveFacts,
  VolumeFacts,
  WindowFactsForStatus,
} from '../../../../src/core/machines/volume-facts.ts';
import type { Alarm, DriveState, LogStatus, VolumeStatus } from '../../../../src/core/status.ts';

const drives = (...states: DriveState[]): DriveFacts[] =>
  states.map((state, slot) => ({
    slot,
    path: `/dev/sd${'abcd'[slot]}`,
    state,
    reason: state === 'online' ? '' : 'it is gone',
    ofFrozenImage: true,
  }));

const spare: DriveFacts = {
  slot: null,
  path: '/dev/sdx',
  state: 'failed',
  reason: 'it is worn out',
  ofFrozenImage: false,
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
const log: LogStatus = {
  state: 'logging',
  capacityBytes: 1000,
  usedBytes: 10,
  legs: [
    { path: '/log/a', state: 'online', errors: { read: 0 }, reason: '' },
    { path: '/log/b', state: 'online', errors: { read: 0 }, reason: '' },
  ],
};
const failedLog: LogStatus = {
  ...log,
  state: 'failed',
  legs: log.legs.map((leg) => ({ ...leg, state: 'failed' })),
};
const frozen: VolumeFacts = {
  ...healthy,
  drives: drives('online', 'away', 'online'),
  frozen: true,
  window: open,
  log,
};
const second: VolumeFacts = { ...frozen, drives: drives('online', 'away', 'failed') };

const storyOf = (facts: VolumeFacts): VolumeStatus['story'] => deriveVolume(facts).story;

function alarmOf(facts: VolumeFacts, code: string): Alarm {
  const found = deriveVolume(facts).alarms.filter((alarm) => alarm.code === code);
  assert.equal(found.length, 1, `${code} once`);
  return found[0] as Alarm;
}

describe('the story of', () => {
  test('a volume whose drives are all there, with something else wrong: what to do about it', () => {
    const none: LogStatus = { ...failedLog };
    const oneLeg = log.legs.map((leg, i) => (i === 1 ? { ...leg, state: 'failed' as const } : leg));
    const scrub = healthy.scrub;
    const cases: [Partial<VolumeFacts>, string][] = [
      [{ log: none }, 'Give it new legs: locum log add v NEW_LEG NEW_LEG'],
      [
        { log: { ...log, legs: oneLeg } },
        'Give it a new leg: locum log replace v 1 --with NEW_LEG',
      ],
      [{ parityErrors: 1 }, 'Check all of it: locum scrub start v'],
      [
        { scrub: { ...scrub, mismatches: 1 } },
        'Rewrite the redundancy: locum scrub start v --repair',
      ],
      [
        { scrub: { ...scrub, unreadableBytes: 4096 } },
        'Restore those blocks, or write them anew; then check again: locum scrub start v',
      ],
      [
        { dataInDoubt: { path: '/dev/sdb', regions: 1, cause: 'lost' } },
        'Check or restore what was written last before the stop; then start the volume anew: ' +
          'locum volume stop v && locum volume assemble v',
      ],
      [
        { dataInDoubt: { path: '/dev/sdb', regions: 1, cause: 'forced' } },
        'Check or restore what was written last before the stop; then start the volume anew: ' +
          'locum volume stop v && locum volume assemble v',
      ],
      [
        { dataInDoubt: { path: '/dev/sdb', regions: 1, cause: 'older' } },
        'Check or restore what was written last before the stop; then start the volume anew: ' +
          'locum volume stop v && locum volume assemble v',
      ],
    ];
    for (const [wrong, next] of cases) {
      const opinion = deriveVolume({ ...healthy, ...wrong });
      assert.equal(opinion.state, 'optimal');
      assert.ok(opinion.alarms.some(({ severity }) => severity === 'critical'));
      assert.equal(opinion.story.next, next);
      assert.notEqual(opinion.story.state, 'All data is protected.');
    }
    assert.equal(storyOf({ ...healthy, log }).next, 'Nothing to do.');
    const repaired = { ...healthy, scrub: { ...scrub, mismatches: 1, repairing: true } };
    assert.equal(storyOf(repaired).next, 'Nothing to do.');
  });

  test('a thaw whose drive nobody knows by a path', () => {
    const window: WindowFactsForStatus = { ...open, state: 'thawing', path: 'slot 1' };
    const known = drives('online', 'missing', 'online');
    const thawing = { ...healthy, window, replaying: true, drives: known };
    assert.match(storyOf(thawing).next, /locum drive add v slot 1$/);
    const unknown = known.map((drive) => (drive.slot === 1 ? { ...drive, path: '' } : drive));
    assert.match(
      storyOf({ ...thawing, drives: unknown }).next,
      /locum drive replace v 1 --with NEW_DRIVE$/,
    );
  });

  test('a resync', () => {
    assert.deepEqual(storyOf({ ...healthy, resyncing: true }), {
      state: 'All data is readable; redundancy is being checked where writes were under way.',
      why: 'The server or the machine was not stopped cleanly.',
      next: 'Wait; this shows the progress: locum status v --watch',
    });
  });

  test('a rebuild names the drives that are new', () => {
    assert.deepEqual(storyOf({ ...healthy, drives: drives('online', 'rebuilding', 'online') }), {
      state: 'All data is readable; a drive is being brought up to date.',
      why: 'Slot 1 (/dev/sdb) is new, or came back after it had missed writes.',
      next: 'Wait; this shows the progress: locum status v --watch',
    });
  });

  test('a freeze', () => {
    const { why } = storyOf({ ...healthy, window: { ...open, state: 'freezing' } });
    assert.equal(why, 'Drive /dev/sdb is about to leave.');
  });

  test('a window, and one whose drive is wanted back', () => {
    assert.equal(storyOf(frozen).why, 'Window for firmware: every write goes to the log.');
    assert.equal(storyOf(frozen).next, 'When the drive is ready: locum window close v --wait');
    const recalled = { ...frozen, window: { ...open, recall: true } };
    assert.equal(storyOf(recalled).next, 'Bring /dev/sdb back now: locum window close v --wait');
  });

  test('a drive that is being compared, also with another one out', () => {
    const returning = { ...frozen, window: { ...open, state: 'returning' as const } };
    assert.match(
      storyOf(returning).state,
      /^Nothing is lost; \/dev\/sdb is back and being compared/,
    );
    assert.match(storyOf(returning).why, /every write goes to the log\.$/);
    const without = { ...returning, drives: drives('online', 'returning', 'missing') };
    assert.match(storyOf(without).why, /Out: slot 2 \(\/dev\/sdc\) is missing: it is gone\.$/);
  });

  test('a replay, also with a member out', () => {
    const window: WindowFactsForStatus = { ...open, state: 'replaying' };
    const replaying: VolumeFacts = { ...healthy, replaying: true, window, log };
    assert.equal(storyOf(replaying).why, 'Drive /dev/sdb is back.');
    const without = { ...replaying, drives: drives('online', 'online', 'failed') };
    assert.equal(
      storyOf(without).why,
      'Drive /dev/sdb is back. Out: slot 2 (/dev/sdc) is failed: it is gone.',
    );
  });

  test('a replay that stands still: what ends that', () => {
    const window: WindowFactsForStatus = { ...open, state: 'replaying' };
    const replayStopped = 'a stripe could not be replayed';
    const stopped: VolumeFacts = { ...healthy, replaying: true, window, log, replayStopped };
    assert.equal(storyOf(stopped).why, 'A stripe could not be replayed.');
    assert.match(storyOf(stopped).next, /error; write it anew.*: locum status v --watch$/);
    const full = { ...stopped, log: { ...log, usedBytes: 95, capacityBytes: 100 } };
    assert.match(storyOf(full).next, /refused once it is full.*: locum status v --watch$/);
    assert.match(storyOf({ ...stopped, log: null }).next, /error; write it anew/);
    const { next } = storyOf({ ...stopped, log: failedLog });
    assert.match(next, /legs back.*: locum volume stop v && locum volume assemble v$/);
    assert.match(alarmOf(stopped, 'replay-stopped').message, / a stripe could not be replayed\. /);
    assert.match(storyOf({ ...stopped, haltReason: 'x' }).state, /refused/);
  });

  test('a rebuild that stands still: nobody waits for it, and it goes on by itself or after a start', () => {
    const drives = healthy.drives.map((drive) =>
      drive.slot === 1
        ? { ...drive, state: 'rebuilding' as const, reason: 'it has stopped' }
        : drive,
    );
    const rebuildStopped = { slot: 1, path: '/dev/sdb', reason: 'too few drives' };
    const stopped: VolumeFacts = { ...healthy, drives, rebuildStopped };
    assert.equal(deriveVolume(stopped).state, 'degraded');
    assert.match(storyOf(stopped).next, /by itself; .*: locum drive replace v 1 --with NEW_DRIVE$/);
    assert.match(
      alarmOf(stopped, 'rebuild-stopped').message,
      /^The rebuild of slot 1 \(\/dev\/sdb\) has stopped: too few drives\. .*again by itself: locum status v --watch$/,
    );
    assert.match(
      alarmOf({ ...stopped, haltReason: 'x' }, 'rebuild-stopped').message,
      /goes on when .*: locum volume stop v && locum volume assemble v$/,
    );
  });

  test('a resync that had to leave stripes out: what to do, and not to wait', () => {
    const left: VolumeFacts = {
      ...healthy,
      resyncing: true,
      resyncLeft: { stripes: 2, offset: 4096 },
    };
    assert.match(storyOf({ ...left, resyncLeft: null }).next, /^Wait/);
    assert.match(storyOf(left).next, /^Restore those blocks, or write them anew/);
    assert.match(
      alarmOf(left, 'bad-blocks').message,
      /^2 stripes .* first at byte 4096 .*by itself\.$/,
    );
  });

  test('a resync that stands still: why, and that it is tried again', () => {
    const resyncStopped = 'drives cannot be read in more than 2 stripes';
    const stopped: VolumeFacts = { ...healthy, resyncing: true, resyncStopped };
    assert.match(storyOf(stopped).why, /has stopped: drives cannot .* 2 stripes\.$/);
    assert.match(storyOf(stopped).next, /tried again by itself.*: locum status v --watch$/);
    const { message } = alarmOf(stopped, 'resync-stopped');
    assert.match(
      message,
      /has stopped: drives .* 2 stripes\. .*take none out\. .*by itself: locum/,
    );
    const { alarms } = deriveVolume({ ...stopped, haltReason: 'x' });
    assert.ok(!alarms.some(({ code }) => code === 'resync-stopped'), 'halted says enough');
  });

  test('a thaw', () => {
    const window: WindowFactsForStatus = { ...open, state: 'thawing' };
    const { why, next } = storyOf({ ...healthy, replaying: true, window, log });
    assert.equal(why, 'Drive /dev/sdb did not come back in time, or the log ran full.');
    assert.equal(next, 'When this is done, bring it back: locum drive add v /dev/sdb');
  });

  test('a degraded volume: what is left, and a drive nobody knows the path of', () => {
    const one = { ...healthy, logsStripes: false, drives: drives('online', 'failed', 'online') };
    assert.match(storyOf(one).state, /the next failure loses data\. Without a log, a crash can/);
    assert.doesNotMatch(storyOf({ ...one, log, logsStripes: true }).state, /Without a log/);
    const mirror = { ...one, level: levelByNumber(1) as LevelDescriptor };
    assert.match(storyOf(mirror).state, /1 more may fail\.$/);
    const unknown = drives('online', 'missing', 'online').map((drive) =>
      drive.slot === 1 ? { ...drive, path: '', reason: '' } : drive,
    );
    const { why, next } = storyOf({ ...healthy, drives: [...unknown, spare] });
    assert.equal(why, 'Slot 1 (no drive) is missing.', 'and the spare is not part of it');
    assert.equal(next, 'Replace it: locum drive replace v 1 --with NEW_DRIVE');
  });

  test('a degraded volume whose absent member is expected back: nothing to replace', () => {
    const away = { ...healthy, logsStripes: false, drives: drives('online', 'away', 'online') };
    assert.equal(storyOf(away).next, 'locum status v --watch');
    assert.match(alarmOf(away, 'write-hole').message, /: locum status v --watch$/);
  });

  test('writes that are held, with every way out', () => {
    const held = { ...second, writesHeld: 3 };
    assert.equal(
      storyOf(held).why,
      'The log is full, and the window cannot end without slot 2 (/dev/sdc) or /dev/sdb.',
    );
    assert.equal(
      storyOf(held).next,
      'Bring a drive back: locum window close v --wait, or locum drive add v /dev/sdc',
    );
    const noLog = storyOf({ ...frozen, log: failedLog });
    assert.match(noLog.state, /do not touch the log legs/);
    assert.match(noLog.why, /^No leg of the log takes a write/);
  });

  test('writes that are held without a window: no drive is named that could end one', () => {
    const held = { ...healthy, log, writesHeld: 1 };
    assert.deepEqual(storyOf(held), {
      state: 'Writes are held; nothing acknowledged is lost.',
      why: 'The log is full.',
      next: 'See what is missing: locum status v --watch',
    });
  });

  test('a frozen volume between two records, without a window for a moment, is still a sentence', () => {
    const between = { ...frozen, window: null };
    assert.match(storyOf(between).state, /protected; the drive of the window is away/);
    assert.equal(storyOf(between).why, 'Window for service: every write goes to the log.');
    const replaying = { ...healthy, replaying: true };
    assert.equal(storyOf(replaying).why, 'Drive of the window is back.');
  });

  test('a volume without a log in which it would be needed is not called suspended', () => {
    assert.equal(deriveVolume({ ...frozen, log: null }).state, 'frozen');
  });

  test('a reason that is already a sentence gets no second full stop', () => {
    const halted = { ...healthy, haltReason: 'Two members failed.' };
    assert.equal(storyOf(halted).why, 'Two members failed.');
    assert.equal(storyOf({ ...healthy, haltReason: 'two failed' }).why, 'two failed.');
  });
});

describe('the alarm', () => {
  test('of a member that is lost in the replay: what to do comes after it', () => {
    const window: WindowFactsForStatus = { ...open, state: 'replaying' };
    const facts: VolumeFacts = {
      ...healthy,
      drives: drives('online', 'online', 'failed'),
      replaying: true,
      window,
      log,
    };
    assert.equal(
      alarmOf(facts, 'drive-failed').message,
      'Slot 2 (/dev/sdc) is failed: it is gone. Once the replay is done: locum drive replace v 2 ' +
        '--with NEW_DRIVE (or, if the drive itself is good, locum drive add v /dev/sdc)',
    );
  });

  test('of a log that fills: what happens then depends on who else is out', () => {
    const full = { ...log, usedBytes: 960 };
    assert.equal(
      alarmOf({ ...frozen, log: full }, 'log-95').message,
      'The log is 96 % full; at 95 % the window ends without /dev/sdb. Bring /dev/sdb back: ' +
        'locum window close v --wait',
    );
    assert.match(
      alarmOf({ ...second, log: full }, 'log-95').message,
      /^The log is 96 % full; when it is full, writes are held\. .*\(or locum drive add v \/dev\/sdc\)$/,
    );
    const replaying: VolumeFacts = {
      ...healthy,
      replaying: true,
      window: { ...open, state: 'replaying' },
      log: full,
    };
    assert.equal(
      alarmOf(replaying, 'log-95').message,
      'The log is 96 % full; the replay is freeing it.',
    );
  });

  test('of held reads and writes counts them, in the singular too', () => {
    const many = { ...second, writesHeld: 2, window: { ...open, heldReads: 2 } };
    assert.match(
      alarmOf(many, 'reads-held').message,
      /^2 reads of what .* hold wait, each for up to 60 s/,
    );
    assert.match(alarmOf(many, 'writes-held').message, /^2 writes held until/);
    const one = { ...second, writesHeld: 1, window: { ...open, heldReads: 1 } };
    assert.match(alarmOf(one, 'reads-held').message, /^1 read of what .* hold waits, each/);
    assert.match(alarmOf(one, 'writes-held').message, /^1 write held until/);
    const noWindow = alarmOf({ ...healthy, log, writesHeld: 1 }, 'writes-held');
    assert.match(noWindow.message, /: ?locum status v --watch$|\. locum status v --watch$/);
  });

  test('of writes that the log was lost in: what a read meets there, and what ends it', () => {
    const lost: VolumeFacts = { ...frozen, log: failedLog, unsettled: { places: 1, offset: 8192 } };
    const { message } = alarmOf(lost, 'writes-unsettled');
    assert.match(
      message,
      /in the middle of a write at byte 8192 of the volume: the next start may find it in the log, or not\./,
    );
    assert.match(message, /Reads of that place wait, and then fail, rather than/);
    assert.match(
      message,
      /The replay ends that\. Bring \/dev\/sdb back: locum window close v --wait$/,
    );
    const replaying: VolumeFacts = { ...lost, frozen: false, replaying: true };
    const some = { ...replaying, unsettled: { places: 2, offset: 0 } };
    const ofSome = alarmOf(some, 'writes-unsettled').message;
    assert.match(ofSome, /of 2 writes, the first at byte 0 of the volume: .* find them in the log/);
    assert.match(ofSome, /Reads of those places .*ends that by itself: locum status v --watch$/);
    const stopped: VolumeFacts = { ...replaying, replayStopped: 'x' };
    assert.match(
      alarmOf(stopped, 'writes-unsettled').message,
      /Bring the legs back as they were, then: locum volume stop v && locum volume assemble v$/,
    );
    const between: VolumeFacts = { ...lost, window: null };
    assert.match(alarmOf(between, 'writes-unsettled').message, /locum status v --watch$/);
  });

  test('of a lost log: as many new legs as it had', () => {
    assert.match(alarmOf({ ...healthy, log: failedLog }, 'log-lost').message, /NEW_LEG NEW_LEG$/);
    const single = { ...failedLog, legs: failedLog.legs.slice(0, 1) };
    assert.match(alarmOf({ ...healthy, log: single }, 'log-lost').message, /log add v NEW_LEG$/);
    assert.equal(newLog(healthy), 'locum log add v NEW_LEG NEW_LEG', 'two are the default');
  });

  test('of a leg says what happened to it, if that is known', () => {
    const [good, bad] = log.legs;
    assert.ok(good && bad);
    const lost = (reason: string): VolumeFacts => ({
      ...frozen,
      log: { ...log, state: 'degraded', legs: [good, { ...bad, state: 'missing', reason }] },
    });
    assert.match(alarmOf(lost(''), 'leg-lost').message, /^Log leg \/log\/b is missing\. What was/);
    assert.match(alarmOf(lost('errno 5'), 'leg-lost').message, /is missing: errno 5\. What was/);
    assert.match(alarmOf(lost(''), 'leg-lost').message, /locum log replace v 1 --with NEW_LEG/);
    const out = frozen.drives.map((drive) => ({
      ...drive,
      state: drive.state === 'online' ? ('failed' as const) : drive.state,
    }));
    const nobodyIn = { ...lost(''), drives: out };
    assert.match(alarmOf(nobodyIn, 'leg-lost').message, /Bring .* back.*window close v/);
    for (const [waitsFor, next] of [
      ['copy', /counts when the other one is copied: locum status v --watch$/],
      ['record', /counts by itself once a drive .* is back .*: locum status v --watch$/],
    ] as const) {
      const joining: VolumeFacts = { ...lost(''), legsWaitFor: [null, waitsFor] };
      const { message } = alarmOf(joining, 'leg-lost');
      assert.match(message, next);
      assert.doesNotMatch(message, /log replace/, 'it would be refused');
    }
  });

  test('of a leg or a log that is lost in a halted volume: start it first, all else would be refused', () => {
    const [good, bad] = log.legs;
    assert.ok(good && bad);
    const halted: VolumeFacts = { ...healthy, haltReason: 'x' };
    const one = {
      ...log,
      state: 'degraded' as const,
      legs: [good, { ...bad, state: 'failed' as const }],
    };
    const restart = /Start the volume anew first: locum volume stop v && locum volume assemble v$/;
    assert.match(alarmOf({ ...halted, log: one }, 'leg-lost').message, restart);
    assert.match(alarmOf({ ...halted, log: failedLog }, 'log-lost').message, restart);
  });

  test('of a scrub: found, or found and rewritten', () => {
    const found = alarmOf(
      { ...healthy, scrub: { mismatches: 1, repairing: false, unreadableBytes: 0 } },
      'scrub-mismatch',
    );
    assert.equal(found.severity, 'critical');
    assert.match(
      found.message,
      /^The scrub found 1 stripe whose .*: locum scrub start v --repair$/,
    );
    const mended = alarmOf(
      { ...healthy, scrub: { mismatches: 2, repairing: true, unreadableBytes: 0 } },
      'scrub-mismatch',
    );
    assert.equal(mended.severity, 'warning');
    assert.match(mended.message, /^The scrub found 2 stripes whose .* and rewrote it\./);
  });

  test('of the write hole while a window is being opened: wait, it changes in a moment', () => {
    const facts: VolumeFacts = {
      ...healthy,
      logsStripes: false,
      drives: drives('online', 'failed', 'online'),
      window: { ...open, state: 'freezing', slot: 0, path: '/dev/sda' },
    };
    assert.match(alarmOf(facts, 'write-hole').message, /: locum status v --watch$/);
  });
});
