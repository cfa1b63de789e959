/**
 * One short sequence of commands on a volume of few stripes, with every crash state of its last command looked at. What
 * the commands before it left at their operations is the business of the shorter sequences.
 *
 * A command that is refused, or a fault that the promises do not cover, makes the sequence (and every longer one that
 * begins with it) void.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { covers } from './budget.ts';
import { Contents } from './contents.ts';
import type { Coverage } from './coverage.ts';
import { crashStates } from './crash-states.ts';
import { Objection, stackOf } from './objection.ts';
import type { Pools } from './pools.ts';
import { overlayOf, probe } from './probe.ts';
import { Script, smallPlan } from './script.ts';
import type { SeenStates } from './seen-states.ts';

export type ScopeCommand =
  | { readonly do: 'write a' | 'write b' | 'flush' | 'close window' | 'kill' }
  | { readonly do: 'open window' | 'lose member'; readonly slot: number }
  | { readonly do: 'lose leg'; readonly leg: number };

export interface SequenceResult {
  readonly verdict: 'checked' | 'void' | 'failed' | 'out of time';
  /** Crash states of all moments, and those of them that were recovered and read: the others are the same again. */
  readonly listed: number;
  readonly states: number;
  /** Moments at which crash states were listed. */
  readonly moments: number;
  readonly failure: string | null;
}

export interface ScopeOptions {
  readonly level: number;
  readonly pools: Pools;
  readonly coverage: Coverage;
  /** Of what is not safe, at each moment. */
  readonly mixtures: number;
  readonly isOver: () => boolean;
  /** States that need no second look: shared by all sequences of a run. */
  readonly seen: SeenStates;
}

/** What the engine does by itself after a command: it marks the volume clean, notices a drive that is gone. */
const AFTERMATH_US = 7_500_000;
const CLEAN_LIMIT_US = 10_000_000;

/**
 * `usual`: one member that goes away, another one that is lost, one leg. `whole`: any member, either leg; where members are
 * alike (mirrors, rotating parity) that adds little, and five times the sequences.
 */
export type Alphabet = 'usual' | 'whole';

export function commandsFor(level: number, alphabet: Alphabet = 'whole'): ScopeCommand[] {
  if (alphabet === 'usual') {
    return [
      { do: 'write a' },
      { do: 'write b' },
      { do: 'flush' },
      { do: 'open window', slot: 0 },
      { do: 'close window' },
      { do: 'lose member', slot: 1 },
      { do: 'lose leg', leg: 0 },
      { do: 'kill' },
    ];
  }
  const slots = level === 1 ? [0, 1] : [0, 1, 2];
  return [
    { do: 'write a' },
    { do: 'write b' },
    { do: 'flush' },
    ...slots.map((slot) => ({ do: 'open window', slot }) as const),
    { do: 'close window' },
    ...slots.map((slot) => ({ do: 'lose member', slot }) as const),
    { do: 'lose leg', leg: 0 },
    { do: 'lose leg', leg: 1 },
    { do: 'kill' },
  ];
}

export const titleOf = (commands: readonly ScopeCommand[]): string =>
  commands
    .map((each) => {
      if ('slot' in each) return `${each.do} ${each.slot}`;
      return 'leg' in each ? `${each.do} ${each.leg}` : each.do;
    })
    .join(', ');

class Void extends Error {}
class OutOfTime extends Error {}

export async function runSequence(
  commands: readonly ScopeCommand[],
  options: ScopeOptions,
): Promise<SequenceResult> {
  const run = new SmallScope(options);
  let failure: string | null = null;
  let verdict: SequenceResult['verdict'] = 'checked';
  try {
    await run.all(commands);
  } catch (error) {
    if (error instanceof Void) verdict = 'void';
    else if (error instanceof OutOfTime) verdict = 'out of time';
    else {
      verdict = 'failed';
      const said =
        error instanceof Objection ? `${error.checker}: ${error.message}` : stackOf(error);
      failure = `level ${options.level}: ${titleOf(commands)}; moment ${run.moments - 1}: ${said}`;
    }
  } finally {
    run.close();
  }
  return { verdict, listed: run.listed, states: run.states, moments: run.moments, failure };
}

