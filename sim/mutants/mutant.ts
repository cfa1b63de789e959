/**
 * A mutant: one bug on purpose, put into a copy of the built server to see whether the tests notice. Production code carries
 * no switches for it; a mutant is text that is found in a compiled file and replaced.
 *
 *   sim/mutants/traps-*.ts     one for each trap T1 to T20 of the list of faults
 *   sim/mutants/barriers*.ts   the ordered barriers of the design, one skipped or swapped each
 *   sim/mutants/build.ts       makes the copy        kill.ts  runs the tests against it        main.ts  `npm run mutants`
 *
 * A mutant names the tests that are expected to kill it. It is dead when one of them fails; one that survives is a hole in
 * the tests, and fails the run.
 */

export interface Patch {
  /** Of the compiled file, from `dist/` on: `src/engine/log/stripe-log.js`. */
  readonly file: string;
  /** Occurs exactly once in that file. */
  readonly find: string;
  readonly replace: string;
}

export interface Killer {
  /** Of the compiled test, from `dist/` on. */
  readonly file: string;
  /** Of the test, in full. */
  readonly title: string;
}

export interface Mutant {
  readonly name: string;
  /** `T4`; or `B1` for a barrier. */
  readonly trap: string;
  /** What the bug would do to a user, in one sentence. */
  readonly harm: string;
  /** Mostly one; more where the code guards the same thing twice. */
  readonly patches: readonly Patch[];
  /** Quick ones first: the first that fails ends the run. */
  readonly killers: readonly Killer[];
}

/** A test of tests/directed-traps, which has one file for each group of traps. */
export const directed = (file: string, title: string): Killer => ({
  file: `tests/directed-traps/${file}.test.js`,
  title,
});

export const unit = (file: string, title: string): Killer => ({
  file: `tests/unit/${file}.test.js`,
  title,
});
