/** The columns of the matrix: what befalls a volume that is in one of the states, and how it is put right afterwards. */

import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errno.ts';
import { KIB, MIB, type Scene } from '../unit/engine/scene.ts';
import { pathOfY, type State, X } from './matrix-states.ts';

export const faults = [
  'another member is lost',
  'the drive itself is lost for good',
  'one log leg is lost',
  'no log leg takes writes',
  'kill',
  'power cut',
  'bad sectors on another member',
] as const;
export type Fault = (typeof faults)[number];

/** 4 KiB of data in the second half of the member: a chunk, or a part of one. */
const badSectors = (level: number) =>
  ({ offset: MIB + (level === 1 ? 384 : 48) * KIB, lengthBytes: 4 * KIB, errno: EIO }) as const;

/** Where a member cannot be read after this fault; null: everywhere it can. */
export function badOf(
  fault: Fault,
  level: number,
): { path: string; from: number; to: number } | null {
  if (fault !== 'bad sectors on another member') return null;
  const { offset, lengthBytes } = badSectors(level);
  return { path: pathOfY(level), from: offset, to: offset + lengthBytes };
}

/** The drive that a state is about: the one that is away, returning, rebuilt, or was failed. */
const driveOf = (state: State): string => (state === 'rebuilding' ? 'new' : X);

const restart = async (scene: Scene, power: boolean): Promise<void> => {
  scene.crash(power);
  await scene.world.assemble();
};

export const befall: Record<Fault, (scene: Scene, state: State, level: number) => Promise<void>> = {
  'another member is lost': async ({ world }, _state, level) => world.at(pathOfY(level)).vanish(),
  'the drive itself is lost for good': async ({ world }, state) => {
    world.at(driveOf(state)).vanish();
    // In an open window nobody looks for it before the limit is over.
    if (state === 'frozen') await world.v.extendWindow(-30 * 60_000 + 2_000);
  },
  'one log leg is lost': async ({ world }) => world.at('leg0').vanish(),
  'no log leg takes writes': async ({ world }) => {
    for (const leg of world.logPaths) world.at(leg).failWrites({ errno: EIO });
  },
  kill: (scene) => restart(scene, false),
  'power cut': (scene) => restart(scene, true),
  'bad sectors on another member': async ({ world }, _state, level) =>
    world.at(pathOfY(level)).failReads({ ...badSectors(level), untilWritten: true }),
};

/** What is broken is whole again (a cable, a shelf); the server is started anew. */
export async function putRight(scene: Scene): Promise<void> {
  const { world } = scene;
  for (const medium of world.media.values()) {
    medium.reappear();
    medium.clearFaults();
  }
  scene.crash(false);
  const started = await world.tryAssemble();
  assert.ok(started.ok, started.ok ? '' : JSON.stringify(started.problem));
}