class SmallScope {
  listed = 0;
  states = 0;
  moments = 0;
  readonly #options: ScopeOptions;
  readonly #script: Script;
  readonly #contents = new Contents();
  #lost: string | null = null;
  #before = '';
  #answers = 0;

  constructor(options: ScopeOptions) {
    this.#options = options;
    this.#script = new Script(smallPlan(options.level), options.pools, options.coverage);
  }

  close(): void {
    this.#script.scene.close();
  }

  all(commands: readonly ScopeCommand[]): Promise<void> {
    const script = this.#script;
    return script.run(async () => {
      await script.create();
      for (const [index, command] of commands.entries()) {
        if (index === commands.length - 1) script.scene.world.between = () => this.#look();
        await this.#carryOut(command);
        this.#answers++;
      }
      await script.pass(AFTERMATH_US);
      script.scene.world.between = null;
    });
  }

  async #carryOut(command: ScopeCommand): Promise<void> {
    const script = this.#script;
    const { scene } = script;
    switch (command.do) {
      case 'write a':
        return script.write(0, 2);
      case 'write b':
        return script.write(...this.#besideA());
      case 'flush':
        return script.flush();
      case 'open window':
        return this.#must((await script.openWindow(command.slot)).ok);
      case 'close window':
        if (scene.core.window === null) throw new Void();
        return this.#must((await script.closeWindow()).ok);
      case 'kill':
        return script.crash('kill');
      case 'lose leg': {
        const path = scene.standing().legs[command.leg]?.path ?? '';
        this.#must(!scene.isHarmed(path) && covers(scene, path, 'member'));
        return scene.machine.at(path).vanish();
      }
      case 'lose member': {
        const path = scene.standing().slots[command.slot]?.path ?? '';
        this.#must(path !== '' && scene.machine.media.has(path) && !scene.isHarmed(path));
        // A write hole is nobody's promise outside a window: it waits for the volume to be marked clean.
        const calm = await script.until(() => !scene.standing().inDoubt, CLEAN_LIMIT_US);
        this.#must(calm && covers(scene, path, 'member'));
        scene.machine.at(path).vanish();
        this.#lost = path;
      }
    }
  }

  /** In the stripe of `a`, with the end of its chunk and the start of the next, so that it needs two data members. */
  #besideA(): [lba: number, sectors: number] {
    const { level, chunkBytes } = this.#script.scene.core.geometry;
    const chunkSectors = chunkBytes / SECTOR_BYTES;
    return level.parityChunks > 0 && chunkSectors > 1 ? [chunkSectors - 1, 2] : [1, 2];
  }

  #must(valid: boolean): void {
    if (!valid) throw new Void();
  }

  /** Between two events: has a drive done or been asked anything since the last look? */
  #look(): Promise<void> | null {
    const { scene } = this.#script;
    let now = `${this.#answers} ${scene.outstanding}`;
    for (const medium of scene.machine.media.values())
      now += ` ${medium.operations}/${medium.inFlightCount}`;
    if (now === this.#before) return null;
    this.#before = now;
    const moment = this.moments++;
    return this.#lookAt(moment);
  }

  async #lookAt(moment: number): Promise<void> {
    const { scene } = this.#script;
    const { mixtures, seen } = this.#options;
    const lose = this.#lost;
    const copyLost = lose !== null;
    const taken = {
      kill: `${scene.oracle.takenInFork({ kind: 'kill', copyLost })} ${overlayOf(scene) ?? '?'}`,
      power: scene.oracle.takenInFork({ kind: 'power', copyLost }),
    };
    for (const state of crashStates(scene, this.#contents, moment, mixtures)) {
      const { kind, fate, title } = state;
      const word = `${state.contents} lost ${lose}: ${taken[kind]}`;
      this.listed++;
      if (seen.has(word)) continue;
      if (this.#options.isOver()) throw new OutOfTime();
      this.states++;
      await probe(scene, { kind, fate, lose, again: [], closeWindow: copyLost, title });
      seen.add(word);
    }
  }
}
