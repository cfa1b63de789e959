/** Traps of a member and its record: T3 to T6, T8, T14 of the list of faults. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ETIMEDOUT } from '../../src/base/errno.ts';
import type { DriveOffset } from '../../src/base/units.ts';
import type { Label } from '../../src/core/format/label.ts';
import { decodeLabel, newestLabel } from '../../src/core/format/label-codec.ts';
import { decodeSuperblock } from '../../src/core/format/superblock.ts';
import { DeadlineDrive } from '../../src/io/deadline-drive.ts';
import { closeRequest, KIB, Scene } from '../unit/engine/scene.ts';
import { World } from '../unit/engine/world.ts';

const BLOCK = 4 * KIB;

const layoutOf = (scene: Scene, slot: number) => {
  const { layout } = scene.core.members.at(slot);
  assert.ok(layout);
  return layout;
};

/** From the medium, whatever the engine thinks: as it reads, or as a power cut would leave it. */
function labelOn(scene: Scene, slot: number, what: 'bytes' | 'stable' = 'bytes'): Label {
  const bytes = scene.world.at(scene.core.members.at(slot).path)[what];
  const [first, second] = layoutOf(scene, slot).labelOffsets.map((at) =>
    decodeLabel(bytes.slice(at, at + BLOCK)),
  );
  assert.ok(first && second);
  const label = newestLabel(first, second);
  return label.kind === 'label' ? label.value : assert.fail(`slot ${slot}: ${label.kind}`);
}

function eventsOn(scene: Scene, slot: number): number {
  const { bytes } = scene.world.at(scene.core.members.at(slot).path);
  const at = layoutOf(scene, slot).superOffset;
  const superblock = decodeSuperblock(bytes.slice(at, at + BLOCK));
  return superblock.kind === 'superblock'
    ? superblock.value.events
    : assert.fail(`slot ${slot}: ${superblock.kind}`);
}

test('T3: an unreadable sector of a frozen member is served and left as it is', async () => {
  const scene = await Scene.make(1, { seed: 3, members: 3 });
  const { world } = scene;
  await scene.fill(12);
  await scene.flush();
  await scene.open('2');
  const { dataOffset } = layoutOf(scene, 0);
  let touched = 0;
  for (const path of ['d0', 'd1']) {
    world.at(path).intercept = ({ kind, offset }) => {
      if ((kind === 'write' || kind === 'punch') && offset >= dataOffset) touched++;
      return 0;
    };
    world
      .at(path)
      .failReads({ offset: dataOffset, lengthBytes: 4 * KIB, untilWritten: true, count: 2 });
  }
  const before = [scene.region(0), scene.region(1)];
  world.at('d1').clearFaults();
  await scene.check('frozen');
  assert.ok((world.v.status().drives[0]?.errors.read ?? 0) > 0, 'the sector was met');
  assert.equal(touched, 0, 'writes to the data of a frozen member');
  assert.deepEqual([scene.region(0), scene.region(1)], before);
  await scene.closeAndWait();
  await scene.settle('afterwards');
});

test('T4: no bit of the intent bitmap is cleared while a member is absent', async () => {
  const scene = await Scene.make(5, { seed: 4 });
  const { world } = scene;
  await scene.fill(12);
  await scene.flush();
  await world.pass(30_000);
  assert.ok(!scene.core.intent.bits.any, 'what is idle is cleared while all are here');
  world.at('d1').vanish();
  await world.pass(2_500);
  assert.equal(scene.state, 'degraded');
  await scene.fill(12);
  const missed = scene.core.intent.bits.setCount;
  assert.ok(missed > 0);
  await world.pass(60_000);
  assert.equal(scene.core.intent.bits.setCount, missed, 'what the absent member missed is known');
  world.at('d1').reappear();
  assert.ok((await world.until(world.v.addDrive('d1', false, false))).ok);
  await scene.until('optimal');
  assert.ok(scene.said('rebuild-started'));
  await scene.settle('back by bitmap');
});

test('T5: events only rise, and no number is used twice', async () => {
  const scene = await Scene.make(5, { seed: 5 });
  const { world } = scene;
  let highest = 0;
  for (let turn = 0; turn < 4; turn++) {
    await scene.fill(3);
    const left = eventsOn(scene, 1);
    assert.ok(left >= highest, `events fell from ${highest} to ${left}`);
    world.at('d1').vanish();
    await world.pass(2_500);
    await scene.fill(3);
    for (const slot of [0, 2, 3])
      assert.ok(
        eventsOn(scene, slot) > left,
        'those that went on are ahead of the one that did not',
      );
    highest = eventsOn(scene, 0);
    // Stopped and started while it is out, in each way.
    if (turn % 2 === 0) assert.ok((await world.until(world.v.stop())).ok);
    scene.crash(turn % 2 === 1);
    world.at('d1').reappear();
    if (turn > 1) world.at('d1').vanish();
    await world.assemble();
    assert.ok(scene.core.metadata.events >= highest, 'a start goes on from the highest');
    world.at('d1').reappear();
    if (scene.core.members.at(1).state !== 'rebuilding' && scene.state !== 'optimal')
      assert.ok((await world.until(world.v.addDrive('d1', false, false))).ok);
    await scene.until('optimal');
    await scene.check(`turn ${turn}`);
    scene.addsUp(`turn ${turn}`);
    highest = Math.max(highest, eventsOn(scene, 0));
  }
});

