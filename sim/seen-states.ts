/**
 * Crash states that were found good. Two are the same when the drives that are left hold the same, and the same is taken
 * from the server that comes up on them: then one recovery speaks for both, whatever led there. Half of all states of
 * short lives are such (a write kept in flight and the same one answered; a flush with nothing to do).
 */

/** Some 200 bytes each; at the limit all are forgotten, and looked at again. */
const STATES_MAX = 1_000_000;

export class SeenStates {
  readonly #good = new Set<string>();

  has(state: string): boolean {
    return this.#good.has(state);
  }

  add(state: string): void {
    if (this.#good.size >= STATES_MAX) this.#good.clear();
    this.#good.add(state);
  }
}
