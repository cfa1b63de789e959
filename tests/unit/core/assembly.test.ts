/** Every rule by which a volume may or may not start, each with the story that leads to it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FoundLeg } from '../../../src/core/assembly-legs.ts';
import { type SlotFacts, slotCases } from '../../../src/core/assembly-slots.ts';
import type { Label, StripeLogWord } from '../../../src/core/format/label.ts';
import type { LegPeer } from '../../../src/core/format/leg-header.ts';
import {
  FEATURE_RECOVERY_OFFSET,
  ROLE_FAULTY,
  ROLE_SPARE,
} from '../../../src/core/format/superblock.ts';
import {
  assembled,
  found,
  LOG,
  leave,
  leg,
  legUuid,
  memberUuid,
  openWindow,
  path,
  record,
  refused,
  relabel,
  uuid,
  VOLUME,
  verdicts,
  volume,
  WINDOW,
  type World,
} from './assembly-world.ts';

// --- healthy ---------------------------------------------------------------------------------------------------------

test('a stopped volume starts, whatever the order of its drives', () => {
  for (const level of [1, 3, 4, 5] as const) {
    const world = volume({ level });
    world.drives.reverse();
    const decision = assembled(world);
    assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
    assert.equal(decision.level.number, level);
    assert.deepEqual(
      decision.slots.map(({ path }) => path),
      ['/d0', '/d1', '/d2', '/d3'],
    );
    assert.deepEqual([decision.name, decision.volumeUuid], ['tank', VOLUME]);
    assert.deepEqual([decision.events, decision.sequence], [50, 20]);
    assert.deepEqual(
      [decision.unclean, decision.adopt, decision.forced, decision.rollForward, decision.ranByMd],
      [false, false, false, false, false],
    );
    assert.equal(decision.bitmapTrusted, true);
    assert.equal(decision.window, null);
    assert.equal(decision.legs.length, 2);
    assert.equal(decision.layouts.get('/d2')?.dataOffset, 2 ** 20);
  }
});

test('a volume that was not stopped: unclean, and the bitmap says where', () => {
  const world = volume();
  for (const { superblock, label } of world.drives) {
    superblock.resyncBytes = 0;
    label!.clean = false;
    label!.owner = { token: uuid(6), wallMs: 5 };
  }
  const decision = assembled(world);
  assert.equal(decision.unclean, true);
  assert.equal(decision.bitmapTrusted, true);
  world.drives[1]!.bitmap!.stale = true;
  assert.equal(assembled(world).bitmapTrusted, false);
  world.drives[1]!.bitmap = null;
  assert.equal(assembled(world).bitmapTrusted, false);
});

test('one unclean member is enough', () => {
  const world = volume();
  world.drives[3]!.superblock.resyncBytes = 0;
  assert.equal(assembled(world).unclean, true);
});

test('a crash in the middle of an update: one step behind is in sync, and labels are rolled forward', () => {
  for (const slot of [0, 3]) {
    const world = volume();
    const rest = [0, 1, 2, 3].filter((index) => index !== slot);
    relabel(
      world,
      (label) => {
        label.events++;
      },
      rest,
    );
    for (const index of rest) world.drives[index]!.superblock.events++;
    const decision = assembled(world);
    assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
    assert.equal(decision.rollForward, true);
    assert.deepEqual([decision.events, decision.sequence], [51, 21]);
  }
});

test('the counter to go on from is the highest anywhere, also when only a label has it', () => {
  const world = volume();
  relabel(
    world,
    (label) => {
      label.events = 51;
    },
    [2],
  );
  assert.deepEqual([assembled(world).events, assembled(world).sequence], [51, 21]);
});

// --- identity --------------------------------------------------------------------------------------------------------

test('nothing there', () => {
  const world = volume();
  const blank = {
    path: '/blank',
    sizeBytes: 1,
    superblock: { kind: 'none' },
    bitmap: null,
    label: { kind: 'none' },
  } as const;
  assert.deepEqual(refused(world, { only: [], extra: [blank] }), {
    code: 'member-not-found',
    detail: { paths: '/blank' },
  });
  assert.equal(refused(world, { only: [], extra: [] }).code, 'member-not-found');
  // Among members a blank drive is left out: it may be a replacement that a crash caught before it was a member.
  const beside = assembled(world, { extra: [blank] });
  assert.ok(beside.trail.some((line) => line.startsWith('@I0')));
  assert.deepEqual(
    beside.slots.map(({ verdict }) => verdict),
    assembled(world).slots.map(({ verdict }) => verdict),
  );
});

test('a foreign drive is named with both uuids', () => {
  const world = volume();
  const foreign = volume().drives[3]!;
  foreign.superblock.setUuid = uuid(99);
  foreign.label!.volumeUuid = uuid(99);
  const extra = [found({ ...foreign, path: '/other' })];
  assert.deepEqual(refused(world, { only: [0, 1, 2], extra }), {
    code: 'drive-foreign',
    detail: { path: '/other', found: uuid(99), expected: VOLUME },
  });
  // The name decides which one is foreign, not the majority.
  foreign.label!.name = 'lake';
  const problem = refused(world, { only: [0, 1, 2], extra, name: 'lake' });
  assert.deepEqual([problem.code, problem.detail['path']], ['drive-foreign', '/d0']);
});

test('a cloned member names both paths', () => {
  const world = volume();
  const extra = [found({ ...volume().drives[1]!, path: '/copy' })];
  assert.deepEqual(refused(world, { extra }), {
    code: 'member-cloned',
    detail: { path: '/copy', other: '/d1' },
  });
});

test('another name than the label says', () => {
  const world = volume();
  assert.equal(assembled(world, { name: 'tank' }).name, 'tank');
  assert.equal(refused(world, { name: 'lake' }).code, 'members-disagree');
});

test('damaged drives are refused by name; force leaves them out', () => {
  const world = volume();
  const good = found(world.drives[0]!);
  const stories = [
    ['superblock-corrupt', { ...good, superblock: { kind: 'corrupt', reason: 'torn' } }],
    ['superblock-corrupt', { ...good, superblock: { kind: 'none' } }],
    ['label-corrupt', { ...good, label: { kind: 'corrupt', reason: 'torn' } }],
    ['label-corrupt', { ...good, label: { kind: 'newer-version', version: 2 } }],
    [
      'md-unsupported',
      {
        ...good,
        superblock: { kind: 'unsupported', reason: 'x', setUuid: VOLUME, memberUuid: uuid(1) },
      },
    ],
  ] as const;
  for (const [code, drive] of stories) {
    const problem = refused(world, { only: [1, 2, 3], extra: [drive] });
    assert.deepEqual([problem.code, problem.detail['path']], [code, '/d0']);
    const decision = assembled(world, { only: [1, 2, 3], extra: [drive], force: true });
    assert.deepEqual(decision.overridden, [code, 'members-missing']);
    assert.equal(verdicts(decision), 'missing in-sync in-sync in-sync');
    assert.equal(decision.forced, true);
  }
});

test('a label left over from an earlier life of the drive does not count', () => {
  const world = volume();
  for (const { superblock } of world.drives) superblock.setUuid = uuid(77);
  for (const { bitmap } of world.drives) bitmap!.uuid = uuid(77);
  const decision = assembled(world, { legs: [] });
  assert.equal(decision.adopt, true);
  assert.match(decision.trail[0]!, /@I2/);
});

test('an open window whose label is gone is not an md array to be adopted', () => {
  const world = volume();
  openWindow(world, 1);
  for (const drive of world.drives) drive.label = null;
  assert.equal(refused(world).code, 'label-corrupt');
});

test('a shrunk drive', () => {
  const world = volume();
  world.drives[2]!.sizeBytes -= 512;
  assert.deepEqual(refused(world), {
    code: 'drive-smaller',
    detail: { path: '/d2', sizeBytes: 64 * 2 ** 20 - 512, neededBytes: 64 * 2 ** 20 },
  });
  const decision = assembled(world, { force: true });
  assert.equal(decision.slots[2]?.verdict, 'missing');
  assert.ok(decision.forced);
  assert.match(decision.trail.join('\n'), /@I1 forced: \/d2 is left out \(drive-smaller\)/);
});

test('force names each refusal that it has overridden, those behind the first one as well', () => {
  const overridden = (world: World, only?: readonly number[]): string =>
    assembled(world, { force: true, ...(only && { only }) }).overridden.join(' ');
  assert.equal(overridden(volume()), '', 'nothing was refused');
  const shrunk = crashed(volume());
  for (const { label } of shrunk.drives) label!.stripeLog = 'void';
  shrunk.drives[2]!.sizeBytes -= 512;
  assert.equal(refused(shrunk).code, 'drive-smaller');
  assert.equal(overridden(shrunk), 'drive-smaller members-missing dirty-and-degraded');
  assert.equal(overridden(crashed(volume()), [0, 1, 2]), 'members-missing');
});

test('label and superblock of different levels', () => {
  const world = volume();
  for (const { label } of world.drives) label!.level = 4;
  assert.equal(refused(world).code, 'members-disagree');
});

test('same events, another geometry', () => {
  const world = volume({ log: false });
  world.drives[3]!.superblock.memberDataBytes -= 65536;
  const problem = refused(world);
  assert.equal(problem.code, 'members-disagree');
  assert.match(String(problem.detail['reason']), /@H6/);
});

// --- history ---------------------------------------------------------------------------------------------------------

function splitReason(world: World): string {
  const problem = refused(world);
  assert.equal(problem.code, 'history-split');
  return String(problem.detail['reason']);
}

/** Which drives form each. */
const halves = (world: World): unknown[] => {
  const { detail } = refused(world);
  return [detail['half'], detail['apart']];
};

