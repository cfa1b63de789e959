/**
 * Two halves of one history whose labels do not count alike: the survivors of a window wrote labels while a drive was away,
 * then they were gone, and the drive of the window was all there was to go on with, from the number of the freeze.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assembled,
  GENERATION,
  openWindow,
  record,
  refused,
  relabel,
  TOKEN,
  uuid,
  verdicts,
  volume,
  type World,
} from './assembly-world.ts';

const SURVIVOR = 0;
const AWAY = 1;

/** A mirror: `labels` of the survivor in the window, then it is gone; `steps` of a start with the other alone. */
function leftBehind(labels: number, steps: number): World {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, AWAY);
  for (let n = 0; n < labels; n++) relabel(world, () => {}, [SURVIVOR]);
  turn(world);
  for (let n = 1; n < steps; n++) relabel(world, () => {}, [AWAY]);
  return world;
}

/** A start without the survivor: a generation of its own, as the engine begins it. */
function turn(world: World, on = AWAY): void {
  relabel(
    world,
    (label) => {
      label.owner = { token: uuid(77 + on), wallMs: 1 };
      label.history = [label.generation, ...label.history];
      label.generation = uuid(2000 + on);
      const { eventsAtChange } = label.members[AWAY]!;
      record(label, 1 - on, { state: 'missing', eventsAtChange });
    },
    [on],
  );
}

/** The window is over on the drive that went on. */
function close(world: World, drive = AWAY): void {
  const { superblock, bitmap } = world.drives[drive]!;
  superblock.events += 3;
  superblock.features = 1;
  superblock.roles[1 - drive] = 0xfffe;
  if (bitmap) bitmap.events = superblock.events;
  relabel(
    world,
    (label) => {
      label.history = [label.generation, ...label.history];
      label.generation = uuid(3000 + drive);
      label.events = superblock.events;
      label.window = null;
      record(label, drive, { state: 'online' });
    },
    [drive],
  );
  for (const { header } of world.legs)
    Object.assign(header!, { state: 'idle', windowId: uuid(0), epoch: 9 });
}

test('a start goes on with the drive of the window alone: what it did is the truth, however the others had counted', () => {
  // Fewer labels than the survivor wrote, as many, more.
  for (const steps of [1, 3, 4, 5]) {
    const open = leftBehind(4, steps);
    const decision = assembled(open);
    assert.deepEqual([decision.label!.generation, decision.leavesBehind], [uuid(2001), false]);
    assert.equal(verdicts(decision), 'stale-by-bitmap away');
    assert.equal(decision.slots[SURVIVOR]!.frozenGeneration, true, 'as good as the other');

    close(open);
    const over = assembled(open);
    assert.equal(over.label!.generation, uuid(3001));
    assert.equal(verdicts(over), 'stale-by-bitmap in-sync');
    assert.equal(over.window, null);
    open.drives.reverse();
    assert.equal(assembled(open).label!.generation, uuid(3001), 'in any order');
  }
});

test('such a start leaves somebody behind, and says so', () => {
  const world = volume({ level: 1, members: 2 });
  openWindow(world, AWAY);
  const decision = assembled(world, { only: [AWAY] });
  assert.deepEqual([decision.leavesBehind, decision.forced], [true, false]);
  assert.equal(assembled(world, { only: [SURVIVOR] }).leavesBehind, false, 'away, on record');
});

test('@H2 both went on alone', () => {
  const world = leftBehind(4, 2);
  turn(world, SURVIVOR);
  record(world.drives[SURVIVOR]!.label!, AWAY, { state: 'away' });
  const { code, detail } = refused(world);
  assert.equal(code, 'history-split');
  assert.match(String(detail['reason']), /@H2/);
});

