/** What the scene makes of an event of the engine at the moment in which it is told. */

import type { LocumEvent } from '../src/core/status.ts';
import { countFull } from './leg-classes.ts';
import type { Scene } from './scene.ts';

export function hear(scene: Scene, kind: string, detail: LocumEvent['detail']): void {
  if (kind === 'drive-failed') scene.oracle.copyLost();
  if (kind === 'second-failure') scene.openReads.secondFailure(scene);
  if (kind === 'log-95') countFull(scene);
  if (kind === 'return-failed') giveUpDrive(scene);
  // An image of it that was taken since the freeze: it has been looked at, and is what it was.
  if (kind === 'drive-readmitted') scene.changed.delete(String(detail['path']));
}

/** It was being rebuilt in its window, and is no more what it was when it left. */
function giveUpDrive(scene: Scene): void {
  const { window, members } = scene.core;
  if (window !== null) scene.changed.add(members.at(window.slot).path);
}
