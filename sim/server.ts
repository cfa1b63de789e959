/**
 * One server process: the real engine with everything it needs from its surroundings, on a machine, in a world. It lives
 * until `kill`; a dead process hears and does nothing any more, and whatever it was waiting for is forgotten.
 */

import { assert } from '../src/base/assert.ts';
import type { Errno } from '../src/base/errno.ts';
import type { Address, VolumeOffset } from '../src/base/units.ts';
import { done, type Outcome, refuse } from '../src/core/problems.ts';
import type { LocumEvent } from '../src/core/status.ts';
import { assembleVolume } from '../src/engine/assemble.ts';
import type { CreateRequest, EngineEnvironment } from '../src/engine/contract.ts';
import { createVolume } from '../src/engine/create.ts';
import type { Volume } from '../src/engine/volume.ts';
import type { BufferPool } from '../src/io/buffer-pool.ts';
import type { Clock } from '../src/io/clock.ts';
import type { Drive } from '../src/io/drive.ts';
import { type Latency, SimDrive } from './drive.ts';
import type { Machine } from './machine.ts';
import type { Pool } from './pools.ts';
import { Stream } from './streams.ts';
import type { World } from './world.ts';

export interface ServerOptions {
  readonly world: World;
  readonly machine: Machine;
  readonly pool: Pool;
  readonly latency: Latency;
  /** Where its random identities come from; another one for each process. */
  readonly randomName: string;
  readonly limits?: Readonly<Record<string, number>>;
  /** Told of each event of the volume. */
  readonly heard?: (kind: string, detail: LocumEvent['detail']) => void;
}

export interface SaidEvent {
  readonly atUs: number;
  readonly kind: string;
  readonly severity: string;
  readonly message: string;
}

export class Server {
  readonly world: World;
  readonly machine: Machine;
  readonly buffers: BufferPool;
  readonly said: SaidEvent[] = [];
  alive = true;
  /** When its volume came up. */
  startedAtUs = Number.POSITIVE_INFINITY;
  /** Timers that are set and have neither fired nor been taken back. */
  timers = 0;
  /** Bytes of the pool that nobody can ever have. */
  readonly #unusableBytes: number;
  #volume: Volume | null = null;
  readonly #environment: EngineEnvironment;

  constructor(options: ServerOptions) {
    const { world, machine, pool, latency } = options;
    this.world = world;
    this.machine = machine;
    pool.buffers.reset();
    this.buffers = pool.buffers;
    this.#unusableBytes = pool.buffers.sizeBytes - pool.buffers.freeBytes;
    const random = new Stream(world.seed, options.randomName);
    const identity = (path: string): string => machine.media.get(path)?.path ?? path;
    this.#environment = {
      ioName: 'memory',
      clock: this.#counted(world.clock(() => this.alive)),
      buffers: pool.buffers,
      kernels: pool.kernels,
      random: (length) => random.bytes(length),
      openDrive: async (path): Promise<Outcome<Drive>> => {
        // What is left of a process that is gone opens nothing.
        if (!this.alive) return new Promise(() => {});
        const medium = machine.media.get(path);
        if (!medium || medium.isVanished) return refuse('drive-path-missing', { path });
        if (medium.isOpen) return refuse('drive-busy', { path, why: 'it is open' });
        return done(new SimDrive(medium, world, pool.buffers, latency));
      },
      createImage: async (path) => refuse('space-missing', { path }),
      exists: async (path) => machine.media.has(path),
      removeImages: async () => {},
      foreignContent: async () => null,
      place: async (path) => ({
        identity: identity(path),
        disk: identity(path),
        file: null,
        fileDisk: null,
      }),
      emit: ({ kind, severity, message, detail }) => {
        if (!this.alive) return;
        world.trace.line(`${kind}: ${message}`);
        this.said.push({ atUs: world.nowUs, kind, severity, message });
        options.heard?.(kind, detail);
      },
      limits: options.limits ?? {},
    };
  }

  get running(): boolean {
    return this.alive && this.#volume !== null;
  }

  get volume(): Volume {
    assert(this.#volume !== null, 'no volume is running');
    return this.#volume;
  }

  /** Bytes of buffers that somebody has. */
  get takenBytes(): number {
    return this.buffers.shareableBytes - this.#unusableBytes - this.buffers.freeBytes;
  }

  /**
   * The state word of the volume, or what stands in its place. A second member that is out while one is away is a state of
   * its own: that is when two faults have met.
   */
  get state(): string {
    if (!this.running) return 'down';
    const { state } = this.volume.status();
    const isWindow = state === 'frozen' || state === 'replaying';
    return isWindow && this.#secondIsOut() ? `${state}, second failure` : state;
  }

  /** Besides the drive that is away, or coming back. */
  #secondIsOut(): boolean {
    const { members, window } = this.volume.core;
    return members.slots.some(
      ({ slot, state }) => slot !== window?.slot && (state === 'failed' || state === 'missing'),
    );
  }

  #counted(clock: Clock): Clock {
    return {
      ...clock,
      after: (delayMs, run) => {
        let isSet = true;
        const ended = (): void => {
          if (isSet) this.timers--;
          isSet = false;
        };
        this.timers++;
        const takeBack = clock.after(delayMs, () => {
          ended();
          run();
        });
        return () => {
          ended();
          takeBack();
        };
      },
    };
  }

  async create(request: Omit<CreateRequest, 'drivePaths' | 'logPaths'>): Promise<Outcome<Volume>> {
    const { drivePaths, logPaths } = this.machine;
    const made = await createVolume(this.#environment, { ...request, drivePaths, logPaths });
    return this.#take(made as Outcome<Volume>);
  }

  async assemble(force = false): Promise<Outcome<Volume>> {
    const { drivePaths, logPaths } = this.machine;
    const request = { name: null, drivePaths, logPaths, force };
    return this.#take((await assembleVolume(this.#environment, request)) as Outcome<Volume>);
  }

  /** An orderly end; the process may be used for another assembly afterwards. `ended` sees how the volume was left. */
  async stop(ended: () => void): Promise<void> {
    const stopped = await this.volume.stop();
    assert(stopped.ok, 'a stop is never refused');
    if (this.alive) ended();
    this.#volume = null;
  }

  kill(): void {
    this.alive = false;
  }

  // --- host requests, with a buffer of their own ---------------------------------------------------------------------

  /** `judge` gets the bytes where they are; they are gone when it returns. */
  async read(
    offset: number,
    lengthBytes: number,
    judge: (errno: Errno, data: Uint8Array) => void,
  ): Promise<void> {
    const address = await this.buffers.takeLater(lengthBytes, 'client');
    const errno = await this.volume.read(offset as VolumeOffset, address, lengthBytes);
    judge(errno, this.buffers.slice(address, lengthBytes));
    this.buffers.give(address);
  }

  /** `fill` gets the place where the data is to be. */
  async write(
    offset: number,
    lengthBytes: number,
    fua: boolean,
    fill: (data: Uint8Array) => void,
  ): Promise<Errno> {
    const address = (await this.buffers.takeLater(lengthBytes, 'client')) as Address;
    fill(this.buffers.slice(address, lengthBytes));
    const errno = await this.volume.write(offset as VolumeOffset, address, lengthBytes, fua);
    this.buffers.give(address);
    return errno;
  }

  #take(outcome: Outcome<Volume>): Outcome<Volume> {
    if (outcome.ok) {
      this.#volume = outcome.value;
      this.startedAtUs = this.world.nowUs;
    }
    return outcome;
  }
}
