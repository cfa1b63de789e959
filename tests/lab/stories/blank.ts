/**
 * Two disks that do not come back as they left: one was erased while it was away and is rebuilt from the frozen volume, one
 * stays away and another, new one takes its place. The host works on meanwhile.
 */

import { Disks } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import type { Stage } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  await stage.locum.start();
  await stage.makeVolume('tank', [first, second, third, fourth], legs);
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(10);

  await stage.does('window', 'open', 'tank', second, '--for', 'diagnostics');
  await stage.runs('dd', ['if=/dev/zero', `of=${second}`, 'bs=1M', 'oflag=direct'], [1]);
  stage.say(`the tester has erased ${second}`);
  await fileSystem.after(3);
  const said = await stage.does('window', 'close', 'tank', '--wait');
  stage.check(
    /closed \(rebuilt\)/.test(said),
    'it was found blank and rebuilt from the frozen disks',
  );
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(3);

  await stage.does('window', 'open', 'tank', fourth, '--for', 'replacement');
  await disks.pull(fourth);
  const fresh = await disks.plugInNew();
  stage.say(`${fourth} goes to the shredder; the new disk is ${fresh}`);
  await stage.does('window', 'close', 'tank', '--drive', fresh, '--rebuild', '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(3);
  await judge(stage, 'tank', [first, second, third, fresh], fileSystem);
}

export const blank: Story = {
  name: 'blank',
  title: 'a disk comes back erased, and a new one comes in the place of another',
  needs: [],
  tell,
};
