/** Every cell of the matrix, on every level. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../src/base/errno.ts';
import { closeRequest, type Scene, SMALL_MEMBER_BYTES } from '../unit/engine/scene.ts';
import { type Outcome, outcomeOf } from './matrix.ts';
import { befall, type Fault, faults, putRight } from './matrix-faults.ts';
import { inState, matrixLevels, type State, states, X } from './matrix-states.ts';

/** Writes that may be held or refused; time for everything that runs to notice. */
async function goOn(scene: Scene): Promise<void> {
  for (let i = 0; i < 4; i++) {
    scene.begin(4 + 14 * i, 12);
    await scene.world.pass(1_000);
  }
  await scene.world.pass(12_000);
}

/** A drive with many bad sectors may be taken out by the reading alone; then it is replaced like any other. */
const settled = async (scene: Scene, where: string): Promise<void> => {
  await scene.check(where);
  await scene.world.pass(5_000);
  for (let i = 0; i < 40 && scene.core.rebuildJob?.running === true; i++)
    await scene.world.pass(2_000);
  await scene.settle(where);
};

async function returned(scene: Scene): Promise<void> {
  if (scene.core.mode !== 'frozen') return;
  const { media } = scene.world;
  const gone = media.get(X)?.isVanished === true;
  const drivePath = gone ? scene.world.medium('blank', SMALL_MEMBER_BYTES) : null;
  if (drivePath) scene.world.drivePaths.push(drivePath);
  const closed = await scene.world.until(scene.world.v.closeWindow(closeRequest({ drivePath })));
  assert.ok(closed.ok, JSON.stringify(closed));
  await scene.closed();
}

const judges: Record<Outcome, (scene: Scene, where: string) => Promise<void>> = {
  whole: async (scene, where) => {
    for (let i = 0; i < 60 && scene.core.mode === 'replaying'; i++) await scene.world.pass(500);
    await scene.check(where);
    await returned(scene);
    await settled(scene, where);
  },
  'no window': async (scene, where) => {
    assert.equal(scene.core.window, null, `${where}: ${scene.recent}`);
    await scene.check(where);
    await settled(scene, where);
  },
  held: async (scene, where) => {
    const before = await scene.checkWhatAnswers(where);
    assert.ok(before > 0, `${where}: nothing needs both`);
    assert.ok(before < scene.model.sectors, `${where}: nothing is answered`);
    for (const medium of scene.world.media.values()) medium.reappear();
    await scene.world.pass(40_000);
    await returned(scene);
    await settled(scene, where);
  },
  errors: async (scene, where) => {
    const lost = await scene.checkWhatAnswers(where);
    assert.ok(lost > 0 && lost < scene.model.sectors, `${where}: ${lost} sectors are errors`);
    // No others join them: neither quiet nor a restart makes anything up.
    scene.crash(false);
    await scene.world.assemble();
    assert.ok((await scene.checkWhatAnswers(`${where}, restarted`)) <= lost);
    await scene.put(0, scene.model.sectors);
    await scene.check(`${where}, written anew`);
  },
  around: async (scene, where) => {
    for (let i = 0; i < 40 && scene.core.rebuildJob?.running === true; i++)
      await scene.world.pass(2_000);
    assert.ok(scene.alarms().includes('bad-blocks'), `${where}: ${scene.recent}`);
    await judges.errors(scene, where);
    await settled(scene, `${where}, written anew`);
    assert.ok(!scene.alarms().includes('bad-blocks'), where);
  },
  halted: async (scene, where) => {
    assert.equal(scene.state, 'halted', `${where}: ${scene.recent}`);
    const { errno } = await scene.world.until(scene.world.read(0, 512));
    assert.equal(errno, EIO);
    await putRight(scene);
    await judges.whole(scene, `${where}, with the drives back`);
  },
};

async function cell(level: number, state: State, fault: Fault, outcome: Outcome): Promise<void> {
  const where = `RAID ${level}, ${state}, ${fault}`;
  const scene = await inState(level, state);
  await befall[fault](scene, state, level);
  await goOn(scene);
  await judges[outcome](scene, where);
}

const what: Record<Outcome, string> = {
  whole: 'nothing is lost',
  'no window': 'no window, nothing is lost',
  held: 'held until the drive is back, nothing is lost',
  errors: 'exactly what is nowhere is an error',
  around:
    'the rebuild goes around it, exactly what is nowhere is an error until it is written anew',
  halted: 'halted, and all of it is there with the drives back',
};

/** RAID 3 and 4 differ in their chunks only: the everyday run takes every other cell of each, and so all of them. */
const isTaken = (level: number, cellNumber: number): boolean =>
  process.env['LOCUM_EVERY'] !== undefined ||
  level === 1 ||
  level === 5 ||
  cellNumber % 2 === level % 2;

for (const level of matrixLevels) {
  let cells = 0;
  for (const state of states) {
    for (const fault of faults) {
      const outcome = outcomeOf(level, state, fault);
      if (outcome === undefined || !isTaken(level, cells++)) continue;
      test(`matrix, RAID ${level}: ${state} × ${fault}: ${what[outcome]}`, () =>
        cell(level, state, fault, outcome));
    }
  }
}
