/** What befalls drives: the steps of a plan that break something, and those that bring it back in whatever condition. */

import { harmOf } from './budget.ts';
import type { LabelWatch } from './checks.ts';
import { useElsewhere } from './elsewhere.ts';
import { countLeg } from './leg-classes.ts';
import type { SimMedium } from './medium.ts';
import { otherAt } from './other-drives.ts';
import type { Action } from './plan.ts';
import type { Scene } from './scene.ts';

type Trouble = Extract<Action, { do: 'fault' | 'rot' | 'vanish' | 'hang' | 'slow' | 'read-only' }>;

export function strikeDrive(scene: Scene, step: Trouble): void {
  const medium = scene.machine.at(step.path);
  const { state } = scene;
  switch (step.do) {
    case 'fault':
      if (harmOf(step, scene.plan.config) === 'member') scene.fatal.add(step.fault);
      medium.addFault(step.fault);
      return;
    case 'rot': {
      scene.coverage.hit('F-8 bit rot', state);
      countLeg(scene, step.path, 'damaged');
      const bytes = medium.bytes.slice(step.offset, step.offset + step.lengthBytes);
      medium.overwrite(
        step.offset,
        bytes.map((byte) => byte ^ 0x5a),
      );
      scene.changed.add(step.path);
      scene.taint(step.path, step.offset, step.lengthBytes);
      return;
    }
    case 'vanish':
      scene.coverage.hit('F-14 vanishes', state);
      countLeg(scene, step.path, 'fails');
      scene.vanishedAtUs.set(step.path, scene.world.nowUs);
      return medium.vanish();
    case 'hang':
      scene.coverage.hit('F-10 hangs', state);
      countLeg(scene, step.path, 'slow');
      return medium.hang();
    case 'slow':
      scene.coverage.hit('F-9 slow', state);
      countLeg(scene, step.path, 'slow');
      return medium.slow(step.factor);
    case 'read-only':
      scene.coverage.hit('F-21 read-only', state);
      countLeg(scene, step.path, 'fails');
      return medium.setReadOnly();
  }
}

/** What befalls the server and no drive. */
export function upset(scene: Scene, step: Extract<Action, { do: 'clock-jump' | 'stall' }>): void {
  const { world, coverage, state } = scene;
  if (step.do === 'stall') {
    coverage.hit('C-5 the process stands still', state);
    world.stall(step.forMs * 1000);
  } else {
    coverage.hit('C-7 the clock jumps', state);
    world.setClock(step.byMs);
  }
}

/** Contents that a drive may be rolled back to; null: those of all members and legs. */
export function keepImages(scene: Scene, path: string | null): void {
  const { slots, legs } = scene.standing();
  const paths = path === null ? [...slots, ...legs].map((each) => each.path) : [path];
  for (const each of paths) {
    const medium = scene.machine.media.get(each);
    // What another server has made of one is no older image of it.
    const isElsewhere = otherAt(scene, each) === 'elsewhere';
    if (medium !== undefined && !isElsewhere) scene.snapshots.set(each, medium.image());
  }
}

const returns = {
  same: 'F-15 is back, the same',
  stale: 'F-16 is back, stale',
  snapshot: 'F-16 is back, rolled back',
  blank: 'O-6 is back, blank',
  smaller: 'F-19 is back, smaller',
  larger: 'F-19 is back, larger',
  cloned: 'F-18 is back, and its clone',
  blocks: 'F-20 is back, with other blocks',
} as const;

type Reappear = Extract<Action, { do: 'reappear' }>;

/** At once (null), or by what it returns, while the world stands still. */
export function comeBack(
  scene: Scene,
  step: Reappear,
  labels: LabelWatch,
): (() => Promise<void>) | null {
  if (mayBeElsewhere(scene, step)) return () => comeFromElsewhere(scene, step, labels);
  reappear(scene, step, labels);
  return null;
}

/**
 * Used by another server: a member that is on record as out, so that this volume has gone on without it. The world has to
 * stand still meanwhile, and what is promised has to be something: whose last copy may be the only one, nobody can tell.
 */
const mayBeElsewhere = (scene: Scene, { path, as }: Reappear): boolean =>
  as === 'elsewhere' &&
  scene.plan.promise === 'covered' &&
  // What two hosts have done to it one after the other may be more than any record tells; of a blank one they make another.
  !scene.changed.has(path) &&
  isGone(scene, path) &&
  scene.standing().slots.some((slot) => slot.path === path && slot.state !== 'online');