test('@H2 a label that the others should have known: they have its drive in use', () => {
  const world = leftBehind(4, 2);
  close(world);
  record(world.drives[AWAY]!.label!, SURVIVOR, { state: 'online' });
  assert.match(String(refused(world).detail['reason']), /another generation \(@H2\)/);
  // While it is being taken back, or the image is frozen still, it may not have got its label yet.
  record(world.drives[AWAY]!.label!, SURVIVOR, { state: 'rebuilding' });
  assert.match(verdicts(assembled(world)), / in-sync$/);
  // And one that was replaced is nobody's.
  record(world.drives[AWAY]!.label!, SURVIVOR, { state: 'missing', uuid: uuid(150) });
  assert.equal(verdicts(assembled(world)), 'missing in-sync');
  const frozen = leftBehind(4, 2);
  record(frozen.drives[AWAY]!.label!, SURVIVOR, { state: 'online' });
  assert.equal(verdicts(assembled(frozen)), 'in-sync away');
});

test('@H7 the one left behind went on with a log of its own', () => {
  const world = leftBehind(4, 2);
  world.drives[AWAY]!.label!.log!.lastSequence = 40;
  world.drives[SURVIVOR]!.label!.log!.lastSequence = 40;
  assert.equal(verdicts(assembled(world)), 'stale-by-bitmap away');
  world.drives[SURVIVOR]!.label!.log!.lastSequence = 41;
  assert.match(String(refused(world).detail['reason']), /@H7/);
  world.drives[SURVIVOR]!.label!.log = null;
  assert.equal(verdicts(assembled(world)), 'stale-by-bitmap away');
});

/** What the list of a label has room for, after `turns` starts by force that began with the generation of the freeze. */
const remembered = (turns: number): string[] =>
  [
    ...Array.from({ length: turns - 1 }, (_, turn) => uuid(4000 + turns - 1 - turn)),
    TOKEN,
    GENERATION,
  ].slice(0, 8);

/** Drive 2 cannot be read: each start in the window on drive 0 leaves it out by force, on the same record. */
function forced(world: World, turns: number): void {
  relabel(
    world,
    (label) => {
      label.sequence += turns;
      label.owner = { token: uuid(500 + turns), wallMs: 1 };
      label.generation = uuid(4000 + turns);
      label.history = remembered(turns);
      record(label, 2, { state: 'missing', eventsAtChange: label.window!.frozenEvents });
    },
    [1, 3, 4],
  );
}

test('a window with more starts by force than a label remembers generations: its drive is known, open and in the replay', () => {
  for (const turns of [1, 8, 9, 20]) {
    const world = volume({ members: 5 });
    openWindow(world, 0);
    forced(world, turns);
    assert.equal(world.drives[1]!.label!.history.includes(TOKEN), turns < 9);
    const open = assembled(world);
    assert.equal(open.label!.generation, uuid(4000 + turns));
    assert.match(verdicts(open), /^away in-sync stale\S* in-sync in-sync$/);

    // Power cut in the first labels of the replay: drive 1 alone has them.
    relabel(
      world,
      (label) => {
        label.history = [label.generation, ...label.history].slice(0, 8);
        label.generation = uuid(5000);
        label.window!.state = 'replaying';
        record(label, 0, { state: 'online' });
      },
      [1],
    );
    const begun = assembled(world, { only: [0, 1, 3, 4] });
    assert.equal(begun.label!.generation, uuid(5000));
    assert.match(verdicts(begun), /^away in-sync missing in-sync in-sync$/);
    world.drives.reverse();
    assert.equal(assembled(world).label!.generation, uuid(5000), 'in any order');
  }
});

test('@H2 the drive of such a window went on alone: it has turned, too', () => {
  const world = volume({ members: 5 });
  openWindow(world, 0);
  forced(world, 9);
  relabel(
    world,
    (label) => {
      label.owner = { token: uuid(78), wallMs: 1 };
      label.history = [label.generation, ...label.history];
      label.generation = uuid(6000);
    },
    [0],
  );
  assert.match(String(refused(world).detail['reason']), /do not know its generation .*\(@H2\)/);
  // Nor is it known by the freeze of another window.
  const other = volume({ members: 5 });
  openWindow(other, 0);
  forced(other, 9);
  for (const slot of [1, 3, 4]) other.drives[slot]!.label!.window!.token = uuid(79);
  assert.match(String(refused(other).detail['reason']), /do not know its generation .*\(@H2\)/);
});
