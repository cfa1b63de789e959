/** What befalls drives: the steps of a plan that break something, and those that bring it back in whatever condition. */

import { harmOf } from './budget.ts';
import type { LabelWatch } from './checks.ts';
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
      scene.vanishedAtUs.set(step.path, scene.world.nowUs);
      return medium.vanish();
    case 'hang':
      scene.coverage.hit('F-10 hangs', state);
      return medium.hang();
    case 'slow':
      scene.coverage.hit('F-9 slow', state);
      return medium.slow(step.factor);
    case 'read-only':
      scene.coverage.hit('F-21 read-only', state);
      return medium.setReadOnly();
  }
}

const returns = {
  same: 'F-15 is back, the same',
  snapshot: 'F-16 is back, rolled back',
  blank: 'O-6 is back, blank',
  smaller: 'F-19 is back, smaller',
  cloned: 'F-18 is back, and its clone',
} as const;

export function reappear(
  scene: Scene,
  { path, as }: Extract<Action, { do: 'reappear' }>,
  labels: LabelWatch,
): void {
  const medium = scene.machine.media.get(path);
  if (medium === undefined || !medium.isVanished || scene.dead.has(path)) return;
  scene.coverage.hit(returns[as], scene.state);
  if (as === 'snapshot' || as === 'blank') {
    medium.restore(as === 'blank' ? null : (scene.snapshots.get(path) ?? null));
    labels.forget(path);
    scene.changed.add(path);
  }
  // An open handle is one of the drive that was pulled out. The same one, as it was, may be reached by it again.
  if (as !== 'same' && as !== 'cloned') medium.sever();
  if (as === 'smaller') medium.resize(medium.sizeBytes / 2);
  if (as === 'cloned') {
    const isLeg = scene.machine.logPaths.includes(path);
    const clone = isLeg ? scene.addLeg() : scene.addDrive();
    clone.restore(medium.image());
    scene.clones.set(clone.path, path);
  }
  scene.vanishedAtUs.delete(path);
  medium.reappear();
}
