/** What the tests of accidents share: a small volume, its flat model, and the usual steps of an operator. */

import assert from 'node:assert/strict';
import type { CloseRequest, WindowRequest } from '../../../src/engine/contract.ts';
import type { VolumeCore } from '../../../src/engine/volume-core.ts';
import { FlatModel, SECTOR } from './flat-model.ts';
import { World, type WorldOptions } from './world.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
/** 64 KiB of data for each member. */
export const SMALL_MEMBER_BYTES = MIB + 64 * KIB;

export const windowRequest = (drive: string, over: Partial<WindowRequest> = {}): WindowRequest => ({
  drive,
  purpose: 'firmware',
  maxMs: 30 * 60_000,
  onDoubleAbsence: 'wait',
  waitMs: 60_000,
  allowDegraded: false,
  allowSingleLog: false,
  ...over,
});

export const closeRequest = (over: Partial<CloseRequest> = {}): CloseRequest => ({
  drivePath: null,
  verify: 'recent',
  rebuild: false,
  ...over,
});

export interface SceneOptions extends WorldOptions {
  readonly chunkBytes?: number;
  /** Every operation of a drive takes this long, so that a test can step in between; at once when left out. */
  readonly operationMs?: number;
}

export class Scene {
  readonly world: World;
  readonly model: FlatModel;

  readonly #operationMs: number;

  private constructor(world: World, model: FlatModel, operationMs: number) {
    this.world = world;
    this.model = model;
    this.#operationMs = operationMs;
  }

  static async make(level: number, options: SceneOptions = {}): Promise<Scene> {
    const world = new World({
      members: level === 1 ? 2 : 4,
      memberBytes: SMALL_MEMBER_BYTES,
      poolBytes: 8 * MIB,
      ...options,
    });
    const operationMs = options.operationMs ?? 0;
    slowDown(world, operationMs);
    const chunkBytes = level === 4 || level === 5 ? (options.chunkBytes ?? 4 * KIB) : null;
    const volume = await world.create({ level, chunkBytes });
    return new Scene(world, new FlatModel(volume.sizeBytes / SECTOR), operationMs);
  }

  /** A drive was away for a start by force and some writes. It is here again, and the server is down. */
  async missAStart(path: string): Promise<void> {
    const { world } = this;
    await this.flush();
    this.crash(false);
    world.at(path).vanish();
    assert.ok((await world.until(world.tryAssemble(true))).ok);
    await this.fill(3);
    await this.flush();
    this.crash(false);
    world.at(path).reappear();
  }

  get core(): VolumeCore {
    return this.world.v.core;
  }

  get state(): string {
    return this.world.v.status().state;
  }

  get recent(): string {
    return this.world.events.slice(-6).join(' | ');
  }

  alarms(): string[] {
    return this.world.v.status().alarms.map(({ code }) => code);
  }

  said(kind: string): boolean {
    return this.world.events.some((event) => event.startsWith(`${kind}:`));
  }

  async put(start: number, sectors: number, fua = false): Promise<void> {
    const { values, data } = this.model.invent(sectors);
    this.model.begin(start, values);
    const errno = await this.world.until(this.world.write(start * SECTOR, data, fua));
    assert.equal(errno, 0, `write of ${start}+${sectors} was answered ${errno} (${this.recent})`);
    this.model.answered(start, values, fua);
  }

  /** Somewhere, of some length. */
  async fill(writes: number, sectorsMost = 24): Promise<void> {
    const { random } = this.world;
    for (let i = 0; i < writes; i++) {
      const sectors = 1 + random.below(sectorsMost);
      await this.put(random.below(this.model.sectors - sectors + 1), sectors);
    }
  }

  /** A write that may be held: answered later, if at all. */
  begin(start: number, sectors: number): { answered: boolean; readonly done: Promise<number> } {
    const { values, data } = this.model.invent(sectors);
    this.model.begin(start, values);
    const done = this.world.write(start * SECTOR, data);
    const write = { answered: false, done };
    void done.then((errno) => {
      write.answered = true;
      if (errno === 0) this.model.answered(start, values, false);
    });
    return write;
  }

  async flush(): Promise<void> {
    assert.equal(await this.world.until(this.world.v.flush()), 0, `flush (${this.recent})`);
    this.model.flushed();
  }

  async check(where: string, start = 0, sectors = this.model.sectors): Promise<void> {
    for (let at = start; at < start + sectors; at += 64) {
      const count = Math.min(64, start + sectors - at);
      const { errno, data } = await this.world.until(this.world.read(at * SECTOR, count * SECTOR));
      assert.equal(errno, 0, `${where}: sector ${at} was answered ${errno} (${this.recent})`);
      this.model.check(at, data, where);
    }
  }

  /** What is answered is right; sectors that are answered with an error are counted, not judged. */
  async checkWhatAnswers(where: string): Promise<number> {
    let unanswered = 0;
    for (let sector = 0; sector < this.model.sectors; sector++) {
      const { errno, data } = await this.world.until(this.world.read(sector * SECTOR, SECTOR));
      if (errno === 0) this.model.check(sector, data, where);
      else unanswered++;
    }
    return unanswered;
  }

