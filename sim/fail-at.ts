/**
 * Fail-at-N: one scripted life of a volume (a window, a second failure in it, a crash, the return, the replay, a crash in
 * the replay, a replacement), told again and again, and each time another operation of its drives goes wrong: the N-th of
 * all drives together. The volume has to come through: nothing acknowledged lost, and optimal again in the end.
 *
 * The first telling is without trouble and writes down which drive carries out which operation; up to the N-th all
 * tellings are the same. Trouble that the promises do not cover at its moment is left out, and so is a later failure of
 * the script that they do not cover because of it.
 */

import { EIO } from '../src/base/errno.ts';
import { covers } from './budget.ts';
import { nothingLeaks, ParityWatch, readAll } from './checks.ts';
import { Coverage } from './coverage.ts';
import { Objection, objectTo } from './objection.ts';
import { bringBack } from './operator.ts';
import { Pools } from './pools.ts';
import { Script, smallPlan } from './script.ts';

export const mishaps = ['once', 'sticky', 'hangs', 'flush lost'] as const;
export type Mishap = (typeof mishaps)[number];

export interface FailAtOptions {
  readonly level: number;
  /** The first and the last N, counted from 1; beyond the life: to its end. */
  readonly from: number;
  readonly to: number;
  /** Only each `every`-th N. */
  readonly every: number;
  readonly seconds: number;
  readonly coverage?: Coverage;
  readonly onFailure?: (failure: string) => void;
}

export interface FailAtResult {
  /** Lives that were told, not counting the first. */
  readonly lives: number;
  readonly notCovered: number;
  /** Operations of the life without trouble. */
  readonly operations: number;
  readonly failures: readonly string[];
  readonly complete: boolean;
  readonly seconds: number;
}

interface Trouble {
  readonly at: number;
  readonly path: string;
  readonly mishap: Mishap;
}

const pools = new Pools(2 * 1024 * 1024, true);
const SECOND_US = 1_000_000;
const JOBS_LIMIT_US = 600 * SECOND_US;

export async function failAt(options: FailAtOptions): Promise<FailAtResult> {
  const coverage = options.coverage ?? new Coverage();
  const startMs = performance.now();
  const { level } = options;
  const calm = new FailingLife(level, null, coverage);
  await calm.tell();
  const operations = calm.journal.length;
  const failures: string[] = [];
  let lives = 0;
  let notCovered = 0;
  let complete = true;
  for (let at = options.from; at <= Math.min(options.to, operations); at += options.every) {
    const path = calm.journal[at - 1] as string;
    for (const mishap of mishaps) {
      if (mishap === 'flush lost' && !path.startsWith('leg')) continue;
      if (performance.now() - startMs > options.seconds * 1000) {
        complete = false;
        break;
      }
      const life = new FailingLife(level, { at, path, mishap }, coverage);
      const failure = await failureOf(life);
      lives++;
      if (life.struck === 'not covered') notCovered++;
      if (failure === null) continue;
      const said = `level ${level}: operation ${at} (${path}, ${life.chapterStruck}) ${mishap}; ${life.chapter}: ${failure}`;
      failures.push(said);
      options.onFailure?.(said);
    }
  }
  const seconds = (performance.now() - startMs) / 1000;
  return { lives, notCovered, operations, failures, complete, seconds };
}

