/**
 * The corners of an assembly: crashes between two of the records that an update writes, drives that another program has
 * had in its hands, and tables of different lengths. Each test is one accident.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isAsItLeft, isUsedSince } from '../../../src/core/assembly-slots.ts';
import type { StripeLogWord } from '../../../src/core/format/label.ts';
import {
  FEATURE_BITMAP,
  FEATURE_LOCUM_WINDOW,
  ROLE_FAULTY,
  ROLE_SPARE,
} from '../../../src/core/format/superblock.ts';
import type { DriveState } from '../../../src/core/status.ts';
import {
  assembled,
  found,
  leave,
  leg,
  memberUuid,
  openWindow,
  record,
  refused,
  relabel,
  TOKEN,
  uuid,
  VOLUME,
  verdicts,
  volume,
  WINDOW,
  type World,
} from './assembly-world.ts';

const allInSync = 'in-sync in-sync in-sync in-sync';

function split(world: World): string {
  const problem = refused(world);
  assert.equal(problem.code, 'history-split');
  return String(problem.detail['reason']);
}

function mdArray(members = 4, level: 1 | 5 = 5): World {
  const world = volume({ log: false, members, level });
  for (const drive of world.drives) drive.label = null;
  return world;
}

/** Replay has begun: on record on these members, one update after the freeze. */
function replaying(on: readonly number[], state: DriveState = 'online', cursorStripe = 0): World {
  const world = volume();
  openWindow(world, 1);
  relabel(
    world,
    (label) => {
      Object.assign(label.window!, { state: 'replaying', cursorStripe });
      record(label, 1, { state });
    },
    on,
  );
  return world;
}

describe('identity', () => {
  test('the volume that was meant is the one most drives belong to, wherever they stand in the list', () => {
    const world = volume();
    const foreign = structuredClone(world.drives[0]!);
    Object.assign(foreign, { path: '/foreign', label: null });
    Object.assign(foreign.superblock, { setUuid: uuid(99), memberUuid: uuid(98) });
    world.drives.unshift(foreign);
    assert.deepEqual(refused(world), {
      code: 'drive-foreign',
      detail: { path: '/foreign', found: uuid(99), expected: VOLUME },
    });
  });

  test('a label with an owner beside one of the same number without: not one history', () => {
    const world = volume();
    world.drives[2]!.label!.owner = { token: uuid(6), wallMs: 1 };
    assert.match(split(world), /^\/d2: .*\(@H1\)$/);
  });

  test('stopped in good order with a window open: the labels differ only in their moments', () => {
    const stopped = (): World => {
      const world = volume();
      openWindow(world, 1);
      for (const { label } of world.drives) Object.assign(label!, { owner: null, clean: true });
      return world;
    };
    const world = stopped();
    const elapsed = world.drives.map(({ label }) => label!.window!.elapsedMs);
    assert.equal(new Set(elapsed).size, 4, 'the clock went on from label to label');
    assert.equal(verdicts(assembled(world)), 'in-sync away in-sync in-sync');
    world.drives[2]!.label!.window!.maxMs++;
    assert.match(split(world), /@H1/);
    // md refuses a member with the window's feature bit: whoever raised the counter, it was not md.
    const begun = stopped();
    begun.drives[0]!.superblock.events++;
    assert.equal(assembled(begun).ranByMd, false);
    assert.equal(assembled(begun).window?.id, WINDOW);
  });

  test('a member that had failed and that md took back since has no split history', () => {
    const world = volume();
    leave(world, 2);
    for (const { superblock, bitmap } of world.drives) {
      superblock.events = 80;
      superblock.roles[2] = 2;
      bitmap!.events = 80;
    }
    const decision = assembled(world);
    assert.equal(decision.ranByMd, true);
    assert.equal(verdicts(decision), allInSync);
    // But not when it went further than the others.
    world.drives[2]!.superblock.events = 81;
    assert.match(split(world), /^\/d2: .*\(@H3\)$/);
  });

  test('the drive of the window may be ahead of its record: a return was under way', () => {
    const world = volume();
    openWindow(world, 1);
    relabel(
      world,
      (label) => record(label, 1, { state: 'failed', reason: 'vanished', eventsAtChange: 51 }),
      [0, 2, 3],
    );
    world.drives[1]!.superblock.events = 60;
    assert.equal(verdicts(assembled(world)), 'in-sync away in-sync in-sync');
    // Any other drive that did so has been used elsewhere.
    const other = volume();
    openWindow(other, 1);
    relabel(
      other,
      (label) => record(label, 3, { state: 'failed', reason: 'vanished', eventsAtChange: 51 }),
      [0, 1, 2],
    );
    other.drives[3]!.superblock.events = 60;
    assert.match(split(other), /^\/d3: .*\(@H3\)$/);
  });

  test('@H4 also when one of the others has no label', () => {
    const world = volume();
    for (let i = 0; i < 3; i++) relabel(world, () => {}, [0, 1]);
    world.drives[2]!.label = null;
    world.drives[3]!.superblock.events = 55;
    assert.match(split(world), /^\/d3: .*\(@H4\)$/);
  });

  test('@H5 a roles table too short to know the drive that went on', () => {
    const world = mdArray(2, 1);
    const [fresh, old] = [world.drives[0]!.superblock, world.drives[1]!.superblock];
    // Device 2 took slot 0, and the other half was dropped later; the old half knows of neither.
    Object.assign(fresh, { deviceNumber: 2, events: 60, memberUuid: uuid(400) });
    fresh.roles.splice(0, 3, ROLE_FAULTY, ROLE_FAULTY, 0);
    old.roles = [ROLE_FAULTY, 1];
    assert.match(split(world), /^\/d1: .*\(@H5\)$/);
  });
});

