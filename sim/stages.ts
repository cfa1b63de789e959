/**
 * What a volume is doing, for steps that wait for it. These are the words of the status, found from the same facts as there,
 * but without a status: they are asked after every event. Other than there one does not hide another: a volume that is
 * suspended while it is frozen is in both stages.
 */

import type { VolumeCore } from '../src/engine/volume-core.ts';
import type { Scene } from './scene.ts';

export const stages = [
  'starting',
  'degraded',
  'resyncing',
  'rebuilding',
  'freezing',
  'frozen',
  'second failure',
  'returning',
  'replaying',
  'replaying alone',
  'thawing',
  'suspended',
  'halted',
] as const;
export type Stage = (typeof stages)[number];

const isOut = ({ members, window }: VolumeCore): boolean =>
  members.slots.some(
    ({ slot, state }) => slot !== window?.slot && (state === 'failed' || state === 'missing'),
  );

const holds: Readonly<Record<Exclude<Stage, 'starting'>, (core: VolumeCore) => boolean>> = {
  degraded: (core) => core.degraded && core.mode === 'direct',
  resyncing: (core) => core.resync !== null && core.mode === 'direct',
  rebuilding: ({ members }) => members.slots.some(({ state }) => state === 'rebuilding'),
  freezing: ({ window }) => window?.state === 'freezing',
  frozen: ({ mode }) => mode === 'frozen',
  'second failure': (core) => core.mode === 'frozen' && isOut(core),
  returning: ({ window }) => window?.state === 'returning',
  replaying: ({ mode }) => mode === 'replaying',
  'replaying alone': (core) => core.mode === 'replaying' && isOut(core),
  thawing: ({ window }) => window?.state === 'thawing',
  suspended: ({ writesHeld }) => writesHeld > 0,
  halted: ({ halted }) => halted,
};

export function isIn({ server }: Scene, stage: Stage): boolean {
  if (stage === 'starting') return server.alive && !server.running;
  return server.running && holds[stage](server.volume.core);
}
