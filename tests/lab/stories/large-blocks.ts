/** Disks of 4096-byte blocks (4Kn), without any emulation of smaller ones: flashed, pulled and brought back like others. */

import { Disks, makeImage } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { flashByHand, judge } from './flashing.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64, sectorBytes: 4096 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  const members = [first, second, third, fourth];
  await stage.locum.start();
  await stage.makeVolume('tank', members, legs);
  const fileSystem = await FileSystem.make(stage, 'tank', { blockBytes: 4096 });
  fileSystem.work();
  await fileSystem.after(10);
  await flashByHand(stage, disks, 'tank', third, makeImage(`${scratch}/firmware.bin`, '0210'));
  const place = await disks.pull(first);
  await stage.until('tank', 'aware of it', ({ drives }) => drives[0]?.state === 'failed');
  await fileSystem.after(5);
  const again = await disks.rescan(place);
  await stage.does('drive', 'add', 'tank', again, '--wait');
  await judge(stage, 'tank', [again, second, third, fourth], fileSystem);
}

export const largeBlocks: Story = {
  name: 'large-blocks',
  title: 'disks of 4096-byte blocks are flashed, pulled and brought back',
  needs: [],
  tell,
};
