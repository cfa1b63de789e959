/** The life of a small volume, step by step, that can be ended at any operation of its drives and begun again. */

import assert from 'node:assert/strict';
import type { ProblemCode } from '../../../src/core/problems.ts';
import { assembleVolume } from '../../../src/engine/assemble.ts';
import type { Volume } from '../../../src/engine/volume.ts';
import { FlatModel, SECTOR } from './flat-model.ts';
import { closeRequest, KIB, MIB, SMALL_MEMBER_BYTES, windowRequest } from './scene.ts';
import { World } from './world.ts';

export type Death = 'kill' | 'power cut, nothing kept' | 'power cut, some kept';

export class Crashed extends Error {}

/** Counts the operations that drives complete; the one at `target` and all that follow never take effect. */
export class Life {
  readonly world: World;
  model = new FlatModel(1);
  readonly level: number;
  operations = 0;
  target = Number.POSITIVE_INFINITY;
  dead = false;
  /** Where in its life it is. */
  chapter = '';
  onOperation: () => void = () => {};
  /** What befalls the drives just before an operation, besides the end. */
  mishap: { readonly at: number; readonly act: () => void } | null = null;

  constructor(level: number, seed: number, limits: Record<string, number> = {}) {
    this.level = level;
    const members = level === 1 ? 2 : 3;
    const sizes = { memberBytes: SMALL_MEMBER_BYTES, poolBytes: 4 * MIB };
    this.world = new World({ seed, members, ...sizes, limits });
  }

