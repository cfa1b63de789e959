/**
 * Flashing that goes wrong: what can be known before is refused before the volume is touched; a tool that hangs, floods or
 * brings nothing about ends with the disk back and the volume whole; a disk that does not answer after its new firmware is
 * waited for.
 */

import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Disks, makeImage } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import { windowRun } from './runs.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const members = disks.paths.slice(0, 4);
  const disk = members[1]!;
  await stage.locum.start();
  await stage.makeVolume('tank', members, disks.paths.slice(4));
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(5);
  const image = makeImage(`${scratch}/firmware.bin`, '0210');
  const flash = ['tank', disk, '--for', 'firmware', '--image'];
  const whole = async (): Promise<void> => {
    await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
    await fileSystem.after(3);
  };

  stage.say('refused before anything is touched:');
  writeFileSync(`${scratch}/empty.bin`, '');
  await stage.fails(/empty/, 'window', 'run', ...flash, `${scratch}/empty.bin`);
  await stage.fails(
    /sha256|SHA-256/i,
    'window',
    'run',
    ...flash,
    image,
    '--sha256',
    '0'.repeat(64),
  );
  await stage.fails(/model/, 'window', 'run', ...flash, image, '--model', 'ST8000');
  await whole();

  stage.say('a tool that prints 40 MiB:');
  disks.willDo(disk, 'flood 40');
  const flooded = await windowRun(stage, [...flash, image]);
  const kept = flooded.steps.reduce((sum, { output }) => sum + output.length, 0);
  stage.check(kept < 256 * 1024, `the record keeps ${kept} characters of all output`);
  await whole();

  stage.say('an image that the disk takes and does not use:');
  disks.willDo(disk, 'unmoved');
  await windowRun(stage, [...flash, makeImage(`${scratch}/other.bin`, '0220')], 'not-applied');
  await whole();

  stage.say('a tool that hangs and has to be ended by force:');
  disks.willDo(disk, 'hang');
  await windowRun(stage, [...flash, `${scratch}/other.bin`, '--command-limit', '5s'], 'failed');
  await whole();

  stage.say('a disk that is gone after its new firmware, and comes back as another name:');
  disks.willDo(disk, 'gone');
  const flashed = windowRun(stage, [...flash, `${scratch}/other.bin`]);
  while (!disks.isGone(disk)) await sleep(100);
  await fileSystem.after(10);
  const again = await disks.rescan(disks.forget(disk));
  stage.say(`it answers again: ${again}`);
  await flashed;
  stage.check((await disks.revisionOf(again)) === '0220', `${again} has its new firmware`);
  await whole();
  await judge(stage, 'tank', [members[0]!, again, members[2]!, members[3]!], fileSystem);
}

export const troubles: Story = {
  name: 'troubles',
  title:
    'flashing that is refused, floods, hangs, brings nothing about, and loses the disk for a while',
  needs: [],
  tell,
};
