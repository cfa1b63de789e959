/**
 * L1: on a degraded array md's event counter went backwards, and a drive that had been removed looked current: it came
 * back without a resync. So: take X out, write, stop and start a hundred times, and give X back in every way there is.
 * Counters never go back (rule 10), X is never read as if it had everything, and it gets what it missed.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scene } from '../unit/engine/scene.ts';
import { pairs } from './enumeration.ts';
import { labelOn, superblockOn } from './inspect.ts';
import { sample } from './run-enumeration.ts';

const full = process.env['LOCUM_EVERY'] !== undefined;
/** A hundred, in the everyday run on one level and by kills alone. */
const cyclesOn = (level: number, how: Stop): number =>
  full || (level === 5 && how === 'killed') ? 100 : 10;
const CYCLES = full ? 12 : 6;
const stops = ['stopped', 'killed', 'power cut'] as const;
type Stop = (typeof stops)[number];

async function end(scene: Scene, how: Stop): Promise<void> {
  const { world } = scene;
  if (how === 'stopped') assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(how === 'power cut');
}

/** Between two starts: is X there when the volume is assembled? */
type Presence = 'present' | 'absent' | 'in turns';

class Counters {
  readonly #highest = new Map<string, { events: number; sequence: number }>();

  look(scene: Scene, where: string): void {
    for (const path of scene.world.drivePaths) {
      const { events } = superblockOn(scene.world, path);
      const { sequence } = labelOn(scene.world, path);
      const before = this.#highest.get(path);
      assert.ok(!before || events >= before.events, `${where}: events of ${path} went backwards`);
      assert.ok(!before || sequence >= before.sequence, `${where}: labels of ${path} went back`);
      this.#highest.set(path, { events, sequence });
    }
  }
}

async function cycle(scene: Scene, how: Stop, x: string, presence: Presence, cycles: number) {
  const counters = new Counters();
  for (let i = 0; i < cycles; i++) {
    await end(scene, how);
    counters.look(scene, `${how}, cycle ${i}`);
    const away = presence === 'absent' || (presence === 'in turns' && i % 2 === 0);
    if (away) scene.world.at(x).vanish();
    else scene.world.at(x).reappear();
    await scene.world.assemble();
    if (i % 10 === 0) await scene.put(i, 8);
  }
  await end(scene, how);
  counters.look(scene, `${how}, at the end`);
  scene.world.at(x).reappear();
  await scene.world.assemble();
}

const title =
  'L1 md msg05742: events moved backwards on a degraded array and the removed drive came back without a resync';

for (const [level, how] of pairs([1, 3, 4, 5] as const, stops)) {
  test(`${title}: RAID ${level}, failed, ${how} ${cyclesOn(level, how)} times`, async () => {
    const scene = await Scene.make(level, { seed: level, members: 3 });
    const { world } = scene;
    await scene.put(0, scene.model.sectors);
    await scene.flush();
    assert.ok((await world.until(world.v.failDrive('1'))).ok);
    await scene.fill(20);
    await cycle(scene, how, 'd1', 'in turns', cyclesOn(level, how));
    assert.equal(world.v.status().drives[1]?.state, 'failed', 'not taken back by itself');
    await scene.check('X is here and out');
    const added = await world.until(world.v.addDrive('d1', false, false));
    assert.ok(added.ok, JSON.stringify(added));
    await scene.until('optimal');
    assert.ok(scene.said('rebuild-started') || scene.said('rebuild-done'), scene.recent);
    // What X has is asked for as soon as another one is gone.
    assert.ok((await world.until(world.v.failDrive('0'))).ok);
    await scene.check('X stands in for another');
    await scene.settle('X was back');
  });
}

const presences: readonly Presence[] = ['present', 'absent', 'in turns'];

for (const level of [1, 3, 4, 5]) {
  test(`${title}: RAID ${level}, missing at the start instead of failed, returned under every stop and start pattern`, async () => {
    // Not in turns: once it was taken back it may not be missing again without being asked for.
    for (const [how, presence] of sample(pairs(stops, ['present', 'absent'] as const), 3)) {
      const where = `${how}, ${presence}`;
      const scene = await Scene.make(level, { seed: 7 * level, members: 3 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await end(scene, 'stopped');
      world.at('d1').vanish();
      const forced = await world.tryAssemble(true);
      assert.ok(forced.ok, forced.ok ? '' : JSON.stringify(forced.problem));
      await scene.fill(20);
      await cycle(scene, how, 'd1', presence, CYCLES);
      await scene.check(where);
      await scene.settle(where);
      assert.ok((await world.until(world.v.failDrive('0'))).ok);
      await scene.check(`${where}, X stands in for another`);
    }
  });

  test(`${title}: RAID ${level}, away in a window, returned under every stop and start pattern`, async () => {
    for (const [how, presence] of sample(pairs(stops, presences), 4)) {
      const where = `${how}, ${presence}`;
      const scene = await Scene.make(level, { seed: 9 * level, members: 3 });
      const { world } = scene;
      await scene.put(0, scene.model.sectors);
      await scene.open('1', { onDoubleAbsence: 'error' });
      await scene.fill(20);
      await cycle(scene, how, 'd1', presence, CYCLES);
      assert.equal(scene.state, 'frozen', where);
      assert.equal(world.v.status().drives[1]?.state, 'away', where);
      await scene.check(where);
      await scene.closeAndWait();
      await scene.settle(where);
      assert.ok((await world.until(world.v.failDrive('0'))).ok);
      await scene.check(`${where}, X stands in for another`);
    }
  });
}
