/**
 * An ext4 on a volume through the kernel's own NBD client, and a host that works on it all the time: files are written,
 * overwritten in the middle, renamed and deleted, each change made durable before the next. What every file holds is
 * remembered by its SHA-256, so that in the end all of them can be compared.
 */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadModule, readLine, waitUntil } from './disks.ts';
import { type Stage, StoryFailed } from './stage.ts';

const filesMax = 60;
const fileBytesMax = 40 * 1024;
/**
 * Between two changes. The server and the tools need their share of the one processor, and on a machine with other work a
 * window is long: at this pace its log lasts for a minute and more.
 */
const restMs = 60;

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const below = (limit: number): number => Math.floor(Math.random() * limit);

export interface FileSystemOptions {
  /** Of the NBD device. */
  readonly number?: number;
  /** What the kernel is told of the device's blocks: those of the disks, or md could not take the volume over. */
  readonly blockBytes?: 512 | 4096;
}

export class FileSystem {
  readonly #stage: Stage;
  readonly #volume: string;
  readonly #device: string;
  readonly #blockBytes: number;
  readonly #folder: string;
  readonly #files = new Map<string, string>();
  /** Files that are never changed. */
  readonly #kept = new Set<string>();
  #working: Promise<void> | null = null;
  #stop = false;
  #names = 0;
  #changes = 0;

