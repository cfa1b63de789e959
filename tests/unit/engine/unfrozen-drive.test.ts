/**
 * The server dies in the middle of a freeze, and at the next start the drive that was to leave takes no write or no flush:
 * the window is open, and what the drive knows of it is not certain. It is away like any other, and may be at its task;
 * what comes back is compared.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, MIB, Scene, windowRequest } from './scene.ts';

const MEMBER_BYTES = MIB + 512 * KIB;

/** Every millisecond is a moment at which the server dies; all at which the start then fails to put the freeze on d1. */
async function unfrozen(
  level: number,
  fails: 'write' | 'flush',
  look: (scene: Scene) => Promise<void>,
): Promise<void> {
  let seen = 0;
  for (let ms = 1; ms < 60; ms++) {
    const scene = await Scene.make(level, { seed: 61, memberBytes: MEMBER_BYTES, operationMs: 1 });
    await scene.fill(20);
    await scene.flush();
    await scene.world.pass(30_000);
    let isOpen = false;
    const opening = scene.world.v.openWindow(windowRequest('1'));
    void opening.then(() => {
      isOpen = true;
    });
    await scene.world.pass(ms);
    if (isOpen) break;
    scene.crash(false);
    if (fails === 'write') scene.world.at('d1').failWrites();
    else scene.world.at('d1').failFlush();
    const started = await scene.world.tryAssemble();
    scene.world.at('d1').clearFaults();
    if (!started.ok || scene.core.mode !== 'frozen' || !scene.said('drive-failed')) continue;
    seen++;
    await look(scene);
  }
  assert.ok(seen > 0);
}

/** Its task was at work. */
function damage(scene: Scene): void {
  const { dataOffset } = scene.core.members.at(0).layout ?? assert.fail();
  scene.world.at('d1').overwrite(dataOffset + 480 * KIB, new Uint8Array(8 * KIB).fill(1));
}

for (const level of [1, 5]) {
  for (const fails of ['write', 'flush'] as const) {
    test(`RAID ${level}: the drive of a window that took no ${fails} at the start is added by hand: not unseen`, async () => {
      await unfrozen(level, fails, async (scene) => {
        damage(scene);
        const added = await scene.world.until(scene.world.v.addDrive('d1', false, false));
        assert.equal(added.ok, false, 'its window brings it back');
        await scene.check('in the window');
        await scene.world.pass(10_000);
        assert.equal(scene.core.members.at(1).state, 'away');
      });
    });

    test(`RAID ${level}: the window of a drive that took no ${fails} at the start runs out, and it comes back late`, async () => {
      await unfrozen(level, fails, async (scene) => {
        damage(scene);
        await scene.put(0, 8);
        await scene.world.v.extendWindow(-30 * 60_000);
        await scene.closed();
        assert.equal(scene.core.members.at(1).reasonCode, 'expired');
        const added = await scene.world.until(scene.world.v.addDrive('d1', false, false));
        assert.ok(added.ok, JSON.stringify(added));
        await scene.until('optimal');
        await scene.settle('added again');
      });
    });
  }
}
