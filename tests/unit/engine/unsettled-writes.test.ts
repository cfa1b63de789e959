/**
 * Both legs of the log fail in the middle of a write of a window. Whether a leg has its record all the same nobody knows
 * before the next start: until then no read shows what is there without it, for the write might come back.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../../src/base/errno.ts';
import type { VolumeOffset } from '../../../src/base/units.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, MIB, Scene, type SceneOptions } from './scene.ts';

const legs = ['leg0', 'leg1'];
const wide: SceneOptions = { memberBytes: MIB + 256 * KIB, chunkBytes: 8 * KIB };

/** Data, a window on drive 1, and a record that the replay will look for. */
async function inWindow(options: SceneOptions): Promise<Scene> {
  const scene = await Scene.make(5, options);
  await scene.put(0, scene.model.sectors);
  await scene.open('1');
  await scene.put(8, 2);
  return scene;
}

/** Neither answers: what is written to them stays on its way. */
const hangLegs = (scene: Scene): void => {
  for (const leg of legs) scene.world.at(leg).hang('read', 'write', 'flush');
};

const failLegs = (scene: Scene): void => {
  for (const leg of legs) scene.world.at(leg).failWrites({ errno: EIO });
};

/** Until both are out, and what follows by itself has followed. */
const noticed = (scene: Scene): Promise<void> => scene.world.pass(120_000);

const ways: [string, (scene: Scene) => Promise<number>][] = [
  ['a write', (scene) => scene.begin(40, 8).done],
  [
    'bytes that are no whole sectors',
    ({ world }) => world.write(40 * SECTOR + 100, new Uint8Array(3000).fill(1)),
  ],
  [
    'zeroes',
    ({ world }) =>
      world.v.zero((40 * SECTOR) as VolumeOffset, 8 * SECTOR, {
        fua: false,
        noHole: false,
        fast: false,
      }),
  ],
  ['a trim', ({ world }) => world.v.trim((40 * SECTOR) as VolumeOffset, 8 * SECTOR, false)],
];

for (const [what, write] of ways) {
  test(`${what}: both legs hang, it is answered with an error, and found at the next start: no read had shown it gone`, async () => {
    const scene = await inWindow({ seed: 301 });
    const { world } = scene;
    hangLegs(scene);
    const answer = write(scene);
    await noticed(scene);
    assert.ok(scene.alarms().includes('replay-stopped'), scene.recent);
    assert.equal(await world.until(answer), EIO);
    assert.ok(scene.alarms().includes('writes-unsettled'), scene.alarms().join());
    const shown = await world.until(world.read(40 * SECTOR, 8 * SECTOR));
    const bytes = await world.until(world.read(40 * SECTOR + 200, 300));
    await scene.check('what was not being written is served', 64, scene.model.sectors - 64);
    // Late, and nobody looks at the answer: the record is on both legs.
    for (const leg of legs) world.at(leg).release();
    await world.pass(0);
    scene.crash(false);
    await world.assemble();
    const found = await world.until(world.read(40 * SECTOR, 8 * SECTOR));
    assert.equal(found.errno, 0);
    if (shown.errno === 0) assert.deepEqual(shown.data, found.data, 'what a read has shown stays');
    assert.deepEqual([shown.errno, bytes.errno], [EIO, EIO]);
    await scene.closed();
    const settled = await world.until(world.read(40 * SECTOR, 8 * SECTOR));
    assert.deepEqual(settled, found);
  });
}

test('a second drive has failed and no leg takes a write: the read of what is held waits, and the replay settles it', async () => {
  const scene = await inWindow({ seed: 302, ...wide });
  const { world } = scene;
  // All of it in the log, which is still read: nothing needs both drives.
  await scene.put(0, scene.model.sectors);
  await world.until(world.v.failDrive('3'));
  failLegs(scene);
  const held = scene.begin(40, 8);
  await world.pass(10_000);
  // Not begun before the log was lost: there is no doubt of these, and they are held all the same.
  const after = scene.begin(80, 8);
  const merged = world.write(44 * SECTOR + 100, new Uint8Array(300).fill(1));
  let isAnswered = false;
  const read = world.read(46 * SECTOR, SECTOR);
  void read.then(() => {
    isAnswered = true;
  });
  await world.pass(10_000);
  assert.deepEqual([held.answered, after.answered, isAnswered], [false, false, false]);
  assert.equal(world.v.status().window?.heldReads, 0, 'no absent drive is what it waits for');
  const alarm = world.v.status().alarms.find(({ code }) => code === 'writes-unsettled');
  assert.match(alarm?.message ?? '', /a write at byte 20480 .*locum window close tank/);
  await scene.check('behind it', 48, 160);
  await scene.close();
  for (const answer of [held.done, after.done, merged]) assert.equal(await world.until(answer), 0);
  assert.equal((await world.until(read)).errno, 0);
  await scene.closed();
  assert.ok(!scene.alarms().includes('writes-unsettled'), scene.alarms().join());
  await scene.check('after the return', 48, scene.model.sectors - 48);
});

test('nobody waits in this window: the read of what is held fails at once, and no write does', async () => {
  const scene = await Scene.make(5, { seed: 303, ...wide });
  const { world } = scene;
  await scene.open('1', { onDoubleAbsence: 'error' });
  await world.until(world.v.failDrive('3'));
  failLegs(scene);
  const held = scene.begin(40, 8);
  await world.pass(10_000);
  assert.equal((await world.read(40 * SECTOR, SECTOR)).errno, EIO);
  let isAnswered = false;
  const merged = world.write(44 * SECTOR + 100, new Uint8Array(300).fill(1));
  void merged.then(() => {
    isAnswered = true;
  });
  await world.pass(10_000);
  assert.deepEqual([held.answered, isAnswered], [false, false]);
  await scene.close();
  assert.equal(await world.until(held.done), 0);
  assert.equal(await world.until(merged), 0);
  await scene.closed();
});
