/** What several stories do: a drive of a volume is flashed inside a window, and the kernel's md judges the members. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Disks, loadModule, readLine } from './disks.ts';
import type { FileSystem } from './file-system.ts';
import type { Stage } from './stage.ts';

/** sg_write_buffer's exit status for a unit attention: what a disk says after it has changed its microcode. */
const unitAttention = 6;

/** The download, as a person at the keyboard would do it. */
export async function download(stage: Stage, path: string, image: string): Promise<void> {
  await stage.runs('sg_write_buffer', ['--mode=dmc_offs_save', `--in=${image}`, path]);
  // The first commands after it are answered with unit attentions.
  while ((await stage.quietly('sg_turs', [path], [0, 2, unitAttention])).code !== 0)
    await sleep(100);
}

export async function flashByHand(
  stage: Stage,
  disks: Disks,
  volume: string,
  path: string,
  image: string,
): Promise<void> {
  const before = await disks.revisionOf(path);
  await stage.does('window', 'open', volume, path, '--for', 'firmware');
  await download(stage, path, image);
  const after = await disks.revisionOf(path);
  await stage.does('window', 'close', volume, '--wait');
  stage.check(before !== after, `${path}: firmware ${before} is now ${after}`);
}

/**
 * The end of a story. The volume is optimal, fsck finds nothing, every file is as written. Then the volume is stopped and
 * its members are taken over by the kernel: md assembles them, checks every stripe, and the file system is still that.
 */
export async function judge(
  stage: Stage,
  volume: string,
  members: readonly string[],
  fileSystem: FileSystem,
): Promise<void> {
  await stage.until(volume, 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.rest();
  await fileSystem.judge();
  await fileSystem.close();
  await stage.does('volume', 'stop', volume);
  await loadModule('raid456');
  await stage.runs('mdadm', ['--assemble', '/dev/md0', ...members]);
  const md = '/sys/block/md0/md';
  const settled = async (): Promise<void> => {
    while (readLine(`${md}/sync_action`) !== 'idle') await sleep(50);
  };
  await settled();
  stage.check(readLine(`${md}/degraded`) === '0', 'md has all members');
  await stage.quietly('sh', ['-c', `echo check > ${md}/sync_action`]);
  await settled();
  const mismatches = readLine(`${md}/mismatch_cnt`);
  stage.check(mismatches === '0', `md has read every stripe: ${mismatches} mismatches`);
  await fileSystem.judgeDevice('/dev/md0');
  await stage.quietly('mdadm', ['--stop', '/dev/md0']);
}
