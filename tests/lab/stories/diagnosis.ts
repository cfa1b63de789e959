/** A disk is examined while it is away: its own self-test, a read of all of it, and one that finds something. */

import { writeFileSync } from 'node:fs';
import { Disks } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { judge } from './flashing.ts';
import { windowRun } from './runs.ts';
import type { Stage } from './stage.ts';
import type { Story } from './story.ts';

const module = '/sys/bus/pseudo/drivers/scsi_debug';
const sizeMebi = 64;
const badSectors = 8;

/**
 * The last sectors of every disk answer "medium error" (the module knows no single disk); only the one that is read to
 * its end meets them.
 */
function lastSectorsAreBad(bad: boolean): void {
  const first = sizeMebi * 2048 - badSectors;
  const parameters = '/sys/module/scsi_debug/parameters';
  writeFileSync(`${parameters}/medium_error_start`, String(first));
  writeFileSync(`${parameters}/medium_error_count`, String(badSectors));
  writeFileSync(`${module}/opts`, bad ? '2' : '0');
}

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi });
  const members = disks.paths.slice(0, 4);
  const disk = members[1]!;
  await stage.locum.start();
  await stage.makeVolume('tank', members, disks.paths.slice(4));
  const fileSystem = await FileSystem.make(stage, 'tank');
  fileSystem.work();
  await fileSystem.after(5);
  const examine = ['tank', disk, '--for', 'diagnostics', '--test'];
  await windowRun(stage, [...examine, 'short']);
  await fileSystem.after(3);
  await windowRun(stage, [...examine, 'scan']);
  await fileSystem.after(3);
  lastSectorsAreBad(true);
  stage.say(`the last ${badSectors} sectors of ${disk} go bad`);
  const { steps } = await windowRun(stage, [...examine, 'scan'], 'unhealthy');
  const found = steps.find(({ step }) => step === 'diagnose')?.output ?? '';
  stage.say(`  ${/.* byte \d+: .*/.exec(found)?.[0] ?? 'and does not say where'}`);
  lastSectorsAreBad(false);
  await stage.until('tank', 'optimal', ({ state }) => state === 'optimal');
  stage.check(
    true,
    'the disk is back and the volume is optimal; what to do with the disk is for people',
  );
  await judge(stage, 'tank', members, fileSystem);
}

export const diagnosis: Story = {
  name: 'diagnosis',
  title:
    'a disk is tested while it is away: self-test, read scan, and a scan that finds bad sectors',
  needs: ['smartctl'],
  tell,
};
