/**
 * A drive in memory that does on demand what drives do: errors of each kind, no space, slowness, silence. And the scene
 * that runs a server on such drives, each a file of its own FUSE mount.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FuseDrive } from './drives-mount.ts';
import { type Answer, DriveServer, type ServedDrive } from './drives-nbd.ts';
import { KillScene, type Shape } from './kill-scene.ts';
import type { Tally } from './tally.ts';

export class FaultyDrive implements ServedDrive {
  readonly sizeBytes: number;
  readonly bytes: Buffer;
  /** What each kind of request is answered with; 0: it is done. */
  readonly errno = { read: 0, write: 0, flush: 0 };
  delayMs = 0;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.bytes = Buffer.alloc(sizeBytes);
  }

  read(offset: number, into: Buffer): Promise<Answer> {
    return this.#answer(this.errno.read, () => this.bytes.copy(into, 0, offset));
  }

  write(offset: number, bytes: Buffer): Promise<Answer> {
    return this.#answer(this.errno.write, () => bytes.copy(this.bytes, offset));
  }

  flush(): Promise<Answer> {
    return this.#answer(this.errno.flush, () => undefined);
  }

  setErrno(errno: number): void {
    this.errno.read = errno;
    this.errno.write = errno;
    this.errno.flush = errno;
  }

  async #answer(errno: number, act: () => unknown): Promise<Answer> {
    if (this.delayMs > 0) await sleep(this.delayMs);
    if (errno === 0) act();
    return errno;
  }
}

/** One drive with everything that belongs to it. */
export class MountedDrive {
  readonly drive: FaultyDrive;
  readonly #folder: string;
  readonly #socketPath: string;
  #server: DriveServer;
  #mount: FuseDrive;

  static async make(folder: string, name: string, sizeBytes: number): Promise<MountedDrive> {
    const drive = new FaultyDrive(sizeBytes);
    const socketPath = join(folder, `${name}.sock`);
    const server = await DriveServer.start(socketPath, drive);
    const at = join(folder, name);
    return new MountedDrive(drive, at, socketPath, server, await FuseDrive.mount(at, socketPath));
  }

  private constructor(
    drive: FaultyDrive,
    folder: string,
    socketPath: string,
    server: DriveServer,
    mount: FuseDrive,
  ) {
    this.drive = drive;
    this.#folder = folder;
    this.#socketPath = socketPath;
    this.#server = server;
    this.#mount = mount;
  }

  get path(): string {
    return this.#mount.path;
  }

  get mount(): FuseDrive {
    return this.#mount;
  }

  /** The drive's own server is gone; what it holds stays. */
  die(): void {
    this.#mount.die();
  }

  /** The drive's server again, with the same contents at the same path. */
  async comeBack(): Promise<void> {
    await this.#mount.stop();
    await this.#server.stop();
    this.#server = await DriveServer.start(this.#socketPath, this.drive);
    this.#mount = await FuseDrive.mount(this.#folder, this.#socketPath);
  }

  async stop(): Promise<void> {
    await this.#mount.stop();
    await this.#server.stop();
  }
}

/** Drives and legs ready to be taken, for a scene that may need one at any moment. */
const readyDrives = 3;
const readyLegs = 2;

/** As `KillScene`, on mounted drives. `open` first, `close` at last. */
export class MountedScene extends KillScene {
  readonly mounted = new Map<string, MountedDrive>();
  readonly #ready = { d: [] as MountedDrive[], l: [] as MountedDrive[] };
  /** Taken as a leg before any mounted drive is. */
  legBefore: string | null = null;

  static async open(
    folder: string,
    shape: Shape,
    tally: Tally,
    serveArgs: readonly string[],
  ): Promise<MountedScene> {
    const scene = new MountedScene(folder, shape, tally, serveArgs);
    try {
      const drives = shape.members + readyDrives;
      for (let index = 0; index < drives; index++) await scene.#make('d', index, shape.memberBytes);
      const legs = 2 + readyLegs;
      for (let index = 0; index < legs; index++) await scene.#make('l', index, shape.logBytes);
    } catch (error) {
      await scene.close();
      throw error;
    }
    return scene;
  }

  async #make(kind: 'd' | 'l', index: number, sizeBytes: number): Promise<void> {
    const made = await MountedDrive.make(this.folder, `${kind}${index}`, sizeBytes);
    this.#ready[kind].push(made);
    this.mounted.set(made.path, made);
  }

  override newFile(stem: string): string {
    const before = stem === 'l' ? this.legBefore : null;
    if (before !== null) {
      this.legBefore = null;
      return before;
    }
    const next = this.#ready[stem === 'l' ? 'l' : 'd'].shift();
    if (next === undefined) throw new Error('no mounted drive is left');
    return next.path;
  }

  /** They are blank from the beginning. */
  override async blankImage(): Promise<void> {}

  at(path: string): MountedDrive {
    const found = this.mounted.get(path);
    if (found === undefined) throw new Error(`${path} is not one of the mounted drives`);
    return found;
  }

  /** What the drives hold, as files for the judge. */
  async images(paths: readonly string[]): Promise<string[]> {
    const written = paths.map((_, slot) => join(this.folder, `slot${slot}.img`));
    for (const [slot, path] of paths.entries()) {
      await writeFile(written[slot]!, this.at(path).drive.bytes);
    }
    return written;
  }

  async close(): Promise<void> {
    for (const drive of this.mounted.values()) await drive.stop();
  }
}
