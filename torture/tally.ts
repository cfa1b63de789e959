/** What a part has done so far, added up in the form in which it is handed back. */

import type { PartResult } from './evidence.ts';

/** More than this many failures of one slice say the same thing again. */
const failuresKept = 20;

export class Tally {
  readonly #counts = new Map<string, number>();
  readonly #coverage = new Map<string, Map<string, number>>();
  readonly #failures: string[] = [];
  readonly #notCovered = new Set<string>();

  count(name: string, more = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + more);
  }

  /** A fault class ("C-1 kill -9 at any point") met in a state of the volume. */
  hit(fault: string, state: string, more = 1): void {
    const row = this.#coverage.get(fault) ?? new Map<string, number>();
    row.set(state, (row.get(state) ?? 0) + more);
    this.#coverage.set(fault, row);
  }

  fail(what: string): void {
    if (this.#failures.length < failuresKept) this.#failures.push(what);
  }

  notCovered(sentence: string): void {
    this.#notCovered.add(sentence);
  }

  get failures(): readonly string[] {
    return this.#failures;
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  result(part: string): PartResult {
    return {
      part,
      counts: Object.fromEntries(this.#counts),
      coverage: Object.fromEntries(
        [...this.#coverage].map(([fault, states]) => [fault, Object.fromEntries(states)]),
      ),
      failures: [...this.#failures],
      notCovered: [...this.#notCovered],
    };
  }
}
