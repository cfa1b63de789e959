/**
 * The enumerated accidents (tests/directed) as a part of the torture run: as many cases as there is time for, in an order
 * that the seed decides, so that slices with other seeds take others.
 */

import { enumerated } from '../tests/directed/enumerated.ts';
import type { Case } from '../tests/directed/enumeration.ts';
import { Random } from '../tests/unit/engine/random.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';

const SAY_EVERY = 200;

export const directedPart: Part = { name: 'directed', weight: 1, run: runDirected };

interface Titled extends Case {
  /** "L4". */
  readonly id: string;
}

async function runDirected({ seconds, seed, say }: PartOptions): Promise<PartResult> {
  const endMs = performance.now() + 1_000 * seconds;
  const all: Titled[] = [];
  for (const { enumeration } of enumerated) {
    const id = enumeration.title.split(' ')[0] ?? '';
    for (const one of await enumeration.cases()) all.push({ ...one, id });
  }
  shuffle(all, new Random(seed));
  const counts: Record<string, number> = {};
  const coverage: Record<string, Record<string, number>> = {};
  const failures: string[] = [];
  let done = 0;
  for (const { id, name, hits, run } of all) {
    if (performance.now() >= endMs) break;
    await run().catch((error: Error) => {
      const command = `LOCUM_CASE='${name}' npm test -- directed/enumerated --no-lint`;
      failures.push(`${id}, ${name}: ${error.message.split('\n', 1)[0]} (${command})`);
    });
    done++;
    counts[`${id} cases`] = (counts[`${id} cases`] ?? 0) + 1;
    for (const [fault, state] of hits) {
      const row = (coverage[fault] ??= {});
      row[state] = (row[state] ?? 0) + 1;
    }
    if (done % SAY_EVERY === 0) say(`${done} directed cases, ${failures.length} failed`);
  }
  counts['directed cases'] = done;
  // So that a run of an hour is not taken for all of them.
  const notCovered =
    done < all.length
      ? [`A slice takes a share of the ${all.length} directed cases; \`LOCUM_EVERY=1\` takes all.`]
      : [];
  return { part: directedPart.name, counts, coverage, failures, notCovered };
}

function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
}
