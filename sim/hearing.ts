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
  if (kind === 'rebuild-done') isMember(scene, Number(detail['slot']));
  if (kind === 'replay-started') isTakenBack(scene);
}

/** What it had before is no more, whoever has asked for that. */
function isMember(scene: Scene, slot: number): void {
  if (!scene.server.running) return;
  const { path, state } = scene.core.members.at(slot);
  // Severed: in its place lies another one since, of which nobody has heard.
  const isThere = scene.machine.media.get(path)?.isSevered === false;
  if (state === 'online' && isThere) scene.changed.delete(path);
}

/** The replay begins with it: it has been compared with the others, or made from them. */
function isTakenBack(scene: Scene): void {
  const window = scene.server.running ? scene.core.window : null;
  if (window !== null) isMember(scene, window.slot);
}

/** It was being rebuilt in its window, and is no more what it was when it left. */
function giveUpDrive(scene: Scene): void {
  const { window, members } = scene.core;
  if (window !== null) scene.changed.add(members.at(window.slot).path);
}
