/** What can come back from a window, when, and what can go wrong meanwhile. Each test is named after the accident. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import {
  closeRequest,
  KIB,
  MIB,
  Scene,
  type SceneOptions,
  SMALL_MEMBER_BYTES,
  windowRequest,
} from './scene.ts';

/** A volume full of data with a window on drive 1 and more data in the log. */
async function inWindow(level: number, options: SceneOptions = {}, writes = 25): Promise<Scene> {
  const scene = await Scene.make(level, options);
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(writes);
  return scene;
}

/** A sector of the volume whose data lies on this slot and that was not written since the freeze. */
function sectorOn(scene: Scene, slot: number): number {
  const g = scene.core.geometry;
  for (let sector = 0; sector < scene.model.sectors; sector++) {
    const offset = (sector * SECTOR) as VolumeOffset;
    if (scene.core.log?.overlay.anyIn(sector, 1)) continue;
    if (g.dataSlot(g.stripeOf(offset), g.indexOf(offset)) === slot) return sector;
  }
  return assert.fail('every sector of the slot is in the log');
}

// --- what comes back ---------------------------------------------------------------------------------------------

for (const level of [1, 3, 4, 5]) {
  test(`RAID ${level}: the drive comes back on another path`, async () => {
    const scene = await inWindow(level, { seed: 50 });
    const { world } = scene;
    world.media.set('elsewhere', world.at('d1').clone());
    world.at('d1').vanish();
    assert.equal(await scene.closeRefused(), 'window-drive-absent');
    await scene.closeAndWait({ drivePath: 'elsewhere' });
    assert.equal(scene.state, 'optimal');
    assert.equal(world.v.status().drives[1]?.path, 'elsewhere');
    await scene.settle('from another path');
  });

  test(`RAID ${level}: a blank drive comes back, with a crash half-way through its rebuild`, async () => {
    const scene = await inWindow(level, {
      seed: 51,
      limits: { sweepBytesPerSecond: 20 * KIB, sweepStepBytes: 4 * KIB },
    });
    const { world } = scene;
    world.medium('blank', SMALL_MEMBER_BYTES);
    void world.v.closeWindow(closeRequest({ drivePath: 'blank' })).catch(() => {});
    await world.pass(1_000);
    const { drives } = world.v.paths();
    assert.deepEqual([drives[1], drives.at(-1)], ['d1', 'blank'], 'both are known while it lasts');
    scene.crash(true);
    world.drivePaths.splice(0, world.drivePaths.length, ...drives);
    world.at('d1').vanish();
    await world.assemble();
    assert.equal(scene.core.mode, 'frozen');
    assert.equal(
      world.v.status().window?.drive.path,
      'd1',
      'the window is still on the one that left',
    );
    await scene.check('after the crash');
    await scene.fill(5);
    await scene.closeAndWait({ drivePath: 'blank' });
    await scene.settle('rebuilt at the second try');
  });

  test(`RAID ${level}: after a start that was not told where the drive was, the window is on its slot`, async () => {
    const scene = await inWindow(level, { seed: 54 });
    const { world } = scene;
    scene.crash(false);
    world.at('d1').vanish();
    world.drivePaths.splice(1, 1);
    await world.assemble();
    assert.match(world.v.status().story.state, /slot 1 is away/);
    await world.v.extendWindow(-30 * 60_000);
    await scene.closed();
    assert.ok(!world.events.some((event) => event.includes('Drive  ')), scene.recent);
    await scene.settle('thawed');
  });

  test(`RAID ${level}: a blank drive comes back while another is failed: refused with the reason`, async () => {
    const scene = await inWindow(level, { seed: 52, members: level === 1 ? 2 : 4 });
    const { world } = scene;
    await world.until(world.v.failDrive('0'));
    world.medium('blank', SMALL_MEMBER_BYTES);
    for (const rebuild of [false, true]) {
      const closed = await world.until(
        world.v.closeWindow(closeRequest({ drivePath: 'blank', rebuild })),
      );
      assert.ok(!closed.ok);
      assert.equal(closed.problem.code, 'drive-blank');
      assert.match(String(closed.problem.detail['why']), /another drive/);
    }
    assert.equal(scene.core.window?.state, 'open');
    assert.ok(
      world.at('blank').bytes.every((byte) => byte === 0),
      'nothing was written to it',
    );
    await scene.fill(5);
    await scene.closeAndWait();
    await scene.settle('the right one came back');
  });
}

