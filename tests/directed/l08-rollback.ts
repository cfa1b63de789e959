/**
 * L8: a superblock restored from a snapshot (TigerBeetle, found by Jepsen) made the server panic at each start. Here any
 * one copy of a label, any two copies, and whole drives are put back to an older state, in every state of the volume. One
 * copy never matters. More is refused by name, or started; what is read is always right, and with the copies put right
 * again the volume starts as if nothing had been.
 */

import assert from 'node:assert/strict';
import { LABEL_BYTES } from '../../src/core/format/label.ts';
import { Scene } from '../unit/engine/scene.ts';
import { levels } from './directed-life.ts';
import { type Case, type Enumeration, pairs } from './enumeration.ts';
import { type Images, imagesOf, labelOffsetsOn, putBack } from './inspect.ts';
import { Prepared } from './prepared.ts';

const states = ['direct', 'degraded', 'frozen', 'frozen, second failed'] as const;
type State = (typeof states)[number];

/** How a start may be refused. Anything else is a bug. */
const refusals = [
  'drive-stale',
  'log-ahead',
  'members-disagree',
  'history-split',
  'members-missing',
  'log-stale',
];

interface Aged {
  readonly scene: Scene;
  readonly older: readonly Images[];
  readonly now: Images;
}

const prepared = new Prepared<Aged>();

async function prepare(level: number, state: State): Promise<Aged> {
  const scene = await Scene.make(level, { seed: 80 + level, members: 3 });
  const { world } = scene;
  await scene.put(0, scene.model.sectors);
  await scene.flush();
  const older = [imagesOf(world)];
  await scene.fill(10);
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  await world.assemble();
  await scene.fill(10);
  await scene.flush();
  older.push(imagesOf(world));
  // A whole drive of the same run, with no change of its metadata since, cannot be told from the current one: only
  // checksums kept on another drive could.
  assert.ok((await world.until(world.v.stop())).ok);
  scene.crash(false);
  await world.assemble();
  if (state === 'degraded') assert.ok((await world.until(world.v.failDrive('1'))).ok);
  if (state.startsWith('frozen')) await scene.open('1', { onDoubleAbsence: 'error' });
  await scene.fill(10);
  if (state === 'frozen, second failed') assert.ok((await world.until(world.v.failDrive('0'))).ok);
  await scene.fill(10);
  await scene.flush();
  await world.pass(10_000);
  scene.crash(false);
  return { scene, older, now: imagesOf(world) };
}

const aged = (level: number, state: State): Promise<Aged> =>
  prepared.of(`${level} ${state}`, () => prepare(level, state));

/** Reads what can be read, and brings everything back to optimal. */
async function goOn(scene: Scene, now: Images, where: string): Promise<void> {
  const { core, world } = scene;
  if (core.absentCount <= core.tolerated) await scene.check(where);
  else await scene.checkWhatAnswers(where);
  if (core.mode === 'frozen') {
    // The drive that is away may be the one that was rolled back: then it is not taken, and the right one is.
    const refused = await scene.closeRefused();
    if (refused !== 'not refused') {
      assert.equal(refused, 'drive-stale', where);
      const right = now.get('d1');
      assert.ok(right);
      world.at('d1').restore(right);
      await scene.close();
    }
    await scene.closed();
  }
  await scene.settle(where);
}

async function rolledBack(
  level: number,
  state: State,
  mustStart: boolean,
  change: (scene: Scene, older: readonly Images[]) => void,
): Promise<void> {
  const { scene, older, now } = await aged(level, state);
  const { world } = scene;
  const begin = (): void => {
    world.drivePaths.splice(3);
    putBack(world, now);
    scene.crash(false);
  };
  begin();
  change(scene, older);
  const outcome = await world.tryAssemble();
  if (outcome.ok) return goOn(scene, now, 'rolled back');
  const { code } = outcome.problem;
  assert.ok(!mustStart, `one copy of a label is old, and the start is refused: ${code}`);
  assert.ok(refusals.includes(code), `refused as ${code}`);
  // Once more: the refusal has changed nothing, and is the same.
  scene.crash(false);
  const again = await world.tryAssemble();
  assert.ok(!again.ok && again.problem.code === code);
  begin();
  await world.assemble();
  await goOn(scene, now, 'as it was');
}

interface Copy {
  readonly slot: number;
  readonly copy: 0 | 1;
}

const copies: readonly Copy[] = [0, 1, 2].flatMap((slot) => [
  { slot, copy: 0 },
  { slot, copy: 1 },
]);

function oldLabel(scene: Scene, images: Images, { slot, copy }: Copy): void {
  const path = `d${slot}`;
  const offset = labelOffsetsOn(scene.world, path)[copy];
  const old = images.get(path)?.bytes.slice(offset, offset + LABEL_BYTES);
  assert.ok(old);
  scene.world.at(path).overwrite(offset, old);
}

type Change = (scene: Scene, images: Images) => void;
type Add = (what: string, mustStart: boolean, change: Change) => void;

function casesOf(level: number, list: (add: Add) => void): Case[] {
  const cases: Case[] = [];
  for (const [state, age] of pairs(states, [0, 1])) {
    const word = state === 'direct' ? 'optimal' : state.replace(/,.*/, '');
    const hits = [['F-16 rolled back', word]] as const;
    list((what, mustStart, change) => {
      const run = (): Promise<void> =>
        rolledBack(level, state, mustStart, (scene, older) => change(scene, older[age] as Images));
      cases.push({ name: `RAID ${level}, ${state}, age ${age}, ${what}`, hits, run });
    });
  }
  return cases;
}

const labels = (level: number): Enumeration => ({
  title: `L8 TigerBeetle, RAID ${level}: any one copy of a label, and any two, rolled back to an older state`,
  cases: async () =>
    casesOf(level, (add) => {
      for (const [at, one] of copies.entries()) {
        const first = `label ${one.copy} of d${one.slot}`;
        add(first, true, (scene, images) => oldLabel(scene, images, one));
        for (const two of copies.slice(at + 1)) {
          add(`${first}, label ${two.copy} of d${two.slot}`, false, (scene, images) => {
            oldLabel(scene, images, one);
            oldLabel(scene, images, two);
          });
        }
      }
    }),
});

const wholeDrives = (level: number): Enumeration => ({
  title: `L8 TigerBeetle, RAID ${level}: a whole drive rolled back to an older snapshot`,
  cases: async () =>
    casesOf(level, (add) => {
      for (const path of ['d0', 'd1', 'd2'])
        add(`all of ${path}`, false, (scene, images) => {
          const image = images.get(path);
          assert.ok(image);
          scene.world.at(path).restore(image);
        });
    }),
});

export const rollback: readonly Enumeration[] = [...levels.map(labels), ...levels.map(wholeDrives)];
