/**
 * Who a step of a plan means. A path names a drive ("d3", "leg5"); a role names it by what it is at that moment, so that a
 * plan written beforehand meets it: the drive that is away, one that has been pulled out, a member that was replaced. The
 * number picks one of several, in the order in which the machine lists them.
 *
 *   @gone 0        pulled out, a drive or a leg            @member 2     online in a slot
 *   @former 1      a drive that nobody uses (any more)     @leg 0        a leg that is online
 *   @away 0        of the window, away or coming back      @rebuilding 0 being recreated or brought up to date
 *   @spare 0       a spare
 */

import type { Action } from './plan.ts';
import type { Scene } from './scene.ts';

const slotsIn =
  (...states: readonly string[]) =>
  (scene: Scene): string[] =>
    scene
      .standing()
      .slots.filter(({ state, path }) => states.includes(state) && scene.machine.media.has(path))
      .map(({ path }) => path);

/** Drives on the shelf that are in no slot, or out, and no spares. */
export function idleDrives(scene: Scene): string[] {
  const { slots, spares } = scene.standing();
  const isUsed = (own: string): boolean =>
    spares.includes(own) ||
    slots.some(({ path, state }) => path === own && state !== 'failed' && state !== 'missing');
  return scene.machine.drivePaths.filter((path) => !isUsed(path));
}

const roles = {
  gone: (scene: Scene): string[] =>
    [...scene.machine.media.values()]
      .filter(({ path, isVanished }) => isVanished && !scene.dead.has(path))
      .map(({ path }) => path),
  former: idleDrives,
  away: slotsIn('away', 'returning'),
  member: slotsIn('online'),
  rebuilding: slotsIn('rebuilding'),
  spare: (scene: Scene): string[] => [...scene.standing().spares],
  leg: (scene: Scene): string[] =>
    scene
      .standing()
      .legs.filter(({ state, path }) => state === 'online' && scene.machine.media.has(path))
      .map(({ path }) => path),
} as const;

export type Role = keyof typeof roles;

export const asRole = (role: Role, number: number): string => `@${role} ${number}`;

/** null: nobody has that role now. What is no role is a path. */
export function pathOf(scene: Scene, word: string): string | null {
  if (!word.startsWith('@')) return word;
  const [name, number] = word.slice(1).split(' ') as [Role, string];
  const who = roles[name](scene);
  return who.length === 0 ? null : (who[Number(number) % who.length] as string);
}

/** The same step with paths for its roles; null: it has nobody to happen to. */
export function withPaths<T extends Action>(scene: Scene, step: T): T | null {
  let named: T = step;
  if ('path' in step && step.path !== undefined) {
    const path = pathOf(scene, step.path);
    if (path === null) return null;
    named = { ...named, path };
  }
  if ('with' in step && step.with !== undefined) {
    const path = pathOf(scene, step.with);
    if (path === null) return null;
    named = { ...named, with: path };
  }
  return named;
}
