/** Accidents that a directed test has found, each brought down to what made it happen. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, Scene, windowRequest } from '../unit/engine/scene.ts';
import type { World } from '../unit/engine/world.ts';
import { labelOffsetsOn } from './inspect.ts';

const SUPERBLOCK = 4 * KIB;

/** The server starts and is killed when the superblock of d0 has been written; whatever d1 is given takes longer. */
async function killedInCommit(world: World): Promise<void> {
  const { environment } = world;
  const { openDrive } = environment;
  world.environment = {
    ...environment,
    openDrive: async (path) => {
      if (path !== 'd1') return openDrive(path);
      const later = (run: () => void): void => void world.clock.after(50, run);
      return { ok: true, value: world.at(path).open(path, world.buffers, later) };
    },
  };
  let written = false;
  world.at('d0').intercept = ({ kind, offset }) => {
    written ||= kind === 'write' && offset === SUPERBLOCK;
    return 0;
  };
  void world.tryAssemble().catch(() => {});
  for (let i = 0; i < 10_000 && !written; i++) await world.pass(1);
  world.at('d0').intercept = null;
  assert.ok(written);
}

test('L4: killed between the label and the superblock of a member, and killed again while the volume starts: it is no older copy', async () => {
  for (const level of [1, 3, 4, 5]) {
    for (const power of [false, true]) {
      const scene = await Scene.make(level, { seed: level, members: level === 1 ? 2 : 3 });
      const { world } = scene;
      const before = world.at('d1').bytes.slice(SUPERBLOCK, SUPERBLOCK + 4 * KIB);
      await scene.put(0, 16, true);
      scene.crash(power);
      // The first write made the volume dirty on record: of that update d1 has the label and not the superblock.
      world.at('d1').overwrite(SUPERBLOCK, before);
      await killedInCommit(world);
      scene.crash(power);
      await world.assemble();
      await scene.check(`RAID ${level}, killed twice`);
      await scene.settle(`RAID ${level}, killed twice`);
    }
  }
});

test('L4: of the record of a failure only the superblocks survive, and the server is killed at its next start: no split history', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 20 + level, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors, true);
    await scene.flush();
    const labels = ['d1', 'd2'].flatMap((path) =>
      labelOffsetsOn(world, path).map((offset) => ({
        path,
        offset,
        bytes: world.at(path).bytes.slice(offset, offset + 4 * KIB),
      })),
    );
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    scene.crash(false);
    for (const { path, offset, bytes } of labels) world.at(path).overwrite(offset, bytes);
    await world.assemble();
    await scene.check(`RAID ${level}, started once`);
    scene.crash(false);
    await world.assemble();
    await scene.check(`RAID ${level}, started twice`);
    await scene.settle(`RAID ${level}`);
  }
});

test('L4: the first label of a new member is torn by a power cut: the volume starts', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 30 + level, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors, true);
    await scene.flush();
    const offsets = labelOffsetsOn(world, 'd0');
    world.medium('new', world.at('d0').sizeBytes);
    world.drivePaths.push('new');
    let first = -1;
    world.at('new').intercept = ({ kind, offset }) => {
      const place = offsets.indexOf(offset);
      const blank = world
        .at('new')
        .bytes.subarray(offset, offset + 8)
        .every((byte) => byte === 0);
      // The superblock is there: what follows is the first label, behind the zeroes that were written to both places.
      const member = world.at('new').bytes[SUPERBLOCK] !== 0;
      if (kind === 'write' && place >= 0 && blank && member && first < 0) first = offset;
      return 0;
    };
    void world.v.replaceDrive('0', 'new', false).catch(() => {});
    for (let i = 0; i < 1_000 && first < 0; i++) await world.pass(0);
    assert.ok(first > 0, 'a first label was written');
    for (let i = 0; i < 5; i++) await Promise.resolve();
    scene.crash(true);
    world.at('new').intercept = null;
    // Its superblock was flushed before; of the label one sector came through.
    const torn = world.at('d1').bytes.slice(first, first + 512);
    const other = offsets.find((offset) => offset !== first) as number;
    world.at('new').overwrite(first, new Uint8Array(4 * KIB));
    world.at('new').overwrite(other, new Uint8Array(4 * KIB));
    world.at('new').overwrite(first, torn.length > 0 ? torn : assert.fail());
    await world.assemble();
    await scene.check(`RAID ${level}`);
    await scene.settle(`RAID ${level}`);
  }
});

