/** Builds mutants and has them killed, a few at a time; what `npm run mutants`, the tests and the torture run share. */

import { buildMutant, removeMutant } from './build.ts';
import { killBySeed, type Seeds } from './by-simulator.ts';
import { type Kill, killByName, WholeSuite } from './kill.ts';
import type { Mutant } from './mutant.ts';

export interface Verdict {
  readonly mutant: Mutant;
  /** null: it survived. */
  readonly kill: Kill | null;
  /** With `whole`: the first of all tests that noticed. */
  readonly firstOfAll: Kill | null;
  /** With `seeds`: the first seed of the simulator that noticed. */
  readonly bySeed: Kill | null;
  readonly seconds: number;
}

export interface HuntOptions {
  readonly atOnce: number;
  /** Also against every test that runs in memory, to see which one notices first. */
  readonly whole: boolean;
  /** Also against the simulator, with these seeds; null: not. */
  readonly seeds?: Seeds | null;
  /** Of the simulator: asked before it goes on to more seeds. */
  readonly mayTrySeeds?: () => boolean;
  readonly onVerdict: (verdict: Verdict) => void;
  /** Asked before each mutant; those that are not begun are left out. */
  readonly mayGoOn?: () => boolean;
}

/** An unpatched copy: what fails in it cannot be the doing of a mutant. */
const control = { name: 'control', patches: [] } as const;

/** In the order of the mutants. */
export async function hunt(mutants: readonly Mutant[], options: HuntOptions): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const waiting = [...mutants];
  const controlRoot = buildMutant(control);
  try {
    const faulty = await killByName(
      controlRoot,
      mutants.flatMap(({ killers }) => killers),
    );
    if (faulty !== null)
      throw new Error(
        `"${faulty.by}" fails without any mutant, so it kills nothing: ${faulty.why}`,
      );
    const suite = options.whole ? new WholeSuite(controlRoot) : null;
    const worker = async (): Promise<void> => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        if (options.mayGoOn?.() === false) return;
        const verdict = await huntOne(mutant, suite, controlRoot, options);
        verdicts.push(verdict);
        options.onVerdict(verdict);
      }
    };
    await Promise.all(Array.from({ length: options.atOnce }, worker));
  } finally {
    removeMutant(control.name);
  }
  return verdicts.sort((a, b) => mutants.indexOf(a.mutant) - mutants.indexOf(b.mutant));
}

async function huntOne(
  mutant: Mutant,
  suite: WholeSuite | null,
  controlRoot: string,
  options: HuntOptions,
): Promise<Verdict> {
  const startedMs = performance.now();
  const root = buildMutant(mutant);
  try {
    const kill = await killByName(root, mutant.killers);
    const firstOfAll = (await suite?.firstToNotice(root)) ?? null;
    const { seeds, mayTrySeeds } = options;
    const bySeed = seeds ? await killBySeed(root, controlRoot, seeds, mayTrySeeds) : null;
    const seconds = (performance.now() - startedMs) / 1000;
    return { mutant, kill: kill ?? firstOfAll ?? bySeed, firstOfAll, bySeed, seconds };
  } finally {
    removeMutant(mutant.name);
  }
}
