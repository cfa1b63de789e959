/**
 * The cells of the matrix: a volume is brought into the state, befallen by the fault, and held against what must come of
 * it. The tests take them one by one (matrix.test.ts), the torture run as many as it has time for.
 */

import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errno.ts';
import type { VolumeOffset } from '../../src/base/units.ts';
import { SECTOR } from '../unit/engine/flat-model.ts';
import { closeRequest, type Scene } from '../unit/engine/scene.ts';
import type { Case } from './enumeration.ts';
import { type Outcome, outcomeOf } from './matrix.ts';
import { badOf, befall, type Fault, faults, putRight } from './matrix-faults.ts';
import { inState, matrixLevels, type State, states, X } from './matrix-states.ts';

/** Writes that may be held or refused; time for everything that runs to notice. */
async function goOn(scene: Scene): Promise<void> {
  for (let i = 0; i < 4; i++) {
    scene.begin(4 + 14 * i, 12);
    await scene.world.pass(1_000);
  }
  await scene.world.pass(12_000);
}

/** A drive with many bad sectors may be taken out by the reading alone; then it is replaced like any other. */
const settled = async (scene: Scene, where: string): Promise<void> => {
  await scene.check(where);
  await scene.world.pass(5_000);
  for (let i = 0; i < 40 && scene.core.rebuildJob?.running === true; i++)
    await scene.world.pass(2_000);
  await scene.settle(where);
};

async function returned(scene: Scene): Promise<void> {
  if (scene.core.mode !== 'frozen') return;
  const { media } = scene.world;
  const gone = media.get(X)?.isVanished === true;
  const { sizeBytes } = scene.world.at(X);
  const drivePath = gone ? scene.world.medium('blank', sizeBytes) : null;
  if (drivePath) scene.world.drivePaths.push(drivePath);
  const closed = await scene.world.until(scene.world.v.closeWindow(closeRequest({ drivePath })));
  assert.ok(closed.ok, JSON.stringify(closed));
  await scene.closed();
}