  private constructor(stage: Stage, volume: string, options: FileSystemOptions) {
    const { number = 0, blockBytes = 512 } = options;
    this.#stage = stage;
    this.#volume = volume;
    this.#blockBytes = blockBytes;
    this.#device = `/dev/nbd${number}`;
    this.#folder = `/run/mnt-${volume}`;
    mkdirSync(this.#folder);
  }

  static async make(
    stage: Stage,
    volume: string,
    options: FileSystemOptions = {},
  ): Promise<FileSystem> {
    await loadModule('nbd');
    await loadModule('ext4');
    const fileSystem = new FileSystem(stage, volume, options);
    await fileSystem.#attach();
    await stage.runs('mkfs.ext4', ['-q', fileSystem.#device]);
    await fileSystem.#mount();
    return fileSystem;
  }

  get changes(): number {
    return this.#changes;
  }

  /** Begins to work; whatever goes wrong is told by `rest`. */
  work(): void {
    this.#stop = false;
    this.#working = this.#workOn();
    // It is awaited in `rest`; until then a failure must not end the process by itself.
    this.#working.catch(() => undefined);
  }

  /** Ends the work after the change at hand. */
  async rest(): Promise<void> {
    this.#stop = true;
    await this.#working;
  }

  /** Resolves after `count` more changes: the host is at work, and nothing holds it up. */
  async after(count: number): Promise<void> {
    const goal = this.#changes + count;
    await Promise.race([
      this.#working,
      waitUntil(`${count} changes were made`, () => this.#changes >= goal),
    ]);
  }

  /** Reads and compares every file while mounted, with nothing cached. To be called when nobody works. */
  async readAll(): Promise<number> {
    await this.#stage.quietly('sh', ['-c', 'sync; echo 1 > /proc/sys/vm/drop_caches']);
    return this.#compare();
  }

  /** Unmounts, checks the file system, mounts it again with nothing cached, compares every file. */
  async judge(): Promise<void> {
    await this.#stage.quietly('umount', [this.#folder]);
    await this.judgeDevice(this.#device);
    await this.#mount();
  }

  /** As `judge`, with the file system on another device, read-only. */
  async judgeDevice(device: string): Promise<void> {
    await this.#stage.quietly('blockdev', ['--flushbufs', device]);
    // The last mount may have left its record of changes unfinished only if something was lost: -n changes nothing.
    const { code, stdout } = await this.#stage.quietly('fsck.ext4', ['-fn', device], [0, 1, 4, 8]);
    if (code !== 0) throw new StoryFailed(`fsck of ${device}: ${stdout}`);
    await this.#stage.quietly('mount', ['-o', 'ro', device, this.#folder]);
    const found = await this.#compare();
    await this.#stage.quietly('umount', [this.#folder]);
    this.#stage.check(true, `${device}: fsck finds nothing, ${found} files are as written`);
  }

  /**
   * Writes files that nobody changes from then on, and returns how each of them begins: nothing else on the disks does.
   * To be called when nobody works.
   */
  async keep(count: number): Promise<Buffer[]> {
    const beginnings: Buffer[] = [];
    for (let made = 0; made < count; made++) {
      const name = `kept-${++this.#names}`;
      const bytes = randomBytes(fileBytesMax);
      await this.#durably(name, 'w', (file) => file.writeFile(bytes));
      this.#files.set(name, digestOf(bytes));
      this.#kept.add(name);
      beginnings.push(bytes.subarray(0, 512));
    }
    return beginnings;
  }

  async close(): Promise<void> {
    await this.#stage.quietly('umount', [this.#folder]);
    await this.#stage.quietly('nbd-client', ['-d', this.#device]);
  }

  async #attach(): Promise<void> {
    const { nbdPath } = this.#stage.locum;
    const name = ['-unix', nbdPath, '-N', this.#volume, '-b', `${this.#blockBytes}`, this.#device];
    await this.#stage.runs('nbd-client', name);
    const size = `/sys/block/${this.#device.slice(5)}/size`;
    await waitUntil(`${this.#device} has a size`, () => Number(readLine(size)) > 0);
  }

  async #mount(): Promise<void> {
    await this.#stage.quietly('mount', [this.#device, this.#folder]);
  }

  async #compare(): Promise<number> {
    const names = (await readdir(this.#folder)).filter((name) => name !== 'lost+found').sort();
    const wanted = [...this.#files.keys()].sort();
    if (names.join() !== wanted.join()) {
      throw new StoryFailed(`the files are ${names.join()}, not ${wanted.join()}`);
    }
    for (const [name, digest] of this.#files) {
      if (digestOf(await readFile(join(this.#folder, name))) === digest) continue;
      throw new StoryFailed(`${name} is not as it was written`);
    }
    return names.length;
  }

  async #workOn(): Promise<void> {
    while (!this.#stop) {
      const names = [...this.#files.keys()].filter((name) => !this.#kept.has(name));
      const kind = names.length < 4 ? 0 : below(names.length >= filesMax ? 3 : 4);
      const name = names[below(names.length)] ?? '';
      if (kind === 1) await this.#overwrite(name);
      else if (kind === 2) await this.#delete(name);
      else if (kind === 3 && below(3) === 0) await this.#rename(name);
      else await this.#write(names.length >= filesMax ? name : `file-${++this.#names}`);
      this.#changes++;
      await sleep(restMs);
    }
  }

  async #write(name: string): Promise<void> {
    const bytes = randomBytes(1 + below(fileBytesMax));
    await this.#durably(name, 'w', (file) => file.writeFile(bytes));
    this.#files.set(name, digestOf(bytes));
  }

  async #overwrite(name: string): Promise<void> {
    const path = join(this.#folder, name);
    const bytes = await readFile(path);
    const piece = randomBytes(1 + below(Math.min(bytes.length, 16_384)));
    const at = below(bytes.length - piece.length + 1);
    bytes.set(piece, at);
    await this.#durably(name, 'r+', (file) => file.write(piece, 0, piece.length, at));
    this.#files.set(name, digestOf(bytes));
  }

  async #delete(name: string): Promise<void> {
    await rm(join(this.#folder, name));
    this.#files.delete(name);
  }

  async #rename(name: string): Promise<void> {
    const to = `file-${++this.#names}`;
    await rename(join(this.#folder, name), join(this.#folder, to));
    this.#files.set(to, this.#files.get(name)!);
    this.#files.delete(name);
  }

  async #durably(
    name: string,
    flags: string,
    change: (file: Awaited<ReturnType<typeof open>>) => Promise<unknown>,
  ): Promise<void> {
    const file = await open(join(this.#folder, name), flags);
    try {
      await change(file);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
