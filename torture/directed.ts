/**
 * The enumerated accidents (tests/directed) and the state × second-fault matrix as a part of the torture run: as many cases
 * as there is time for, in an order that the seed decides, so that slices with other seeds take others. One in five is a
 * cell of the matrix: there are few of those, and they reach every state.
 */

import { enumerated } from '../tests/directed/enumerated.ts';
import type { Case } from '../tests/directed/enumeration.ts';
import { matrixCells } from '../tests/directed/matrix-cells.ts';
import { Random } from '../tests/unit/engine/random.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';

const SAY_EVERY = 200;
const MATRIX_EVERY = 4;

export const directedPart: Part = { name: 'directed', weight: 1, run: runDirected };

interface Titled extends Case {
  /** "L4", "matrix". */
  readonly id: string;
  readonly command: string;
}

async function runDirected({ seconds, seed, say }: PartOptions): Promise<PartResult> {
  const endMs = performance.now() + 1_000 * seconds;
  const all: Titled[] = [];
  for (const { enumeration } of enumerated) {
    const id = enumeration.title.split(' ')[0] ?? '';
    for (const one of await enumeration.cases()) {
      const command = `LOCUM_CASE='${one.name}' npm test -- directed/enumerated --no-lint`;
      all.push({ ...one, id, command });
    }
  }
  const random = new Random(seed);
  shuffle(all, random);
  const cells = matrixCells().map((cell): Titled => {
    const command = `LOCUM_EVERY=1 npm test -- directed/matrix --no-lint --name '${cell.name}'`;
    return { ...cell, id: 'matrix', command };
  });
  shuffle(cells, random);
  const counts: Record<string, number> = {};
  const coverage: Record<string, Record<string, number>> = {};
  const failures: string[] = [];
  let done = 0;
  for (const { id, name, hits, run, command } of interleaved(all, cells)) {
    if (performance.now() >= endMs) break;
    await run().catch((error: Error) => {
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
    done < all.length + cells.length
      ? [
          `A slice takes a share of the ${all.length + cells.length} directed cases; \`LOCUM_EVERY=1\` takes all.`,
        ]
      : [];
  return { part: directedPart.name, counts, coverage, failures, notCovered };
}

function* interleaved<T>(many: readonly T[], few: readonly T[]): Generator<T> {
  const left = few.values();
  for (const [index, one] of many.entries()) {
    if (index % MATRIX_EVERY === 0) {
      const next = left.next();
      if (next.done !== true) yield next.value;
    }
    yield one;
  }
  yield* left;
}

function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
}