/** What cannot be read of a member. */
interface Bad {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Worked out from who is there and where it is bad, not from what the engine answers. */
function needsMoreThanThereIs(scene: Scene, bad: Bad | null, sector: number): boolean {
  const { geometry, members, log, mode, intent, dataInDoubt } = scene.core;
  // The last leg was lost in a write of it: the next start may find that write, or not.
  if (log?.window?.anyUnsettledIn(sector, 1) === true) return true;
  if (mode === 'frozen' && log?.overlay.anyIn(sector, 1) === true) return false;
  const offset = (sector * SECTOR) as VolumeOffset;
  const stripe = geometry.stripeOf(offset);
  const inMember = stripe * geometry.chunkBytes + geometry.columnOf(offset);
  const out = members.slots.map(({ state, path, layout }) => {
    const at = (layout?.dataOffset ?? 0) + inMember;
    const isBad = bad !== null && path === bad.path && bad.from <= at && at < bad.to;
    return state !== 'online' || isBad;
  });
  if (geometry.level.mirrored) return out.every((each) => each);
  if (out[geometry.dataSlot(stripe, geometry.indexOf(offset))] !== true) return false;
  const isDoubtful = dataInDoubt !== null && intent.bits.get(intent.firstRegion(stripe));
  return isDoubtful || out.filter((each) => each).length > 1;
}

/** Exactly what needs more than there is has an error, and something of both kinds is there. How much. */
async function heldExactly(scene: Scene, where: string, bad: Bad | null): Promise<number> {
  const refused: number[] = [];
  const expected: number[] = [];
  for (let sector = 0; sector < scene.model.sectors; sector++) {
    const { errno, data } = await scene.world.until(scene.world.read(sector * SECTOR, SECTOR));
    if (errno === 0) scene.model.check(sector, data, where);
    else refused.push(sector);
    if (needsMoreThanThereIs(scene, bad, sector)) expected.push(sector);
  }
  assert.deepEqual(refused, expected, `${where}: the sectors that are refused`);
  assert.ok(refused.length > 0, `${where}: nothing needs both`);
  assert.ok(refused.length < scene.model.sectors, `${where}: nothing is answered`);
  return refused.length;
}

const judges: Record<Outcome, (scene: Scene, where: string, bad: Bad | null) => Promise<void>> = {
  whole: async (scene, where) => {
    for (let i = 0; i < 60 && scene.core.mode === 'replaying'; i++) await scene.world.pass(500);
    await scene.check(where);
    await returned(scene);
    await settled(scene, where);
  },
  'no window': async (scene, where) => {
    assert.equal(scene.core.window, null, `${where}: ${scene.recent}`);
    await scene.check(where);
    await settled(scene, where);
  },
  held: async (scene, where, bad) => {
    await heldExactly(scene, where, bad);
    for (const medium of scene.world.media.values()) medium.reappear();
    await scene.world.pass(40_000);
    await returned(scene);
    await settled(scene, where);
  },
  'held, errors': async (scene, where, bad) => {
    await heldExactly(scene, where, bad);
    await returned(scene);
    await judges.errors(scene, `${where}, the drive is back`, bad);
    await settled(scene, `${where}, written anew`);
  },
  errors: async (scene, where, bad) => {
    const lost = await heldExactly(scene, where, bad);
    // No others join them: neither quiet nor a restart makes anything up.
    scene.crash(false);
    await scene.world.assemble();
    assert.ok((await scene.checkWhatAnswers(`${where}, restarted`)) <= lost);
    await scene.put(0, scene.model.sectors);
    await scene.check(`${where}, written anew`);
  },
  around: async (scene, where, bad) => {
    for (let i = 0; i < 40 && scene.core.rebuildJob?.running === true; i++)
      await scene.world.pass(2_000);
    assert.ok(scene.alarms().includes('bad-blocks'), `${where}: ${scene.recent}`);
    await judges.errors(scene, where, bad);
    await settled(scene, `${where}, written anew`);
    assert.ok(!scene.alarms().includes('bad-blocks'), where);
  },
  halted: async (scene, where, bad) => {
    assert.equal(scene.state, 'halted', `${where}: ${scene.recent}`);
    const { errno } = await scene.world.until(scene.world.read(0, 512));
    assert.equal(errno, EIO);
    await putRight(scene);
    await judges.whole(scene, `${where}, with the drives back`, bad);
  },
};

async function cell(level: number, state: State, fault: Fault, outcome: Outcome): Promise<void> {
  const where = `RAID ${level}, ${state}, ${fault}`;
  const scene = await inState(level, state);
  await befall[fault](scene, state, level);
  await goOn(scene);
  await judges[outcome](scene, where, badOf(fault, level));
}

export const what: Record<Outcome, string> = {
  whole: 'nothing is lost',
  'no window': 'no window, nothing is lost',
  held: 'held until the drive is back, nothing is lost',
  'held, errors': 'held until the drive is back, then exactly what is nowhere is an error',
  errors: 'exactly what is nowhere is an error',
  around:
    'the rebuild goes around it, exactly what is nowhere is an error until it is written anew',
  halted: 'halted, and all of it is there with the drives back',
};

/** What the table of fault classes has for a column of the matrix. */
const classOf: Record<Fault, string> = {
  'another member is lost': 'F-14 drive vanishes',
  'the drive itself is lost for good': 'F-14 drive vanishes',
  'one log leg is lost': 'R-1 one log leg fails',
  'no log leg takes writes': 'R-2 last log leg cannot be written',
  kill: 'C-1 kill -9 at any point',
  'power cut': 'C-2 power cut',
  'bad sectors on another member': 'F-3 latent sector error',
};

/** The word that a user sees for a row: about to freeze, or returning, a volume has none of its own. */
const wordOf = (level: number, state: State): string => {
  if (state === 'about to freeze') return 'optimal';
  if (state === 'unclean') return level === 1 ? 'resyncing' : 'optimal';
  return state === 'returning' ? 'frozen' : state;
};

export interface Cell extends Case {
  readonly level: number;
  readonly state: State;
  readonly fault: Fault;
  readonly outcome: Outcome;
}

export function matrixCells(): Cell[] {
  const cells: Cell[] = [];
  for (const level of matrixLevels) {
    for (const state of states) {
      for (const fault of faults) {
        const outcome = outcomeOf(level, state, fault);
        if (outcome === undefined) continue;
        cells.push({
          level,
          state,
          fault,
          outcome,
          name: `RAID ${level}, ${state} × ${fault}`,
          hits: [[classOf[fault], wordOf(level, state)]],
          run: () => cell(level, state, fault, outcome),
        });
      }
    }
  }
  return cells;
}
