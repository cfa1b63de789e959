/**
 * Two volumes on partitions of the same disks. A disk can only go as a whole: both volumes freeze for it and return
 * together, whichever of them is asked.
 */

import { existsSync } from 'node:fs';
import { Disks, makeImage, waitUntil } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { download, judge } from './flashing.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

const volumes = ['red', 'blue'] as const;

async function divide(stage: Stage, disk: string): Promise<void> {
  const half = 'start=2048, size=112640\nsize=112640\n';
  await stage.quietly('sh', ['-c', `printf '${half}' | sfdisk --quiet --no-tell-kernel ${disk}`]);
  await stage.quietly('blockdev', ['--rereadpt', disk]);
  await waitUntil(`${disk} has two partitions`, () =>
    [1, 2].every((n) => existsSync(`${disk}${n}`)),
  );
}

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 112 });
  for (const disk of disks.paths) await divide(stage, disk);
  stage.say('six disks, two partitions on each');
  const part = (from: number, to: number, number: number): string[] =>
    disks.paths.slice(from, to).map((disk) => `${disk}${number}`);
  await stage.locum.start();
  const fileSystems: FileSystem[] = [];
  for (const [index, volume] of volumes.entries()) {
    await stage.makeVolume(volume, part(0, 4, index + 1), part(4, 6, index + 1));
    const fileSystem = await FileSystem.make(stage, volume, { number: index });
    fileSystem.work();
    fileSystems.push(fileSystem);
  }
  const progress = async (count: number): Promise<void> => {
    for (const fileSystem of fileSystems) await fileSystem.after(count);
  };
  await progress(5);

  const disk = disks.paths[1]!;
  await stage.does('window', 'open', 'red', `${disk}1`, '--for', 'firmware');
  for (const volume of volumes) {
    const { state } = await stage.locum.statusOf(volume);
    stage.check(state === 'frozen', `${volume} is frozen`);
  }
  await download(stage, disk, makeImage(`${scratch}/firmware.bin`, '0210'));
  await progress(3);
  await stage.does('window', 'close', 'blue', '--wait');
  for (const volume of volumes) {
    await stage.until(volume, 'optimal', ({ state }) => state === 'optimal');
    stage.check(true, `${volume} is optimal again`);
  }
  stage.check((await disks.revisionOf(disk)) === '0210', `${disk} has its new firmware`);
  await progress(3);
  for (const [index, volume] of volumes.entries()) {
    const fileSystem = fileSystems[index]!;
    await judge(stage, volume, part(0, 4, index + 1), fileSystem);
  }
}

export const partitions: Story = {
  name: 'partitions',
  title: 'a disk with members of two volumes on it is flashed: both freeze and return together',
  needs: ['sfdisk'],
  tell,
};
