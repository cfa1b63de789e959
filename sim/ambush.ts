/**
 * Steps that wait for their moment: "once the volume is resyncing, twelve operations later". The plan goes on meanwhile;
 * whoever waits between two of its steps looks here after each event. A stage that is left before the operations are over
 * starts them anew, and what never sees its stage stays undone.
 */

import type { When } from './plan.ts';
import type { Scene } from './scene.ts';
import { isIn } from './stages.ts';

interface Waiting<T> {
  readonly step: T;
  readonly when: When;
  /** Operations of drives after which it is due; null: its stage is not there. */
  dueAt: number | null;
}

export class Ambush<T> {
  readonly #waiting: Waiting<T>[] = [];

  get count(): number {
    return this.#waiting.length;
  }

  lay(step: T, when: When): void {
    this.#waiting.push({ step, when, dueAt: null });
  }

  /** Asked after each event: is one due? */
  look(scene: Scene): boolean {
    let isAnyDue = false;
    for (const one of this.#waiting) {
      if (!isIn(scene, one.when.stage)) {
        one.dueAt = null;
        continue;
      }
      one.dueAt ??= scene.operations + one.when.operations;
      if (scene.operations >= one.dueAt) isAnyDue = true;
    }
    return isAnyDue;
  }

  /** The first that is due, which waits no more; null: none is. */
  take(scene: Scene): T | null {
    if (!this.look(scene)) return null;
    const { operations } = scene;
    const at = this.#waiting.findIndex(({ dueAt }) => dueAt !== null && operations >= dueAt);
    return (this.#waiting.splice(at, 1)[0] as Waiting<T>).step;
  }
}
