/**
 * Bad sectors as the second fault: while one disk is being flashed, sectors of another one cannot be read any more
 * (dm-dust over a SCSI disk). What needs both disks waits for the first one; nothing is lost, and nothing is wrong.
 */

import { readFile } from 'node:fs/promises';
import { Disks, loadModule, makeImage, readLine } from './disks.ts';
import { FileSystem } from './file-system.ts';
import { download, judge } from './flashing.ts';
import { type Stage, scratch } from './stage.ts';
import type { Story } from './story.ts';

const blockBytes = 4096;
/** Fewer than a disk may have within an hour before it is taken out for them. */
const badMax = 4;

class DustyDisk {
  readonly path = '/dev/mapper/dusty';
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async lay(over: string): Promise<void> {
    await loadModule('dm_dust');
    const sectors = readLine(`/sys/block/${over.slice(5)}/size`);
    const table = `0 ${sectors} dust ${over} 0 ${blockBytes}`;
    await this.#stage.quietly('dmsetup', ['create', 'dusty', '--table', table]);
  }

  /** Reads of these blocks fail from now on; a write to one makes it good again, as a disk remaps it. */
  async spoil(blocks: readonly number[]): Promise<void> {
    const marks = blocks.map((block) => `dmsetup message dusty 0 addbadblock ${block}`);
    await this.#stage.quietly('sh', ['-c', `${marks.join('\n')}\ndmsetup message dusty 0 enable`]);
  }

  async badBlocks(): Promise<number> {
    const { stdout } = await this.#stage.quietly('dmsetup', [
      'message',
      'dusty',
      '0',
      'countbadblocks',
    ]);
    return Number(/(\d+) badblock/.exec(stdout)?.[1] ?? Number.NaN);
  }
}

/** With 40 KiB a file, some hundred of them lie on every disk of the volume, wherever the file system puts them. */
const keptMax = 200;

/** Blocks of the disk in which files begin. */
async function blocksInUse(disk: string, beginnings: readonly Buffer[]): Promise<number[]> {
  const bytes = await readFile(disk);
  const places = beginnings.map((beginning) => bytes.indexOf(beginning)).filter((at) => at >= 0);
  return [...new Set(places.map((at) => Math.floor(at / blockBytes)))];
}

async function tell(stage: Stage): Promise<void> {
  const disks = await Disks.plugIn({ count: 6, sizeMebi: 64 });
  const [first, second, third, fourth, ...legs] = disks.paths as [string, string, string, string];
  const dusty = new DustyDisk(stage);
  await dusty.lay(third);
  const members = [first, second, dusty.path, fourth];
  await stage.locum.start();
  await stage.makeVolume('tank', members, legs);
  const fileSystem = await FileSystem.make(stage, 'tank');
  const kept: Buffer[] = [];
  let bad: number[] = [];
  while (bad.length < badMax && kept.length < keptMax) {
    kept.push(...(await fileSystem.keep(20)));
    bad = (await blocksInUse(third, kept)).slice(0, badMax);
  }
  stage.check(bad.length > 0, `files that nobody changes begin on ${third}`);
  fileSystem.work();
  await fileSystem.after(20);
  // A read that is held must outlast what a slow lab does until the drive is back.
  const patient = ['--on-double-absence', 'wait:10m'];
  await stage.does('window', 'open', 'tank', second, '--for', 'firmware', ...patient);
  await download(stage, second, makeImage(`${scratch}/firmware.bin`, '0210'));
  await fileSystem.after(3);
  await fileSystem.rest();
  await dusty.spoil(bad);
  stage.say(`${second} is away; ${bad.length} blocks of ${third} cannot be read any more`);
  let read = 0;
  const reading = fileSystem.readAll().then((count) => {
    read = count;
  });
  await stage.until('tank', 'aware of it', ({ drives }) => (drives[2]?.errors.read ?? 0) > 0);
  stage.check(read === 0, 'a file that needs such a block and the disk that is away is waited for');
  await stage.does('window', 'close', 'tank', '--wait');
  await reading;
  stage.check(read > 0, `all ${read} files were read, right, as soon as ${second} was back`);
  await stage.does('scrub', 'start', 'tank', '--repair', '--wait');
  stage.check((await dusty.badBlocks()) === 0, 'the bad blocks were written anew');
  await judge(stage, 'tank', members, fileSystem);
}

export const badSectors: Story = {
  name: 'bad-sectors',
  title: 'sectors of one disk go bad while another one is being flashed',
  needs: ['dmsetup'],
  tell,
};
