/**
 * Accidents that come in many variants: one at each drive operation, each drive, each way to die. An enumeration lists
 * its cases; the everyday run takes some of them, evenly, `LOCUM_EVERY=1` takes all (`=n`: every n-th), and the torture
 * run (torture/directed.ts) takes as many as its time allows, in an order that its seed decides.
 *
 * `LOCUM_CASE='RAID 5, kill at 17'` runs the cases whose name contains the words: what a failure prints is enough.
 */

export interface Case {
  readonly name: string;
  /** Fault class and state of the volume, for the coverage of the torture run: what certainly happens in this case. */
  readonly hits: readonly (readonly [fault: string, state: string])[];
  /** Rejects when something acknowledged is lost, or anything else is not as it must be. */
  readonly run: () => Promise<void>;
}

export interface Enumeration {
  /** As the tests are titled: "L4 …". */
  readonly title: string;
  /** All of them. Finding out how many there are may take a run of its own. */
  readonly cases: () => Promise<Case[]>;
}

/** All pairs, in order. */
export const pairs = <A, B>(first: readonly A[], second: readonly B[]): [A, B][] =>
  first.flatMap((a) => second.map((b): [A, B] => [a, b]));

export function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((first, at) =>
    permutations(items.filter((_, other) => other !== at)).map((rest) => [first, ...rest]),
  );
}