test('@H1 the same label number with other contents', () => {
  const world = volume();
  record(world.drives[2]!.label!, 0, { state: 'missing', reason: 'absent-at-start' });
  assert.match(splitReason(world), /@H1/);
  assert.deepEqual(halves(world), ['/d2', '/d0, /d1, /d3']);
});

test('@H1 not: one server that crashed between two members', () => {
  const world = volume();
  for (const { label } of world.drives) label!.owner = { token: uuid(6), wallMs: label!.slot! };
  record(world.drives[2]!.label!, 0, {
    state: 'failed',
    reason: 'write-error',
    eventsAtChange: 50,
  });
  assert.equal(verdicts(assembled(world)), 'failed in-sync in-sync in-sync');
  world.drives[2]!.label!.owner!.token = uuid(7);
  assert.match(splitReason(world), /@H1/);
});

test('@H2 both halves of a mirror were forced to start apart', () => {
  const world = volume({ level: 1, members: 2 });
  leave(world, 0, 'missing', 2);
  // The other half, started elsewhere: fewer updates, so its label is the older one.
  const other = world.drives[0]!;
  other.superblock.roles[1] = ROLE_FAULTY;
  other.superblock.events = 51;
  other.label!.generation = uuid(555);
  other.label!.history = [uuid(3)];
  relabel(world, () => {}, [1]);
  other.label!.sequence = 21;
  relabel(
    world,
    (label) => {
      record(label, 0, { state: 'online' });
    },
    [1],
  );
  assert.match(splitReason(world), /@H2/);
});

/** Slot 0 failed here; elsewhere it was started without the others. Either may have counted further. */
function onTwoHosts(here: number, elsewhere: number): World {
  const world = volume({ level: 1, members: 2 });
  leave(world, 0, 'failed', here);
  for (let n = 0; n < here; n++) relabel(world, () => {}, [1]);
  const { superblock, label } = world.drives[0]!;
  superblock.events += elsewhere;
  superblock.roles[1] = ROLE_FAULTY;
  label!.sequence += elsewhere;
  label!.history = [label!.generation];
  label!.generation = uuid(556);
  record(label!, 1, { state: 'missing', eventsAtChange: 50 });
  return world;
}

test('@H8 both halves of a mirror went on, each with no more events than a crash may leave', () => {
  for (const [here, elsewhere] of [
    [0, 2],
    [1, 1],
    [3, 1],
  ] as const)
    assert.match(splitReason(onTwoHosts(here, elsewhere)), /@H8/);
});

test('@H8 one that was used elsewhere has the newest records: the refusal names it beside one of the many others', () => {
  const world = volume({ level: 1, members: 4 });
  leave(world, 3, 'failed', 1);
  const { superblock, label } = world.drives[3]!;
  superblock.events += 9;
  label!.sequence += 9;
  label!.history = [label!.generation];
  label!.generation = uuid(556);
  for (const slot of [0, 1, 2]) record(label!, slot, { state: 'missing', eventsAtChange: 50 });
  assert.match(splitReason(world), /^\/d0: by the records of \/d3, .*\(@H8\)$/);
  assert.deepEqual(halves(world), ['/d3', '/d0, /d1, /d2']);
});

test('@H8 those that went on without it have all been replaced since', () => {
  const world = onTwoHosts(3, 1);
  record(world.drives[0]!.label!, 1, { uuid: uuid(150) });
  assert.match(splitReason(world), /@H8/);
});

test('@H8 not: one that is in use here was so there, or its generation is known, or may be forgotten', () => {
  const changes: ((label: Label, world: World) => void)[] = [
    (label) => record(label, 1, { state: 'online' }),
    (label, { drives }) => drives[1]!.label!.history.push(label.generation),
    (label, { drives }) => {
      label.generation = drives[1]!.label!.generation;
    },
    // As one that left long ago, while those were out that are in use now: a label remembers only so much.
    (label) => {
      label.history = [uuid(557)];
    },
  ];
  for (const change of changes) {
    const world = onTwoHosts(3, 1);
    change(world.drives[0]!.label!, world);
    assert.match(verdicts(assembled(world)), /^failed in-sync$/);
  }
});

test('@H3 a member that left was used since', () => {
  const world = volume({ level: 1, members: 2 });
  leave(world, 0, 'missing', 20);
  world.drives[0]!.superblock.events = 60;
  assert.match(splitReason(world), /@H3/);
});