  /** The world counts, and dies at the target. */
  arm(target: number): void {
    this.operations = 0;
    this.target = target;
    this.dead = false;
    const { world } = this;
    const { openDrive } = world.environment;
    world.environment = {
      ...world.environment,
      openDrive: async (path) => {
        const medium = world.media.get(path);
        if (!medium || medium.isVanished || medium.isOpen) return openDrive(path);
        return { ok: true, value: medium.open(path, world.buffers, (run) => this.#complete(run)) };
      },
    };
  }

  #complete(run: () => void): void {
    queueMicrotask(() => {
      if (this.dead) return;
      this.operations++;
      this.onOperation();
      if (this.chapter !== '' && this.operations === this.mishap?.at) this.mishap.act();
      if (this.operations < this.target) return run();
      this.dead = true;
    });
  }

  /** Lets time pass until the promise has settled, or the world has died. */
  async until<T>(promise: Promise<T>, limitMs = 10 * 60_000): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    const deadline = this.world.clock.nowMs() + limitMs;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.dead) throw new Crashed('crashed');
      if (settled) return promise;
      const { events } = this.world;
      assert.ok(
        this.world.clock.step(deadline),
        `nothing settled: ${events.slice(-5).join(' | ')}`,
      );
    }
  }

  async pass(ms: number): Promise<void> {
    let over = false;
    this.world.clock.after(ms, () => {
      over = true;
    });
    while (!over) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.dead) throw new Crashed('crashed');
      this.world.clock.step();
    }
  }

  async write(start: number, sectors: number, fua = false): Promise<void> {
    const { values, data } = this.model.invent(sectors);
    this.model.begin(start, values);
    const done = this.world.write(start * SECTOR, data, fua).then((errno) => {
      // What is answered after the end was not answered: nobody was there to hear it.
      if (this.dead) return;
      assert.equal(
        errno,
        0,
        `write of ${start}+${sectors}: ${this.world.events.slice(-4).join(' | ')}`,
      );
      this.model.answered(start, values, fua);
    });
    await this.until(done);
  }

  /** Some at a time, apart from each other. */
  async writes(rounds: number): Promise<void> {
    const { random } = this.world;
    for (let round = 0; round < rounds; round++) {
      const parts = 3;
      const width = Math.floor(this.model.sectors / parts);
      const all: Promise<void>[] = [];
      for (let part = 0; part < parts; part++) {
        const sectors = 1 + random.below(20);
        all.push(
          this.write(part * width + random.below(width - sectors), sectors, random.chance(0.1)),
        );
      }
      const results = await Promise.allSettled(all);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    }
  }

  async flush(): Promise<void> {
    assert.equal(await this.until(this.world.v.flush()), 0);
    this.model.flushed();
  }

  async readAll(where: string): Promise<void> {
    for (let at = 0; at < this.model.sectors; at += 64) {
      const count = Math.min(64, this.model.sectors - at);
      const { errno, data } = await this.until(this.world.read(at * SECTOR, count * SECTOR));
      assert.equal(errno, 0, `${where}: sector ${at}: ${this.world.events.slice(-4).join(' | ')}`);
      this.model.check(at, data, where);
    }
  }

  get mode(): string {
    return this.world.v.core.mode;
  }

  state(): string {
    return this.world.v.status().state;
  }

  /** Anything but optimal is seen to, as an operator would. */
  async recover(): Promise<void> {
    const { world } = this;
    for (let i = 0; i < 60 && this.state() !== 'optimal'; i++) {
      if (this.mode === 'frozen') {
        await this.until(world.v.closeWindow(closeRequest()));
      } else {
        const gone = world.v.core.members.slots.find(
          ({ state }) => state === 'failed' || state === 'missing',
        );
        if (gone && this.mode === 'direct' && world.v.core.rebuildJob?.running !== true) {
          const path = world.medium(`spare${world.media.size}`, SMALL_MEMBER_BYTES);
          world.drivePaths.push(path);
          await this.until(world.v.replaceDrive(String(gone.slot), path, false));
        }
      }
      await this.pass(1_500);
    }
    assert.equal(this.state(), 'optimal', world.events.slice(-6).join(' | '));
  }

  async addsUp(): Promise<void> {
    const scrub = await this.world.v.startScrub(false);
    assert.ok(scrub.ok);
    await this.pass(3_000);
    const result = this.world.v.scrubStatus();
    assert.ok(result.ok && result.value.state === 'done', JSON.stringify(result));
    assert.equal(result.value.mismatches, 0, 'parity or mirrors disagree');
  }

  /** The end, and the next server: what the drives hold is all there is. False: refused with the code `maybe`. */
  async reborn(
    how: Death,
    chance: () => number,
    target: number,
    maybe: ProblemCode | null = null,
    force = false,
  ): Promise<boolean> {
    const power = how !== 'kill';
    this.model.crash(power);
    this.dead = false;
    this.world.crash(power, how === 'power cut, nothing kept' ? () => 0 : chance);
    this.arm(target);
    const { environment, drivePaths, logPaths } = this.world;
    const request = { name: null, drivePaths, logPaths, force };
    const outcome = await this.until(assembleVolume(environment, request));
    if (!outcome.ok && outcome.problem.code === maybe) return false;
    assert.ok(outcome.ok, outcome.ok ? '' : `not assembled: ${JSON.stringify(outcome.problem)}`);
    this.world.volume = outcome.value as Volume;
    return true;
  }

  /** A volume with data, flushed and not; operations are counted from here on. */
  async begin(target: number): Promise<Volume> {
    const { world, level } = this;
    this.arm(Number.POSITIVE_INFINITY);
    const chunkBytes = level === 4 || level === 5 ? 4 * KIB : null;
    const volume = await world.create({ level, chunkBytes });
    this.model = new FlatModel(volume.sizeBytes / SECTOR);
    // The drives of a volume that was just made are counted from here on.
    this.operations = 0;
    this.target = target;
    this.chapter = 'before the window';
    await this.writes(2);
    await this.flush();
    await this.writes(2);
    return volume;
  }

  async windowEnds(): Promise<void> {
    for (let i = 0; i < 400 && this.world.v.core.window !== null; i++) await this.pass(20);
    assert.equal(this.world.v.core.window, null);
  }

  /** A window, a second failure in it, the return, the replay, the replacement. */
  async secondFailure(target: number): Promise<void> {
    const { world, level } = this;
    const volume = await this.begin(target);
    this.chapter = 'freeze';
    const opened = await this.until(
      volume.openWindow(windowRequest('1', { onDoubleAbsence: 'error' })),
    );
    assert.ok(opened.ok, JSON.stringify(opened));
    this.chapter = 'window open';
    await this.writes(2);
    await this.flush();
    this.chapter = 'second failure';
    if (level % 2 === 1) {
      world.at('d0').vanish();
      await this.pass(1_500);
    } else {
      assert.ok((await this.until(volume.failDrive('0'))).ok);
    }
    this.chapter = 'two drives absent';
    await this.writes(2);
    this.chapter = 'return';
    assert.ok((await this.until(volume.closeWindow(closeRequest()))).ok);
    this.chapter = 'replay';
    await this.writes(2);
    await this.windowEnds();
    this.chapter = 'degraded';
    assert.equal(this.state(), 'degraded');
    await this.writes(1);
    await this.flush();
    this.chapter = 'replacement';
    const path = world.medium('new', SMALL_MEMBER_BYTES);
    world.drivePaths.push(path);
    assert.ok((await this.until(volume.replaceDrive('0', path, false))).ok);
    this.chapter = 'rebuild';
    await this.writes(2);
    for (let i = 0; i < 200 && this.state() !== 'optimal'; i++) await this.pass(50);
    assert.equal(this.state(), 'optimal');
    this.chapter = 'optimal again';
    await this.writes(1);
    await this.pass(8_000);
    this.chapter = 'stop';
    assert.ok((await this.until(volume.stop())).ok);
  }

  /** A window whose drive does not come back in time, the thaw, its late return with a short resync. */
  async lateReturn(target: number): Promise<void> {
    const { world } = this;
    const volume = await this.begin(target);
    this.chapter = 'freeze';
    const opened = await this.until(volume.openWindow(windowRequest('1', { maxMs: 5_000 })));
    assert.ok(opened.ok, JSON.stringify(opened));
    this.chapter = 'window open';
    await this.writes(3);
    this.chapter = 'thaw';
    await this.pass(5_500);
    await this.writes(1);
    await this.windowEnds();
    this.chapter = 'degraded';
    await this.writes(2);
    await this.flush();
    this.chapter = 'late return';
    assert.ok((await this.until(world.v.addDrive('d1', false, false))).ok);
    await this.writes(2);
    for (let i = 0; i < 200 && this.state() !== 'optimal'; i++) await this.pass(50);
    assert.equal(this.state(), 'optimal');
    this.chapter = 'optimal again';
    await this.writes(1);
  }

  /** A window and its return, while something may go wrong at any moment. */
  async plainWindow(target: number): Promise<void> {
    const volume = await this.begin(target);
    this.chapter = 'freeze';
    const opened = await this.until(
      volume.openWindow(windowRequest('1', { onDoubleAbsence: 'error' })),
    );
    if (!opened.ok) return;
    this.chapter = 'window open';
    await this.writes(3);
    await this.flush();
    await this.pass(1_500);
    await this.writes(1);
    this.chapter = 'return';
    const closed = await this.until(volume.closeWindow(closeRequest({ verify: 'full' })));
    if (!closed.ok) return;
    this.chapter = 'replay';
    await this.writes(3);
    await this.flush();
    await this.pass(1_500);
  }
}

/** True: the life ended; false: it went on. */
export async function dies(life: Life, act: () => Promise<void>): Promise<boolean> {
  try {
    await act();
    return false;
  } catch (error) {
    if (error instanceof Crashed && life.dead) return true;
    throw error;
  }
}
