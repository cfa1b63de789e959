/** Accidents that a directed test has found, each brought down to what made it happen. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, Scene } from '../unit/engine/scene.ts';
import type { World } from '../unit/engine/world.ts';

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