test('@H3 not: the events it left with, or one more', () => {
  for (const events of [49, 50, 51, 52]) {
    const world = volume({ level: 1, members: 2 });
    leave(world, 0, 'missing', 20);
    world.drives[0]!.superblock.events = events;
    assert.equal(verdicts(assembled(world)), 'stale-by-bitmap in-sync');
  }
});

/**
 * Slot 3 is out. Another host has brought it up to date, beside copies of the others, in `steps` labels; those have gone on
 * here, and have written one less.
 */
function besideCopies(steps = 2): World {
  const world = volume({ level: 4 });
  leave(world, 3);
  const { label: here, superblock: of } = world.drives[0]!;
  const { superblock, label } = world.drives[3]!;
  Object.assign(superblock, {
    events: of.events + steps,
    roles: volume().drives[0]!.superblock.roles,
  });
  label!.sequence = here!.sequence + steps;
  label!.events = superblock.events;
  label!.history = [here!.generation, ...here!.history];
  label!.generation = uuid(556);
  for (const { label: each } of world.drives) Object.assign(each!, { clean: false });
  const rest = [0, 1, 2];
  for (const slot of rest) world.drives[slot]!.superblock.events += steps - 1;
  for (let step = 1; step < steps; step++)
    relabel(world, (each) => Object.assign(each, { events: each.events + 1 }), rest);
  return world;
}

test('@H9 a drive that was used elsewhere counts one label further than those that went on here', () => {
  for (const steps of [2, 3]) {
    const world = besideCopies(steps);
    assert.match(splitReason(world), /^\/d0: by the records of \/d3, .*\(@H9\)$/);
    // Its slot was given to another drive here; it was stopped in good order.
    for (const slot of [0, 1, 2]) {
      const { label } = world.drives[slot]!;
      record(label!, 3, { uuid: uuid(150), state: 'rebuilding' });
      label!.clean = true;
    }
    assert.match(splitReason(world), /@H9/);
    assert.equal(
      refused(world, { force: true }).code,
      'history-split',
      'nobody can choose but a person',
    );
  }
});

test('@H9 not: what one update may have done, md, or a window', () => {
  const changes: ((here: Label, there: Label, superblock: { events: number }) => void)[] = [
    // Its rebuild was over, and a crash left the label that says so on that drive alone.
    (here) => record(here, 3, { state: 'rebuilding' }),
    // And a spare, which nobody needs, has failed meanwhile.
    (here, there) => {
      record(here, 3, { state: 'rebuilding' });
      const spare = { ...here.members[0]!, uuid: uuid(151), slot: null };
      here.members.push({ ...spare, state: 'spare' });
      if (!there.members.some(({ slot }) => slot === null))
        there.members.push({ ...spare, state: 'failed' });
    },
    // md has run the members, and has taken it back.
    (here, _, superblock) => {
      here.clean = true;
      superblock.events = here.events + 1;
    },
    // It was back as it was at the freeze; of one generation nobody comes into use by a rebuild.
    (here, there) => {
      Object.assign(there, { generation: here.generation, history: here.history });
    },
  ];
  for (const change of changes) {
    const world = besideCopies();
    const there = world.drives[3]!.label!;
    for (const slot of [0, 1, 2]) {
      const { label, superblock } = world.drives[slot]!;
      change(label!, there, superblock);
    }
    assert.equal(verdicts(assembled(world)), 'in-sync in-sync in-sync in-sync');
  }
});

test('@H9 not: in a window a drive that failed comes into use as it was at the freeze, in a start without another', () => {
  const world = volume({ members: 5, level: 4 });
  openWindow(world, 1);
  const { frozenEvents } = world.drives[0]!.label!.window!;
  relabel(
    world,
    (label) => record(label, 3, { state: 'failed', eventsAtChange: frozenEvents }),
    [0, 2],
  );
  const back = world.drives[3]!.label!;
  relabel(
    world,
    (label) => {
      label.history = [label.generation, ...label.history];
      label.generation = uuid(557);
      record(label, 4, { state: 'missing', eventsAtChange: frozenEvents });
    },
    [3],
  );
  back.sequence = world.drives[0]!.label!.sequence + 1;
  assert.equal(
    verdicts(assembled(world, { only: [0, 1, 2, 3] })),
    'in-sync away in-sync in-sync missing',
  );
});

test('@H4 an old label beside the highest events', () => {
  const world = volume();
  relabel(world, () => {}, [1, 2, 3]);
  relabel(world, () => {}, [1, 2, 3]);
  world.drives[0]!.superblock.events = 70;
  assert.match(splitReason(world), /@H4/);
});

test('@H4 not: one that was being taken back got the superblock, and crashes kept the label from it', () => {
  const world = volume();
  const rebuilding = (label: { members: { state: string }[] }): void => {
    label.members[0]!.state = 'rebuilding';
  };
  relabel(world, rebuilding, [1, 2, 3]);
  relabel(world, () => {}, [1, 2, 3]);
  world.drives[0]!.superblock.events = 51;
  assembled(world);
});

test('twice the label came through and the superblock did not: its label is the newest, it is no older copy', () => {
  const world = volume();
  for (const slot of [1, 2, 3]) world.drives[slot]!.superblock.events = 51;
  relabel(
    world,
    (label) => {
      label.events = 52;
      label.clean = false;
    },
    [0],
  );
  assert.equal(verdicts(assembled(world)), 'in-sync in-sync in-sync in-sync');
  for (const slot of [1, 2, 3]) world.drives[slot]!.superblock.events = 52;
  assert.equal(refused(world).code, 'drive-stale');
});

test('of a failure only the superblocks are left: the member went with what it has, the absent one with the newest', () => {
  const world = volume();
  for (const { label } of world.drives) label!.clean = false;
  for (const slot of [1, 2, 3]) {
    const { superblock } = world.drives[slot]!;
    superblock.events += 1;
    superblock.roles[0] = ROLE_FAULTY;
  }
  const here = assembled(world).slots[0]!;
  assert.deepEqual([here.verdict, here.eventsAtChange], ['stale', 50]);
  const gone = assembled(world, { only: [1, 2, 3] }).slots[0]!;
  assert.deepEqual([gone.verdict, gone.eventsAtChange], ['missing', 51]);
});

test('@H5 md only: two halves that ran apart', () => {
  const world = volume({ level: 1, members: 2, log: false });
  for (const drive of world.drives) drive.label = null;
  world.drives[0]!.superblock.roles[1] = ROLE_FAULTY;
  world.drives[0]!.superblock.events = 60;
  world.drives[1]!.superblock.roles[0] = ROLE_FAULTY;
  assert.match(splitReason(world), /@H5/);
  assert.deepEqual(halves(world), ['/d0', '/d1']);
  world.drives[1]!.superblock.events = 60;
  assert.match(splitReason(world), /@H5/);
});

test('a generation long forgotten is no split when the table knows that the member left', () => {
  const world = volume();
  leave(world, 2, 'failed', 40);
  relabel(
    world,
    (label) => {
      label.generation = uuid(900);
      label.history = Array.from({ length: 8 }, (_, index) => uuid(901 + index));
    },
    [0, 1, 3],
  );
  assert.equal(verdicts(assembled(world)), 'in-sync in-sync failed in-sync');
});

