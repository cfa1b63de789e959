/**
 * Accidents that come in many variants: one at each drive operation, each drive, each way to die. An enumeration lists
 * its cases; the everyday run takes some of them, evenly, `LOCUM_EVERY=1` takes all (`=n`: every n-th), and the torture
 * run (part.ts) takes as many as its time allows, in an order that its seed decides.
 *
 * `LOCUM_CASE='RAID 5, kill at 17'` runs the cases whose name contains the words: what a failure prints is enough.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

export interface Case {
  readonly name: string;
  /** Rejects when something acknowledged is lost, or anything else is not as it must be. */
  readonly run: () => Promise<void>;
}

export interface Enumeration {
  /** As the tests are titled: "L4 …". */
  readonly title: string;
  /** The state of the volume that the cases are in, and what befalls it: for the coverage of the torture run. */
  readonly state: string;
  readonly fault: string;
  /** All of them. Finding out how many there are may take a run of its own. */
  readonly cases: () => Promise<Case[]>;
}

const every = Number(process.env['LOCUM_EVERY'] ?? 0);
const words = process.env['LOCUM_CASE'] ?? '';
const SHOWN = 8;

/** At most `sampled` of them, evenly spread; the middle of each share, so that the first and last are no special case. */
export function sample<T>(all: readonly T[], sampled: number): T[] {
  const step = every > 0 ? every : Math.max(1, all.length / sampled);
  const taken: T[] = [];
  for (let at = step > 1 ? step / 2 : 0; at < all.length; at += step)
    taken.push(all[Math.floor(at)] as T);
  return taken;
}

export function testEnumeration(enumeration: Enumeration, sampled: number): void {
  test(enumeration.title, async (t) => {
    const all = await enumeration.cases();
    const chosen =
      words === '' ? sample(all, sampled) : all.filter(({ name }) => name.includes(words));
    assert.ok(words !== '' || chosen.length > 0, 'there is nothing to enumerate');
    t.diagnostic(`${chosen.length} of ${all.length} cases`);
    const failures: string[] = [];
    for (const { name, run } of chosen) {
      await run().catch((error: Error) => failures.push(`${name}: ${error.message}`));
    }
    const shown = failures.slice(0, SHOWN).join('\n');
    assert.equal(failures.length, 0, `${failures.length} of ${chosen.length} cases:\n${shown}`);
  });
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
