/**
 * A machine in memory: drives that can lose power, fail, hang and vanish, a clock that moves only when told, and the real
 * engine on top. Crashing the world kills the engine between two instructions; `assemble` starts a new one.
 */

import assert from 'node:assert/strict';
import type { Errno } from '../../../src/base/errno.ts';
import type { Address, VolumeOffset } from '../../../src/base/units.ts';
import type { Outcome } from '../../../src/core/problems.ts';
import { done, refuse } from '../../../src/core/problems.ts';
import { assembleVolume } from '../../../src/engine/assemble.ts';
import type { CreateRequest, EngineEnvironment } from '../../../src/engine/contract.ts';
import { createVolume } from '../../../src/engine/create.ts';
import type { Volume } from '../../../src/engine/volume.ts';
import { BufferPool } from '../../../src/io/buffer-pool.ts';
import type { Clock } from '../../../src/io/clock.ts';
import type { Drive } from '../../../src/io/drive.ts';
import { MemoryMedium } from '../../../src/io/memory-drive.ts';
import { createWasmKernels } from '../../../src/kernels/wasm-kernels.ts';
import { Random } from './random.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

interface Timer {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/** Time stands still until somebody waits; then it jumps to the next timer. */
export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];

  nowMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return Math.floor(1_700_000_000_000 + this.#now);
  }

  after(delayMs: number, run: () => void): () => void {
    const timer: Timer = { atMs: this.#now + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.push(timer);
    return () => {
      timer.run = null;
    };
  }

  /** Runs the next timer; false when there is none at or before `limitMs`. */
  step(limitMs = Number.POSITIVE_INFINITY): boolean {
    let next: Timer | null = null;
    this.#timers = this.#timers.filter(({ run }) => run !== null);
    for (const timer of this.#timers) {
      if (
        next === null ||
        timer.atMs < next.atMs ||
        (timer.atMs === next.atMs && timer.order < next.order)
      )
        next = timer;
    }
    if (next === null || next.atMs > limitMs) return false;
    this.#now = Math.max(this.#now, next.atMs);
    const { run } = next;
    next.run = null;
    run?.();
    return true;
  }

  clear(): void {
    this.#timers = [];
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface WorldOptions {
  readonly seed?: number;
  readonly members?: number;
  readonly memberBytes?: number;
  readonly legs?: number;
  readonly legBytes?: number;
  readonly poolBytes?: number;
  readonly limits?: Record<string, number>;
}

export class World {
  readonly media = new Map<string, MemoryMedium>();
  readonly random: Random;
  readonly events: string[] = [];
  /** What is found on drives that are neither blank nor of a volume. */
  readonly foreignContent = new Map<string, string>();
  readonly drivePaths: string[] = [];
  readonly logPaths: string[] = [];
  readonly #options: WorldOptions;
  clock = new VirtualClock();
  buffers: BufferPool;
  /** Of the life before: what is left of that one ends in there. */
  #formerBuffers: BufferPool | null = null;
  environment: EngineEnvironment;
  volume: Volume | null = null;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.random = new Random(options.seed ?? 1);
    for (let slot = 0; slot < (options.members ?? 4); slot++) {
      this.drivePaths.push(this.medium(`d${slot}`, options.memberBytes ?? 1280 * KIB));
    }
    for (let leg = 0; leg < (options.legs ?? 2); leg++) {
      this.logPaths.push(this.medium(`leg${leg}`, options.legBytes ?? 16 * MIB));
    }
    this.buffers = this.#pool();
    this.environment = this.#environment();
  }

  medium(path: string, sizeBytes: number): string {
    this.media.set(path, new MemoryMedium({ sizeBytes }));
    return path;
  }

  at(path: string): MemoryMedium {
    const medium = this.media.get(path);
    assert.ok(medium, `no medium ${path}`);
    return medium;
  }

  #pool(): BufferPool {
    return new BufferPool({ sizeBytes: this.#options.poolBytes ?? 8 * MIB, debug: true });
  }

  #environment(): EngineEnvironment {
    const { clock, buffers } = this;
    return {
      ioName: 'memory',
      clock,
      buffers,
      kernels: createWasmKernels(buffers.memory),
      random: (length) => this.random.bytes(length),
      openDrive: async (path): Promise<Outcome<Drive>> => {
        const medium = this.media.get(path);
        if (!medium || medium.isVanished) return refuse('drive-path-missing', { path });
        if (medium.isOpen) return refuse('drive-busy', { path, why: 'it is open' });
        return done(medium.open(path, buffers));
      },
      createImage: async (path, sizeBytes) => {
        this.medium(path, sizeBytes);
        return done(undefined);
      },
      exists: async (path) => this.media.has(path),
      removeImages: async (paths) => {
        for (const path of paths) this.media.delete(path);
      },
      foreignContent: async ({ path }) => this.foreignContent.get(path) ?? null,
      place: async (path) => ({ identity: path, disk: null, file: path, fileDisk: null }),
      emit: (event) => {
        this.events.push(`${event.kind}: ${event.message}`);
      },
      limits: {
        sweepBytesPerSecond: 0,
        sweepStepBytes: 64 * KIB,
        replayZoneBytes: 256 * KIB,
        ...this.#options.limits,
      },
    };
  }

  /** Lets time pass until the promise has settled. */
  async until<T>(promise: Promise<T>, limitMs = 10 * 60_000): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    const deadline = this.clock.nowMs() + limitMs;
    for (;;) {
      await turn();
      if (settled) return promise;
      assert.ok(
        this.clock.step(deadline),
        `nothing settled within ${limitMs} virtual ms: ${this.events.slice(-5).join(' | ')}`,
      );
    }
  }

  async pass(ms: number): Promise<void> {
    const end = this.clock.nowMs() + ms;
    this.clock.after(ms, () => {});
    await turn();
    while (this.clock.nowMs() < end && this.clock.step(end)) await turn();
  }

  async create(request: Partial<CreateRequest> & { level: number }): Promise<Volume> {
    const outcome = await this.until(
      createVolume(this.environment, {
        name: 'tank',
        drivePaths: this.drivePaths,
        logPaths: this.logPaths,
        chunkBytes: null,
        imageSizeBytes: null,
        logSizeBytes: null,
        assumeClean: true,
        force: false,
        ...request,
      }),
    );
    assert.ok(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.problem));
    this.volume = outcome.value as Volume;
    return this.volume;
  }

  /** The process is gone: nothing of it answers any more. `power`: what was not flushed is lost as chance has it. */
  crash(power: boolean, chance?: () => number): void {
    for (const medium of this.media.values()) {
      if (power) medium.powerCut(chance);
      else medium.crash(chance);
    }
    this.clock.clear();
    const { clock } = this;
    this.clock = new VirtualClock();
    // Time does not go back over a restart.
    this.clock.after(clock.nowMs(), () => {});
    this.clock.step();
    const next = this.#formerBuffers ?? this.#pool();
    this.#formerBuffers = this.buffers;
    next.reset();
    this.buffers = next;
    this.environment = this.#environment();
    this.volume = null;
  }

  async tryAssemble(force = false): Promise<Outcome<Volume>> {
    const outcome = await this.until(
      assembleVolume(this.environment, {
        name: null,
        drivePaths: this.drivePaths,
        logPaths: this.logPaths,
        force,
      }),
    );
    if (outcome.ok) this.volume = outcome.value as Volume;
    return outcome as Outcome<Volume>;
  }

  async assemble(): Promise<Volume> {
    const outcome = await this.tryAssemble();
    assert.ok(outcome.ok, outcome.ok ? '' : JSON.stringify(outcome.problem));
    return outcome.value;
  }

  get v(): Volume {
    assert.ok(this.volume, 'no volume is running');
    return this.volume;
  }

  async write(offset: number, data: Uint8Array, fua = false): Promise<Errno> {
    const { buffers } = this;
    const address = buffers.take(data.length, 'engine') as Address;
    buffers.bytes.set(data, address);
    const errno = await this.v.write(offset as VolumeOffset, address, data.length, fua);
    buffers.give(address);
    return errno;
  }

  async read(offset: number, length: number): Promise<{ errno: Errno; data: Uint8Array }> {
    const { buffers } = this;
    const address = buffers.take(length, 'engine') as Address;
    const errno = await this.v.read(offset as VolumeOffset, address, length);
    const data = buffers.slice(address, length).slice();
    buffers.give(address);
    return { errno, data };
  }
}
