/**
 * A copy of a member or of a leg that somebody has plugged in. Beside its original a start refuses it. Alone it is the drive
 * itself as far as any record tells: what hosts wrote since it was made is on no record, only on the original. So whoever
 * has made one keeps it back while the original is in use and may not be found by a start; no promise covers that. A copy of
 * one that is on record as out may turn up at any time.
 */

import type { Scene } from './scene.ts';

export function withholdCopies(scene: Scene): void {
  if (scene.clones.size === 0) return;
  const { slots, legs } = scene.standing();
  const used = new Set(
    [...slots, ...legs]
      .filter(({ state }) => state !== 'failed' && state !== 'missing')
      .map(({ path }) => path),
  );
  const odd = [...scene.clones]
    .filter(([copy, of]) => used.has(of) && !used.has(copy) && scene.isHarmed(of))
    .map(([copy]) => copy);
  scene.machine.takeOut(odd);
}
