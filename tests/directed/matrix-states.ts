/**
 * The rows of the matrix: each state of a volume, reached as an operator would reach it, and held there by drives and
 * jobs that take their time.
 *
 * Slots: X (1) is the one that is away, returning, failed or being rebuilt. F (0) is the one that failed in the window or
 * before. Y (the last) is the one that the second fault strikes. In a mirror of two, F and Y are the same drive.
 */

import assert from 'node:assert/strict';
import { closeRequest, KIB, MIB, Scene, windowRequest } from '../unit/engine/scene.ts';

export const matrixLevels = [1, 3, 4, 5] as const;
export const X = 'd1';
export const F = 'd0';

export const states = [
  'optimal',
  'unclean',
  'resyncing',
  'degraded',
  'rebuilding',
  'about to freeze',
  'freezing',
  'frozen',
  'frozen, one failed',
  'returning',
  'replaying',
  'replaying, one failed',
  'thawing',
] as const;
export type State = (typeof states)[number];

const membersOf = (level: number): number => (level === 1 ? 2 : 4);
export const pathOfY = (level: number): string => `d${membersOf(level) === 2 ? 0 : 3}`;

async function make(level: number, seed: number, logDirect: 0 | 1): Promise<Scene> {
  const limits = {
    logDirect,
    replayZoneBytes: 4 * KIB,
    replayStripesAtOnce: 1,
    sweepStepBytes: 4 * KIB,
    sweepBytesPerSecond: (level === 1 ? 256 : 16) * KIB,
  };
  const scene = await Scene.make(level, {
    seed,
    members: membersOf(level),
    // Enough stripes for a replay to be caught in the middle.
    memberBytes: MIB + (level === 1 ? 512 : 64) * KIB,
    operationMs: 1,
    limits,
  });
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  await write(scene, 6);
  return scene;
}

/** In the first half: what lies in the second is on the members only, whatever the state. */
export async function write(scene: Scene, count: number): Promise<void> {
  const { random } = scene.world;
  const half = scene.model.sectors / 2;
  for (let i = 0; i < count; i++) await scene.put(random.below(half - 24), 1 + random.below(24));
}

async function fail(scene: Scene, slot: string): Promise<void> {
  assert.ok((await scene.world.until(scene.world.v.failDrive(slot))).ok);
}

async function openWindow(scene: Scene): Promise<void> {
  await scene.open('1', { onDoubleAbsence: 'error' });
  await write(scene, 20);
}

/** Until the window is in this state, and a little on. */
async function windowIs(scene: Scene, state: string, onMs: number): Promise<void> {
  for (let i = 0; i < 4_000 && scene.core.window?.state !== state; i++) await scene.world.pass(1);
  await scene.world.pass(onMs);
  assert.equal(scene.core.window?.state, state);
}

const close = (scene: Scene, verify: 'recent' | 'full'): void =>
  void scene.world.v.closeWindow(closeRequest({ verify })).catch(() => {});

const enter: Record<State, (scene: Scene) => Promise<void>> = {
  optimal: async () => {},
  // Started after a crash with stripes half written: made whole from the log, nothing is in doubt.
  unclean: async (scene) => {
    scene.begin(0, 40);
    await scene.world.pass(6);
    scene.crash(true, scene.world.random.next);
    await scene.world.assemble();
  },
  // Without the log of every stripe, or a mirror.
  resyncing: async (scene) => {
    scene.crash(false);
    await scene.world.assemble();
  },
  degraded: async (scene) => {
    await fail(scene, '1');
    await write(scene, 6);
  },
  rebuilding: async (scene) => {
    await fail(scene, '1');
    await scene.replace(1, 'new');
    await scene.world.pass(1_000);
  },
  // Host I/O is held, members are being flushed; nothing of the window is on record.
  'about to freeze': async (scene) => {
    const opening = scene.world.v.openWindow(windowRequest('1', { onDoubleAbsence: 'error' }));
    opening.catch(() => {});
    await scene.world.pass(1);
    assert.equal(scene.core.window, null);
    assert.ok(scene.core.gate.closed);
  },
  // The labels are being written.
  freezing: async (scene) => {
    const opening = scene.world.v.openWindow(windowRequest('1', { onDoubleAbsence: 'error' }));
    opening.catch(() => {});
    await windowIs(scene, 'freezing', 0);
  },
  frozen: openWindow,
  'frozen, one failed': async (scene) => {
    await openWindow(scene);
    await fail(scene, '0');
    await write(scene, 6);
  },
  returning: async (scene) => {
    await openWindow(scene);
    close(scene, 'full');
    await windowIs(scene, 'returning', 10);
  },
  replaying: async (scene) => {
    await openWindow(scene);
    close(scene, 'recent');
    await windowIs(scene, 'replaying', 15);
  },
  'replaying, one failed': async (scene) => {
    await openWindow(scene);
    await fail(scene, '0');
    close(scene, 'recent');
    await windowIs(scene, 'replaying', 15);
  },
  thawing: async (scene) => {
    await openWindow(scene);
    await scene.world.v.extendWindow(-30 * 60_000 + 1_500);
    await windowIs(scene, 'thawing', 15);
  },
};

/** The word that status has for the row; `freezing` and the others of a window are the window's own. */
export async function inState(level: number, state: State): Promise<Scene> {
  const scene = await make(
    level,
    100 * level + states.indexOf(state),
    state === 'resyncing' ? 0 : 1,
  );
  await enter[state](scene);
  if (state === 'about to freeze') return scene;
  const word = scene.core.window?.state ?? scene.state;
  const dirty = level === 1 ? 'resyncing' : 'optimal';
  const expected = state
    .replace(', one failed', '')
    .replace('frozen', 'open')
    .replace('unclean', dirty);
  assert.equal(word, expected, `the row is not reached: ${scene.recent}`);
  return scene;
}
