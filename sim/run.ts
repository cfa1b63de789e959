/**
 * Carries out a plan: makes the volume, takes the steps one after the other at their times, lets everything come to rest,
 * and brings the volume back to optimal in the end. Nothing in here draws from chance: that was the generator's.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { Ambush } from './ambush.ts';
import { covers, coversCrash, coversStep, harmOf } from './budget.ts';
import {
  LabelWatch,
  missesBuffers,
  nothingIsLeft,
  nothingLeaks,
  ParityWatch,
  readAll,
} from './checks.ts';
import { withholdCopies } from './copies.ts';
import { Coverage } from './coverage.ts';
import { crash, fateOf, nothingKept } from './fate.ts';
import { withoutTheWorld } from './guards.ts';
import { ask, inRange, recent } from './hosts.ts';
import { countRefusal, countTail } from './leg-classes.ts';
import { Objection, objectTo, stackOf } from './objection.ts';
import { bringBack, command, seeTo } from './operator.ts';
import { Oracle } from './oracle.ts';
import type { CrashFate, Plan, Step } from './plan.ts';
import { Pools } from './pools.ts';
import { Prober } from './prober.ts';
import { Progress } from './progress.ts';
import { withPaths } from './roles.ts';
import { everythingIsSaid } from './said.ts';
import { Scene } from './scene.ts';
import { scrub } from './scrub.ts';
import { Stream } from './streams.ts';
import { comeBack, keepImages, strikeDrive, upset } from './trouble.ts';

export interface RunOptions {
  /** About one crash state is looked at for so many events of the world; 0: none but at rest. */
  readonly eventsPerProbe: number;
  /** At rest: with every member and every leg lost in turn. */
  readonly probesAtRest: boolean;
  /** How often recovery dies again in one probe, at most. */
  readonly recoveryDeaths: number;
  /** Lines of the trace to keep for the story of a failure. */
  readonly keepLines: number;
}

export const usualOptions: RunOptions = {
  eventsPerProbe: 400,
  probesAtRest: true,
  recoveryDeaths: 3,
  keepLines: 0,
};

export interface RunResult {
  readonly digest: string;
  readonly virtualUs: number;
  readonly events: number;
  readonly coverage: Coverage;
  readonly failure: Failure | null;
  readonly lines: readonly string[];
}

export interface Failure {
  readonly checker: string;
  readonly message: string;
  /** The step that was the last to begin. */
  readonly step: number;
}

/** Between two looks whether everything is at rest: at first, and at most. */
const PAUSE_US = 10_000;
const PAUSE_MAX_US = 160_000;
const REST_LIMIT_US = 10 * 60 * 1_000_000;
/** What a server of the simulator keeps aside for its engine is at most a quarter of that. */
const pools = new Pools(21 * 256 * 1024, true);

export async function runPlan(plan: Plan, options: RunOptions = usualOptions): Promise<RunResult> {
  const run = new Run(plan, options);
  const complain = (error: unknown): void => run.complain(error);
  // A promise of the engine that nobody awaits: a bug, and one that would end the server.
  process.on('unhandledRejection', complain);
  try {
    return await withoutTheWorld(() => run.all());
  } finally {
    process.off('unhandledRejection', complain);
  }
}

