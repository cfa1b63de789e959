/**
 * The whole engine under chance: writes, flushes, windows, failures, returns, kills and power cuts, one after the other,
 * against the flat model. The seed is printed; `LOCUM_SEED=n` runs one, `LOCUM_SEEDS=n` sets how many.
 *
 * The budget keeps faults within what the promises cover: at most the tolerated number of members gone outside a window,
 * and one more in one. Within it every read is right and nothing acknowledged is lost.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlatModel, SECTOR } from './flat-model.ts';
import { World } from './world.ts';

const KIB = 1024;
const seedFrom = Number(process.env['LOCUM_SEED'] ?? 1);
const seedCount = Number(process.env['LOCUM_SEEDS'] ?? (process.env['LOCUM_SEED'] ? 1 : 60));

interface Under {
  readonly start: number;
  readonly values: number[];
  readonly fua: boolean;
  readonly done: Promise<number>;
  answered: boolean;
}

class Run {
  readonly world: World;
  readonly model: FlatModel;
  readonly trail: string[] = [];
  readonly level: number;
  #spare = 0;

  constructor(world: World, model: FlatModel, level: number) {
    this.world = world;
    this.model = model;
    this.level = level;
  }

  note(text: string): void {
    this.trail.push(text);
  }

  #choose(): { start: number; sectors: number } {
    const { world, model } = this;
    const sectors = 1 + world.random.below(world.random.chance(0.2) ? 96 : 16);
    return { start: world.random.below(model.sectors - sectors), sectors };
  }

  #beginWrite({ start, sectors } = this.#choose()): Under {
    const { world, model } = this;
    const { values, data } = model.invent(sectors);
    const fua = world.random.chance(0.1);
    model.begin(start, values);
    const under: Under = {
      start,
      values,
      fua,
      done: world.write(start * SECTOR, data, fua),
      answered: false,
    };
    void under.done.then((errno) => {
      under.answered = errno === 0;
    });
    return under;
  }

  /** Several writes that do not overlap, at the same time. */
  async writes(): Promise<void> {
    const under: Under[] = [];
    const taken: [number, number][] = [];
    for (let i = 1 + this.world.random.below(8); i > 0; i--) {
      const range = this.#choose();
      const end = range.start + range.sectors;
      if (taken.some(([from, to]) => range.start < to && end > from)) {
        // It overlaps one under way: either order is right, so wait for the others first.
        await this.#finish(under.splice(0));
        taken.length = 0;
      }
      taken.push([range.start, end]);
      under.push(this.#beginWrite(range));
    }
    await this.#finish(under);
  }

  async #finish(under: readonly Under[]): Promise<void> {
    for (const { start, values, fua, done } of under) {
      const errno = await this.world.until(done, 20 * 60_000);
      assert.equal(errno, 0, `a write was answered ${errno}`);
      this.model.answered(start, values, fua);
    }
  }

  async flush(): Promise<void> {
    const errno = await this.world.until(this.world.v.flush());
    assert.equal(errno, 0, `a flush was answered ${errno}`);
    this.model.flushed();
  }

  async read(): Promise<void> {
    const sectors = 1 + this.world.random.below(64);
    const start = this.world.random.below(this.model.sectors - sectors);
    const { errno, data } = await this.world.until(
      this.world.read(start * SECTOR, sectors * SECTOR),
    );
    if (errno !== 0) {
      assert.ok(this.absent() > this.tolerated(), `a read was answered ${errno}`);
      return;
    }
    this.model.check(start, data, 'read');
  }

  async readAll(where: string): Promise<void> {
    for (let start = 0; start < this.model.sectors; start += 128) {
      const sectors = Math.min(128, this.model.sectors - start);
      const { errno, data } = await this.world.until(
        this.world.read(start * SECTOR, sectors * SECTOR),
      );
      assert.equal(errno, 0, `${where}: sector ${start} was answered ${errno}`);
      this.model.check(start, data, where);
    }
  }

  absent(): number {
    return this.world.v.core.absentCount;
  }

  tolerated(): number {
    return this.world.v.core.tolerated;
  }

  get window(): boolean {
    return this.world.v.core.window !== null;
  }

  get frozen(): boolean {
    return this.world.v.core.mode === 'frozen';
  }

  /** A member vanishes, or an operator fails it, within the budget. */
  async lose(): Promise<void> {
    const { world } = this;
    const members = world.v.core.members.slots.filter(({ state }) => state === 'online');
    const budget = this.tolerated() + (this.frozen ? 1 : 0);
    if (this.absent() >= budget || members.length === 0) return;
    if (!this.frozen && world.v.core.mode !== 'direct') return;
    if (world.v.core.resync !== null) return;
    const member = world.random.pick(members);
    if (world.random.chance(0.5)) {
      this.note(`vanish ${member.path}`);
      world.at(member.path).vanish();
      await world.pass(2_500);
      world.at(member.path).reappear();
    } else {
      this.note(`fail ${member.path}`);
      await world.until(world.v.failDrive(String(member.slot)));
    }
  }

  async openWindow(): Promise<void> {
    const { world } = this;
    const members = world.v.core.members.slots.filter(({ state }) => state === 'online');
    if (this.window || members.length === 0) return;
    const member = world.random.pick(members);
    const outcome = await world.until(
      world.v.openWindow({
        drive: String(member.slot),
        purpose: 'firmware',
        maxMs: world.random.chance(0.3) ? 20_000 : 1_800_000,
        onDoubleAbsence: 'error',
        waitMs: 5_000,
        allowDegraded: true,
        allowSingleLog: true,
      }),
    );
    this.note(`open window on ${member.slot}: ${outcome.ok ? 'opened' : outcome.problem.code}`);
  }

  async closeWindow(): Promise<void> {
    const { world } = this;
    if (!this.frozen) return;
    const outcome = await world.until(
      world.v.closeWindow({
        drivePath: null,
        verify: world.random.pick(['recent', 'sample', 'full']),
        rebuild: false,
      }),
    );
    this.note(`close window: ${outcome.ok ? 'replaying' : outcome.problem.code}`);
    if (outcome.ok && world.random.chance(0.6)) {
      for (let i = 0; i < 5_000 && this.window; i++) await world.pass(20);
    }
  }

  async replace(): Promise<void> {
    const { world } = this;
    if (world.v.core.mode !== 'direct') return;
    const gone = world.v.core.members.slots.find(
      ({ state }) => state === 'failed' || state === 'missing',
    );
    if (gone === undefined || world.v.core.rebuildJob?.running === true) return;
    if (world.random.chance(0.5) && gone.path !== '') {
      const added = await world.until(world.v.addDrive(gone.path, false, false));
      this.note(`add ${gone.path} again: ${added.ok ? 'added' : added.problem.code}`);
    } else {
      const path = world.medium(`new${this.#spare++}`, 1280 * KIB);
      world.drivePaths.push(path);
      const replaced = await world.until(world.v.replaceDrive(String(gone.slot), path, false));
      this.note(
        `replace slot ${gone.slot} by ${path}: ${replaced.ok ? 'replaced' : replaced.problem.code}`,
      );
    }
    if (world.random.chance(0.7)) await world.pass(5_000);
  }

  /** A command that the crash will find half-way; nobody waits for its answer. */
  #beginCommand(): string {
    const { world } = this;
    const forget = (work: Promise<unknown>): void => void work.catch(() => {});
    const online = world.v.core.members.slots.filter(({ state }) => state === 'online');
    if (this.frozen) {
      forget(world.v.closeWindow({ drivePath: null, verify: 'recent', rebuild: false }));
      return 'close';
    }
    if (world.v.core.mode !== 'direct' || online.length === 0) return 'replay';
    const gone = world.v.core.members.slots.find(
      ({ state }) => state === 'failed' || state === 'missing',
    );
    if (gone !== undefined) {
      const path = world.medium(`new${this.#spare++}`, 1280 * KIB);
      world.drivePaths.push(path);
      forget(world.v.replaceDrive(String(gone.slot), path, false));
      return `replace of slot ${gone.slot} by ${path}`;
    }
    if (world.random.chance(0.3)) {
      forget(world.v.stop());
      return 'stop';
    }
    const drive = String(world.random.pick(online).slot);
    const how = {
      purpose: 'firmware',
      maxMs: 60_000,
      waitMs: 1_000,
      onDoubleAbsence: 'error',
    } as const;
    forget(world.v.openWindow({ drive, ...how, allowDegraded: true, allowSingleLog: true }));
    return `open of ${drive}`;
  }

  /** Writes under way, then the end of the process between any two completions. */
  async crash(): Promise<void> {
    const { world } = this;
    const power = world.random.chance(0.5);
    const under: Under[] = [];
    for (let i = world.random.below(6); i > 0; i--) under.push(this.#beginWrite());
    const command = world.random.chance(0.5) ? this.#beginCommand() : '';
    for (let i = world.random.below(command === '' ? 40 : 600); i > 0; i--) await Promise.resolve();
    for (let i = world.random.below(4); i > 0; i--) {
      world.clock.step();
      for (let turns = world.random.below(60); turns > 0; turns--) await Promise.resolve();
    }
    for (const { start, values, fua, answered } of under)
      if (answered) this.model.answered(start, values, fua);
    const during = command === '' ? '' : ` during ${command}`;
    this.note(`${power ? 'power cut' : 'kill'} with ${under.length} writes under way${during}`);
    this.model.crash(power);
    world.crash(power, world.random.next);
    const outcome = await world.tryAssemble();
    assert.ok(outcome.ok, outcome.ok ? '' : `not assembled: ${JSON.stringify(outcome.problem)}`);
  }

  /** Everything put right again: all data there, redundancy restored, parity right. */
  async settle(): Promise<void> {
    const { world } = this;
    for (let i = 0; i < 40 && world.v.status().state !== 'optimal'; i++) {
      if (this.frozen) await this.closeWindow();
      await this.replace();
      await world.pass(10_000);
    }
    const { state } = world.v.status();
    assert.equal(state, 'optimal', `did not settle: ${state}`);
    await this.readAll('settled');
    const scrub = await world.v.startScrub(false);
    assert.ok(scrub.ok, 'scrub did not start');
    await world.pass(30_000);
    const result = world.v.scrubStatus();
    assert.ok(result.ok && result.value.state === 'done');
    assert.equal(result.value.mismatches, 0, 'parity or mirrors disagree');
  }
}

