/**
 * Scenes that several cases of an enumeration begin from. Making one takes longer than most cases do, and its images take
 * tens of MiB: the four that were asked for last are kept, which is all the states of a level.
 */

const KEPT = 4;

export class Prepared<T> {
  readonly #kept = new Map<string, Promise<T>>();

  of(key: string, prepare: () => Promise<T>): Promise<T> {
    const scene = this.#kept.get(key) ?? prepare();
    // The one asked for last goes to the end; the first of the map is the one that nobody has asked for longest.
    this.#kept.delete(key);
    this.#kept.set(key, scene);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
    return scene;
  }
}