test('L4: the labels of an earlier life of a new member are torn by a power cut: the volume starts', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 70 + level, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors, true);
    await scene.flush();
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    assert.ok((await world.until(world.v.removeDrive('0'))).ok);
    const offsets = labelOffsetsOn(world, 'd0');
    const drive = world.at('d0');
    const former = drive.bytes.slice();
    let cleared = 0;
    drive.intercept = ({ kind, offset }) => {
      if (kind === 'write' && offsets.includes(offset) && ++cleared === 2) drive.hang('flush');
      return 0;
    };
    void world.v.addDrive('d0', false, true).catch(() => {});
    for (let i = 0; i < 1_000 && cleared < 2; i++) await world.pass(0);
    assert.equal(cleared, 2, 'both are being cleared');
    scene.crash(true);
    drive.intercept = null;
    drive.release();
    // What the power cut has kept from being cleared it leaves torn: the first sector is the old one.
    const isLeft = (at: number): boolean =>
      drive.bytes.subarray(at, at + 4 * KIB).some((byte) => byte !== 0);
    for (const at of offsets.filter(isLeft)) {
      drive.overwrite(at, new Uint8Array(4 * KIB));
      drive.overwrite(at, former.slice(at, at + 512));
    }
    await world.assemble();
    await scene.check(`RAID ${level}`);
    await scene.settle(`RAID ${level}`);
  }
});

test('L3: a working drive is replaced while another slot is free: the new one takes the slot that was named', async () => {
  const scene = await Scene.make(1, { seed: 40, members: 4 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  assert.ok((await world.until(world.v.failDrive('1'))).ok);
  await scene.replace(3, 'new');
  for (let i = 0; i < 100 && scene.core.rebuildJob?.running === true; i++) await world.pass(200);
  const drives = world.v.status().drives.map(({ path, state }) => `${path} ${state}`);
  assert.deepEqual(drives.slice(0, 4), ['d0 online', 'd1 failed', 'd2 online', 'new online']);
  await scene.check('replaced');
  await scene.settle('replaced');
});

test('L6: one drive is out, one is away, a third fails: the return alone does not end the window, and nothing is lost', async () => {
  for (const [level, out] of [
    [3, true],
    [4, false],
    [5, true],
    [5, false],
  ] as const) {
    const scene = await Scene.make(level, { seed: 50 + level });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    if (out) assert.ok((await world.until(world.v.failDrive('3'))).ok);
    await scene.open('2', { allowDegraded: true, onDoubleAbsence: 'error' });
    await scene.fill(10);
    if (!out) assert.ok((await world.until(world.v.failDrive('3'))).ok);
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    assert.equal(await scene.closeRefused(), 'window-others-absent');
    assert.equal(scene.core.window?.state, 'open');
    const added = await world.until(world.v.addDrive('d0', false, false));
    assert.ok(added.ok, JSON.stringify(added));
    await scene.closeAndWait();
    await scene.check('two of the frozen image came back');
    await scene.settle('two of the frozen image came back');
  }
});

test('L4: killed when the drive that leaves had been told so and not flushed it, and the power fails later: it is no older copy', async () => {
  for (const level of [1, 3, 4, 5]) {
    const scene = await Scene.make(level, { seed: 60 + level, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    const leaving = world.at('d1');
    leaving.intercept = ({ kind, offset }) => {
      if (kind === 'write' && offset === SUPERBLOCK) leaving.hang('flush');
      return 0;
    };
    void world.v.openWindow(windowRequest('1')).catch(() => {});
    await world.pass(100);
    assert.ok(leaving.unflushedWrites > 0, 'the last label of the freeze is in a cache');
    scene.crash(false);
    leaving.intercept = null;
    leaving.release();
    await world.assemble();
    assert.equal(scene.core.mode, 'frozen');
    await scene.put(0, 8, true);
    scene.crash(true);
    await world.assemble();
    await scene.closeAndWait();
    await scene.settle(`RAID ${level}`);
  }
});
