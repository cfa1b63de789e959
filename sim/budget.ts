/**
 * Which faults the promises cover at this moment. A fault may strike a drive only while everything acknowledged still has
 * another way to be read; what the engine says of its members counts, and what it cannot know yet (a drive pulled out a
 * moment ago) counts as well.
 *
 *   outside a window     as many members as the level tolerates, and one leg
 *   in a window          one member besides the one that is away, and one leg
 *   a bad sector         only while every member is whole: it takes the redundancy of its stripe. While frozen also on a
 *                        survivor, if nothing but the drive that is away is missing: what needs it waits for that drive
 *   no log               no member: after a crash, degraded, nobody can say what a half-written stripe held
 *
 * A member that an administrator has asked to be replaced is as good as out from then on: when it goes, nobody is asked
 * again. So is the drive of a window that he has given away as blank, before any record says so. And what a drive is going
 * to do some time (its tenth write fails, or one of its answers comes too late) strikes at that time: a window may have run
 * out by then, and the drive that was away is gone for good.
 */

import type { Uuid } from '../src/base/uuid.ts';
import { bitCount } from '../src/engine/members.ts';
import { DEFAULT_DEADLINE_MS } from '../src/io/deadline-drive.ts';
import type { Action, Config, Harm } from './plan.ts';
import type { Scene } from './scene.ts';

export interface Standing {
  readonly mode: string;
  /** Slots that are not online, by path; '' where no drive is known. */
  readonly slots: readonly StandingSlot[];
  readonly spares: readonly string[];
  readonly legs: readonly StandingLeg[];
  readonly tolerated: number;
  /** Host writes may have left stripes half written that no journal has whole, or may do so from now on. */
  readonly inDoubt: boolean;
}

export interface StandingSlot {
  readonly path: string;
  readonly state: string;
  /** A place to look at, where the member has never been: a server that came up without it knows no other. */
  readonly isGuess: boolean;
  /** None: it has not been seen. */
  readonly labelOffsets: readonly number[];
}

export interface StandingLeg {
  readonly path: string;
  readonly state: string;
  readonly uuid: Uuid | undefined;
  /** By the labels; one that has everything and waits for its record is not. */
  readonly isOut: boolean;
}

/** So many times slower than usual a drive runs into its deadlines: to the volume it is as good as gone. */
const HOPELESS_SLOWNESS = 100;

/** Less is enough where one answer in thousands takes a thousand times as long as usual anyway (`Scene.latencyOf`). */
export function hopelessSlowness({ latency, latencyUs }: Config): number {
  if (latency !== 'heavy') return HOPELESS_SLOWNESS;
  return Math.min(HOPELESS_SLOWNESS, (DEFAULT_DEADLINE_MS * 1000) / (HEAVY_TAIL * latencyUs));
}

/** The longest answer of a drive with `heavy` latency, as a multiple. */
export const HEAVY_TAIL = 1000;

type Trouble = Extract<Action, { do: 'fault' | 'rot' | 'vanish' | 'hang' | 'slow' | 'read-only' }>;

export function harmOf(step: Trouble, config: Config): Harm {
  if ('harm' in step) return step.harm;
  return step.do === 'slow' && step.factor < hopelessSlowness(config) ? 'nothing' : 'member';
}

/** May this drive be taken out by a command? Commands that run beside each other are for the engine to tell apart. */
const coversCommand = (scene: Scene, path: string): boolean =>
  covers(scene, path, 'member', new Set());

/** By an administrator's word or by itself: a member less is a member less. */
export function coversStep(
  scene: Scene,
  step: Extract<Action, { do: 'close-window' | 'fail' | 'remove' | 'replace' }>,
): boolean {
  const { slots } = scene.standing();
  if (step.do === 'close-window') {
    // To take the drive of a window as blank is to lose it.
    const away = slots.find(({ state }) => state === 'away');
    const isLoss = step.rebuild && away !== undefined && scene.machine.media.has(away.path);
    return !isLoss || coversCommand(scene, away.path);
  }
  const { path, state } = slots[step.slot] ?? { path: '', state: 'missing' };
  const isGone = state === 'failed' || state === 'missing';
  return !scene.machine.media.has(path) || isGone || coversCommand(scene, path);
}

/**
 * May the process end now? With stripes half written that no log has, and a member that is out though no record says so yet,
 * that is two losses at once.
 */
export function coversCrash(scene: Scene): boolean {
  if (scene.plan.promise === 'beyond' || !scene.server.running) return true;
  const { inDoubt, slots } = scene.standing();
  const isOut = (path: string): boolean => scene.isHarmed(path) || scene.isJustStruck(path);
  const { busy } = scene.core.metadata;
  return !inDoubt || !slots.some(({ path, state }) => (state === 'online' ? isOut(path) : busy));
}

/** May this drive suffer this? */
export function covers(
  scene: Scene,
  path: string,
  harm: Harm,
  leaving: ReadonlySet<string> = scene.leaving,
): boolean {
  const isOut = (own: string): boolean =>
    leaving.has(own) ||
    scene.asBlank.includes(own) ||
    scene.isHarmed(own) ||
    scene.isJustStruck(own);
  if (scene.plan.promise === 'beyond' || harm === 'nothing') return true;
  const standing = scene.standing();
  if (standing.legs.some((leg) => leg.path === path)) return coversLeg(scene, standing, path);
  if (harm === 'silent') return false;
  if (!standing.slots.some((slot) => slot.path === path)) return true;
  if (standing.inDoubt) return false;
  const absent = slotsWhere(standing, ({ path, state }) => state !== 'online' || isOut(path));
  const one = 1 << standing.slots.findIndex((each) => each.path === path);
  // The drive that is away counts as lost only if it will not come back as it was.
  const lost = slotsWhere(
    standing,
    ({ path: own, state, isGuess }) =>
      isGuess || isOut(own) || !(state === 'online' || state === 'away'),
  );
  if (harm === 'sector') {
    const isSurvivor = standing.slots.some((each) => each.path === path && each.state === 'online');
    const isWhole = standing.mode === 'frozen' ? lost === 0 && isSurvivor : absent === 0;
    return isWhole && !scene.anyLatent();
  }
  if (scene.anyLatent(path)) return false;
  const { tolerated } = standing;
  if (standing.mode !== 'frozen') return bitCount(absent | one) <= tolerated;
  return bitCount(lost | one) <= tolerated && bitCount(absent | one) <= Math.max(tolerated, 2);
}

function slotsWhere(
  standing: Standing,
  holds: (slot: Standing['slots'][number]) => boolean,
): number {
  let mask = 0;
  standing.slots.forEach((each, slot) => {
    if (holds(each)) mask |= 1 << slot;
  });
  return mask;
}

function coversLeg(scene: Scene, standing: Standing, path: string): boolean {
  return standing.legs.some(
    (leg) =>
      leg.path !== path &&
      leg.state === 'online' &&
      !scene.isHarmed(leg.path) &&
      !scene.isJustStruck(leg.path),
  );
}
