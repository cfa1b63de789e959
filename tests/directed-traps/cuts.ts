/**
 * The power is cut, or the server killed, at every moment of one step in the life of a volume: an operation of a drive takes
 * a millisecond, so the moments are milliseconds. What was in a cache is kept or torn as chance has it.
 */

import { Scene, type SceneOptions } from '../unit/engine/scene.ts';

export interface Cut {
  readonly level: number;
  readonly options?: SceneOptions;
  readonly power: boolean;
  /** Milliseconds into the step, from 1 on. */
  readonly through: number;
  readonly every?: number;
  readonly prepare: (scene: Scene) => Promise<void>;
  /** Begins the step; nobody waits for its end. */
  readonly step: (scene: Scene) => void;
}

/** After each cut: everything reads right, and the volume becomes whole again, parity and copies included. */
export async function cutEverywhere(what: string, cut: Cut): Promise<void> {
  for (let atMs = 1; atMs <= cut.through; atMs += cut.every ?? 1) {
    const scene = await Scene.make(cut.level, { seed: atMs, operationMs: 1, ...cut.options });
    const { world } = scene;
    await cut.prepare(scene);
    cut.step(scene);
    await world.pass(atMs);
    scene.crash(cut.power, world.random.next);
    await world.assemble();
    const where = `${what}, cut after ${atMs} ms`;
    await scene.check(where);
    await scene.settle(where);
    world.crash(false);
  }
}