class Run {
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #scene: Scene;
  readonly #labels = new LabelWatch();
  readonly #parity = new ParityWatch();
  readonly #prober: Prober;
  readonly #ambush = new Ambush<Step>();
  #step = -1;
  /** The server that an operator is starting, refused for the moment or not. */
  #beingStarted: Scene['server'] | null = null;

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#scene = new Scene(plan, pools);
    this.#scene.world.trace.keep = options.keepLines;
    this.#prober = new Prober(this.#scene, options);
  }

  complain(error: unknown): void {
    this.#scene.world.thrown ??= { error };
  }

  async all(): Promise<RunResult> {
    const { world, coverage } = this.#scene;
    let over = false;
    let failure: Failure | null = null;
    world.between = () => this.#prober.between(this.#step);
    const story = this.#live().finally(() => {
      over = true;
    });
    // Handled below; until then a rejection must not look unhandled.
    story.catch(() => {});
    try {
      const ended = await world.run(() => over, Number.POSITIVE_INFINITY, EVENTS_MAX);
      objectTo(
        'liveness',
        ended !== 'done',
        () => `the plan did not come to its end (${ended}): ${recent(this.#scene)}`,
      );
      await story;
    } catch (error) {
      failure = {
        checker: error instanceof Objection ? error.checker : 'bug',
        message: error instanceof Objection ? error.message : stackOf(error),
        step: this.#step,
      };
    }
    const lines = [...world.trace.lines];
    const digest = world.trace.digest();
    this.#scene.close();
    return { digest, virtualUs: world.nowUs, events: world.events, coverage, failure, lines };
  }

  async #live(): Promise<void> {
    await this.#create();
    for (const step of this.#plan.steps) {
      this.#step++;
      if (step.waitUs > 0) await this.#wait(step.waitUs);
      if (step.when === undefined) await this.#take(step);
      else this.#ambush.lay(step, step.when);
    }
    this.#scene.coverage.count('steps whose moment never came', this.#ambush.count);
    this.#step++;
    await this.#rest('after the last step');
    await this.#end();
  }

  /** Until the next step of the plan; those whose moment comes meanwhile are taken in it. */
  async #wait(us: number): Promise<void> {
    const { world } = this.#scene;
    const endUs = world.nowUs + us;
    while (this.#ambush.count > 0 && world.nowUs < endUs) {
      await world.until(() => this.#ambush.look(this.#scene), endUs - world.nowUs);
      const step = this.#ambush.take(this.#scene);
      if (step === null) continue;
      this.#scene.coverage.count('steps whose moment came');
      await this.#take(step);
    }
    if (world.nowUs < endUs) await this.#pass(endUs - world.nowUs);
  }

  async #create(): Promise<void> {
    const { config, seed } = this.#plan;
    const made = await this.#scene.server.create({
      name: 'tank',
      level: config.level,
      chunkBytes: config.chunkBytes,
      imageSizeBytes: null,
      logSizeBytes: null,
      assumeClean: true,
      force: false,
    });
    objectTo('start', !made.ok, () => `not made: ${JSON.stringify(made)}`);
    this.#scene.oracle = new Oracle(this.#scene.server.volume.sizeBytes / SECTOR_BYTES, seed);
    this.#scene.remember();
  }

  async #take(written: Step): Promise<void> {
    const scene = this.#scene;
    const { machine, coverage } = scene;
    const step = withPaths(scene, written);
    if (step === null) return coverage.count('steps with nobody to happen to');
    const who = 'path' in step && step.path !== undefined ? ` ${step.path}` : '';
    scene.world.trace.line(`step ${this.#step}: ${step.do}${who}`);
    scene.noteUnseen();
    switch (step.do) {
      case 'write':
      case 'zero':
      case 'trim':
      case 'read':
      case 'flush':
        return ask(scene, inRange(scene, step));
      case 'restart':
        return this.#restart();
      case 'kill':
        return this.#crash('kill', step.afterOperations, step.downUs, 'chance');
      case 'power-cut':
        return this.#crash('power', step.afterOperations, step.downUs, step.fate);
      case 'check':
        return this.#rest(`step ${this.#step}`);
      case 'clock-jump':
      case 'stall':
        return upset(scene, step);
      case 'mend':
        machine.media.get(step.path)?.mend();
        return;
      case 'snapshot':
        return keepImages(scene, step.path ?? null);
      case 'reappear':
        return this.#prober.meanwhile(comeBack(scene, step, this.#labels));
      case 'fault':
      case 'rot':
      case 'vanish':
      case 'hang':
      case 'slow':
      case 'read-only': {
        const harm = harmOf(step, this.#plan.config);
        if (!machine.media.has(step.path) || !covers(scene, step.path, harm)) {
          coverage.count('faults not covered at their moment');
          return;
        }
        coverage.count('faults');
        return strikeDrive(scene, step);
      }
      case 'close-window':
      case 'fail':
      case 'replace':
        if (coversStep(scene, step)) return command(scene, step);
        coverage.count('faults not covered at their moment');
        return;
      default:
        return command(scene, step);
    }
  }

  // --- ends of processes ---------------------------------------------------------------------------------------------

  async #restart(): Promise<void> {
    const scene = this.#scene;
    if (!scene.server.running || scene.core.stopping) return;
    const { server } = scene;
    // Not how it was before: a command that was under way may have taken a member out meanwhile.
    await server.stop(() => scene.remember());
    if (!server.alive) return;
    scene.coverage.count('orderly restarts');
    // Who was answered by the stop has not yet been on to give back what he holds.
    await this.#pass(0);
    if (!server.alive) return;
    nothingIsLeft(scene, `stopped in step ${this.#step}`);
    scene.killServer();
    scene.oracle.crashed('kill');
    // With the process its last handles go, those of drives that hang among them.
    crash(scene.machine.media.values(), false, nothingKept);
    await this.#pass(1);
    this.#start();
  }

  async #crash(
    kind: 'kill' | 'power',
    afterOperations: number,
    downUs: number,
    fateWord: CrashFate,
  ): Promise<void> {
    const scene = this.#scene;
    const { world, coverage } = scene;
    const target = scene.operations + afterOperations;
    if (afterOperations > 0) await world.until(() => scene.operations >= target, 5_000_000);
    if (!coversCrash(scene)) return coverage.count('faults not covered at their moment');
    coverage.count(kind === 'kill' ? 'kills' : 'power cuts');
    coverage.hit(kind === 'kill' ? 'C-1 killed' : 'C-2 power cut', scene.state);
    if (kind === 'power' && fateWord !== 'everything') countTail(scene);
    for (const path of kind === 'power' ? scene.liars : []) {
      const { unflushed } = scene.machine.at(path);
      for (const { offset, data } of unflushed) scene.taint(path, offset, data.length);
    }
    scene.killServer();
    scene.oracle.crashed(kind);
    const chance = new Stream(this.#plan.seed, `fate of step ${this.#step}`);
    crash(scene.machine.media.values(), kind === 'power', fateOf(fateWord, chance.next));
    world.trace.line(`${kind} in step ${this.#step}`);
    await this.#pass(downUs + 1);
    this.#start();
  }

  /** In the background: further steps, crashes among them, may come while it starts. */
  #start(): void {
    this.#scene.newServer();
    const { server } = this.#scene;
    this.#beingStarted = server;
    this.#starting().then(
      () => {
        if (this.#beingStarted === server) this.#beingStarted = null;
      },
      (error: unknown) => {
        this.#scene.world.thrown ??= { error };
      },
    );
  }

  async #starting(): Promise<void> {
    const scene = this.#scene;
    const { server, coverage } = scene;
    let force = false;
    for (let attempt = 0; ; attempt++) {
      scene.aboutToStart();
      withholdCopies(scene);
      const outcome = await server.assemble(force);
      if (!server.alive) return;
      scene.mourn();
      coverage.count('starts');
      if (outcome.ok) {
        scene.cameUp();
        this.#labels.cameUp(scene);
        scene.world.trace.line(`started ${scene.state}`);
        return;
      }
      const { code } = outcome.problem;
      scene.world.trace.line(`not started: ${code}`);
      coverage.count(`starts refused: ${code}`);
      countRefusal(scene, code);
      if (attempt >= START_ATTEMPTS) {
        if (this.#plan.promise === 'beyond') return;
        throw new Objection('start', `not started: ${JSON.stringify(outcome.problem)}`);
      }
      force = seeTo(scene, outcome.problem, attempt);
      await this.#pass(500_000);
      if (!server.alive) return;
    }
  }

  // --- at rest -------------------------------------------------------------------------------------------------------

  async #rest(where: string): Promise<void> {
    const scene = this.#scene;
    await this.#quiet(where);
    if (!scene.server.running) return;
    if (this.#isHeldByRule3()) {
      scene.coverage.count('not at rest: the log takes nothing and a second member is absent');
      return;
    }
    const { server } = scene;
    await readAll(scene, where);
    // The reads took their time, in which a window may have run out and its drives be flushed for the thaw.
    await this.#quiet(where);
    // What a check of the log holds meanwhile comes back when it ends; a leak is one however long it is waited for.
    for (let turn = 0; turn < BUFFER_TURNS && missesBuffers(scene); turn++) {
      await this.#pass(BUFFER_TURN_US);
      await this.#quiet(where);
    }
    if (!server.alive || scene.core.halted) return;
    this.#labels.look(scene, where);
    this.#parity.look(scene, where);
    nothingLeaks(scene, where);
    everythingIsSaid(scene, where);
    scene.coverage.count('times at rest');
    scene.coverage.hit('everything looked at', scene.state);
    if (this.#options.probesAtRest) this.#prober.atRest(where);
    await this.#pass(1);
  }

  /** Nothing is under way any more. With a drive that takes seconds for a block the limit is one without any progress. */
  async #quiet(where: string): Promise<void> {
    const scene = this.#scene;
    let endUs = scene.world.nowUs + REST_LIMIT_US;
    // A leg that takes seconds for a block, less than its deadline, is well enough to be read through by a start.
    const startEndUs = scene.world.nowUs + 6 * REST_LIMIT_US;
    const longUs = scene.world.nowUs + HELD_LONG_US;
    const progress = new Progress(scene);
    let pauseUs = PAUSE_US;
    while (scene.outstanding > 0 || this.#isStarting() || this.#isChanging()) {
      if (scene.world.nowUs > longUs && this.#isHeldByRule3()) return;
      const goesOn = this.#isStarting() ? scene.world.nowUs < startEndUs : progress.made;
      if (scene.anySlow() && goesOn) endUs = scene.world.nowUs + REST_LIMIT_US;
      objectTo(
        'liveness',
        scene.world.nowUs >= endUs,
        () => `${where}: ${scene.outstanding} requests or a start do not end: ${recent(scene)}`,
      );
      await this.#pass(pauseUs);
      // A drive that takes seconds is not looked after a thousand times meanwhile.
      pauseUs = Math.min(2 * pauseUs, PAUSE_MAX_US);
    }
  }

  /** A change of mode waits for something, a job holds a stripe, labels are being written: that is bounded too. */
  #isChanging(): boolean {
    const { server } = this.#scene;
    if (!server.running) return false;
    const { gate, locks, metadata } = server.volume.core;
    return gate.closed || locks.heldCount > 0 || metadata.busy;
  }

  /**
   * With the log full or lost and a second member absent writes are held until an operator brings a drive back, however
   * long that takes (rule 3): in the end he does, and then they have to be answered.
   */
  #isHeldByRule3(): boolean {
    const scene = this.#scene;
    if (!scene.server.running || scene.outstanding === 0) return false;
    const { core, server } = scene;
    const isLost = core.log?.status().state === 'failed';
    const isFull = isLost || server.said.some(({ kind }) => kind === 'log-95');
    const isSecondAbsent = core.absentCount > 1;
    const isOpen = core.mode === 'frozen' && core.window?.state === 'open';
    return isFull && isSecondAbsent && isOpen && core.writesHeld === scene.outstanding;
  }

  #isStarting(): boolean {
    // Between two attempts too, while the operator sees to what a refusal has named.
    return this.#scene.server.alive && this.#beingStarted === this.#scene.server;
  }

  async #end(): Promise<void> {
    const scene = this.#scene;
    for (const medium of scene.machine.media.values()) {
      medium.mend();
      if (medium.isVanished && !scene.dead.has(medium.path)) medium.reappear();
    }
    const well = await bringBack(scene, (us) => this.#pass(us));
    if (!well) {
      objectTo(
        'liveness',
        this.#plan.promise === 'covered',
        () => 'no server is running at the end',
      );
      return;
    }
    await this.#rest('brought back');
    await scrub(this.#scene, (us) => this.#pass(us));
  }

  #pass(us: number): Promise<void> {
    return new Promise((resolve) => {
      this.#scene.world.after(us, resolve);
    });
  }
}

const EVENTS_MAX = 3_000_000;
const START_ATTEMPTS = 8;
/** A write that is held so long waits for an operator: the limits of drives and reads are below. */
const HELD_LONG_US = 60 * 1_000_000;
const BUFFER_TURNS = 600;
const BUFFER_TURN_US = 100_000;
