/**
 * Disks of 4096-byte blocks (4Kn), without any emulation of smaller ones, in the cases that others are told of in stories of
 * their own: missing at a start, flashed, hanging while another one is flashed, pulled and brought back.
 */

import { existsSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { Disks, loadModule, makeImage, readLine, waitUntil } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { flashByHand, judge } from './flashing.ts';
import { windowRun } from './runs.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

/** Over a disk: suspended, it takes commands and answers none, like a disk whose own firmware stands still. */
const hanging = '/dev/mapper/hanging';

async function layOver(stage: Stage, disk: string): Promise<void> {
  await loadModule('dm_mod');
  const sectors = readLine(`/sys/block/${basename(disk)}/size`);
  const table = `0 ${sectors} linear ${disk} 0`;
  await stage.quietly('dmsetup', ['create', basename(hanging), '--table', table]);
}

async function missingAtStart(stage: Stage, disks: Disks, disk: string): Promise<string> {
  await stage.does('volume', 'stop', 'tank');
  const place = await disks.pull(disk);
  stage.say(`${disk} is not there when the volume is started`);
  await stage.fails(/missing: slot 0/, 'volume', 'assemble', 'tank');
  await stage.does('volume', 'assemble', 'tank', '--force');
  const { drives } = await stage.until('tank', 'degraded', ({ state }) => state === 'degraded');
  stage.check(
    drives[0]?.state === 'missing',
    'the volume runs without it, and says that it is missing',
  );
  const again = await disks.rescan(place);
  await stage.does('drive', 'add', 'tank', again, '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  return again;
}

/** The second failure: what needs both disks waits for the one that is being flashed. */
async function hangsMeanwhile(
  stage: Stage,
  disks: Disks,
  fileSystem: FileSystem,
  flashed: string,
): Promise<void> {
  const atWork = `${scratch}/flashing`;
  disks.willDo(flashed, `signal ${atWork}`);
  const image = makeImage(`${scratch}/other.bin`, '0220');
  const run = windowRun(stage, ['tank', flashed, '--for', 'firmware', '--image', image]);
  await waitUntil('the download has begun', () => existsSync(atWork));
  await fileSystem.rest();
  await stage.quietly('dmsetup', ['suspend', '--noflush', '--nolockfs', basename(hanging)]);
  stage.say(`${hanging} answers nothing any more while ${flashed} is being flashed`);
  const reading = fileSystem.readAll();
  await stage.until('tank', 'aware of it', ({ drives }) => drives[3]?.state === 'failed');
  rmSync(atWork);
  await run;
  stage.check((await disks.revisionOf(flashed)) === '0220', `${flashed} has its new firmware`);
  stage.check((await reading) > 0, 'all files were read, right, as soon as it was back');
  await stage.quietly('dmsetup', ['resume', basename(hanging)]);
  await stage.does('drive', 'add', 'tank', hanging, '--wait');
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  fileSystem.work();
}

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64, sectorBytes: 4096 });
  const [one, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  await layOver(stage, fourth);
  await stage.locum.start();
  await stage.makeVolume('tank', [one, second, third, hanging], legs);
  const first = await missingAtStart(stage, disks, one);
  const fileSystem = await FileSystem.make(stage, 'tank', { blockBytes: 4096 });
  fileSystem.work();
  await fileSystem.after(10);
  await flashByHand(stage, disks, 'tank', third, makeImage(`${scratch}/firmware.bin`, '0210'));
  await hangsMeanwhile(stage, disks, fileSystem, second);
  const place = await disks.pull(first);
  await stage.until('tank', 'aware of it', ({ drives }) => drives[0]?.state === 'failed');
  await fileSystem.after(5);
  const again = await disks.rescan(place);
  await stage.does('drive', 'add', 'tank', again, '--wait');
  await judge(stage, 'tank', [again, second, third, hanging], fileSystem);
}

export const largeBlocks: Story = {
  name: 'large-blocks',
  title: 'disks of 4096-byte blocks: missing at a start, flashed, hanging, pulled, brought back',
  needs: ['dmsetup'],
  tell,
};
