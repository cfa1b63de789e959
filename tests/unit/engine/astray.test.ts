/**
 * A leg of the log, the only one that is left, answers one read of a start with what lies half a kilobyte before. That must
 * not look like the end of the log: every read of the start is tried in turn.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Address, DriveOffset } from '../../../src/base/units.ts';
import type { Drive } from '../../../src/io/drive.ts';
import { Scene } from './scene.ts';

const BESIDE_BYTES = 512;
const STARTS = 3;

/** From here on the leg counts its reads, and the one of this number goes astray. */
function sendAstray(scene: Scene, path: string, number: number): { reads: number } {
  const counted = { reads: 0 };
  const { world } = scene;
  const { environment } = world;
  const read = (drive: Drive, offset: DriveOffset, address: Address, lengthBytes: number) => {
    const isAstray = counted.reads++ === number && offset >= BESIDE_BYTES;
    const from = (isAstray ? offset - BESIDE_BYTES : offset) as DriveOffset;
    return drive.read(from, address, lengthBytes);
  };
  world.environment = {
    ...environment,
    openDrive: async (asked) => {
      const opened = await environment.openDrive(asked);
      if (!opened.ok || asked !== path) return opened;
      const drive = opened.value;
      const value = new Proxy(drive, {
        get: (_, key) => {
          if (key === 'read')
            return (offset: DriveOffset, address: Address, bytes: number) =>
              read(drive, offset, address, bytes);
          const property = Reflect.get(drive, key, drive) as unknown;
          return typeof property === 'function' ? property.bind(drive) : property;
        },
      });
      return { ok: true, value };
    },
  };
  return counted;
}

async function startAstray(frozen: boolean, number: number): Promise<number> {
  const scene = await Scene.make(5, { seed: 440 });
  const { world } = scene;
  await scene.put(0, 64);
  if (frozen) await scene.open('1');
  for (let i = 0; i < 8; i++) await scene.put(4, 20 + i);
  scene.crash(false);
  world.at('leg0').vanish();
  const counted = sendAstray(scene, 'leg1', number);
  const where = `${frozen ? 'frozen' : 'optimal'}, read ${number} went astray`;
  let started = false;
  // A start that says that it cannot is tried again; one that comes up has everything.
  for (let i = 0; i < STARTS && !started; i++) started = (await world.tryAssemble()).ok;
  assert.ok(started, `${where}: it does not start`);
  await scene.check(where);
  return counted.reads;
}

for (const frozen of [false, true]) {
  test(`a read of the last leg goes astray in a start, ${frozen ? 'with a window open' : 'no window open'}`, async () => {
    let number = 0;
    while (number < (await startAstray(frozen, number))) number++;
    assert.ok(number > 5, `${number} reads`);
  });
}
