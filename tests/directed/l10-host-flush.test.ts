/**
 * L10 where it hurts most: the flush that fails is the one a host has asked for, nothing but data is unflushed, and the
 * power is cut right after the answer. Each member and each leg in turn; a second flush, which succeeds, changes nothing.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EIO } from '../../src/base/errno.ts';
import { Scene } from '../unit/engine/scene.ts';
import { levels } from './directed-life.ts';
import { pairs } from './enumeration.ts';

async function flushFailsOnce(level: number, path: string, inWindow: boolean, flushes: number) {
  const scene = await Scene.make(level, { seed: level, members: 3 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  if (inWindow) await scene.open('1', { onDoubleAbsence: 'error' });
  // The regions are marked and on record already: what is written now is data and nothing else.
  await scene.put(8, 60);
  await scene.put(0, 8);
  const medium = world.at(path);
  let failed = false;
  medium.intercept = ({ kind }) => {
    if (kind !== 'flush' || failed) return 0;
    failed = true;
    medium.forgetUnflushed();
    return EIO;
  };
  for (let i = 0; i < flushes; i++) await scene.flush();
  assert.ok(failed, `${path} was flushed`);
  const where = `RAID ${level}, ${path}, ${flushes} flushes`;
  const state = world.v.status().drives.find((drive) => drive.path === path)?.state;
  assert.ok(inWindow || state === 'failed', `${where}: it is ${state}`);
  scene.crash(true);
  await world.assemble();
  await scene.check(`${where}, after the power cut`);
  if (inWindow) await scene.closeAndWait();
  await scene.settle(where);
}

for (const level of levels) {
  test(`L10 fsyncgate, RAID ${level}: a host's flush fails on one member, the next succeeds, the power is cut`, async () => {
    for (const [path, flushes] of pairs(['d0', 'd1', 'd2'], [1, 2]))
      await flushFailsOnce(level, path, false, flushes);
  });

  test(`L10 fsyncgate, RAID ${level}: a host's flush fails on one log leg, the next succeeds, the power is cut`, async () => {
    for (const [path, flushes] of pairs(['leg0', 'leg1'], [1, 2]))
      await flushFailsOnce(level, path, true, flushes);
  });
}
