/**
 * The server under test on recorded drives, and what its lives are made of. A life runs at its own speed: what counts is
 * the recording, every place of which is a cut. The volumes are small so that replays and rebuilds are short and every
 * stripe is written often.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stream } from '../sim/streams.ts';
import type { VolumeStatus } from '../src/core/status.ts';
import { Locum } from '../tests/support/locum.ts';
import { ControlApi } from './drives-api.ts';
import { FuseDrive } from './drives-mount.ts';
import { DriveServer } from './drives-nbd.ts';
import { RecordedHost } from './power-host.ts';
import { type Mark, type RecordedDrive, Recording } from './power-record.ts';

const mebi = 2 ** 20;
const legBytes = 16 * mebi;
export const volume = 'tank';

export interface LifeShape {
  readonly level: number;
  readonly members: number;
  readonly memberBytes: number;
  readonly chunkBytes: number;
  readonly io: 'uring' | 'node';
  /** Of the time that its story loads it; less makes for fewer drive writes. */
  readonly loadShare: number;
}

/** Small steps everywhere, so that a short life has many cursors, checkpoints and cleared bits in it. */
const limits = [
  'tickMs=100',
  'intentIdleMs=200',
  'checkpointMs=50',
  'replayZoneBytes=131072',
  'replayZoneMs=50',
  'sweepStepBytes=65536',
  'readmitFirstMs=100',
];

export class Life {
  readonly recording = new Recording();
  readonly shape: LifeShape;
  readonly drivePaths: string[] = [];
  readonly legPaths: string[] = [];
  readonly random: Stream;
  host!: RecordedHost;
  locum!: Locum;
  api!: ControlApi;
  sizeBytes = 0;
  readonly #folder: string;
  readonly #servers: DriveServer[] = [];
  readonly #mounts: FuseDrive[] = [];
  #driveCount = 0;
  #isLegOut = false;

  /** The volume is made, the recording begins, the host is at work. `stop` must follow. */
  static async begin(folder: string, shape: LifeShape, seed: number): Promise<Life> {
    const life = new Life(folder, shape, seed);
    try {
      await life.#begin(seed);
    } catch (error) {
      await life.stop();
      throw error;
    }
    return life;
  }

  private constructor(folder: string, shape: LifeShape, seed: number) {
    this.#folder = folder;
    this.shape = shape;
    this.random = new Stream(seed, 'life');
  }

