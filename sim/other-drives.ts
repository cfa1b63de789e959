/**
 * Drives that are back as no volume may take them for its own, and what is held against the volume that meets one:
 *
 *   elsewhere   another server has used it meanwhile, and written to it (F-17). It is refused, or left out of a start, which
 *               an operator settles by leaving it out himself
 *   blocks      it has the other size of blocks (F-20). For as long as the volume knows what it had at the freeze it is
 *               refused; outside a window both sizes are used alike
 *
 * Whatever is said of it, nothing is written to it, until an operator has it taken as a blank one. Then it is one of the
 * volume as soon as it has another superblock: what has only reached its cache a power cut takes back, and it is what it was
 * once more.
 */

import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET_BYTES } from '../src/core/format/superblock.ts';
import type { Outcome } from '../src/core/problems.ts';
import type { SimMedium } from './medium.ts';
import { Objection, objectTo } from './objection.ts';
import type { Action } from './plan.ts';
import type { Scene } from './scene.ts';

export type OtherDrive = 'elsewhere' | 'blocks';

/**
 * By what a drive is refused that somebody brings, when it can be read; any other code is about the moment and not about the
 * drive.
 */
const ofDrives: ReadonlySet<string> = new Set([
  'drive-blank',
  'drive-changed',
  'drive-foreign',
  'drive-has-data',
  'drive-stale',
  'history-split',
  'window-verify-mismatch',
]);

const documented: Readonly<Record<OtherDrive, ReadonlySet<string>>> = {
  // Changed: its blocks may be others as well.
  elsewhere: new Set(['drive-changed', 'drive-has-data', 'drive-stale', 'history-split']),
  blocks: new Set(['drive-changed']),
};

/** By what lies on it at this moment. */
export function otherAt(scene: Scene, path: string): OtherDrive | undefined {
  const kind = scene.others.get(path);
  return isMadeNew(scene, path) ? undefined : kind;
}

/** Given away as blank, and no longer with the superblock that it had then. */
function isMadeNew({ machine, givenAway }: Scene, path: string): boolean {
  const before = givenAway.get(path);
  return before !== undefined && !superblockOf(machine.at(path)).every((x, i) => x === before[i]);
}

const superblockOf = ({ bytes }: SimMedium): Uint8Array =>
  bytes.subarray(SUPERBLOCK_OFFSET_BYTES, SUPERBLOCK_OFFSET_BYTES + SUPERBLOCK_BYTES);

/** Called before a write takes effect, in forks as well. */
export function staysAsItIs(scene: Scene, medium: SimMedium, offset: number): void {
  const { path } = medium;
  const kind = otherAt(scene, path);
  if (kind === undefined || (kind === 'blocks' && !isRefusedForBlocks(scene, path))) return;
  if (scene.forkDepth === 0 && scene.asBlank.includes(path)) return;
  // With nobody left who has it open, it is what was on its way when the process died to which it had been given.
  if (scene.givenAway.has(path) && !medium.isOpen) return;
  const why = kind === 'blocks' ? 'has other blocks' : 'was used elsewhere';
  throw new Objection('identity', `${path}, which ${why}, was written at ${offset}`);
}

/** The window that is open has seen it leave with other blocks than it has; a server that came up since has not. */
export function differsInBlocks(scene: Scene, path: string): boolean {
  if (scene.forkDepth > 0 || !scene.server.running) return false;
  const { window, members } = scene.core;
  if (window === null || members.at(window.slot).path !== path) return false;
  return window.blockBytes !== null && window.blockBytes !== scene.machine.at(path).blockBytes;
}

/** A blank one is as good as any new drive, whatever its blocks are. */
const isRefusedForBlocks = (scene: Scene, path: string): boolean =>
  differsInBlocks(scene, path) && !scene.changed.has(path);

export interface Brought {
  readonly path: string;
  readonly kind: OtherDrive;
}

/** Of whom a command is, if he is such a drive, and the command does not say that he is to be taken as blank. */
export function broughtBy(scene: Scene, action: Action): Brought | null {
  const path = pathIn(scene, action);
  const kind = path === null ? undefined : otherAt(scene, path);
  if (path === null || kind === undefined) return null;
  if (action.do === 'close-window' && action.rebuild) return null;
  return kind === 'elsewhere' || (action.do === 'close-window' && isRefusedForBlocks(scene, path))
    ? { path, kind }
    : null;
}

function pathIn(scene: Scene, action: Action): string | null {
  if (action.do === 'add-back') return action.path;
  if (action.do === 'replace') return action.with ?? null;
  if (action.do !== 'close-window') return null;
  const { window, members } = scene.core;
  return window === null ? null : members.at(window.slot).path;
}

/** Whatever comes back to the window is blank from here on, until `asked` is answered. */
export async function givenAsBlank<T>(
  scene: Scene,
  { drivePath, rebuild }: { readonly drivePath: string | null; readonly rebuild: boolean },
  asked: () => Promise<T>,
): Promise<T> {
  const { asBlank, core, givenAway, machine } = scene;
  const { window, members } = core;
  const path = drivePath ?? (window === null ? null : members.at(window.slot).path);
  if (!rebuild || path === null) return asked();
  asBlank.push(path);
  if (otherAt(scene, path) !== undefined)
    givenAway.set(path, superblockOf(machine.at(path)).slice());
  try {
    return await asked();
  } finally {
    const at = asBlank.indexOf(path);
    if (at >= 0) asBlank.splice(at, 1);
  }
}

/** Refused, as it is written. One that has gone, or come back as itself, meanwhile is nobody's business here. */
export function judgeRefusal(
  scene: Scene,
  brought: Brought | null,
  outcome: Outcome<unknown>,
): void {
  if (brought === null || otherAt(scene, brought.path) !== brought.kind) return;
  const { path, kind } = brought;
  // Beyond the promises something else may have been wrong with it in the moment in which it was looked at.
  const isSound = scene.plan.promise === 'covered';
  if (kind === 'blocks' && !(isSound && isRefusedForBlocks(scene, path))) return;
  const code = outcome.ok ? 'taken' : outcome.problem.code;
  if (!outcome.ok && !ofDrives.has(code)) return;
  objectTo('identity', !documented[kind].has(code), () => `${path}, ${kind}: ${code}`);
  const what = kind === 'blocks' ? 'drives with other blocks' : 'drives used elsewhere';
  scene.coverage.count(`${what} refused: ${code}`);
}

/** Whoever has changed its blocks changes them back; it is the drive that left then. */
export function setRight(scene: Scene, path: string): void {
  const medium = scene.machine.at(path);
  if (!medium.setBlocks(true)) medium.setBlocks(false);
  medium.sever();
  scene.others.delete(path);
}

/** A start names one: whoever knows that it was used elsewhere leaves it out. */
export const usedElsewhere = (scene: Scene): readonly string[] =>
  scene.machine.drivePaths.filter((path) => otherAt(scene, path) === 'elsewhere');

/** Who forces a start looks at what he gives: it takes the newest there is for the truth, wherever that was made. */
export const withholdElsewhere = (scene: Scene): void =>
  scene.machine.takeOut(usedElsewhere(scene));
