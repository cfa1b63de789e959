/** Every member of a RAID 5 gets new firmware, one after the other, while a file system on the volume is written to. */

import { Disks, makeImage } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judgeByMd } from './flashing.ts';
import { windowRun } from './runs.ts';
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
  for (const path of members) {
    const changes = fileSystem.changes;
    const run = await windowRun(stage, ['tank', path, '--for', 'firmware', '--image', image]);
    const proved = run.after?.firmware === '0210' && (await disks.revisionOf(path)) === '0210';
    stage.check(proved, `${path} has its new firmware`);
    stage.say(`meanwhile the host has made ${fileSystem.changes - changes} changes`);
    await fileSystem.after(3);
  }
  await fileSystem.rest();
  await fileSystem.judge();
  await stage.does('scrub', 'start', 'tank', '--wait');
  await fileSystem.close();
  await judgeByMd(stage, 'tank', members, fileSystem);
}

export const flash: Story = {
  name: 'flash',
  title: 'every disk of a RAID 5 is flashed while a file system on it is written to',
  needs: [],
  suite: 'tasks',
  tell,
};
