/** When a run is asked "and if it had ended here?": now and then between two events, and at rest for every drive in turn. */

import { covers } from './budget.ts';
import { byChance, everythingKept, nothingKept } from './fate.ts';
import { probe } from './probe.ts';
import type { Scene } from './scene.ts';
import { Stream } from './streams.ts';

export interface ProbeOptions {
  /** About one crash state is looked at for so many events of the world; 0: none but at rest. */
  readonly eventsPerProbe: number;
  /** How often recovery dies again in one probe, at most. */
  readonly recoveryDeaths: number;
}

export class Prober {
  readonly #scene: Scene;
  readonly #options: ProbeOptions;
  readonly #draw: Stream;
  #eventsLeft: number;
  #pending: (() => Promise<void>)[] = [];

  constructor(scene: Scene, options: ProbeOptions) {
    this.#scene = scene;
    this.#options = options;
    this.#draw = new Stream(scene.plan.seed, 'probes');
    this.#eventsLeft = options.eventsPerProbe;
  }

  /** Asked between two events, with the whole world standing still. */
  between(step: number): Promise<void> | null {
    if (this.#pending.length > 0) return this.#takePending();
    const { eventsPerProbe } = this.#options;
    if (eventsPerProbe === 0 || --this.#eventsLeft > 0) return null;
    if (!this.#scene.server.running) return null;
    this.#eventsLeft = 1 + this.#draw.below(2 * eventsPerProbe);
    return this.#anywhere(`between two events after step ${step}`);
  }

  /** Each member and each leg in turn, before the next event. */
  atRest(where: string): void {
    const scene = this.#scene;
    const standing = scene.standing();
    for (const { path } of [...standing.slots, ...standing.legs]) {
      if (!scene.machine.media.has(path) || !covers(scene, path, 'member')) continue;
      this.#pending.push(() =>
        probe(scene, {
          kind: 'kill',
          fate: everythingKept,
          lose: path,
          again: [],
          closeWindow: true,
          title: `${where}: ${path} lost`,
        }),
      );
    }
  }

  /** Something else for which the world has to stand still, if there is any; its moment is before the next event. */
  meanwhile(act: (() => Promise<void>) | null): void {
    if (act !== null) this.#pending.push(act);
  }

  async #takePending(): Promise<void> {
    for (const act of this.#pending.splice(0)) await act();
  }

  #anywhere(where: string): Promise<void> {
    const scene = this.#scene;
    const draw = this.#draw;
    // A drive that lies about flushes loses with the power what nobody can miss: that is no crash state of ours.
    const kind = draw.chance(0.5) || scene.liars.size > 0 ? 'kill' : 'power';
    const standing = scene.standing();
    const paths = [...standing.slots, ...standing.legs].map(({ path }) => path);
    const one = draw.pick(paths);
    const may = scene.machine.media.has(one) && covers(scene, one, 'member');
    const lose = draw.chance(0.5) && may ? one : null;
    const deaths = draw.below(this.#options.recoveryDeaths + 1);
    const again = Array.from({ length: deaths }, () => 1 + draw.below(60));
    const lost = lose === null ? '' : `, ${lose} lost`;
    const dies = deaths === 0 ? '' : `, recovery dies ${deaths} times`;
    return probe(scene, {
      kind,
      fate: draw.chance(0.25) ? nothingKept : byChance(draw.next),
      lose,
      again,
      closeWindow: lose !== null || draw.chance(0.3),
      title: `${where}: ${kind}${lost}${dies}`,
    });
  }
}
