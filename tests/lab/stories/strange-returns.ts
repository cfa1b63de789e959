/**
 * What can come back instead of the disk that left: nothing, another disk under its name, a disk that somebody else holds,
 * a disk of another size. Each is refused with one sentence while the volume goes on in its window; then the right one
 * comes.
 */

import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Disks, loadModule, makeImage, readLine } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judgeByMd } from './flashing.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  await stage.locum.start();
  await stage.makeVolume('tank', [first, second, third, fourth], legs);
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(5);

  await stage.does('window', 'open', 'tank', second, '--for', 'firmware');
  disks.willDo(second, 'gone');
  const image = makeImage(`${scratch}/firmware.bin`, '0210');
  await stage.runs('sg_write_buffer', ['--mode=dmc_offs_save', `--in=${image}`, second]);
  stage.check(disks.isGone(second), `${second} does not answer any more after its new firmware`);
  const place = disks.forget(second);
  await stage.fails(/not there/, 'window', 'close', 'tank', '--wait');
  await fileSystem.after(3);

  const stranger = await disks.plugInNew();
  stage.say(`another disk takes its name, ${stranger}, and there are files on it`);
  await stage.quietly('mkfs.ext4', ['-q', '-L', 'holiday', stranger]);
  await stage.fails(/ext4[\s\S]*--rebuild/, 'window', 'close', 'tank', '--wait');
  await fileSystem.after(3);

  const right = await disks.rescan(place);
  stage.say(`the right one answers at last, as ${right}`);
  await loadModule('dm_mod');
  const table = `0 ${readLine(`/sys/block/${basename(right)}/size`)} linear ${right} 0`;
  await stage.runs('dmsetup', ['create', 'tester', '--table', table]);
  await stage.fails(/dm-0|busy|in use/i, 'window', 'close', 'tank', '--drive', right, '--wait');
  await stage.quietly('dmsetup', ['remove', 'tester']);
  await fileSystem.after(3);

  writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/virtual_gb', '1');
  writeFileSync(`/sys/block/${basename(right)}/device/rescan`, '1');
  stage.say(
    `${right} says now that it has ${readLine(`/sys/block/${basename(right)}/size`)} sectors`,
  );
  writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/virtual_gb', '0');
  writeFileSync(`/sys/block/${basename(right)}/device/rescan`, '1');
  stage.say(`and then ${readLine(`/sys/block/${basename(right)}/size`)} again`);
  await stage.does('window', 'close', 'tank', '--drive', right, '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(3);
  await fileSystem.rest();
  await fileSystem.judge();
  await fileSystem.close();
  await judgeByMd(stage, 'tank', [first, right, third, fourth], fileSystem);
}

export const strangeReturns: Story = {
  name: 'strange-returns',
  title: 'a disk does not come back, another one comes under its name, it is busy; then it comes',
  needs: ['dmsetup'],
  suite: 'faults',
  tell,
};