// --- members that missed something -----------------------------------------------------------------------------------

test('a failed member stays out, recorded, whether it is here or not', () => {
  const world = volume();
  leave(world, 1);
  for (const only of [
    [0, 2, 3],
    [0, 1, 2, 3],
  ]) {
    const decision = assembled(world, { only });
    assert.equal(verdicts(decision), 'in-sync failed in-sync in-sync');
    const slot = decision.slots[1]!;
    assert.deepEqual([slot.recorded, slot.reason, slot.uuid], [true, 'write-error', memberUuid(1)]);
    assert.equal(slot.readd, only.length === 4 ? 'bitmap' : null);
  }
});

test('a missing member comes back by bitmap, if nothing was cleared and it is as it left', () => {
  const world = volume();
  leave(world, 1, 'missing', 10);
  assert.equal(verdicts(assembled(world)), 'in-sync stale-by-bitmap in-sync in-sync');
  const cleared = volume();
  leave(cleared, 1, 'missing', 10);
  for (const { bitmap } of cleared.drives) bitmap!.eventsCleared = 51;
  assert.equal(verdicts(assembled(cleared)), 'in-sync stale in-sync in-sync');
});

test('a drive that calls itself a spare never was complete: it is rebuilt completely', () => {
  const world = volume();
  leave(world, 1, 'missing', 10);
  world.drives[1]!.superblock.roles = [0, ROLE_SPARE, 2, 3];
  assert.equal(verdicts(assembled(world)), 'in-sync stale in-sync in-sync');
});

test('an older image of a member that left, restored since, is rebuilt completely', () => {
  const world = volume();
  leave(world, 1, 'missing', 10);
  for (const { bitmap } of world.drives) bitmap!.eventsCleared = 10;
  world.drives[1]!.superblock.events = 40;
  assert.equal(verdicts(assembled(world)), 'in-sync stale in-sync in-sync');
});

test('an older image of a member that nobody knows to have left is stale, and never a source', () => {
  const world = volume();
  relabel(world, () => {}, [0, 1, 2]);
  relabel(world, () => {}, [0, 1, 2]);
  // Given among the others it is refused; with force it is left out, to be rebuilt when somebody adds it.
  assert.equal(refused(world).code, 'drive-stale');
  const decision = assembled(world, { force: true });
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync stale');
  assert.equal(decision.slots[3]!.rule, '@O2');
  // As a source it would be needed here: refused, even with force.
  assert.equal(refused(world, { only: [0, 1, 3] }).code, 'drive-stale');
  assert.equal(refused(world, { only: [0, 1, 3], force: true }).code, 'members-missing');
});

test('events far behind are stale, also with the newest label', () => {
  const world = volume();
  world.drives[3]!.superblock.events = 47;
  assert.equal(refused(world).code, 'drive-stale');
  const forced = assembled(world, { force: true });
  assert.equal(verdicts(forced), 'in-sync in-sync in-sync stale');
  assert.deepEqual(forced.overridden, ['drive-stale']);
});

test('a member that lost its label must be exactly current', () => {
  const world = volume();
  world.drives[0]!.label = null;
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.equal(decision.rollForward, true);
  world.drives[0]!.superblock.events--;
  assert.equal(refused(world).code, 'drive-stale');
  assert.equal(verdicts(assembled(world, { force: true })), 'stale in-sync in-sync in-sync');
  // But while an array is being adopted the very first label may have reached some members only.
  relabel(world, (label) => {
    label.sequence = 1;
  });
  for (const { label } of world.drives) if (label !== null) label.sequence = 1;
  world.drives[0]!.label = null;
  assert.equal(verdicts(assembled(world)), 'in-sync in-sync in-sync in-sync');
});

test('a rebuild goes on where both md and the label say it was', () => {
  const world = volume();
  world.drives[2]!.superblock.features += FEATURE_RECOVERY_OFFSET;
  world.drives[2]!.superblock.recoveryBytes = 65536 * 10;
  assert.equal(verdicts(assembled(world)), 'in-sync in-sync recovering in-sync');
  assert.deepEqual(assembled(world).slots[2]!.recovery, { kind: 'full', cursorStripe: 10 });
  const cursor = (kind: 'full' | 'bitmap', cursorStripe: number): unknown => {
    relabel(world, (label) => {
      label.recovery = [{ slot: 2, kind, cursorStripe }];
      record(label, 2, { state: 'rebuilding' });
    });
    return assembled(world).slots[2]!.recovery;
  };
  assert.deepEqual(cursor('full', 7), { kind: 'full', cursorStripe: 7 });
  assert.deepEqual(cursor('full', 70), { kind: 'full', cursorStripe: 10 });
  assert.deepEqual(cursor('bitmap', 70), { kind: 'bitmap', cursorStripe: 70 });
});

test('a rebuild whose source is gone: the target alone is not enough', () => {
  const world = volume();
  world.drives[2]!.superblock.features += FEATURE_RECOVERY_OFFSET;
  world.drives[2]!.superblock.recoveryBytes = 65536;
  relabel(world, (label) => {
    record(label, 0, { state: 'failed' });
  });
  assert.equal(refused(world, { only: [1, 2, 3] }).code, 'members-missing');
});

test('a spare', () => {
  const world = volume();
  const spare = volume().drives[0]!;
  spare.path = '/spare';
  Object.assign(spare.superblock, { memberUuid: uuid(300), deviceNumber: 4 });
  Object.assign(spare.label!, { memberUuid: uuid(300), slot: null });
  const entry = {
    uuid: uuid(300),
    slot: null,
    state: 'spare',
    reason: 'none',
    eventsAtChange: 0,
    changedWallMs: 0,
  } as const;
  for (const { label } of [...world.drives, spare]) label!.members.push({ ...entry });
  const decision = assembled(world, { extra: [found(spare)] });
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.deepEqual(
    decision.spares.map(({ path, uuid, deviceNumber }) => [path, uuid, deviceNumber]),
    [['/spare', uuid(300), 4]],
  );
});

test('a member whose slot and device number went to another drive is not used', () => {
  const world = volume();
  leave(world, 1, 'failed', 5);
  const fresh = volume({ events: 56, sequence: 22 }).drives[1]!;
  fresh.path = '/fresh';
  fresh.superblock.memberUuid = uuid(301);
  relabel(
    world,
    (label) => {
      label.members[1] = { ...label.members[1]!, uuid: uuid(301), state: 'online', reason: 'none' };
    },
    [0, 2, 3],
  );
  for (const slot of [0, 2, 3]) world.drives[slot]!.superblock.roles[1] = 1;
  fresh.label = structuredClone(world.drives[0]!.label!);
  Object.assign(fresh.label, { memberUuid: uuid(301), slot: 1 });
  const decision = assembled(world, { extra: [found(fresh)] });
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.equal(decision.slots[1]!.path, '/fresh');
  assert.ok(decision.trail.some((line) => line.startsWith('@X /d1')));
});

