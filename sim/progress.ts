/**
 * Does anything go on? With a drive that takes seconds for every block, which is less than its deadline and no reason to
 * fail it, a queue of requests or a replay takes as long as it takes. What must not happen is that it stands still.
 */

import type { Scene } from './scene.ts';

export class Progress {
  readonly #scene: Scene;
  #seen = '';

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Since it was last asked: a request was answered, or a job or a replay has come further. */
  get made(): boolean {
    const before = this.#seen;
    this.#seen = stateOf(this.#scene);
    return this.#seen !== before;
  }
}

function stateOf({ answered, server }: Scene): string {
  if (!server.running) return `${answered}`;
  const { cursor, window, rebuildJob, resyncJob, scrubJob, verifyJob } = server.volume.core;
  const jobs = [rebuildJob, resyncJob, scrubJob, verifyJob].map((job) => job?.workedBytes ?? 0);
  return `${answered} ${cursor} ${window?.replayedBytes ?? 0} ${jobs.join(' ')}`;
}