async function failureOf(life: FailingLife): Promise<string | null> {
  try {
    await life.tell();
    return null;
  } catch (error) {
    if (error instanceof Objection) return `${error.checker}: ${error.message}`;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

class FailingLife {
  chapter = 'creation';
  chapterStruck = '';
  struck: 'not yet' | 'yes' | 'not covered' = 'not yet';
  /** Which drive carried out each operation, from the end of the creation on. */
  readonly journal: string[] = [];
  readonly #script: Script;
  readonly #trouble: Trouble | null;
  readonly #counted = new Map<string, number>();

  constructor(level: number, trouble: Trouble | null, coverage: Coverage) {
    this.#script = new Script(smallPlan(level), pools, coverage);
    this.#trouble = trouble;
  }

  async tell(): Promise<void> {
    const { scene } = this.#script;
    try {
      await this.#script.run(() => this.#story());
    } finally {
      scene.close();
    }
  }

  async #story(): Promise<void> {
    const script = this.#script;
    const { scene } = script;
    await script.create();
    this.#count();
    scene.world.between = () => {
      this.#count();
      return null;
    };
    this.chapter = 'optimal';
    await this.#writes(0);
    await script.flush();
    await this.#writes(5);
    this.chapter = 'opening the window';
    const opened = await script.openWindow(1);
    this.chapter = 'window open';
    await this.#writes(11);
    await script.flush();
    this.chapter = 'a second failure';
    if (opened.ok) await this.#vanish(0);
    await this.#writes(17);
    this.chapter = 'a crash in the window';
    await script.crash('power');
    await this.#writes(23);
    this.chapter = 'return';
    if (scene.core.window?.state === 'open') await script.closeWindow();
    this.chapter = 'replay';
    await this.#writes(29);
    await script.flush();
    await script.until(() => scene.core.window === null, 30 * SECOND_US);
    this.chapter = 'a crash after it';
    await script.crash('kill');
    await this.#writes(31);
    this.chapter = 'replacement';
    await this.#end();
  }

  /** Whole chunks, parts of one, and across two, each time elsewhere; some with FUA, and some at one time. */
  async #writes(at: number): Promise<void> {
    const script = this.#script;
    await script.write(at, 3, at % 2 === 0);
    await script.write(15 + at, 20);
    await script.write(64 - (at % 16), 17);
  }

  async #vanish(slot: number): Promise<void> {
    const { scene } = this.#script;
    const path = scene.standing().slots[slot]?.path ?? '';
    if (!scene.machine.media.has(path) || !covers(scene, path, 'member')) return;
    scene.machine.at(path).vanish();
    // A drive that was pulled out stays out: the operator replaces it.
    scene.dead.add(path);
    await this.#script.pass(2 * SECOND_US);
  }

  async #end(): Promise<void> {
    const script = this.#script;
    const { scene } = script;
    for (const medium of scene.machine.media.values()) medium.mend();
    const well = await bringBack(scene, (us) => script.pass(us));
    objectTo('liveness', !well, () => `no server is running at the end`);
    const rested = await script.until(
      () => scene.core.resyncJob?.running !== true && scene.core.locks.heldCount === 0,
      JOBS_LIMIT_US,
    );
    objectTo('liveness', !rested, () => 'it does not come to rest');
    await readAll(scene, 'brought back');
    new ParityWatch().look(scene, 'brought back');
    nothingLeaks(scene, 'brought back');
  }

  /** After each event: who has done something; and is it time for the trouble? */
  #count(): void {
    const { scene } = this.#script;
    for (const { path, operations } of scene.machine.media.values()) {
      const before = this.#counted.get(path) ?? (this.chapter === 'creation' ? operations : 0);
      for (let done = before; done < operations; done++) this.journal.push(path);
      this.#counted.set(path, operations);
    }
    if (this.struck !== 'not yet' || this.#trouble === null) return;
    if (this.journal.length >= this.#trouble.at - 1) this.#strike(this.#trouble);
  }

  #strike({ path, mishap }: Trouble): void {
    const { scene } = this.#script;
    this.chapterStruck = this.chapter;
    const medium = scene.machine.media.get(path);
    if (
      medium === undefined ||
      !covers(scene, path, mishap === 'flush lost' ? 'silent' : 'member')
    ) {
      this.struck = 'not covered';
      return;
    }
    this.struck = 'yes';
    scene.coverage.hit(
      `fail-at: ${mishap}, ${path.startsWith('leg') ? 'leg' : 'member'}`,
      scene.state,
    );
    if (mishap === 'hangs') return medium.hang();
    const kinds = ['read', 'write', 'flush', 'punch', 'probe'] as const;
    const title = `fail-at ${mishap}`;
    if (mishap === 'flush lost')
      return medium.addFault({ title, effect: 'lost', kinds: ['flush'], count: 1 });
    const fault = { title, effect: 'error', kinds, errno: EIO } as const;
    medium.addFault(mishap === 'once' ? { ...fault, count: 1 } : fault);
  }
}