test('a drive that was replaced long ago is left out, whatever it says', () => {
  const world = volume();
  const old = structuredClone(world.drives[1]!);
  Object.assign(old, { path: '/old' });
  Object.assign(old.superblock, { memberUuid: uuid(302), events: 40 });
  Object.assign(old.label!, { memberUuid: uuid(302), sequence: 5, generation: uuid(777) });
  const decision = assembled(world, { extra: [found(old)] });
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.ok(decision.trail.some((line) => line.startsWith('@X /old')));
  assert.equal(refused(world, { only: [0, 2, 3], extra: [found(old)] }).code, 'members-missing');
});

// --- enough members? -------------------------------------------------------------------------------------------------

test('members missing that no record calls missing: wait for them, or force', () => {
  const world = volume();
  const problem = refused(world, { only: [0, 1, 3] });
  assert.deepEqual(problem, {
    code: 'members-missing',
    detail: { volume: 'tank', given: 3, needed: 4, missing: `slot 2 (${memberUuid(2)})` },
  });
  const decision = assembled(world, { only: [0, 1, 3], force: true });
  assert.equal(verdicts(decision), 'in-sync in-sync missing in-sync');
  assert.equal(decision.forced, true);
});

test('a missing member that the labels record does not hold the volume up', () => {
  const world = volume();
  leave(world, 2, 'missing');
  const decision = assembled(world, { only: [0, 1, 3] });
  assert.equal(verdicts(decision), 'in-sync in-sync missing in-sync');
  assert.equal(decision.forced, false);
});

test('the older half of a mirror does not start by itself', () => {
  const world = volume({ level: 1, members: 2 });
  leave(world, 0, 'missing');
  assert.equal(refused(world, { only: [0] }).code, 'members-missing');
  assert.equal(verdicts(assembled(world, { only: [1] })), 'missing in-sync');
});

test('too few members, whatever is forced', () => {
  const world = volume();
  const problem = refused(world, { only: [0, 1], force: true });
  assert.deepEqual(
    [problem.code, problem.detail['given'], problem.detail['needed']],
    ['members-missing', 2, 3],
  );
  assert.equal(
    verdicts(assembled(volume({ level: 1, members: 3 }), { only: [2], force: true })),
    'missing missing in-sync',
  );
});

/** Of the legs of an open window the second, by whose header the first is as `state` says. */
const secondLeg = (state: LegPeer['state']): FoundLeg[] => {
  const legs = [0, 1].map(
    (peer) => ({ uuid: legUuid(peer), state: peer === 0 ? state : 'online' }) as const,
  );
  return [leg(1, { epoch: 8, state: 'logging', windowId: WINDOW, sequence: 5, legs })];
};

test('@Q4 a leg and a member are absent, on no record: they may know that the other leg has missed something', () => {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, 0);
  const alone = { only: [0], legs: secondLeg('online') };
  const { code, detail } = refused(world, alone);
  assert.deepEqual([code, detail['given'], detail['needed']], ['members-missing', 1, 2]);
  assert.equal(detail['missing'], `slot 1 (${memberUuid(1)}), leg (${legUuid(0)})`);
  const { forced, inDoubt, mayBeOlder } = assembled(world, { ...alone, force: true });
  assert.deepEqual([forced, inDoubt, mayBeOlder], [true, true, true]);
  // Either of them would have said so; and a leg that is out on record has nothing to say.
  for (const choice of [
    { only: [0] },
    { only: [1], legs: secondLeg('online') },
    { only: [0], legs: secondLeg('failed') },
  ]) {
    const decision = assembled(world, choice);
    assert.deepEqual([decision.forced, decision.mayBeOlder], [false, false]);
  }
});

test('@Q4 the same while the log is being replayed', () => {
  const world = volume();
  openWindow(world, 0, { state: 'replaying' });
  const alone = { only: [0, 1, 2], legs: secondLeg('online') };
  assert.equal(refused(world, alone).code, 'members-missing');
  const { forced, mayBeOlder } = assembled(world, { ...alone, force: true });
  assert.deepEqual([forced, mayBeOlder], [true, true]);
  assert.equal(assembled(world, { ...alone, legs: secondLeg('failed') }).forced, false);
  assert.equal(assembled(world, { only: [0, 1, 2] }).forced, false);
});

// --- the write hole --------------------------------------------------------------------------------------------------

function crashed(world: World): World {
  for (const { superblock } of world.drives) superblock.resyncBytes = 0;
  return world;
}

test('unclean and degraded: only with the log, or mirrored, or forced', () => {
  const story = (level: 1 | 5): World => {
    const world = volume({ level });
    leave(world, 1);
    return crashed(world);
  };
  assert.equal(assembled(story(5)).unclean, true, 'the log has every degraded stripe');
  assert.deepEqual(refused(story(5), { legs: [] }), {
    code: 'dirty-and-degraded',
    detail: { volume: 'tank' },
  });
  assert.equal(assembled(story(5), { legs: [], force: true }).forced, true);
  assert.equal(assembled(story(1), { legs: [] }).forced, false);
});

const stripeLogIs = (world: World, stripeLog: StripeLogWord): World => {
  for (const { label } of world.drives) label!.stripeLog = stripeLog;
  return world;
};
const holeForced = (world: World): boolean =>
  assembled(world, { only: [0, 1, 2], force: true }).trail.some((line) => line.startsWith('@Q3'));

test('unclean, and the absence is news: a person says so; only a whole journal covers it', () => {
  const world = crashed(volume());
  assert.equal(refused(world, { only: [0, 1, 2] }).code, 'members-missing');
  const decision = assembled(world, { only: [0, 1, 2], force: true });
  assert.deepEqual([decision.forced, decision.stripeLog], [true, 'whole']);
  assert.equal(holeForced(world), false, 'but for that nothing is forced');
  assert.equal(holeForced(stripeLogIs(world, 'kept')), true);
  assert.equal(holeForced(stripeLogIs(world, 'void')), true);
});

test('unclean, and the absence is known: a journal that is kept covers it, a void one does not', () => {
  const story = (stripeLog: StripeLogWord): World => {
    const world = volume();
    leave(world, 1);
    return stripeLogIs(crashed(world), stripeLog);
  };
  assert.equal(assembled(story('whole')).stripeLog, 'whole');
  assert.equal(assembled(story('kept')).forced, false);
  assert.equal(refused(story('void')).code, 'dirty-and-degraded');
  assert.equal(assembled(story('void'), { force: true }).stripeLog, 'void');
});

test('unclean, and the labels say where parity is in doubt: it is believed only by force', () => {
  const story = (stripeLog: StripeLogWord): World => {
    const world = volume();
    leave(world, 1);
    for (const { label } of world.drives) label!.doubt = [{ firstStripe: 3, stripes: 2 }];
    return stripeLogIs(crashed(world), stripeLog);
  };
  const forcedOf = (stripeLog: StripeLogWord, force: boolean): boolean[] => {
    const { forced, inDoubt } = assembled(story(stripeLog), { force });
    return [forced, inDoubt];
  };
  assert.deepEqual(forcedOf('kept', false), [false, false], 'it goes on with it');
  assert.deepEqual(forcedOf('kept', true), [true, true]);
  assert.deepEqual(forcedOf('whole', true), [false, false], 'that is over');
  const whole = crashed(volume());
  for (const { label } of whole.drives) label!.doubt = [{ firstStripe: 3, stripes: 2 }];
  assert.equal(
    assembled(stripeLogIs(whole, 'kept'), { force: true }).inDoubt,
    false,
    'all are here',
  );
});