async function comeFromElsewhere(scene: Scene, step: Reappear, labels: LabelWatch): Promise<void> {
  const { path } = step;
  // It may be back by another step of the same moment, or blank.
  if (!mayBeElsewhere(scene, step)) return reappear(scene, step, labels);
  scene.others.delete(path);
  const image = await useElsewhere(scene, path);
  if (image === null) {
    scene.coverage.count('drives that no other server could use');
    return reappear(scene, { ...step, as: 'same' }, labels);
  }
  const medium = scene.machine.at(path);
  scene.coverage.hit('F-17 is back, used elsewhere', scene.state);
  scene.world.trace.line(`${path} was used elsewhere`);
  medium.setBlocks(true);
  medium.restore(image);
  labels.forget(path);
  scene.changed.add(path);
  scene.rolledBack.delete(path);
  scene.others.set(path, 'elsewhere');
  scene.givenAway.delete(path);
  scene.vanishedAtUs.delete(path);
  medium.sever();
  medium.reappear();
}

const isGone = ({ machine, dead }: Scene, path: string): boolean =>
  machine.media.get(path)?.isVanished === true && !dead.has(path);

/** As it is to be, but for what is not possible at its moment: then as near to it as may be. */
function reappear(scene: Scene, step: Reappear, labels: LabelWatch): void {
  const { path } = step;
  if (!isGone(scene, path)) return;
  const as = step.as === 'elsewhere' ? 'same' : step.as;
  const medium = scene.machine.at(path);
  // Of one that nobody knows to have been out no record says what it lacks: it is silently wrong. With all others out as
  // well there was no member to put it on record.
  const { slots } = scene.standing();
  const isInUse = (at: string): boolean =>
    slots.some((slot) => slot.path === at && slot.state === 'online');
  const isMember = slots.some((slot) => slot.path === path);
  const isUnnoticed = isInUse(path) || (isMember && !slots.some((slot) => isInUse(slot.path)));
  if (as === 'snapshot' && isUnnoticed && scene.plan.promise === 'covered') {
    scene.coverage.count('faults not covered at their moment');
    return;
  }
  const image = as === 'snapshot' ? (scene.snapshots.get(path) ?? null) : null;
  const kind = as === 'snapshot' && image === null ? 'blank' : as;
  const title = kind === 'same' && isStale(scene, path) ? 'stale' : kind;
  scene.coverage.hit(returns[title], scene.state);
  if (title === 'stale' || title === 'snapshot') countLeg(scene, path, 'stale');
  if (as === 'snapshot' || as === 'blank') {
    medium.restore(image);
    labels.forget(path);
    scene.changed.add(path);
    scene.rolledBack.delete(path);
    scene.others.delete(path);
    if (image !== null) scene.rolledBack.add(path);
  }
  // An open handle is one of the drive that was pulled out. The same one, as it was, may be reached by it again.
  if (as !== 'same' && as !== 'cloned') medium.sever();
  setBlocks(scene, medium, as);
  if (as === 'smaller') medium.resize(medium.sizeBytes / 2);
  if (as === 'larger') medium.resize(medium.bytes.length);
  if (as === 'cloned') {
    const isLeg = scene.machine.isLeg(path);
    const clone = isLeg ? scene.addLeg() : scene.addDrive();
    clone.restore(medium.image());
    scene.clones.set(clone.path, path);
    if (otherAt(scene, path) === 'elsewhere') scene.others.set(clone.path, 'elsewhere');
  }
  scene.vanishedAtUs.delete(path);
  medium.reappear();
}

/** They stay as they are until the next time that it is back. */
function setBlocks(scene: Scene, medium: SimMedium, as: Reappear['as']): void {
  const { others } = scene;
  const { path } = medium;
  if (medium.setBlocks(as !== 'blocks')) medium.sever();
  if (as === 'blocks' && otherAt(scene, path) === undefined) {
    others.set(path, 'blocks');
    scene.givenAway.delete(path);
  }
  if (as !== 'blocks' && others.get(path) === 'blocks') others.delete(path);
}

/** The volume has gone on without it: it is as it was, and that is no longer how it should be. */
function isStale(scene: Scene, path: string): boolean {
  const { slots, legs } = scene.standing();
  const { state } = [...slots, ...legs].find((each) => each.path === path) ?? { state: 'none' };
  if (state === 'online' || state === 'away' || state === 'returning') return false;
  if (!scene.server.running) return true;
  const { members, window, mode } = scene.core;
  const member = members.slots.find((each) => each.path === path);
  const isFrozen = mode === 'frozen' && member !== undefined && window !== null;
  return !isFrozen || member.eventsAtChange < window.frozenEvents;
}