describe('slots', () => {
  test('a spare whose device number is beyond the table of the others', () => {
    const world = volume();
    const spare = structuredClone(world.drives[0]!);
    Object.assign(spare, { path: '/spare', label: null });
    Object.assign(spare.superblock, {
      memberUuid: uuid(300),
      deviceNumber: 150,
      roles: Array.from({ length: 200 }, (_, device) => (device < 4 ? device : ROLE_SPARE)),
    });
    const decision = assembled(world, { extra: [found(spare)] });
    assert.equal(verdicts(decision), allInSync);
    assert.deepEqual(
      decision.spares.map(({ path, deviceNumber }) => [path, deviceNumber]),
      [['/spare', 150]],
    );
  });

  test('a spare takes the slot of a member that was removed, and a crash keeps only the superblocks of that', () => {
    const world = volume();
    leave(world, 3);
    relabel(world, (label) => Object.assign(label, { clean: false }), [0, 1, 2]);
    for (const slot of [0, 1, 2]) world.drives[slot]!.label!.members.splice(3, 1);
    const spare = structuredClone(world.drives[2]!);
    Object.assign(spare, { path: '/spare' });
    Object.assign(spare.superblock, { memberUuid: uuid(300), deviceNumber: 5 });
    Object.assign(spare.label!, { memberUuid: uuid(300), slot: null });
    const entry = { ...spare.label!.members[2]!, uuid: uuid(300), slot: null };
    const drives = [...world.drives.slice(0, 3), spare];
    for (const { label } of drives) label!.members.push({ ...entry, state: 'spare' });
    // The step after: from here on the superblock of drive 0 says that the spare has slot 3.
    world.drives[0]!.superblock.events++;
    world.drives[0]!.superblock.roles[3] = ROLE_FAULTY;
    world.drives[0]!.superblock.roles[5] = 3;
    for (const extra of [[], [found(spare)]]) {
      const decision = assembled(world, { only: [0, 1, 2], extra });
      assert.equal(verdicts(decision), 'in-sync in-sync in-sync missing');
      const { recorded, deviceNumber } = decision.slots[3]!;
      assert.deepEqual([recorded, deviceNumber], [true, null]);
      assert.equal(decision.spares.length, extra.length);
    }
    // With a label that has the slot given to it, a member that is not here may have all.
    relabel(world, (label) => Object.assign(label.members[3]!, { slot: 3, state: 'online' }), [0]);
    assert.equal(refused(world, { only: [0, 1, 2] }).code, 'members-missing');
  });

  test('a drive that claims a slot and is in no table has everything or nothing', () => {
    const world = volume();
    const fresh = structuredClone(world.drives[3]!);
    Object.assign(fresh, { path: '/fresh', label: null });
    Object.assign(fresh.superblock, { memberUuid: uuid(400), events: 46 });
    const only = [0, 1, 2];
    const refusal = refused(world, { only, extra: [found(fresh)] });
    assert.deepEqual([refusal.code, refusal.detail['path']], ['drive-stale', '/fresh']);
    const forced = assembled(world, { only, extra: [found(fresh)], force: true });
    assert.equal(verdicts(forced), 'in-sync in-sync in-sync stale');
    assert.equal(forced.slots[3]!.readd, 'full', 'the bitmap was kept for another drive');
  });

  test('md failed a member and found no other one: the labels’ record of it is out of date', () => {
    const world = volume();
    for (const slot of [0, 1, 2]) {
      const { superblock, bitmap } = world.drives[slot]!;
      superblock.events = 80;
      superblock.roles[3] = ROLE_FAULTY;
      bitmap!.events = 80;
    }
    const decision = assembled(world, { only: [0, 1, 2] });
    assert.equal(decision.ranByMd, true);
    assert.equal(verdicts(decision), 'in-sync in-sync in-sync missing');
    const { uuid: known, reason, recorded } = decision.slots[3]!;
    assert.deepEqual([known, reason, recorded], [null, 'none', true]);
  });

  test('md ran the volume without the drive that a window went on without: what is not known of it stays', () => {
    for (const [reason, kept] of [
      ['expired', 'expired'],
      ['verify-mismatch', 'verify-mismatch'],
      ['operator', 'none'],
    ] as const) {
      const world = volume();
      leave(world, 3, 'failed', 10);
      relabel(world, (label) => record(label, 3, { reason }));
      for (const slot of [0, 1, 2]) {
        const { superblock, bitmap } = world.drives[slot]!;
        superblock.events += 30;
        superblock.roles[3] = ROLE_FAULTY;
        bitmap!.events = superblock.events;
      }
      const decision = assembled(world);
      assert.equal(decision.ranByMd, true);
      assert.equal(verdicts(decision), 'in-sync in-sync in-sync stale-by-bitmap');
      assert.equal(decision.slots[3]!.reason, kept);
    }
  });

  test('an md member that is behind, and whose bitmap covers what it missed, is brought up to date', () => {
    const world = mdArray();
    for (const slot of [0, 1, 2]) world.drives[slot]!.superblock.events = 60;
    const decision = assembled(world);
    assert.equal(verdicts(decision), 'in-sync in-sync in-sync stale-by-bitmap');
    assert.equal(decision.slots[3]!.rule, '@O1');
    for (const { bitmap } of world.drives) bitmap!.eventsCleared = 55;
    assert.equal(assembled(world).slots[3]!.rule, '@O2');
    assert.equal(verdicts(assembled(world)), 'in-sync in-sync in-sync stale');
  });

  test('without the bitmap of the newest member nothing proves that bits were kept', () => {
    const world = volume();
    leave(world, 1, 'missing', 10);
    world.drives[0]!.bitmap = null;
    assert.equal(verdicts(assembled(world)), 'in-sync stale in-sync in-sync');
  });

  test('a rebuild that md has no offset for goes on where the label says, or from the start', () => {
    const rebuilding = (recovery: { kind: 'full' | 'bitmap'; cursorStripe: number }[]): unknown => {
      const world = volume();
      relabel(world, (label) => {
        label.recovery = recovery.map((entry) => ({ slot: 2, ...entry }));
        record(label, 2, { state: 'rebuilding' });
      });
      assert.equal(verdicts(assembled(world)), 'in-sync in-sync recovering in-sync');
      return assembled(world).slots[2]!.recovery;
    };
    for (const kind of ['full', 'bitmap'] as const) {
      const entry = { kind, cursorStripe: 70 };
      assert.deepEqual(rebuilding([entry]), entry);
    }
    assert.deepEqual(rebuilding([]), { kind: 'full', cursorStripe: 0 });
  });

  test('a drive that was being taken back is no older copy, another one that is behind still is', () => {
    const world = volume();
    for (let i = 0; i < 2; i++) {
      relabel(world, (label) => record(label, 2, { state: 'rebuilding' }), [0, 1, 3]);
    }
    const decision = assembled(world);
    assert.equal(verdicts(decision), 'in-sync in-sync stale in-sync');
    assert.equal(decision.slots[2]!.rule, '@O2');
    const both = volume();
    for (let i = 0; i < 2; i++) {
      relabel(both, (label) => record(label, 2, { state: 'rebuilding' }), [0, 1]);
    }
    const refusal = refused(both);
    assert.deepEqual([refusal.code, refusal.detail['path']], ['drive-stale', '/d3']);
  });
});