test('the journal is void without a leg of it, and when md has written to a member since', () => {
  const stripeLog = (change: (world: World) => void, legs?: []): string => {
    const world = volume();
    change(world);
    return assembled(world, legs ? { legs } : {}).stripeLog;
  };
  const nothing = (): void => {};
  assert.equal(stripeLog(nothing), 'whole');
  assert.equal(stripeLog(nothing, []), 'void');
  assert.equal(
    stripeLog(({ drives: [first] }) => (first!.superblock.byLocum = false)),
    'void',
  );
  const ahead = (by: number) => (world: World) => {
    for (const { superblock, label, bitmap } of world.drives) {
      label!.clean = false;
      superblock.events += by;
      bitmap!.events += by;
    }
  };
  assert.equal(stripeLog(ahead(1)), 'whole', 'a crash between superblock and label');
  assert.equal(stripeLog(ahead(2)), 'void');
  const byMd = (world: World): void => {
    ahead(2)(world);
    for (const { label } of world.drives) label!.clean = true;
  };
  assert.equal(stripeLog(byMd), 'void');
});

test('unclean with a log leg of an earlier epoch: not covered', () => {
  const world = volume();
  leave(world, 1);
  crashed(world);
  assert.equal(refused(world, { legs: [leg(0, { epoch: 6 })] }).code, 'dirty-and-degraded');
  const failed = {
    legs: [0, 1].map((peer) => ({ uuid: legUuid(peer), state: 'failed' as const })),
  };
  assert.equal(refused(world, { legs: [leg(0, failed)] }).code, 'dirty-and-degraded');
});

// --- windows ---------------------------------------------------------------------------------------------------------

test('an open window goes on, with or without the drive that is away', () => {
  const world = volume();
  openWindow(world, 1);
  for (const only of [
    [0, 1, 2, 3],
    [0, 2, 3],
  ]) {
    const decision = assembled(world, { only });
    assert.equal(verdicts(decision), 'in-sync away in-sync in-sync');
    assert.equal(decision.window?.id, WINDOW);
    assert.equal(decision.slots[1]!.frozenGeneration, only.length === 4);
    assert.equal(decision.unclean, false);
  }
});

test('a second failure in the window: recorded or not, either drive may be the one that is here', () => {
  const recorded = (): World => {
    const world = volume();
    openWindow(world, 1);
    relabel(
      world,
      (label) => {
        record(label, 3, { state: 'failed', reason: 'vanished', eventsAtChange: 51 });
      },
      [0, 2],
    );
    return world;
  };
  assert.equal(verdicts(assembled(recorded(), { only: [0, 2] })), 'in-sync away in-sync failed');
  assert.equal(verdicts(assembled(recorded(), { only: [0, 1, 2] })), 'in-sync away in-sync failed');
  const withBoth = assembled(recorded());
  assert.equal(verdicts(withBoth), 'in-sync away in-sync failed');
  assert.equal(withBoth.slots[3]!.frozenGeneration, true, 'of the frozen image: may be taken back');

  const world = volume();
  openWindow(world, 1);
  const decision = assembled(world, { only: [0, 2] });
  assert.equal(verdicts(decision), 'in-sync away in-sync missing');
  assert.equal(decision.slots[3]!.recorded, false);
  assert.equal(refused(world, { only: [0] }).code, 'members-missing');
  assert.equal(refused(world, { only: [1] }).code, 'members-missing');
  assert.equal(verdicts(assembled(world, { only: [1, 2] })), 'missing away in-sync missing');
});

test('a drive that had failed before the window is not of the frozen image', () => {
  const world = volume();
  leave(world, 3);
  const old = structuredClone(world.drives[3]!);
  openWindow(world, 1);
  world.drives[3] = old;
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync away in-sync failed');
  assert.equal(decision.slots[3]!.frozenGeneration, false);
  assert.equal(verdicts(assembled(world, { only: [0, 2] })), 'in-sync away in-sync failed');
  assert.equal(refused(world, { only: [0, 3] }).code, 'members-missing');
});

test('once replay has begun, a drive that failed is not of the image any more', () => {
  const world = volume();
  openWindow(world, 1);
  relabel(
    world,
    (label) => {
      label.window!.state = 'replaying';
      record(label, 3, { state: 'failed', reason: 'vanished', eventsAtChange: 51 });
    },
    [0, 1, 2],
  );
  const decision = assembled(world);
  assert.deepEqual(
    decision.slots.map(({ frozenGeneration }) => frozenGeneration),
    [true, true, true, false],
  );
  assert.equal(refused(world, { only: [0, 3] }).code, 'members-missing');
  assert.equal(refused(world, { only: [0, 1] }).code, 'members-missing');
});

test('a mirror in a window starts from either half', () => {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, 0);
  assert.equal(verdicts(assembled(world, { only: [0] })), 'away missing');
  assert.equal(verdicts(assembled(world, { only: [1] })), 'away in-sync');
});

test('a freeze has reached a spare, and not yet the only member, which was to leave: that one is the image', () => {
  const frozen = (change: (world: World) => void = () => {}): World => {
    const world = volume({ level: 1, members: 2 });
    leave(world, 1);
    const [last, failed] = structuredClone(world.drives);
    openWindow(world, 0);
    const [spare] = structuredClone(world.drives);
    Object.assign(spare!, { path: '/spare' });
    Object.assign(spare!.superblock, { memberUuid: uuid(300), deviceNumber: 4 });
    Object.assign(spare!.label!, { memberUuid: uuid(300), slot: null });
    const entry = { ...spare!.label!.members[0]!, uuid: uuid(300), slot: null };
    spare!.label!.members.push({ ...entry, state: 'spare' });
    const half = { ...world, drives: [last!, failed!, spare!] };
    change(half);
    return half;
  };
  const decision = assembled(frozen());
  assert.equal(verdicts(decision), 'away failed');
  assert.deepEqual([decision.window?.id, decision.rollForward], [WINDOW, true]);
  assert.deepEqual(
    decision.slots.map(({ frozenGeneration }) => frozenGeneration),
    [true, false],
  );
  assert.equal(refused(frozen(), { only: [1, 2] }).code, 'members-missing');
  const older = frozen(({ drives }) => drives[0]!.label!.sequence--);
  assert.equal(refused(older).code, 'members-missing');
  const other = frozen(({ drives }) => {
    drives[2]!.label!.window!.memberUuid = uuid(301);
  });
  assert.equal(refused(other).code, 'members-missing');
  const thawing = frozen(({ drives }) => {
    drives[2]!.label!.window!.state = 'thawing';
  });
  assert.equal(refused(thawing).code, 'members-missing');
});

