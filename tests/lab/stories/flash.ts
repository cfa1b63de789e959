/** Every member of a RAID 5 gets new firmware by one command, while a file system on the volume is written to. */

import { Disks, makeImage } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const members = disks.paths.slice(0, 4);
  stage.say(
    `six SCSI disks: ${members.join(' ')} for the volume, ${disks.paths.slice(4).join(' ')} for its log`,
  );
  await stage.locum.start();
  await stage.makeVolume('tank', members, disks.paths.slice(4));
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(10);
  const image = makeImage(`${scratch}/firmware.bin`, '0210');
  const changes = fileSystem.changes;
  const update = ['firmware', 'update', 'tank', '--all', '--image', image, '--soak', '1s'];
  await stage.shows(...update);
  for (const path of members) {
    const revision = await disks.revisionOf(path);
    stage.check(revision === '0210', `${path} says that its firmware is ${revision}`);
  }
  stage.say(`meanwhile the host has made ${fileSystem.changes - changes} changes`);
  const again = await stage.shows(...update, '--dry-run');
  stage.check(/nothing to do/.test(again), 'once more would change nothing: the image is known');
  await fileSystem.after(3);
  await fileSystem.rest();
  await stage.does('scrub', 'start', 'tank', '--wait');
  await judge(stage, 'tank', members, fileSystem);
}

export const flash: Story = {
  name: 'flash',
  title: 'every disk of a RAID 5 is flashed while a file system on it is written to',
  needs: [],
  tell,
};
