/**
 * What the alarms of a log ask an operator to do: a new leg in the place of one that is out, copied from the other; and new
 * legs altogether when none is left to copy from, which is only to be had while no window is open.
 */

import type { VolumeStatus } from '../src/core/status.ts';
import type { KillScene } from './kill-scene.ts';

/** Something is out, and can be given a new one: of a window without any leg it is the drive that has to come back. */
export function isLogToMend({ log, window, alarms }: VolumeStatus): boolean {
  if (log === null || alarms.some(({ code }) => code === 'volume-stopped')) return false;
  const isOut = log.legs.some(({ state }) => state !== 'online');
  return isOut && (window === null || !isLost(log));
}

/** False when it was refused, or not answered. */
export async function mendLog(scene: KillScene, { log }: VolumeStatus): Promise<boolean> {
  const out = (log?.legs ?? []).filter(({ state }) => state !== 'online');
  const [first] = out;
  if (log === null || first === undefined) return true;
  const sizeBytes = scene.shape.logBytes;
  const mended = isLost(log) ? out : [first];
  const reply = isLost(log)
    ? await scene.of('log', { logs: log.legs.map(() => scene.newFile('l')), sizeBytes })
    : await scene.of('log/replace', { leg: first.path, with: scene.newFile('l'), sizeBytes });
  if (reply.kind !== 'done') return false;
  for (const { path } of mended) scene.pulled.delete(path);
  return true;
}

const isLost = ({ legs }: NonNullable<VolumeStatus['log']>): boolean =>
  legs.length > 0 && legs.every(({ state }) => state !== 'online');
