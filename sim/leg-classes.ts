/**
 * What befalls a leg of the log is counted twice: as what it is for any drive (F-1 … F-24) and as what it is for the log
 * (R-1 … R-11), by which the table of fault classes is read.
 */

import type { DriveFault, Operation } from './faults.ts';
import type { Scene } from './scene.ts';

const classes = {
  fails: 'R-1 one leg fails',
  'last fails': 'R-2 the last leg takes no writes',
  'last unreadable': 'R-3 the last leg cannot be read',
  full: 'R-4 log full',
  damaged: 'R-5 damaged record',
  torn: 'R-6 what a leg had not finished, or not flushed, when the power failed',
  stale: 'R-7 a leg with old contents',
  foreign: 'R-8 refused: the log is another one',
  misplaced: 'R-9 write of a leg lost or misdirected',
  missing: 'R-10 refused: the log is missing',
  slow: 'R-11 a leg is slow or hangs',
} as const;

type LegTrouble = keyof typeof classes;

/** What a start that is refused says about the log. */
const refusals: ReadonlyMap<string, LegTrouble> = new Map([
  ['log-missing', 'missing'],
  ['log-foreign', 'foreign'],
  ['log-stale', 'stale'],
  ['log-damaged', 'damaged'],
]);

const hit = (scene: Scene, trouble: LegTrouble): void =>
  scene.coverage.hit(classes[trouble], scene.state);

/** Only looked at: what the scene remembers of how things stand is for others to bring up to date. */
const inUse = (scene: Scene): string[] =>
  scene.server.running
    ? (scene.core.log?.status().legs ?? [])
        .filter(({ state }) => state === 'online')
        .map(({ path }) => path)
    : [];

/** The leg as a whole. Of one that is not in use nothing is counted. */
export function countLeg(
  scene: Scene,
  path: string,
  trouble: 'fails' | 'slow' | 'damaged' | 'stale',
): void {
  if (!scene.machine.isLeg(path)) return;
  const legs = inUse(scene);
  // One that is stale is back after it was out.
  if (trouble !== 'stale' && !legs.includes(path)) return;
  hit(scene, trouble === 'fails' && legs.length === 1 ? 'last fails' : trouble);
}

/** A single operation, of any drive. */
export function countFault(
  scene: Scene,
  path: string,
  fault: DriveFault,
  operation: Operation,
): void {
  scene.coverage.hit(fault.title, scene.state);
  const legs = scene.machine.isLeg(path) ? inUse(scene) : [];
  if (!legs.includes(path)) return;
  const isLast = legs.length === 1;
  if (fault.effect === 'lost' || fault.effect === 'misdirected') {
    if (operation.kind === 'write') hit(scene, 'misplaced');
  } else if (operation.kind !== 'read') hit(scene, isLast ? 'last fails' : 'fails');
  else if (isLast) hit(scene, 'last unreadable');
}

/** Before the power fails: the tail of the log may be torn then. */
export function countTail(scene: Scene): void {
  const unsafe = scene.machine.logPaths.some((path) => {
    const medium = scene.machine.at(path);
    return medium.unflushed.length > 0 || medium.inFlightWrites().length > 0;
  });
  if (unsafe) hit(scene, 'torn');
}

export function countRefusal(scene: Scene, code: string): void {
  const trouble = refusals.get(code);
  if (trouble !== undefined) hit(scene, trouble);
}

export const countFull = (scene: Scene): void => hit(scene, 'full');