for (const [what, drivePath] of [
  ['the drive that left', 'd1'],
  ['another drive with data', 'other'],
] as const) {
  test(`${what} is to be rebuilt while another is failed: refused, and not because it were blank`, async () => {
    const scene = await inWindow(5, { seed: 58 });
    const { world } = scene;
    await world.until(world.v.failDrive('0'));
    world.medium('other', SMALL_MEMBER_BYTES);
    world.foreignContent.set('other', 'an ext4 file system');
    const before = world.at(drivePath).bytes.slice();
    const request = closeRequest({ drivePath, rebuild: true });
    const closed = await world.until(world.v.closeWindow(request));
    assert.ok(!closed.ok);
    assert.equal(closed.problem.code, 'window-rebuild-others-absent');
    assert.equal(closed.problem.detail['absent'], 'slot 0 (d0)');
    assert.deepEqual(world.at(drivePath).bytes, before, 'nothing was written to it');
    await scene.closeAndWait();
    await scene.settle('taken back without a rebuild');
  });
}

test('RAID 1 of three, one copy failed, one away for good: a blank drive is made from the third', async () => {
  const scene = await Scene.make(1, { seed: 49, members: 3 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  assert.ok((await world.until(world.v.failDrive('0'))).ok);
  await scene.open('1', { allowDegraded: true });
  await scene.fill(10);
  assert.match(world.v.status().story.why, /Everything goes on\.$/);
  world.at('d1').vanish();
  world.medium('blank', SMALL_MEMBER_BYTES);
  await scene.closeAndWait({ drivePath: 'blank' });
  const states = world.v.status().drives.map(({ path, state }) => `${path} ${state}`);
  assert.deepEqual(states.slice(0, 3), ['d0 failed', 'blank online', 'd2 online']);
  await scene.settle('made from the third');
});

test('a second drive that is back but takes no writes stays out: it is not called failed again and again', async () => {
  const scene = await inWindow(5, { seed: 48 });
  const { world } = scene;
  const said = (kind: string): number =>
    world.events.filter((event) => event.startsWith(`${kind}:`)).length;
  world.at('d3').vanish();
  await world.pass(3_000);
  world.at('d3').failWrites();
  world.at('d3').reappear();
  await world.pass(5 * 60_000);
  assert.deepEqual([said('second-failure'), said('drive-readmitted')], [1, 0], scene.recent);
  assert.equal(world.v.status().drives[3]?.state, 'failed');
  assert.equal(world.at('d3').isOpen, false, 'and is closed in between');
  world.at('d3').clearFaults();
  await world.pass(60_000);
  assert.deepEqual([said('second-failure'), said('drive-readmitted')], [1, 1], scene.recent);
  await scene.closeAndWait();
  await scene.settle('both are back');
});

test('a second drive that is back is online when that is on record, and not before', async () => {
  const scene = await inWindow(5, { seed: 47 });
  const { world } = scene;
  assert.ok((await world.until(world.v.failDrive('3'))).ok);
  // Of the survivors one is slow to take the label.
  world.at('d0').hang('flush');
  const added = world.v.addDrive('d3', false, false);
  await world.pass(500);
  assert.equal(scene.core.members.at(3).state, 'online', 'reads use it');
  assert.equal(world.v.status().drives[3]?.state, 'failed');
  assert.equal(scene.said('drive-readmitted'), false);
  world.at('d0').release();
  assert.ok((await world.until(added)).ok);
  assert.equal(world.v.status().drives[3]?.state, 'online');
  assert.ok(scene.said('drive-readmitted'));
  await scene.closeAndWait();
  await scene.settle('both are back');
});

test('a member of another volume comes back: refused, nothing is written to it, taken only when told to rebuild', async () => {
  const scene = await inWindow(5, { seed: 53 });
  const { world } = scene;
  const other = await Scene.make(5, { seed: 54 });
  await other.world.until(other.world.v.stop());
  const foreign = other.world.at('d1').clone();
  world.media.set('foreign', foreign);
  const before = foreign.bytes.slice();
  assert.equal(await scene.closeRefused({ drivePath: 'foreign' }), 'drive-foreign');
  assert.deepEqual(foreign.bytes, before);
  assert.equal(foreign.isOpen, false, 'closed again');
  await scene.fill(5);
  await scene.closeAndWait({ drivePath: 'foreign', rebuild: true });
  await scene.settle('rebuilt onto it');
});

test('another member of the same volume is given: refused', async () => {
  const scene = await inWindow(5, { seed: 55 });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  assert.equal(await scene.closeRefused({ drivePath: 'd3' }), 'drive-foreign');
  const busy = await scene.closeRefused({ drivePath: 'd2' });
  assert.notEqual(busy, 'not refused');
  await scene.closeAndWait();
  await scene.settle('the right one');
});

test('an image of the drive from before the window comes back: refused as stale', async () => {
  const scene = await Scene.make(5, { seed: 56 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  const old = world.at('d1').snapshot();
  await scene.fill(20);
  await scene.flush();
  await scene.open('1');
  await scene.fill(20);
  const current = world.at('d1').snapshot();
  world.at('d1').restore(old);
  assert.equal(await scene.closeRefused(), 'drive-stale');
  assert.equal(scene.core.window?.state, 'open');
  world.at('d1').restore(current);
  await scene.closeAndWait();
  await scene.settle('the current image');
});

test('an image of the drive from an earlier window comes back: refused as stale', async () => {
  const scene = await inWindow(5, { seed: 57 });
  const { world } = scene;
  const old = world.at('d1').snapshot();
  await scene.closeAndWait();
  await scene.fill(20);
  await scene.open('1');
  await scene.fill(10);
  const current = world.at('d1').snapshot();
  world.at('d1').restore(old);
  assert.equal(await scene.closeRefused(), 'drive-stale');
  world.at('d1').restore(current);
  await scene.closeAndWait();
  await scene.settle('the current image');
});

test('a smaller drive comes back: refused by its size, also for a rebuild', async () => {
  const scene = await inWindow(5, { seed: 58 });
  const { world } = scene;
  world.medium('small', MIB);
  assert.equal(await scene.closeRefused({ drivePath: 'small' }), 'drive-smaller');
  assert.equal(await scene.closeRefused({ drivePath: 'small', rebuild: true }), 'drive-smaller');
  await scene.closeAndWait();
  await scene.settle('the right one');
});

test('the drive that is back cannot read one of its two labels: it is the same drive, and the error is told', async () => {
  const scene = await inWindow(5, { seed: 68 });
  const { world } = scene;
  const { layout } = scene.core.members.at(1);
  assert.ok(layout !== null);
  world.at('d1').failReads({ offset: layout.labelOffsets[0], lengthBytes: SECTOR, count: 1 });
  await scene.closeAndWait();
  assert.equal(world.v.status().drives[1]?.errors.read, 1);
  assert.ok(scene.said('read-error'), scene.recent);
  await scene.settle('the right one');
});

test('the drive that is back cannot read its newest label at all: refused for that, and not as an older state', async () => {
  const scene = await inWindow(5, { seed: 69 });
  const { world } = scene;
  const { layout } = scene.core.members.at(1);
  assert.ok(layout !== null);
  const refusals: string[] = [];
  for (const offset of layout.labelOffsets) {
    world.at('d1').failReads({ offset, lengthBytes: SECTOR });
    const closed = await world.until(world.v.closeWindow(closeRequest()));
    if (!closed.ok) refusals.push(closed.problem.code);
    world.at('d1').clearFaults();
    if (closed.ok) break;
  }
  // The copies are written in turn: one of the two is the newest.
  assert.deepEqual(refusals, ['label-corrupt']);
  if (scene.core.window !== null) await scene.closeAndWait();
  await scene.settle('the right one');
});

test('a server has come up without the drive, and it comes back a little smaller: refused by its size', async () => {
  const scene = await inWindow(5, { seed: 67 });
  const { world } = scene;
  const whole = world.at('d1');
  whole.vanish();
  scene.crash(false);
  await world.assemble();
  const cut = world.at(world.medium('cut', whole.sizeBytes - 4 * KIB));
  cut.overwrite(0, whole.bytes.slice(0, cut.sizeBytes));
  world.media.set('d1', cut);
  assert.equal(await scene.closeRefused(), 'drive-smaller');
  whole.reappear();
  world.media.set('d1', whole);
  await scene.closeAndWait();
  await scene.settle('the right one');
});

test('the drive has grown while it was away: it is the same drive, and the rest of it is left alone', async () => {
  for (const level of [1, 5]) {
    const scene = await inWindow(level, { seed: 66 });
    const { world } = scene;
    const before = world.at('d1');
    const grown = world.at(world.medium('grown', before.sizeBytes + MIB));
    const mark = new Uint8Array(MIB).fill(0x5a);
    grown.overwrite(0, before.bytes);
    grown.overwrite(before.sizeBytes, mark);
    world.media.set('d1', grown);
    await scene.closeAndWait();
    await scene.settle('grown');
    scene.crash(false);
    await world.assemble();
    await scene.settle('found again at the next start');
    assert.deepEqual(grown.bytes.slice(before.sizeBytes), mark);
  }
});

test('a failed drive has become smaller when it is added again: refused by its size, and nothing of it is used', async () => {
  for (const level of [1, 5]) {
    const scene = await Scene.make(level, { seed: 65 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    assert.ok((await world.until(world.v.failDrive('1'))).ok);
    const whole = world.at('d1');
    const cut = world.at(world.medium('cut', whole.sizeBytes - 128 * KIB));
    cut.overwrite(0, whole.bytes.slice(0, cut.sizeBytes));
    world.media.set('d1', cut);
    const added = await world.until(world.v.addDrive('d1', false, false));
    assert.equal(added.ok || added.problem.code, 'drive-smaller');
    assert.equal(world.v.status().drives[1]?.state, 'failed');
    world.media.set('d1', whole);
    assert.ok((await world.until(world.v.addDrive('d1', false, false))).ok);
    await scene.settle('the right one');
  }
});

test('a disk full of files comes in the place of the drive: left alone unless it is to be rebuilt', async () => {
  const scene = await inWindow(5, { seed: 64 });
  const { world } = scene;
  world.medium('holiday', world.at('d1').sizeBytes);
  world.foreignContent.set('holiday', 'an ext4 file system');
  // Not `drive-has-data`: its next step is `--force`, which closing a window does not have.
  assert.equal(await scene.closeRefused({ drivePath: 'holiday' }), 'drive-changed');
  await scene.closeAndWait({ drivePath: 'holiday', rebuild: true });
  await scene.settle('rebuilt');
});

test('superblock or label of the drive are gone or damaged: named for what it is', async () => {
  const scene = await inWindow(5, { seed: 59 });
  const { world } = scene;
  const good = world.at('d1').snapshot();
  world.at('d1').overwrite(4 * KIB, new Uint8Array(4 * KIB));
  assert.equal(await scene.closeRefused(), 'drive-changed');
  world.at('d1').restore(good);
  world.at('d1').overwrite(4 * KIB + 100, new Uint8Array(16).fill(7));
  assert.equal(await scene.closeRefused(), 'superblock-corrupt');
  world.at('d1').restore(good);
  const { labelOffsets } = scene.core.members.at(1).layout ?? assert.fail();
  for (const offset of labelOffsets)
    world.at('d1').overwrite(offset + 64, new Uint8Array(512).fill(9));
  assert.equal(await scene.closeRefused(), 'label-corrupt');
  world.at('d1').restore(good);
  await scene.closeAndWait();
  await scene.settle('as it was');
});

for (const verify of ['recent', 'sample', 'full'] as const) {
  test(`the contents changed where ${verify} looks: refused, taken when told to rebuild`, async () => {
    const scene = await inWindow(5, { seed: 60 });
    const { world } = scene;
    // The first stripe is looked at in every mode; one in the middle only in full.
    const stripe = verify === 'full' ? 7 : 0;
    const at = (scene.core.members.at(1).layout?.dataOffset ?? 0) + stripe * 4 * KIB;
    world.at('d1').overwrite(at, new Uint8Array(SECTOR).fill(1));
    assert.equal(await scene.closeRefused({ verify }), 'window-verify-mismatch');
    assert.equal(scene.core.window?.state, 'open');
    await scene.check('still frozen');
    await scene.closeAndWait({ verify, rebuild: true });
    await scene.settle('rebuilt');
  });
}

test('two returns at once: one goes on, the other is told so', async () => {
  const scene = await inWindow(5, { seed: 61 });
  const { world } = scene;
  const both = [world.v.closeWindow(closeRequest()), world.v.closeWindow(closeRequest())];
  const [first, second] = await world.until(Promise.all(both));
  assert.ok(first?.ok);
  assert.ok(second && !second.ok);
  assert.equal(second.problem.code, 'window-wrong-state');
  await scene.closed();
  const late = await world.until(world.v.closeWindow(closeRequest()));
  assert.ok(!late.ok);
  assert.equal(late.problem.code, 'window-none');
  await scene.settle('closed once');
});

test('it comes back after the server was restarted twice', async () => {
  const scene = await inWindow(5, { seed: 62 });
  const { world } = scene;
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  await world.assemble();
  await scene.fill(5);
  scene.crash(false);
  await world.assemble();
  await scene.closeAndWait();
  await scene.settle('after two restarts');
});

test('the drive does not come back and the volume is put together without it: the window is still open', async () => {
  const scene = await inWindow(5, { seed: 63 });
  const { world } = scene;
  scene.crash(true);
  world.at('d1').vanish();
  await world.assemble();
  assert.equal(scene.core.mode, 'frozen');
  await scene.check('without the drive');
  assert.equal(await scene.closeRefused(), 'window-drive-absent');
  world.at('d1').reappear();
  await scene.closeAndWait({ drivePath: 'd1' });
  await scene.settle('it came late');
});

// --- commands ---------------------------------------------------------------------------------------------------

test('abort: the drive is taken back and nothing of what was logged is lost', async () => {
  const scene = await inWindow(5, { seed: 64 });
  const { world } = scene;
  const aborted = await world.until(world.v.abortWindow());
  assert.ok(aborted.ok, JSON.stringify(aborted));
  await scene.closed();
  const report = world.v.windowReport();
  assert.ok(report.ok);
  assert.equal(report.value.outcome, 'aborted');
  await scene.settle('aborted');
});

test('abort with a drive that was changed: refused, the window stays', async () => {
  const scene = await inWindow(5, { seed: 65 });
  const { world } = scene;
  world.at('d1').overwrite(MIB, new Uint8Array(4 * KIB).fill(3));
  const aborted = await world.until(world.v.abortWindow());
  assert.ok(!aborted.ok);
  assert.equal(aborted.problem.code, 'window-verify-mismatch');
  assert.equal(scene.core.window?.state, 'open');
  await scene.check('still frozen');
});

test('extend: the deadline moves, also over a restart, and one that had passed with a second failure is quiet again', async () => {
  const scene = await Scene.make(5, { seed: 66 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { maxMs: 60_000 });
  await world.pass(50_000);
  assert.ok(world.v.extendWindow !== undefined);
  const extended = await world.until(world.v.extendWindow(60_000));
  assert.ok(extended.ok);
  await world.pass(30_000);
  assert.equal(scene.core.window?.state, 'open');
  scene.crash(false);
  await world.assemble();
  await world.pass(10_000);
  assert.equal(scene.core.window?.state, 'open', scene.recent);
  await world.pass(60_000);
  await scene.closed();
  assert.equal(scene.state, 'degraded');
  await scene.check('thawed');
});

test('a second window is refused with the check that fails', async () => {
  const scene = await inWindow(5, { seed: 67 });
  const { world } = scene;
  for (const drive of ['1', '2']) {
    const second = await world.until(
      world.v.openWindow(windowRequest(drive, { allowDegraded: true })),
    );
    assert.ok(!second.ok);
    assert.equal(second.problem.code, 'window-refused');
    assert.ok(
      second.problem.checks?.some(({ id, result }) => id === 'WP001' && result === 'block'),
    );
  }
  const both = [world.v.openWindow(windowRequest('2')), world.v.openWindow(windowRequest('3'))];
  await scene.closeAndWait();
  await Promise.all(both);
  const racing = [world.v.openWindow(windowRequest('2')), world.v.openWindow(windowRequest('3'))];
  const results = await world.until(Promise.all(racing));
  assert.equal(results.filter(({ ok }) => ok).length, 1);
  await scene.closeAndWait();
  await scene.settle('one at a time');
});

test('a window on a degraded volume: refused with the exposure, opened when that is accepted', async () => {
  const scene = await Scene.make(5, { seed: 68 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('3'));
  const refused = await world.until(world.v.openWindow(windowRequest('1')));
  assert.ok(!refused.ok);
  const check = refused.problem.checks?.find(({ result }) => result === 'block');
  assert.ok(check);
  assert.match(check.reason, /slot 3/);
  assert.match(check.reason, /lost|wait/);
  assert.match(check.fix, /--allow-degraded/);
  await scene.open('1', { allowDegraded: true, onDoubleAbsence: 'error' });
  await scene.fill(20);
  await scene.closeAndWait();
  await scene.settle('degraded before');
});

test('a window on a volume that is rebuilding or resyncing is refused', async () => {
  const scene = await Scene.make(5, {
    seed: 69,
    limits: { sweepBytesPerSecond: 4 * KIB, sweepStepBytes: 4 * KIB, logDirect: 0 },
  });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.replace(3);
  await world.pass(100);
  assert.equal(scene.state, 'rebuilding');
  const rebuilding = await world.until(
    world.v.openWindow(windowRequest('1', { allowDegraded: true })),
  );
  assert.ok(!rebuilding.ok);
  assert.equal(rebuilding.problem.code, 'window-refused');
  await scene.until('optimal');
  await scene.put(0, 8);
  scene.crash(false);
  await world.assemble();
  assert.equal(scene.state, 'resyncing');
  const resyncing = await world.until(
    world.v.openWindow(windowRequest('1', { allowDegraded: true })),
  );
  assert.ok(!resyncing.ok);
  assert.equal(resyncing.problem.code, 'window-refused');
});

test('one leg: refused without --allow-single-log, and without a log at all', async () => {
  const scene = await Scene.make(5, { seed: 70, legs: 1 });
  const { world } = scene;
  const refused = await world.until(world.v.openWindow(windowRequest('1')));
  assert.ok(!refused.ok);
  assert.match(JSON.stringify(refused.problem.checks), /--allow-single-log/);
  await scene.open('1', { allowSingleLog: true });
  await scene.fill(10);
  await scene.closeAndWait();
  await scene.settle('one leg');
  const bare = await Scene.make(5, { seed: 71, legs: 0 });
  const none = await bare.world.until(
    bare.world.v.openWindow(windowRequest('1', { allowSingleLog: true })),
  );
  assert.ok(!none.ok);
  assert.equal(none.problem.code, 'window-refused');
});

// --- two absent -------------------------------------------------------------------------------------------------

test('reads that need both are answered EIO at once when asked so, and writes go on', async () => {
  const scene = await inWindow(5, { seed: 72 });
  const { world } = scene;
  const sector = sectorOn(scene, 2);
  await world.until(world.v.failDrive('2'));
  const before = world.clock.nowMs();
  const { errno } = await world.until(world.read(sector * SECTOR, SECTOR));
  assert.equal(errno, EIO);
  assert.ok(world.clock.nowMs() - before < 1_000);
  await scene.put(sector, 1);
  await scene.check('now in the log', sector, 1);
});

test('reads that need both wait for as long as was asked, then EIO; everything else goes on meanwhile', async () => {
  const scene = await Scene.make(5, { seed: 73 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1', { waitMs: 20_000 });
  const sector = sectorOn(scene, 2);
  await world.until(world.v.failDrive('2'));
  let answer = -1;
  const before = world.clock.nowMs();
  let after = 0;
  void world.read(sector * SECTOR, SECTOR).then(({ errno }) => {
    answer = errno;
    after = world.clock.nowMs();
  });
  for (let i = 0; i < 9; i++) {
    await world.pass(2_000);
    await scene.put(sector + 8, 4);
    assert.equal(answer, -1, 'held');
  }
  assert.equal(world.v.status().window?.heldReads, 1);
  await world.pass(5_000);
  assert.equal(answer, EIO);
  assert.ok(after - before >= 20_000 && after - before < 21_000, `${after - before} ms`);
});

test('held reads, aligned and not, and a held unaligned write are answered when the drive returns', async () => {
  const scene = await Scene.make(5, { seed: 74 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  const sector = sectorOn(scene, 2);
  await world.until(world.v.failDrive('2'));
  const whole = world.read(sector * SECTOR, SECTOR);
  const part = world.read(sector * SECTOR + 100, 50);
  const patch = new Uint8Array(20).fill(0xee);
  const write = world.write((sector + 1) * SECTOR + 7, patch);
  await world.pass(3_000);
  await scene.close();
  const read = await world.until(whole);
  assert.equal(read.errno, 0);
  scene.model.check(sector, read.data, 'held');
  const some = await world.until(part);
  assert.equal(some.errno, 0);
  assert.deepEqual(some.data, read.data.subarray(100, 150));
  assert.equal(await world.until(write), 0);
  const merged = await world.until(world.read((sector + 1) * SECTOR + 7, 20));
  assert.deepEqual(merged.data, patch);
});

test('of the frozen image: the second drive was missing at a start, is there at the next, and is taken back', async () => {
  const scene = await inWindow(5, { seed: 75 });
  const { world } = scene;
  scene.crash(false);
  world.at('d3').vanish();
  await world.assemble();
  await scene.fill(5);
  scene.crash(false);
  world.at('d3').reappear();
  await world.assemble();
  await world.pass(5_000);
  assert.equal(world.v.status().drives[3]?.state, 'online', scene.recent);
  await scene.check('both of the frozen image');
  await scene.closeAndWait();
  await scene.settle('both came back');
});

test('the drive that failed in the window is added again by hand', async () => {
  const scene = await inWindow(5, { seed: 76 });
  const { world } = scene;
  await world.until(world.v.failDrive('3'));
  await scene.fill(10);
  const added = await world.until(world.v.addDrive('d3', false, false));
  assert.ok(added.ok, JSON.stringify(added));
  assert.equal(world.v.status().drives[3]?.state, 'online');
  await scene.check('added again');
  await scene.closeAndWait();
  assert.equal(scene.state, 'optimal');
  await scene.settle('added again');
});

test('a drive failed before the window is added in it: refused as stale, it missed writes', async () => {
  const scene = await Scene.make(5, { seed: 77 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('3'));
  await scene.fill(10);
  await scene.open('1', { allowDegraded: true, onDoubleAbsence: 'error' });
  const added = await world.until(world.v.addDrive('d3', false, false));
  assert.ok(!added.ok);
  assert.equal(added.problem.code, 'drive-stale');
  scene.crash(false);
  await world.assemble();
  await world.pass(5_000);
  assert.equal(world.v.status().drives[3]?.state, 'failed');
  await scene.closeAndWait();
  await scene.settle('after the window');
});

// --- second failures in each phase --------------------------------------------------------------------------------

test('a member or the leaving drive fails right at the freeze: no window, or an open one, and nothing is lost', async () => {
  for (const slot of [0, 1, 2]) {
    for (let after = 0; after < 8; after++) {
      const scene = await Scene.make(5, { seed: 78, members: 3 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.fill(5);
      let left = after;
      world.at(`d${slot}`).intercept = ({ kind }) => {
        if (kind === 'read' || kind === 'probe') return 0;
        return left-- > 0 ? 0 : EIO;
      };
      const opened = await world.until(world.v.openWindow(windowRequest('1')));
      world.at(`d${slot}`).intercept = null;
      const where = `slot ${slot} after ${after}: ${opened.ok ? 'opened' : opened.problem.code}`;
      await scene.check(where);
      await scene.fill(5);
      scene.crash(after % 2 === 1);
      await world.assemble();
      await scene.check(where);
      await scene.settle(where);
    }
  }
});

for (const phase of ['verify', 'replay'] as const) {
  for (const level of [1, 5]) {
    test(`RAID ${level}: each member fails in turn during ${phase}, early, in the middle, late`, async () => {
      const members = level === 1 ? 3 : 4;
      for (let slot = 0; slot < members; slot++) {
        for (const after of [0, 1, 2, 4, 7, 12, 20]) {
          for (const vanish of [false, true]) {
            const seed = 1_000 * slot + 10 * after + Number(vanish);
            const scene = await inWindow(level, {
              seed,
              members,
              limits: { replayZoneBytes: 8 * KIB, sweepStepBytes: 8 * KIB },
            });
            const { world } = scene;
            const medium = world.at(`d${slot}`);
            const where = `slot ${slot} ${vanish ? 'vanishes' : 'fails'} after ${after}`;
            let left = after;
            const watched = phase === 'verify' ? 'read' : 'write';
            medium.intercept = ({ kind, offset }) => {
              if (kind === watched && offset >= MIB && left-- <= 0 && vanish) medium.vanish();
              if (left >= 0) return 0;
              return kind === 'flush' ? 0 : kind === watched ? EIO : 0;
            };
            const closed = await world.until(world.v.closeWindow(closeRequest({ verify: 'full' })));
            await scene.fill(3);
            for (let i = 0; i < 60 && world.v.core.mode === 'replaying'; i++) await world.pass(50);
            medium.intercept = null;
            medium.reappear();
            await world.pass(3_000);
            const state = `${where}: ${closed.ok ? 'replaying' : closed.problem.code}`;
            if (scene.core.mode === 'frozen') await scene.closeAndWait({ verify: 'full' });
            await scene.closed();
            await scene.check(state);
            await scene.settle(state);
          }
        }
      }
    });
  }
}

test('the drive that came back fails in replay, the server is killed, the drive is there again: it is not current', async () => {
  let crashedInReplay = 0;
  for (const after of [0, 2, 5, 9]) {
    for (const power of [false, true]) {
      const scene = await inWindow(
        5,
        {
          seed: 79 + after,
          operationMs: 1,
          limits: { replayZoneBytes: 4 * KIB, replayStripesAtOnce: 1 },
        },
        60,
      );
      const { world } = scene;
      let left = after;
      const medium = world.at('d1');
      medium.intercept = ({ kind, offset }) => {
        if (kind === 'write' && offset >= MIB && left-- <= 0) medium.vanish();
        return 0;
      };
      await scene.close();
      for (let i = 0; i < 2_000 && scene.core.members.at(1).state !== 'failed'; i++)
        await world.pass(1);
      // The replay goes on without it for a while, and stripes that it has been given already are written.
      await world.pass(20);
      await scene.put(0, 8);
      await scene.flush();
      const where = `after ${after}, crashed in ${scene.core.mode} at stripe ${scene.core.cursor}`;
      if (scene.core.mode === 'replaying') crashedInReplay++;
      medium.intercept = null;
      scene.crash(power);
      medium.reappear();
      await world.assemble();
      await scene.check(where);
      await scene.closed();
      await scene.settle(where);
    }
  }
  assert.ok(crashedInReplay >= 4, `${crashedInReplay} crashes in replay`);
});

test('a leg fails during the replay', async () => {
  for (const leg of ['leg0', 'leg1']) {
    for (const after of [0, 3, 8]) {
      for (const kind of ['read', 'write'] as const) {
        const scene = await inWindow(5, { seed: 90 + after, limits: { replayZoneBytes: 8 * KIB } });
        const { world } = scene;
        await world.until(world.v.failDrive('2'));
        let left = after;
        world.at(leg).intercept = (operation) => (operation.kind === kind && left-- <= 0 ? EIO : 0);
        await scene.close();
        await scene.fill(5);
        await scene.closed();
        world.at(leg).intercept = null;
        await scene.settle(`${leg}, ${kind} ${after}`);
      }
    }
  }
});

for (const how of ['stop', 'kill', 'power cut'] as const) {
  test(`${how} in every state of a window, and started again`, async () => {
    const closing = (scene: Scene): void =>
      void scene.world.v.closeWindow(closeRequest({ verify: 'full' })).catch(() => {});
    const reached = async (scene: Scene, state: string): Promise<void> => {
      for (let i = 0; i < 4_000 && scene.core.window?.state !== state; i++)
        await scene.world.pass(1);
      assert.equal(scene.core.window?.state, state);
      await scene.world.pass(15);
      assert.equal(scene.core.window?.state, state);
    };
    const lose = async (scene: Scene): Promise<void> =>
      void (await scene.world.until(scene.world.v.failDrive('0')));
    const states: [string, (scene: Scene) => Promise<void>][] = [
      ['open', async () => {}],
      ['open, two absent', lose],
      [
        'returning',
        async (scene) => {
          closing(scene);
          await reached(scene, 'returning');
        },
      ],
      [
        'replaying',
        async (scene) => {
          closing(scene);
          await reached(scene, 'replaying');
        },
      ],
      [
        'replaying, one absent',
        async (scene) => {
          await lose(scene);
          closing(scene);
          await reached(scene, 'replaying');
        },
      ],
      [
        'thawing',
        async (scene) => {
          await scene.world.v.extendWindow(-30 * 60_000 + 2_000);
          await reached(scene, 'thawing');
        },
      ],
    ];
    for (const [state, enter] of states) {
      const limits = { replayZoneBytes: 4 * KIB, replayStripesAtOnce: 1, sweepStepBytes: 4 * KIB };
      const scene = await inWindow(5, { seed: 95, operationMs: 1, limits }, 40);
      const { world } = scene;
      await enter(scene);
      if (how === 'stop') assert.ok((await world.until(world.v.stop())).ok, state);
      scene.crash(how === 'power cut');
      await world.assemble();
      if (scene.core.mode === 'frozen' && scene.core.absentCount < 2) await scene.check(state);
      if (scene.core.mode === 'frozen') await scene.closeAndWait();
      await scene.closed();
      await scene.check(state);
      await scene.settle(state);
    }
  });
}

test('exactness: a whole window leaves every member with the bytes of one image, and frozen members untouched', async () => {
  for (const level of [1, 3, 4, 5]) {
    const members = level === 1 ? 3 : 4;
    const scene = await Scene.make(level, { seed: 98, members });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    scene.addsUp('before');
    await scene.open('1', { onDoubleAbsence: 'error' });
    const frozen = Array.from({ length: members }, (_, slot) => scene.region(slot));
    await scene.fill(30);
    await scene.flush();
    world.at('d0').failReads({ offset: MIB, lengthBytes: 4 * KIB, errno: EIO, count: 1 });
    await world.until(world.read(0, 16 * KIB));
    await world.pass(10_000);
    await world.until(world.v.failDrive('2'));
    await scene.fill(30);
    frozen.forEach((bytes, slot) =>
      assert.ok(
        Buffer.compare(bytes, scene.region(slot)) === 0,
        `RAID ${level}: slot ${slot} changed`,
      ),
    );
    await scene.closeAndWait();
    await scene.settle(`RAID ${level}`);
  }
});