test('T6: a drive is let go with nothing left in its cache', async () => {
  const scene = await Scene.make(5, { seed: 6, operationMs: 1 });
  const { world } = scene;
  await scene.fill(12);
  assert.ok(world.at('d1').unflushedWrites > 0, 'there is something to lose');
  await scene.open('1');
  assert.equal(world.at('d1').unflushedWrites, 0);
  world.at('d1').powerCut();
  await scene.fill(4);
  await scene.closeAndWait({ verify: 'full' });
  await scene.settle('pulled and put back');
});

test('T7: a member that missed a write is on record as out at the moment of the answer', async () => {
  for (const level of [1, 3, 5]) {
    const scene = await Scene.make(level, { seed: 7, operationMs: 1 });
    const { world, core } = scene;
    await scene.put(0, 8);
    world.at('d1').failWrites({ offset: layoutOf(scene, 1).dataOffset });
    const known: (string | undefined)[] = [];
    const { data } = scene.model.invent(96);
    // Not a turn later: what is on the others when the answer goes out is what a kill would leave.
    const answered = world.write(0, data).then((errno) => {
      assert.equal(errno, 0);
      for (const { slot, state } of core.members.slots) {
        if (state !== 'online') continue;
        const label = labelOn(scene, slot, 'stable');
        known.push(label.members.find((one) => one.slot === 1)?.state);
      }
    });
    await world.until(answered);
    assert.deepEqual(new Set(known), new Set(['failed']), `RAID ${level}`);
  }
});

test('T8: the late answer of a hung write changes nothing', async () => {
  const world = new World({ seed: 8 });
  const medium = world.at('d0');
  const drive = new DeadlineDrive(medium.open('d0', world.buffers), world.clock, world.buffers);
  const buffer = await world.buffers.takeLater(BLOCK, 'engine');
  medium.hang('write');
  assert.equal(await world.until(drive.write(0 as DriveOffset, buffer, BLOCK)), ETIMEDOUT);
  medium.release();
  await world.pass(1_000);
  assert.equal(
    await world.until(drive.write(0 as DriveOffset, buffer, BLOCK)),
    ETIMEDOUT,
    'fenced',
  );

  // The same in a volume: the drive cannot come back before the write that hangs has ended.
  const scene = await Scene.make(5, { seed: 8 });
  await scene.fill(8);
  scene.world.at('d1').hang('write');
  await scene.put(0, 64);
  assert.equal(scene.core.members.at(1).state, 'failed');
  await scene.put(0, 64);
  const early = await scene.world.until(scene.world.v.addDrive('d1', false, false));
  assert.equal(early.ok ? 'taken' : early.problem.code, 'drive-busy');
  scene.world.at('d1').release();
  await scene.world.pass(1_000);
  assert.equal(scene.core.members.at(1).state, 'failed', 'its answer comes too late');
  assert.ok((await scene.world.until(scene.world.v.addDrive('d1', false, false))).ok);
  await scene.until('optimal');
  await scene.settle('hung, failed, back');
});

test('T14: every member carries every change of state', async () => {
  const scene = await Scene.make(5, { seed: 14 });
  const { world } = scene;
  const agree = async (what: string): Promise<void> => {
    await world.until(scene.core.metadata.idle());
    for (const { slot, drive } of scene.core.members.slots) {
      if (drive === null) continue;
      const label = labelOn(scene, slot);
      assert.equal(label.sequence, scene.core.metadata.sequence, `${what}: slot ${slot}`);
      for (const member of scene.core.members.slots) {
        const known = label.members.find((one) => one.slot === member.slot)?.state;
        assert.equal(known, member.state, `${what}: slot ${slot} about slot ${member.slot}`);
      }
    }
  };
  await scene.fill(4);
  await agree('written to');
  assert.ok((await world.until(world.v.failDrive('3'))).ok);
  await agree('a member failed');
  await scene.replace(3);
  await scene.until('optimal');
  await agree('rebuilt');
  await scene.open('1');
  await agree('frozen');
  assert.equal(labelOn(scene, 1).window?.id, scene.core.window?.id, 'and the one that left');
  assert.ok((await world.until(world.v.failDrive('2'))).ok);
  await agree('a second failure');
  assert.ok((await world.until(world.v.closeWindow(closeRequest()))).ok);
  await scene.closed();
  await agree('replayed');
  await scene.settle('in the end');
  await agree('optimal');
});
