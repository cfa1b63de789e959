/**
 * What can come back instead of the disk that left: nothing, another disk under its name, a disk that somebody else holds,
 * a disk of another size. Each is met with one sentence while the volume goes on in its window; then the right one
 * comes.
 */

import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunReport } from '../../../src/core/run-report.ts';
import { Disks, loadModule, makeImage, readLine } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import { windowRun } from './runs.ts';
import { type Stage, StoryFailed, scratch } from './stage.ts';
import type { Story } from './story.ts';

/** What the run that is at work says of itself, once it says it. */
async function untilItSays(stage: Stage, what: RegExp): Promise<void> {
  for (;;) {
    const { runs } = (await stage.locum.ask('/v1/runs')) as { runs: RunReport[] };
    const run = runs.at(-1);
    if (run === undefined || run.state === 'ended') {
      throw new StoryFailed(`the run ended before it said ${what}: ${run?.sentence}`);
    }
    if (run.state === 'waiting' && what.test(run.sentence)) {
      stage.check(true, `the run waits: ${run.sentence}`);
      return;
    }
    await sleep(100);
  }
}

/** Of every disk that is asked anew. */
function capacityGibi(gibi: number): void {
  writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/virtual_gb', String(gibi));
}

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  await stage.locum.start();
  await stage.makeVolume('tank', [first, second, third, fourth], legs);
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(5);

  disks.willDo(second, 'gone');
  const image = makeImage(`${scratch}/firmware.bin`, '0210');
  const flashed = windowRun(stage, ['tank', second, '--for', 'firmware', '--image', image]);
  // Its end is awaited below; until then a failure of its own must not end the story without a word.
  flashed.catch(() => undefined);
  while (!disks.isGone(second)) await sleep(100);
  const place = disks.forget(second);
  stage.say(`${second} does not answer any more after its new firmware`);
  const stranger = await disks.plugInNew();
  stage.say(`another disk takes its name: ${stranger}, serial ${await disks.serialOf(stranger)}`);
  await untilItSays(stage, /serial/);
  await fileSystem.after(3);

  capacityGibi(1);
  const right = await disks.rescan(place);
  stage.say(`the right one answers, as ${right}, and says that it is larger than before`);
  await untilItSays(stage, /capacity/);
  await fileSystem.after(3);
  capacityGibi(0);
  writeFileSync(`/sys/block/${basename(right)}/device/rescan`, '1');
  await flashed;
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  await fileSystem.after(3);

  await stage.does('window', 'open', 'tank', fourth, '--for', 'diagnostics');
  await loadModule('dm_mod');
  const table = `0 ${readLine(`/sys/block/${basename(fourth)}/size`)} linear ${fourth} 0`;
  await stage.runs('dmsetup', ['create', 'tester', '--table', table]);
  await stage.fails(/in use.*dm-0/, 'window', 'close', 'tank', '--wait');
  await stage.quietly('dmsetup', ['remove', 'tester']);
  await stage.quietly('mkfs.ext4', ['-q', '-L', 'holiday', stranger]);
  await stage.fails(
    /ext4[\s\S]*--rebuild/,
    ...['window', 'close', 'tank', '--drive', stranger, '--wait'],
  );
  await stage.does('window', 'close', 'tank', '--wait');
  await judge(stage, 'tank', [first, right, third, fourth], fileSystem);
}

export const strangeReturns: Story = {
  name: 'strange-returns',
  title: 'a disk does not come back, another one comes under its name, it is busy; then it comes',
  needs: ['dmsetup'],
  tell,
};
