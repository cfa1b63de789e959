/**
 * A life that is told in code instead of in a plan: for the modes that enumerate (crash states, failing operations) and
 * therefore need to stop at an exact operation. The same scene, hosts, oracle and operator as the random runs have; only
 * who decides what comes next is another.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import type { Outcome } from '../src/core/problems.ts';
import type { Coverage } from './coverage.ts';
import { crash, everythingKept, nothingKept } from './fate.ts';
import { ask, recent } from './hosts.ts';
import { Objection, objectTo } from './objection.ts';
import { type CrashKind, Oracle } from './oracle.ts';
import { type Config, type Plan, smallLog } from './plan.ts';
import type { Pools } from './pools.ts';
import { Scene } from './scene.ts';

const EVENTS_MAX = 1_000_000;
const PATIENCE_US = 10 * 60 * 1_000_000;
const START_ATTEMPTS = 8;
const KIB = 1024;
const MIB = 1024 * KIB;

/** A few stripes, so that everything meets: 64 KiB of data on each member, in chunks of 8 KiB. */
export function smallPlan(level: number, seed = 1): Plan {
  const config: Config = {
    level,
    members: level === 1 ? 2 : 3,
    chunkBytes: level === 4 || level === 5 ? 8 * KIB : null,
    memberBytes: MIB + 64 * KIB,
    legs: 2,
    legBytes: 16 * MIB,
    blockBytes: SECTOR_BYTES,
    latency: 'constant',
    latencyUs: 100,
    limits: {
      sweepBytesPerSecond: 0,
      sweepStepBytes: 16 * KIB,
      replayZoneBytes: 16 * KIB,
      replayStripesAtOnce: 2,
      ...smallLog,
    },
  };
  return { seed, promise: 'covered', config, steps: [] };
}

export class Script {
  readonly scene: Scene;

  constructor(plan: Plan, pools: Pools, coverage: Coverage) {
    this.scene = new Scene(plan, pools, coverage);
  }

  /** Runs the story in the world of the scene, to its end; rejects with what was objected to. */
  async run(story: () => Promise<void>): Promise<void> {
    const { scene } = this;
    let over = false;
    const told = story().finally(() => {
      over = true;
    });
    // Awaited below; until then a rejection must not look unhandled.
    told.catch(() => {});
    const ended = await scene.world.run(() => over, Number.POSITIVE_INFINITY, EVENTS_MAX);
    objectTo('liveness', ended !== 'done', () => `it does not end (${ended}): ${recent(scene)}`);
    await told;
  }

  async create(): Promise<void> {
    const { scene } = this;
    const { config, seed } = scene.plan;
    const { level, chunkBytes } = config;
    const made = await scene.server.create({
      name: 'tank',
      level,
      chunkBytes,
      imageSizeBytes: null,
      logSizeBytes: null,
      assumeClean: true,
      force: false,
    });
    objectTo('start', !made.ok, () => `not made: ${JSON.stringify(made)}`);
    scene.oracle = new Oracle(scene.server.volume.sizeBytes / SECTOR_BYTES, seed);
    scene.remember();
  }

  pass(us: number): Promise<void> {
    return new Promise((resolve) => {
      this.scene.world.after(us, resolve);
    });
  }

  /** False: it did not come to hold in that time. */
  async until(holds: () => boolean, limitUs = PATIENCE_US): Promise<boolean> {
    const { world } = this.scene;
    const endUs = world.nowUs + limitUs;
    let stepUs = 100;
    while (!holds()) {
      if (world.nowUs >= endUs) return false;
      await this.pass(stepUs);
      stepUs = Math.min(2 * stepUs, 100_000);
    }
    return true;
  }

  async answered(what: string): Promise<void> {
    const { scene } = this;
    const all = await this.until(() => scene.outstanding === 0);
    objectTo('liveness', !all, () => `${what} is not answered: ${recent(scene)}`);
  }

  async write(lba: number, sectors: number, fua = false): Promise<void> {
    ask(this.scene, { do: 'write', lba, sectors, fua });
    await this.answered(`a write of ${lba}+${sectors}`);
  }

  async flush(): Promise<void> {
    ask(this.scene, { do: 'flush' });
    await this.answered('a flush');
  }

  openWindow(slot: number): Promise<Outcome<unknown>> {
    return this.scene.server.volume.openWindow({
      drive: String(slot),
      purpose: 'firmware',
      maxMs: 3_600_000,
      onDoubleAbsence: 'error',
      waitMs: 500,
      allowDegraded: true,
      allowSingleLog: true,
    });
  }

  /** Settles when the log has been replayed as well, or cannot be for now. */
  async closeWindow(): Promise<Outcome<unknown>> {
    const { volume } = this.scene.server;
    const closed = await volume.closeWindow({ drivePath: null, verify: 'recent', rebuild: false });
    if (closed.ok) await this.until(() => volume.core.window === null, 20_000_000);
    return closed;
  }

  /** The process ends, and begins again on what is left. */
  async crash(kind: CrashKind): Promise<void> {
    const { scene } = this;
    scene.killServer();
    scene.oracle.crashed(kind);
    crash(
      scene.machine.media.values(),
      kind === 'power',
      kind === 'power' ? nothingKept : everythingKept,
    );
    await this.pass(1);
    scene.newServer();
    await this.#start();
  }

  async #start(): Promise<void> {
    const { scene } = this;
    for (let attempt = 0; ; attempt++) {
      // Two refusals later an operator says that what is missing is gone.
      const outcome = await scene.server.assemble(attempt >= 2);
      if (outcome.ok) return;
      if (attempt >= START_ATTEMPTS)
        throw new Objection('start', `not started: ${JSON.stringify(outcome.problem)}`);
      // A drive that is there and does not answer is pulled out; closing it would never end.
      for (const medium of scene.machine.media.values()) if (medium.isHung) medium.vanish();
      await this.pass(500_000);
    }
  }
}