  /** Two drives and one leg more than the volume begins with are there to be used later. */
  async #begin(seed: number): Promise<void> {
    const { level, members, memberBytes, chunkBytes, io } = this.shape;
    this.#driveCount = members + 1;
    for (let index = 0; index < members + 1; index++)
      this.drivePaths.push(await this.#mount(memberBytes));
    for (let index = 0; index < 3; index++) this.legPaths.push(await this.#mount(legBytes));
    const state = join(this.#folder, 'state');
    mkdirSync(state);
    const serveArgs = limits.flatMap((limit) => ['--limit', limit]);
    this.locum = new Locum(state, { io, serveArgs });
    await this.locum.start();
    this.api = new ControlApi(this.locum.controlPath);
    const made = await this.api.must('volumeCreate', {
      body: {
        name: volume,
        level,
        drives: this.drivePaths.slice(0, members),
        logs: this.legPaths.slice(0, 2),
        ...(level === 1 || level === 3 ? {} : { chunkBytes }),
        assumeClean: true,
      },
    });
    this.sizeBytes = made.volumes[0]!.sizeBytes;
    this.recording.start();
    this.mark({ name: 'created', state: 'optimal', lost: 'maybe' });
    this.host = new RecordedHost({
      recording: this.recording,
      random: new Stream(seed, 'host'),
      sizeBytes: this.sizeBytes,
      connect: () => this.locum.connect(volume),
      workers: 4,
      pauseMs: 12,
    });
    this.host.start();
  }

  async #mount(sizeBytes: number): Promise<string> {
    const number = this.recording.drives.length;
    const drive = this.recording.addDrive(sizeBytes);
    const server = await DriveServer.start(join(this.#folder, `s${number}`), drive);
    this.#servers.push(server);
    const mount = await FuseDrive.mount(join(this.#folder, `m${number}`), server.socketPath);
    this.#mounts.push(mount);
    return mount.path;
  }

  /** How many of the recorded drives are members or spares; the rest are legs. */
  get driveCount(): number {
    return this.#driveCount;
  }

  drive(index: number): RecordedDrive {
    return this.recording.drives[index]!;
  }

  leg(index: number): RecordedDrive {
    return this.recording.drives[this.#driveCount + index]!;
  }

  get spare(): string {
    return this.drivePaths[this.shape.members]!;
  }

  mark(mark: Mark): void {
    this.recording.add({ kind: 'mark', mark: { ...mark, isLegOut: this.#isLegOut } });
  }

  /** Lets the host work for a while. */
  load(milliseconds: number): Promise<void> {
    return sleep(milliseconds * this.shape.loadShare);
  }

  until(what: string, is: (status: VolumeStatus) => boolean): Promise<VolumeStatus> {
    return this.locum.until(volume, what, is);
  }

  async openWindow(drive: number, maxMs = 600_000): Promise<void> {
    this.mark({ name: 'window opens', state: 'freezing', lost: 'maybe' });
    await this.api.must('windowOpen', {
      volume,
      body: { drive: String(drive), purpose: 'firmware', maxMs },
    });
    this.mark({ name: 'window is open', state: 'frozen', lost: 'must' });
  }

  /** Until the log is empty and the window closed. */
  async closeWindow(lost: 'maybe' | 'no' = 'maybe'): Promise<void> {
    this.mark({ name: 'drive returns', state: 'replaying', lost });
    await this.api.must('windowClose', { volume, body: {} });
    const status = await this.until('out of its window', (it) => it.window === null);
    const isWhole = status.drives.every(({ state }) => state === 'online' || state === 'spare');
    this.mark({
      name: 'window is closed',
      state: isWhole ? 'optimal' : 'degraded',
      lost: isWhole ? 'maybe' : 'no',
    });
  }

  /**
   * The drive is gone. Answering EIO would not do while the volume is frozen: what the probes read is in the page
   * cache, and nothing is written.
   */
  async breakDrive(index: number, state: string): Promise<void> {
    this.mark({ name: `drive ${index} breaks`, state, lost: 'no' });
    this.drive(index).errno = 5;
    this.#mounts[index]!.die();
    await this.until('told of the failure', (it) => it.drives[index]?.state === 'failed');
  }

  /** The leg answers every request with EIO from now on. */
  async breakLeg(index: number): Promise<void> {
    this.#isLegOut = true;
    this.mark({ name: `leg ${index} breaks`, state: 'frozen, one leg', lost: 'no' });
    this.leg(index).errno = 5;
    await this.until('told of the leg', (it) => it.log?.legs[index]?.state !== 'online');
  }

  /** Waits until the window has ended without its drive. */
  async thawed(): Promise<void> {
    await this.until('thawed', (it) => it.window === null);
    this.mark({ name: 'thawed', state: 'degraded', lost: 'no' });
  }

  /** A member that was out comes back as it is. */
  async takeBack(index: number): Promise<void> {
    this.mark({ name: `drive ${index} is back`, state: 'resyncing', lost: 'no' });
    await this.api.must('driveAdd', { volume, body: { path: this.drivePaths[index]! } });
    await this.until('optimal', (it) => it.state === 'optimal');
    this.mark({ name: 'in sync again', state: 'optimal', lost: 'maybe' });
  }

  async replace(index: number): Promise<void> {
    this.mark({ name: `drive ${index} is replaced`, state: 'rebuilding', lost: 'no' });
    await this.api.must('driveReplace', {
      volume,
      body: { drive: String(index), with: this.spare },
    });
    await this.until('rebuilt', (it) => it.state === 'optimal');
    this.mark({ name: 'rebuilt', state: 'optimal', lost: 'maybe' });
  }

  async killAndRestart(state: string, lost: Mark['lost']): Promise<void> {
    this.mark({ name: 'killed', state, lost });
    await this.locum.stop('SIGKILL');
    await this.locum.start();
    this.mark({ name: 'started again', state, lost });
  }

  /** The host stops and the volume is stopped in order, which is recorded as well. */
  async finish(): Promise<void> {
    await this.host.flush();
    await this.host.stop();
    this.mark({ name: 'stopped', state: 'stopping', lost: 'no' });
    await this.api.must('volumeStop', { volume, body: { force: true } });
  }

  async stop(): Promise<void> {
    await this.locum?.stop('SIGKILL');
    await this.host?.stop().catch(() => undefined);
    for (const mount of this.#mounts) await mount.stop();
    for (const server of this.#servers) await server.stop();
  }
}