async function runSeed(seed: number): Promise<void> {
  const options = { 1: 3, 3: 4, 4: 4, 5: 4 } as const;
  const probe = new World({ seed, members: 1, legs: 0 });
  const level = probe.random.pick([1, 3, 4, 5] as const);
  const members = options[level] + (probe.random.chance(0.3) ? 1 : 0);
  const world = new World({ seed, members });
  const chunk = level === 4 || level === 5 ? probe.random.pick([4, 8, 16]) * KIB : null;
  const volume = await world.create({ level, chunkBytes: chunk });
  const run = new Run(world, new FlatModel(volume.sizeBytes / SECTOR), level);
  run.note(`RAID ${level} of ${members}, chunk ${chunk ?? 'default'}`);
  try {
    for (let step = 0; step < 40; step++) {
      const dice = world.random.below(100);
      if (dice < 40) await run.writes();
      else if (dice < 50) await run.read();
      else if (dice < 58) await run.flush();
      else if (dice < 66) await run.openWindow();
      else if (dice < 74) await run.closeWindow();
      else if (dice < 80) await run.lose();
      else if (dice < 86) await run.replace();
      else if (dice < 90) await world.pass(world.random.below(30_000));
      else await run.crash();
    }
    await run.settle();
  } catch (error) {
    const story = [
      ...run.trail,
      ...run.model.story.map((line) => `    ${line}`),
      ...world.events.slice(-8).map((event) => `  ${event}`),
    ].join('\n  ');
    throw new Error(`seed ${seed}: ${(error as Error).message}\n  ${story}`, { cause: error });
  }
}

test(`random operation with crashes, seeds ${seedFrom} to ${seedFrom + seedCount - 1}`, async (t) => {
  for (let seed = seedFrom; seed < seedFrom + seedCount; seed++) {
    await t.test(`seed ${seed}`, () => runSeed(seed));
  }
});