  async open(drive: string, over: Partial<WindowRequest> = {}): Promise<void> {
    const opened = await this.world.until(this.world.v.openWindow(windowRequest(drive, over)));
    assert.ok(opened.ok, JSON.stringify(opened));
  }

  /** The drive is taken back and replay has begun. */
  async close(over: Partial<CloseRequest> = {}): Promise<void> {
    const closed = await this.world.until(this.world.v.closeWindow(closeRequest(over)));
    assert.ok(closed.ok, JSON.stringify(closed));
  }

  /** The problem code of a return that is to be refused. */
  async closeRefused(over: Partial<CloseRequest> = {}): Promise<string> {
    const closed = await this.world.until(this.world.v.closeWindow(closeRequest(over)));
    return closed.ok ? 'not refused' : closed.problem.code;
  }

  async closed(): Promise<void> {
    for (let i = 0; i < 2_000 && this.core.window !== null; i++) await this.world.pass(50);
    assert.equal(this.core.window, null, `the window did not end (${this.recent})`);
  }

  async closeAndWait(over: Partial<CloseRequest> = {}): Promise<void> {
    await this.close(over);
    await this.closed();
  }

  async until(state: string): Promise<void> {
    for (let i = 0; i < 2_000 && this.state !== state; i++) await this.world.pass(50);
    assert.equal(this.state, state, this.recent);
  }

  crash(power: boolean, chance?: () => number): void {
    this.model.crash(power);
    this.world.crash(power, chance);
    slowDown(this.world, this.#operationMs);
  }

  async replace(slot: number, path = `new${slot}`): Promise<void> {
    const { world } = this;
    if (!world.media.has(path)) world.medium(path, world.at('d0').sizeBytes);
    if (!world.drivePaths.includes(path)) world.drivePaths.push(path);
    const replaced = await world.until(world.v.replaceDrive(String(slot), path, false));
    assert.ok(replaced.ok, JSON.stringify(replaced));
  }

  /** All that is absent replaced by new drives, rebuilt; everything reads right and adds up. */
  async settle(where: string): Promise<void> {
    for (let i = 0; i < 50 && this.state !== 'optimal'; i++) {
      if (this.core.mode === 'frozen') await this.closeAndWait();
      const { slots } = this.core.members;
      const gone = slots.find(({ state }) => state === 'failed' || state === 'missing');
      if (gone && this.core.mode === 'direct' && this.core.rebuildJob?.running !== true) {
        await this.replace(gone.slot, `settle${this.world.media.size}`);
      }
      await this.world.pass(2_000);
    }
    assert.equal(this.state, 'optimal', `${where}: ${this.recent}`);
    await this.check(where);
    this.addsUp(where);
    const scrub = await this.world.v.startScrub(false);
    assert.ok(scrub.ok, `${where}: ${JSON.stringify(scrub)}`);
    await this.world.pass(5_000);
    let result = this.world.v.scrubStatus();
    for (let i = 0; i < 20 && result.ok && result.value.state === 'running'; i++) {
      await this.world.pass(5_000);
      result = this.world.v.scrubStatus();
    }
    assert.ok(result.ok && result.value.state === 'done', `${where}: ${JSON.stringify(result)}`);
    assert.equal(result.value.mismatches, 0, `${where}: parity or mirrors disagree`);
  }

  /** The data region of the member in this slot, as it lies on its medium. */
  region(slot: number): Uint8Array {
    const member = this.core.members.at(slot);
    assert.ok(member.layout, `slot ${slot} has no layout`);
    const from = member.layout.dataOffset;
    const { bytes } = this.world.at(member.path);
    return bytes.slice(from, from + this.core.geometry.memberDataBytes);
  }

  /** Every member is there, and the bytes on the media satisfy parity, or are equal; nobody of the engine is asked. */
  addsUp(where: string): void {
    const { geometry } = this.core;
    const regions = Array.from({ length: geometry.members }, (_, slot) => this.region(slot));
    const first = regions[0] as Uint8Array;
    const rest = regions.slice(1);
    if (geometry.level.mirrored) {
      for (const other of rest)
        assert.ok(Buffer.compare(first, other) === 0, `${where}: copies differ`);
      return;
    }
    const sum = first.slice();
    for (const other of rest)
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) ^ (other[i] as number);
    const at = sum.findIndex((byte) => byte !== 0);
    assert.equal(at, -1, `${where}: parity is wrong at member offset ${at}`);
  }
}

function slowDown(world: World, operationMs: number): void {
  if (operationMs === 0) return;
  const { environment } = world;
  world.environment = {
    ...environment,
    openDrive: async (path) => {
      const medium = world.media.get(path);
      if (!medium || medium.isVanished || medium.isOpen) return environment.openDrive(path);
      const later = (run: () => void): void => void world.clock.after(operationMs, run);
      return { ok: true, value: medium.open(path, world.buffers, later) };
    },
  };
}