test('the log of an open window is missing, foreign, stale or damaged', () => {
  const world = volume();
  openWindow(world, 1);
  const missing = refused(world, { legs: [] });
  assert.equal(missing.code, 'log-missing');
  assert.match(String(missing.detail['missing']), new RegExp(legUuid(0)));
  assert.equal(refused(world, { legs: [], force: true }).code, 'log-missing');

  const foreign = refused(world, { legs: [leg(0, { volumeUuid: uuid(98), volumeName: 'lake' })] });
  assert.deepEqual(foreign, {
    code: 'log-foreign',
    detail: { path: '/log0', found: `volume lake (${uuid(98)})` },
  });
  assert.equal(refused(world, { legs: [leg(0, { logUuid: uuid(97) })] }).code, 'log-foreign');
  assert.equal(refused(world, { legs: [leg(0, { epoch: 7 })] }).code, 'log-stale');
  assert.equal(refused(world, { legs: [{ path: '/log0', header: null }] }).code, 'log-damaged');
  assert.equal(assembled(world, { legs: world.legs.slice(1) }).missingLegs.join(), legUuid(0));
});

test('a leg that was replaced is out, also when it is all that is given and knows nothing of it', () => {
  const world = volume();
  const former = leg(0);
  assert.ok(former.header);
  const legs = former.header.legs.map((peer, i) => (i === 0 ? { ...peer, uuid: uuid(96) } : peer));
  const decision = assembled(world, { legs: [leg(0, { legs })] });
  assert.deepEqual(
    decision.legs.map(({ state }) => state),
    ['failed'],
  );
  openWindow(world, 1);
  const replaced = refused(world, { legs: [leg(0, { legs, epoch: 8 })] });
  assert.equal(replaced.code, 'log-stale');
  assert.equal(replaced.detail['reason'], 'it was replaced');
  assert.equal(replaced.detail['missing'], [legUuid(0), legUuid(1)].join(', '), 'what to bring');
});

test('a label that lists no leg says nothing of those that are there', () => {
  const world = volume();
  for (const { label } of world.drives)
    if (label?.log != null) Object.assign(label, { log: { ...label.log, legs: [] } });
  const decision = assembled(world, { legs: [leg(0)] });
  assert.deepEqual(
    decision.legs.map(({ state }) => state),
    ['online'],
  );
});

test('a log that no label knows and that was never used counts as blank; in a window it is foreign', () => {
  const world = volume();
  const unused = { logUuid: uuid(97), epoch: 0, sequence: 1, state: 'idle' } as const;
  const decision = assembled(world, { legs: [leg(0, unused)] });
  assert.deepEqual([decision.legs.length, decision.blankLegs], [0, ['/log0']]);
  const elsewhere = { ...unused, volumeUuid: uuid(98) };
  const logging = { ...unused, state: 'logging' } as const;
  for (const used of [{ ...unused, sequence: 2 }, { ...unused, epoch: 1 }, logging, elsewhere])
    assert.equal(refused(world, { legs: [leg(0, used)] }).code, 'log-foreign');
  openWindow(world, 1);
  assert.equal(refused(world, { legs: [leg(0, unused)] }).code, 'log-foreign');
});

test('a leg that was given together with its copy is refused by name, window or not', () => {
  const world = volume();
  const copy = { path: '/copy', header: leg(1).header };
  for (const open of [false, true]) {
    if (open) openWindow(world, 1);
    const both = open
      ? [...world.legs, { ...world.legs[1]!, path: '/copy' }]
      : [leg(0), leg(1), copy];
    assert.deepEqual(refused(world, { legs: both }), {
      code: 'leg-cloned',
      detail: { path: '/copy', other: '/log1' },
    });
  }
});

test('a leg that failed in the window is not enough, by its peer or by the labels', () => {
  const inWindow = { epoch: 8, state: 'logging', windowId: WINDOW } as const;
  const peers = [
    { uuid: legUuid(0), state: 'failed' },
    { uuid: legUuid(1), state: 'online' },
  ] as const;
  const world = volume();
  openWindow(world, 1);
  world.legs = [
    leg(0, { ...inWindow, sequence: 4 }),
    leg(1, { ...inWindow, sequence: 5, legs: peers }),
  ];
  assert.deepEqual(
    assembled(world).legs.map(({ state }) => state),
    ['failed', 'online'],
  );
  // Alone, the failed leg does not know; the labels do.
  relabel(world, (label) => {
    label.log!.legs[0]!.state = 'failed';
  });
  assert.equal(refused(world, { legs: world.legs.slice(0, 1) }).code, 'log-stale');
  assert.equal(assembled(world, { legs: world.legs.slice(1) }).missingLegs.length, 0);
});

test('a crash while freezing, before the log took part', () => {
  const world = volume();
  openWindow(world, 1, { state: 'freezing' });
  world.legs = [leg(0), leg(1)];
  const decision = assembled(world);
  assert.equal(decision.window?.state, 'freezing');
  assert.equal(refused(world, { legs: [leg(0, { epoch: 6 })] }).code, 'log-stale');
});

test('a crash while freezing, the first label written: the others are of the same image', () => {
  const world = volume();
  const before = structuredClone(world.drives);
  openWindow(world, 1);
  for (const slot of [1, 2, 3]) world.drives[slot] = before[slot]!;
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync away in-sync in-sync');
  assert.equal(decision.window?.id, WINDOW);
  assert.equal(decision.rollForward, true);
});

test('members older than the log: it has seen the end of their window', () => {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, 0);
  const later = leg(0, { epoch: 9, state: 'idle', sequence: 9 });
  assert.equal(refused(world, { only: [0], legs: [later] }).code, 'log-ahead');
  const other = leg(0, { epoch: 8, state: 'logging', windowId: uuid(500), sequence: 9 });
  assert.equal(refused(world, { only: [0], legs: [other] }).code, 'log-ahead');
});

test('members as at the freeze, and a log that has been replayed to others: not started', () => {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, 0);
  const replayed = { epoch: 8, state: 'replaying', windowId: WINDOW, sequence: 9 } as const;
  world.legs = [leg(0, replayed), leg(1, replayed)];
  const refusal = refused(world, { only: [0] });
  assert.equal(refusal.code, 'log-ahead');
  assert.match(String(refusal.detail['reason']), /replayed to others/);
  // One leg that says so is enough; the other had failed before, and knows nothing.
  world.legs = [leg(0), leg(1, replayed)];
  assert.equal(refused(world, { only: [0] }).code, 'log-ahead');
});

for (const state of ['replaying', 'thawing'] as const) {
  test(`${state}, killed before or after the legs are told: it goes on`, () => {
    const world = volume({ level: 1, members: 2 });
    openWindow(world, 0, { state, outcome: state === 'thawing' ? 'thawed' : 'returned' });
    assert.equal(assembled(world).window?.state, state);
    const replayed = { epoch: 8, state: 'replaying', windowId: WINDOW, sequence: 9 } as const;
    world.legs = [leg(0, replayed), leg(1, replayed)];
    assert.equal(assembled(world).window?.state, state);
  });
}