test('a drive that was lost here: as it left, of an older image, or used elsewhere since', () => {
  const { superblock } = volume().drives[0]!;
  const at = (events: number): unknown[] => {
    const found = { ...superblock, events };
    return [isAsItLeft(found, 50), isUsedSince(found, 50)];
  };
  // Two events of doubt on either side: the update that was under way when it was lost.
  for (const events of [48, 49, 50, 51, 52]) assert.deepEqual(at(events), [true, false]);
  for (const events of [1, 47]) assert.deepEqual(at(events), [false, false], 'an older image');
  for (const events of [53, 90]) assert.deepEqual(at(events), [false, true], 'used since');
});

describe('windows', () => {
  /** The freeze for slot 1 has not reached these: they are as they were before it. */
  function frozenBut(on: readonly number[], state: 'freezing' | 'open'): World {
    const world = volume();
    const before = structuredClone(world.drives);
    openWindow(world, 1, { state });
    for (const slot of on) world.drives[slot] = before[slot]!;
    return world;
  }

  test('a crash while freezing: a member that the freeze has not reached is of the same image', () => {
    const world = frozenBut([1, 3], 'freezing');
    world.legs = [leg(0), leg(1)];
    assert.deepEqual(
      assembled(world).slots.map(({ frozenGeneration }) => frozenGeneration),
      [true, true, true, true],
    );
    const without = assembled(world, { only: [0, 2, 3] });
    assert.equal(verdicts(without), 'in-sync away in-sync in-sync');
  });

  test('a copy from before the freeze is let in by no start once the drive that left has been told', () => {
    const world = frozenBut([3], 'open');
    const decision = assembled(world);
    assert.equal(verdicts(decision), 'in-sync away in-sync missing');
    assert.deepEqual([decision.slots[3]!.path, decision.leavesBehind], [null, true]);
    assert.ok(decision.trail.some((line) => line.startsWith('@X /d3 is not used')));
    // Who had it on record as out is gone: it is not needed, and where it would be it is not used either.
    assert.equal(verdicts(assembled(world, { only: [0, 1, 3] })), 'in-sync away missing missing');
    assert.equal(refused(world, { only: [1, 3] }).code, 'members-missing');
    // It may hold only one label that can be read, the older one: its superblock is of the freeze then.
    const torn = frozenBut([], 'open');
    torn.drives[3]!.label = frozenBut([3], 'open').drives[3]!.label;
    assert.equal(verdicts(assembled(torn)), 'in-sync away in-sync in-sync');
    // With the label of the drive that left wiped, nobody can say how far the freeze has come.
    const wiped = frozenBut([3], 'open');
    Object.assign(wiped.drives[1]!, { label: null });
    wiped.drives[1]!.superblock.features = FEATURE_BITMAP;
    assert.equal(verdicts(assembled(wiped)), 'in-sync away in-sync in-sync');
  });

  test('a member whose label was wiped in the window is not of the frozen image either', () => {
    const world = volume();
    openWindow(world, 1);
    Object.assign(world.drives[3]!, { label: null });
    world.drives[3]!.superblock.features = FEATURE_BITMAP;
    const decision = assembled(world);
    assert.deepEqual(
      decision.slots.map(({ frozenGeneration }) => frozenGeneration),
      [true, true, true, false],
    );
    assert.equal(refused(world, { only: [0, 3] }).code, 'members-missing');
  });

  test('a crash at the first step of the replay: the drive’s label may still be that of the freeze', () => {
    const world = replaying([0, 2, 3]);
    assert.equal(world.drives[1]!.label!.window!.token, TOKEN);
    assert.equal(verdicts(assembled(world)), 'in-sync away in-sync in-sync');
    assert.equal(verdicts(assembled(replaying([0, 1, 2, 3]))), allInSync);
  });

  test('a drive still on record as on its way back is the drive of the window, however far replay is', () => {
    for (const state of ['away', 'returning'] as const) {
      for (const cursorStripe of [0, 9]) {
        const world = replaying([0, 1, 2, 3], state, cursorStripe);
        assert.equal(verdicts(assembled(world)), 'in-sync away in-sync in-sync');
      }
    }
  });

  test('a replay whose returned drive is not here goes on without it', () => {
    const decision = assembled(replaying([0, 2, 3]), { only: [0, 2, 3] });
    assert.equal(verdicts(decision), 'in-sync missing in-sync in-sync');
  });

  test('a replay that went on without a leg to keep images, degraded: only by force', () => {
    const story = (stripeLog: StripeLogWord): World => {
      const world = replaying([0, 2, 3], 'failed', 3);
      for (const { superblock, label } of world.drives) {
        superblock.resyncBytes = 0;
        label!.stripeLog = stripeLog;
      }
      return world;
    };
    const three = { only: [0, 2, 3] };
    for (const word of ['whole', 'kept'] as const)
      assert.equal(assembled(story(word), three).inDoubt, false, word);
    assert.equal(refused(story('void'), three).code, 'dirty-and-degraded');
    assert.equal(assembled(story('void'), { ...three, force: true }).inDoubt, true);
  });

  test('a replay with parity in doubt, and a member is gone that no record calls gone: only by force', () => {
    const story = (stripeLog: StripeLogWord): World => {
      const world = replaying([0, 1, 2, 3]);
      for (const { superblock, label } of world.drives) {
        superblock.resyncBytes = 0;
        label!.stripeLog = stripeLog;
      }
      return world;
    };
    const three = { only: [0, 1, 2] };
    assert.equal(assembled(story('whole'), three).forced, false);
    assert.equal(refused(story('kept'), three).code, 'dirty-and-degraded');
    assert.equal(assembled(story('kept'), { ...three, force: true }).inDoubt, true);
  });

  test('after the first step a label of the freeze is old, and so is one of another window or of none', () => {
    const stale = (change: (world: World) => void, cursorStripe = 0): void => {
      const world = replaying([0, 2, 3], 'online', cursorStripe);
      relabel(world, () => {}, [0, 2, 3]);
      change(world);
      const refusal = refused(world);
      assert.deepEqual([refusal.code, refusal.detail['path']], ['drive-stale', '/d1']);
    };
    stale(() => {}, 9);
    stale((world) => {
      world.drives[1]!.label!.window!.token = uuid(77);
    });
    stale((world) => {
      world.drives[1]!.label!.window = null;
    });
    stale((world) => {
      const drive = world.drives[1]!;
      drive.label = null;
      drive.superblock.features -= FEATURE_LOCUM_WINDOW;
      drive.superblock.events--;
    });
  });

  test('a leg that a crash kept from the freeze has no record of the window', () => {
    const world = volume();
    openWindow(world, 1);
    world.legs = [world.legs[0]!, leg(1)];
    assert.deepEqual(
      assembled(world).legs.map(({ state }) => state),
      ['online', 'failed'],
    );
  });

  test('the log was released, and a crash kept the labels from saying so', () => {
    const world = replaying([0, 1, 2, 3]);
    world.legs = [0, 1].map((index) => leg(index, { epoch: 8, state: 'idle', sequence: 5 }));
    const decision = assembled(world);
    assert.equal(verdicts(decision), allInSync);
    assert.equal(decision.window?.state, 'replaying');
    assert.equal(decision.slots[1]!.uuid, memberUuid(1));
  });
});
