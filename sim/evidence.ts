/**
 * What no record can tell any more, because the drives that held the record are gone or are not what they were. No server
 * could know then what is missing, and nobody answers for what is read. Only beyond the promises.
 */

import { BLOCK_BYTES } from '../src/base/units.ts';
import { isMoving } from '../src/core/assembly-slots.ts';
import type { LabelResult } from '../src/core/format/label.ts';
import { decodeLabel, newestLabel } from '../src/core/format/label-codec.ts';
import { decodeLegHeader } from '../src/core/format/leg-header.ts';
import type { StandingLeg } from './budget.ts';
import type { Scene } from './scene.ts';

/**
 * Every member that was in use is gone or harmed, and one that answers is not what it was: rolled back, with labels that
 * say nothing of it. What it lacks was on the others, or on itself.
 */
export function membersAreLost(scene: Scene, lost: string | null): boolean {
  const { stood } = scene;
  if (scene.plan.promise === 'covered' || stood === null) return false;
  const used = stood.slots.filter(({ state }) => state === 'online').map(({ path }) => path);
  const isGone = (path: string): boolean => path === lost || scene.isHarmed(path);
  return used.some((path) => path !== lost && scene.changed.has(path)) && used.every(isGone);
}

/**
 * Every leg that is left has silently lost something, a flush that it did not carry out or a write. The next server cannot
 * know of it: records that were answered are missing, or stripe images that were released are redone over newer data.
 * Only beyond the promises, which leave one honest leg.
 */
export function logIsLost(scene: Scene, without: string | null): boolean {
  const { stood } = scene;
  if (scene.plan.promise === 'covered' || stood === null) return false;
  const { legs, slots } = stood;
  const left = legs.filter(({ path, state }) => state === 'online' && path !== without);
  if (left.length > 0) {
    const isChanged = left.some(({ path }) => scene.changed.has(path));
    return isChanged && left.every(({ path }) => scene.isHarmed(path));
  }
  // Which of them failed last was on the last one, when no member was there to keep it.
  const isKept = slots.some(({ path, state }) => state === 'online' && !scene.isHarmed(path));
  return !isKept && legs.some(({ path }) => scene.changed.has(path));
}

/**
 * Lost with its last leg is also the record that the other one had missed something, when no member was there to keep it:
 * the other then looks like a leg that has everything. So it is once that last leg has failed as well, and is still all
 * that knows. Only beyond the promises, which leave a member to write on. With `lost` null: of what is gone already.
 */
export function forgetsLeg(scene: Scene, lost: string | null): boolean {
  const { stood } = scene;
  if (scene.plan.promise === 'covered' || stood === null) return false;
  const { legs, slots, mode } = stood;
  const online = legs.filter(({ state }) => state === 'online');
  const gone = legs.filter(({ path }) => path === lost || isSilent(scene, path));
  const wasLast = online.length === 0 && gone.some(({ path }) => knowsOfAnother(scene, path));
  const isLast = online.length === 1 && gone.includes(online[0] as StandingLeg) && legs.length > 1;
  if (!(isLast || wasLast)) return false;
  const left = legs.filter((leg) => leg.isOut && !gone.includes(leg));
  if (left.length === 0 || areOnRecord(scene, left)) return false;
  // What has halted a volume may be well again; it is written to only by the next server.
  const isHalted = mode === 'halted';
  return isHalted || !slots.some(({ path, state }) => state === 'online' && !scene.isHarmed(path));
}

/**
 * Lost with its last member is all that knows of legs that have failed, or that a window is over, when no leg was left to
 * keep it: a member that was out by then and a leg that had failed look like the window, open as they left it. Only beyond
 * the promises, which leave a leg.
 */
export function forgetsWindow(scene: Scene, lost: string | null): boolean {
  const { stood } = scene;
  if (scene.plan.promise === 'covered' || stood === null) return false;
  const { legs, slots } = stood;
  if (legs.length === 0 || legs.some(({ state }) => state === 'online')) return false;
  const isLeft = ({ path }: { path: string }): boolean => path !== lost && !scene.isHarmed(path);
  if (slots.some((slot) => slot.state === 'online' && isLeft(slot))) return false;
  const answers = (path: string): boolean =>
    path !== lost && scene.machine.media.get(path)?.isVanished === false;
  // One rolled back to within the window looks no different from one that left it. With a leg absent that it has in use the
  // next server has to ask.
  const isThere = (slot: { path: string }): boolean =>
    scene.rolledBack.has(slot.path)
      ? answers(slot.path) && legs.every((leg) => answers(leg.path))
      : isLeft(slot);
  return slots.some((slot) => isThere(slot) && looksOpen(scene, slot.path));
}

/** By the newest of its labels a window is open, and some leg has everything. */
function looksOpen(scene: Scene, path: string): boolean {
  const { layout } = scene.core.members.slots.find((member) => member.path === path) ?? {};
  if (layout === null || layout === undefined) return false;
  const { bytes } = scene.machine.at(path);
  const label = newestLabel(
    ...(layout.labelOffsets.map((at) => decodeLabel(bytes.subarray(at, at + BLOCK_BYTES))) as [
      LabelResult,
      LabelResult,
    ]),
  );
  if (label.kind !== 'label') return false;
  const { window, log } = label.value;
  return (
    window !== null &&
    !isMoving(window) &&
    log?.legs.some(({ state }) => state === 'online') === true
  );
}

/** By the header on this leg another one is out. */
function knowsOfAnother(scene: Scene, path: string): boolean {
  const medium = scene.machine.media.get(path);
  const header = medium && decodeLegHeader(medium.bytes.slice(0, BLOCK_BYTES));
  return header?.legs.some(({ state }) => state === 'failed') === true;
}

/** The label of some member that can be read says of each of these legs that it is out. */
function areOnRecord(scene: Scene, legs: readonly StandingLeg[]): boolean {
  return (scene.stood?.slots ?? []).some(({ path, labelOffsets }) => {
    const medium = scene.machine.media.get(path);
    if (medium === undefined) return false;
    if (scene.isHarmed(path) && !medium.isReadOnly) return false;
    const labels = labelOffsets.map((at) =>
      decodeLabel(medium.bytes.subarray(at, at + BLOCK_BYTES)),
    );
    return labels.some(
      (label) =>
        label.kind === 'label' &&
        legs.every((leg) =>
          label.value.log?.legs.some(({ uuid, state }) => uuid === leg.uuid && state === 'failed'),
        ),
    );
  });
}

/** Of a leg that a server came up without nobody knows the place; it may be there. */
function isSilent(scene: Scene, path: string): boolean {
  const medium = scene.machine.media.get(path);
  return medium !== undefined && (medium.isVanished || medium.isHung);
}
