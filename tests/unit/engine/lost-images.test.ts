/**
 * Images of the stripe log that were durable and are whole on no leg any more. What they covered is in doubt, and that stays
 * on record: a start that dies before its labels say it leaves the log as it has found it. What is older than they are is
 * not written over what they had brought to the members. An image is lost with what it holds, or with the header before it:
 * one that is damaged is not the end of the log (L7).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StripeIndex } from '../../../src/base/units.ts';
import { assembleVolume } from '../../../src/engine/assemble.ts';
import { SECTOR } from './flat-model.ts';
import { KIB, Scene } from './scene.ts';

const BLOCK = 4 * KIB;
const LEGS = ['leg0', 'leg1'];
const STRIPE = 3;

/** A volume that is full, and whose stripe log is empty. */
async function full(seed: number): Promise<Scene> {
  const scene = await Scene.make(5, { seed, operationMs: 1 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  await world.assemble();
  return scene;
}

/** Writes one block of each of these stripes, one after the other: where the legs have the images. */
async function write(scene: Scene, stripes: readonly number[]): Promise<number[]> {
  const { world } = scene;
  const segments: number[] = [];
  world.at('leg0').intercept = ({ kind, offset }) => {
    if (kind === 'write') segments.push(offset);
    return 0;
  };
  for (const stripe of stripes) {
    const start = scene.core.geometry.stripeStart(stripe as StripeIndex) / SECTOR;
    await scene.put(start, BLOCK / SECTOR);
  }
  world.at('leg0').intercept = null;
  assert.equal(segments.length, stripes.length);
  return segments;
}

/** Where in its segment an image is damaged. */
const damages = { images: BLOCK, 'headers of images': 0 };

function lose({ world }: Scene, segment: number | undefined, damage: number): void {
  assert.ok(segment !== undefined);
  for (const leg of LEGS) world.at(leg).overwrite(segment + damage, world.random.bytes(SECTOR));
}

/** Begins a start and lets some time pass. When it first writes to a leg; whether it has ended. */
async function begin(
  { world }: Scene,
  force: boolean,
  ms: number,
): Promise<{ fromMs: number; isOver: boolean }> {
  const { environment, drivePaths, logPaths, clock } = world;
  const startMs = clock.nowMs();
  const seen = { fromMs: 0, isOver: false };
  world.at('leg0').intercept = ({ kind }) => {
    if (kind === 'write' && seen.fromMs === 0) seen.fromMs = clock.nowMs() - startMs;
    return 0;
  };
  const request = { name: null, drivePaths, logPaths, force };
  void assembleVolume(environment, request).then(({ ok }) => (seen.isOver = ok));
  await world.pass(ms);
  world.at('leg0').intercept = null;
  return seen;
}

/** Power fails in a start at every moment from its first write to the log on. */
async function atEveryMoment(
  make: () => Promise<Scene>,
  force: boolean,
  then: (scene: Scene, where: string) => Promise<void>,
): Promise<void> {
  const whole = await begin(await make(), force, 1_000);
  assert.ok(whole.isOver && whole.fromMs > 0);
  for (let ms = whole.fromMs, isOver = false; !isOver; ms++) {
    const scene = await make();
    ({ isOver } = await begin(scene, force, ms));
    scene.crash(true, scene.world.random.next);
    await then(scene, `after ${ms} ms`);
  }
}

const lives = {
  'a kill': async (scene: Scene): Promise<void> => scene.crash(false),
  'a power cut': async (scene: Scene): Promise<void> => scene.crash(true, scene.world.random.next),
  'a kill when all bits were clear': async (scene: Scene): Promise<void> => {
    for (let i = 0; i < 100 && !scene.core.metadata.clean; i++) await scene.world.pass(1_000);
    assert.ok(scene.core.metadata.clean);
    scene.crash(false);
  },
};

for (const [lost, damage] of Object.entries(damages)) {
  const newest = damage === 0 ? 'the header of the newest image' : 'the newest image';

  test(`power fails in a start by force that does without lost ${lost}: the next one is refused, or the doubt is on record`, async () => {
    let started = 0;
    let refused = 0;
    const make = async (): Promise<Scene> => {
      const scene = await full(800);
      const { world } = scene;
      assert.ok((await world.until(world.v.failDrive('1'))).ok);
      const segments = await write(scene, [0, 1, 2, STRIPE, 4, 5]);
      scene.crash(false);
      lose(scene, segments[3], damage);
      return scene;
    };
    await atEveryMoment(make, true, async (scene, where) => {
      const wasTold = scene.said('data-in-doubt');
      const next = await scene.world.tryAssemble();
      if (next.ok) {
        started++;
        assert.ok(wasTold, `${where}: nobody was told`);
        assert.equal(scene.core.stripeLogWord, 'kept', `${where}: parity counts as whole`);
        return;
      }
      refused++;
      assert.equal(next.problem.code, 'log-damaged', where);
      assert.ok((await scene.world.tryAssemble(true)).ok);
      assert.ok(scene.said('volume-forced'), scene.recent);
      assert.ok(scene.alarms().includes('data-in-doubt'), scene.alarms().join());
    });
    assert.ok(refused > 0 && started > 0, `${refused} refused, ${started} started`);
  });

  test(`power fails in a start of an optimal volume that has lost ${lost}: their stripes are made to add up by the next one`, async () => {
    const make = async (): Promise<Scene> => {
      const scene = await full(810);
      const { world } = scene;
      const { geometry, members } = scene.core;
      const { path, layout } = members.at(geometry.paritySlot(STRIPE as StripeIndex));
      const at = (layout?.dataOffset ?? 0) + STRIPE * geometry.chunkBytes;
      const drive = world.at(path);
      const before = drive.bytes.slice(at, at + geometry.chunkBytes);
      const segments = await write(scene, [STRIPE, 5]);
      scene.crash(false);
      // Of the write only the data has reached a drive.
      for (const media of [drive.bytes, drive.stable]) media.set(before, at);
      lose(scene, segments[0], damage);
      return scene;
    };
    await atEveryMoment(make, false, async (scene, where) => {
      await scene.world.assemble();
      for (let i = 0; i < 100 && scene.core.resync !== null; i++) await scene.world.pass(100);
      scene.addsUp(where);
    });
  });

  for (const [what, end] of Object.entries(lives)) {
    test(`${newest} of a place is lost, and ${what}: the one before is not written over what hosts were promised`, async () => {
      const scene = await full(820);
      const { world } = scene;
      const segments = await write(scene, [STRIPE, STRIPE, 5]);
      await scene.flush();
      await end(scene);
      lose(scene, segments[1], damage);
      await world.assemble();
      await scene.check('started');
      for (let i = 0; i < 100 && scene.core.resync !== null; i++) await world.pass(100);
      await scene.settle('in sync');
    });
  }
}
