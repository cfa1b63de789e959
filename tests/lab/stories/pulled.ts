/**
 * The second failure while a disk is being flashed: another member is pulled out of the machine in the middle of the
 * download. It comes back by a rescan; later it is replaced by a new disk.
 */

import { existsSync, rmSync } from 'node:fs';
import { Disks, makeImage, waitUntil } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import { windowRun } from './runs.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  await stage.locum.start();
  await stage.makeVolume('tank', [first, second, third, fourth], legs);
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(10);

  const image = makeImage(`${scratch}/firmware.bin`, '0210');
  const atWork = `${scratch}/flashing`;
  disks.willDo(second, `signal ${atWork}`);
  const flashed = windowRun(stage, ['tank', second, '--for', 'firmware', '--image', image]);
  await waitUntil('the download has begun', () => existsSync(atWork));
  const place = await disks.pull(third);
  stage.say(`${third} is pulled out while ${second} is being flashed`);
  await stage.until('tank', 'aware of it', ({ drives }) => drives[2]?.state === 'failed');
  await fileSystem.after(2);
  stage.say('the volume is frozen with two disks absent; the host goes on writing');
  rmSync(atWork);
  await flashed;
  stage.check((await disks.revisionOf(second)) === '0210', `${second} has its new firmware`);
  await stage.until('tank', 'degraded', ({ state }) => state === 'degraded');
  await fileSystem.after(5);

  const again = await disks.rescan(place);
  stage.say(`a rescan finds the pulled disk again: ${again}`);
  await stage.does('drive', 'add', 'tank', again, '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(5);

  const fresh = await disks.plugInNew();
  stage.say(`it is not trusted any more: a new disk is plugged in, ${fresh}`);
  await stage.does('drive', 'replace', 'tank', '2', '--with', fresh, '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(3);
  await judge(stage, 'tank', [first, second, fresh, fourth], fileSystem);
}

export const pulled: Story = {
  name: 'pulled',
  title: 'a disk is pulled out while another one is being flashed, comes back, is replaced',
  needs: [],
  tell,
};
