/**
 * Runs random commands against the model of l06-model.ts and a volume, and compares: the words, the answers, the data.
 * What fails is shrunk: commands are left out for as long as it still fails, and what is left is printed as a story.
 */

import assert from 'node:assert/strict';
import { Random } from '../unit/engine/random.ts';
import { closeRequest, Scene, SMALL_MEMBER_BYTES, windowRequest } from '../unit/engine/scene.ts';
import {
  type Command,
  type CommandKind,
  type Expected,
  Model,
  type SlotWord,
} from './l06-model.ts';

export interface Setup {
  readonly level: number;
  readonly members: number;
  readonly seed: number;
}

const TOLERATES = new Map([[1, 2]]);

/** Writes and drives come often, the end of the server less so. */
const bag: readonly CommandKind[] = [
  ...Array<CommandKind>(6).fill('write'),
  ...(['flush', 'quiet', 'fail', 'fail', 'add', 'add', 'replace', 'open', 'open', 'open'] as const),
  ...(['close', 'close', 'pull', 'pull', 'plug', 'plug', 'stop', 'kill', 'power cut'] as const),
];

export function invent(random: Random, length: number): Command[] {
  return Array.from({ length }, () => ({ kind: random.pick(bag), n: random.below(1_000_000) }));
}

type Answer = { readonly ok: true } | { readonly ok: false; readonly problem: { code: string } };

class Runner {
  readonly scene: Scene;
  readonly model: Model;

  constructor(scene: Scene, model: Model) {
    this.scene = scene;
    this.model = model;
  }

  async #restart(kind: CommandKind): Promise<void> {
    const { scene } = this;
    if (kind === 'stop') assert.ok((await scene.world.until(scene.world.v.stop())).ok);
    scene.crash(kind === 'power cut');
    await scene.world.assemble();
  }

  async #carryOut({ kind, n }: Command): Promise<Answer> {
    const { world } = this.scene;
    const { path } = this.model.slot(n);
    const ok: Answer = { ok: true };
    switch (kind) {
      case 'write':
        await this.scene.fill(1 + (n % 4));
        return ok;
      case 'flush':
        await this.scene.flush();
        return ok;
      case 'quiet':
        await world.pass(n % 30_000);
        return ok;
      case 'fail':
        return world.until(world.v.failDrive(String(n % this.model.slots.length)));
      case 'add':
        return world.until(world.v.addDrive(path, false, false));
      case 'replace': {
        const fresh = `new${n}`;
        if (world.media.has(fresh)) return ok;
        world.medium(fresh, SMALL_MEMBER_BYTES);
        const slot = String(n % this.model.slots.length);
        const outcome = await world.until(world.v.replaceDrive(slot, fresh, false));
        // As a server lists them: in the order of the slots.
        if (outcome.ok) world.drivePaths[Number(slot)] = fresh;
        return outcome;
      }
      case 'open': {
        const how = { onDoubleAbsence: 'error', allowDegraded: true } as const;
        const slot = String(n % this.model.slots.length);
        return world.until(world.v.openWindow(windowRequest(slot, how)));
      }
      case 'close':
        return world.until(world.v.closeWindow(closeRequest()));
      case 'pull':
        world.at(path).vanish();
        return ok;
      case 'plug':
        world.at(path).reappear();
        return ok;
      case 'stop':
      case 'kill':
      case 'power cut':
        await this.#restart(kind);
        return ok;
    }
  }

  /** Replays, rebuilds and resyncs end; drives that vanished are noticed, and in a window taken back. */
  async #settle(kind: CommandKind): Promise<void> {
    const { world, core } = this.scene;
    await world.pass(kind === 'plug' ? 45_000 : 3_000);
    const busy = (): boolean =>
      core.mode === 'replaying' || core.resync !== null || core.rebuildJob?.running === true;
    for (let i = 0; i < 200 && busy(); i++) await world.pass(500);
  }

  async step(command: Command): Promise<void> {
    const before: Expected = this.#isSame(command) ? 'skip' : this.model.apply(command);
    if (before === 'skip') return;
    // The model has moved on: a path that was replaced is the new one's.
    const answer = await this.#carryOut(command);
    const expected = before === 'done' ? 'done' : before.refused;
    assert.equal(answer.ok ? 'done' : answer.problem.code, expected, 'the answer');
    await this.#settle(command.kind);
    this.#compare();
    if (this.model.readable) await this.scene.check('after it');
    else await this.scene.checkWhatAnswers('after it');
  }

  /** The same new drive twice, when commands between were left out. */
  #isSame({ kind, n }: Command): boolean {
    return kind === 'replace' && this.scene.world.media.has(`new${n}`);
  }

  #compare(): void {
    const words: Record<string, SlotWord> = { online: 'in', away: 'away' };
    const status = this.scene.world.v.status();
    const found = status.drives
      .filter(({ slot }) => slot !== null)
      .map(({ state }) => words[state] ?? 'out');
    const wanted = this.model.slots.map(({ word }) => (word === 'frozen-out' ? 'out' : word));
    assert.deepEqual(found, wanted, 'the words of the slots');
    assert.equal(status.state, this.model.state, 'the state of the volume');
  }
}

/** null when model and volume agree to the end; else what does not, and after how many commands. */
export async function disagreement(
  { level, members, seed }: Setup,
  commands: readonly Command[],
): Promise<{ readonly at: number; readonly why: string } | null> {
  const scene = await Scene.make(level, { seed, members });
  const runner = new Runner(scene, new Model(members, TOLERATES.get(level) ?? 1));
  await scene.put(0, scene.model.sectors);
  for (const [at, command] of commands.entries()) {
    try {
      await runner.step(command);
    } catch (error) {
      return { at, why: `${(error as Error).message}\n  ${scene.recent}` };
    }
  }
  try {
    for (const { path } of runner.model.slots) scene.world.at(path).reappear();
    await scene.world.pass(45_000);
    // What an operator failed in a window is taken back by hand, where the window needs it.
    for (const { path, word } of runner.model.slots)
      if (word === 'frozen-out')
        await scene.world.until(scene.world.v.addDrive(path, false, false));
    await scene.settle('everything put right');
  } catch (error) {
    return { at: commands.length, why: (error as Error).message };
  }
  return null;
}

/** Leaves out halves, quarters, … single commands, for as long as what is left fails. */
export async function shrink(setup: Setup, failing: readonly Command[]): Promise<Command[]> {
  let left = [...failing];
  for (let size = Math.ceil(left.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < left.length; ) {
      const without = left.filter((_, at) => at < from || at >= from + size);
      if ((await disagreement(setup, without)) !== null) left = without;
      else from += size;
    }
  }
  return left;
}

export async function runSeed(level: number, members: number, seed: number, length: number) {
  const setup: Setup = { level, members, seed };
  const commands = invent(new Random(seed), length);
  const first = await disagreement(setup, commands);
  if (first === null) return;
  const left = await shrink(setup, commands.slice(0, first.at + 1));
  const last = await disagreement(setup, left);
  const story = left.map(({ kind, n }) => `${kind} ${n} (slot ${n % members})`).join('\n  ');
  throw new Error(`RAID ${level} of ${members}, seed ${seed}: ${last?.why}\n  ${story}`);
}