test('a window that expired: the drive that was away comes back by bitmap', () => {
  const world = volume();
  openWindow(world, 1);
  const away = structuredClone(world.drives[1]!);
  leave(world, 1, 'missing', 4);
  relabel(
    world,
    (label) => {
      label.window = null;
      record(label, 1, { state: 'missing', reason: 'expired', eventsAtChange: 51 });
    },
    [0, 2, 3],
  );
  world.drives[1] = away;
  world.legs = [leg(0, { epoch: 8 }), leg(1, { epoch: 8 })];
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync stale-by-bitmap in-sync in-sync');
  assert.equal(decision.window, null);
});

test('a closed window is no window', () => {
  const world = volume();
  openWindow(world, 1, { state: 'closed', outcome: 'returned' });
  relabel(world, (label) => {
    record(label, 1, { state: 'online' });
  });
  const decision = assembled(world, { legs: [] });
  assert.equal(decision.window, null);
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
});

// --- legs without a window -------------------------------------------------------------------------------------------

test('without a window the log may be absent, but not foreign', () => {
  const world = volume();
  const decision = assembled(world, { legs: [] });
  assert.deepEqual(decision.missingLegs, [legUuid(0), legUuid(1)]);
  assert.equal(refused(world, { legs: [leg(0, { volumeUuid: uuid(98) })] }).code, 'log-foreign');
  const blank = assembled(volume({ log: false }), { legs: [{ path: '/new', header: null }] });
  assert.deepEqual(blank.blankLegs, ['/new']);
  const attached = assembled(volume({ log: false }), { legs: [leg(0, { logUuid: LOG })] });
  assert.equal(attached.legs.length, 1, 'a crash between making the log and writing the labels');
});

// --- arrays made by mdadm --------------------------------------------------------------------------------------------

function mdArray(members = 4, level: 1 | 5 = 5): World {
  const world = volume({ log: false, members, level });
  for (const drive of world.drives) drive.label = null;
  return world;
}

test('an mdadm array is adopted, under its own name or the one given', () => {
  const decision = assembled(mdArray());
  assert.equal(decision.adopt, true);
  assert.equal(decision.name, 'tank', 'without the host');
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.equal(decision.sequence, 0);
  assert.equal(assembled(mdArray(), { name: 'lake' }).name, 'lake');
  const world = mdArray();
  for (const { superblock } of world.drives) superblock.setName = 'host:a name';
  assert.equal(refused(world).code, 'volume-name-invalid');
});

test('an adoption that crashed half way goes on', () => {
  const world = volume({ log: false, sequence: 1 });
  world.drives[2]!.label = null;
  world.drives[3]!.label = null;
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync in-sync');
  assert.deepEqual([decision.adopt, decision.rollForward], [false, true]);
});

test('an mdadm array without room or without bitmap', () => {
  const cramped = mdArray();
  cramped.drives[1]!.superblock.dataOffset = 65536;
  assert.equal(refused(cramped).code, 'md-no-room-for-label');
  const bare = mdArray();
  for (const drive of bare.drives) {
    drive.bitmap = null;
    Object.assign(drive.superblock, { features: 0, bitmapOffset: 0 });
  }
  const decision = assembled(bare);
  assert.equal(decision.layouts.get('/d0')!.bitmapPresent, false);
  assert.equal(decision.bitmapTrusted, false);
});

test('a member that md failed, or dropped', () => {
  const world = mdArray();
  for (const slot of [0, 1, 2]) {
    world.drives[slot]!.superblock.roles[3] = ROLE_FAULTY;
    world.drives[slot]!.superblock.events = 60;
  }
  const decision = assembled(world);
  assert.equal(verdicts(decision), 'in-sync in-sync in-sync stale-by-bitmap');
  assert.equal(verdicts(assembled(world, { only: [0, 1, 2] })), 'in-sync in-sync in-sync missing');
  world.drives[0]!.bitmap!.eventsCleared = 55;
  assert.equal(verdicts(assembled(world)), 'in-sync in-sync in-sync stale');
  // Never a source.
  assert.equal(refused(world, { only: [0, 1, 3], force: true }).code, 'members-missing');
});

test('an mdadm array with a member missing that md does not know to be missing', () => {
  assert.equal(refused(mdArray(), { only: [0, 1, 2] }).code, 'members-missing');
  assert.equal(assembled(mdArray(), { only: [0, 1, 2], force: true }).forced, true);
});

test('an unclean, degraded mdadm array', () => {
  const world = crashed(mdArray());
  for (const { superblock } of world.drives) superblock.roles[3] = ROLE_SPARE;
  assert.equal(refused(world, { only: [0, 1, 2] }).code, 'dirty-and-degraded');
});

test('md has run a volume of ours since it was stopped: the superblock counts', () => {
  const world = volume();
  // The kernel failed slot 3 and rebuilt it onto a drive of its own.
  const fresh = structuredClone(world.drives[3]!);
  Object.assign(fresh, { path: '/fresh', label: null });
  Object.assign(fresh.superblock, { memberUuid: uuid(400), deviceNumber: 4, events: 80 });
  const parts = [world.drives[0]!, world.drives[1]!, world.drives[2]!, fresh];
  for (const { superblock, bitmap } of parts) {
    superblock.events = 80;
    bitmap!.events = 80;
    superblock.roles[3] = ROLE_FAULTY;
    superblock.roles[4] = 3;
  }
  const decision = assembled(world, { only: [0, 1, 2], extra: [found(fresh)] });
  assert.equal(decision.ranByMd, true);
  assert.equal(decision.slots[3]!.path, '/fresh');
  assert.equal(decision.slots[3]!.verdict, 'in-sync');
  assert.equal(decision.rollForward, true);
  // The drive the kernel failed is older, and its slot is taken.
  const both = assembled(world, { extra: [found(fresh)] });
  assert.equal(both.slots[3]!.path, '/fresh');
});

// --- the table of slots ----------------------------------------------------------------------------------------------

test('every combination of slot facts has a verdict, and every case is reached', () => {
  const reached = new Set<string>();
  const words = [
    null,
    'online',
    'away',
    'returning',
    'failed',
    'missing',
    'rebuilding',
    'spare',
  ] as const;
  const flags = [false, true];
  for (const recorded of words) {
    for (let bits = 0; bits < 64; bits++) {
      const flag = (bit: number): boolean => flags[(bits >> bit) & 1]!;
      const facts: SlotFacts = {
        recorded,
        present: flag(0),
        windowSlot: flag(1),
        role: flag(2),
        behind: flag(3),
        covered: flag(4),
        recovering: flag(5),
      };
      const fits = slotCases.find(({ when }) => when(facts));
      assert.ok(fits);
      reached.add(fits.label);
      if (fits.verdict === 'in-sync') {
        assert.ok(facts.present && facts.role && !facts.behind && !facts.recovering);
        assert.ok(facts.recorded !== 'failed' && facts.recorded !== 'missing');
      }
      assert.ok(facts.present || ['away', 'failed', 'missing'].includes(fits.verdict));
    }
  }
  assert.deepEqual([...reached].sort(), slotCases.map(({ label }) => label).sort());
});

test('the trail names the rule of every slot', () => {
  const { trail } = assembled(volume());
  for (const slot of [0, 1, 2, 3]) {
    assert.ok(trail.some((line) => line === `@S slot ${slot}: in-sync (${path(slot)})`));
  }
});
