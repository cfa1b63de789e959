/**
 * "And if it had ended here?" At any moment a run can be asked what a crash at that moment would leave: the state is
 * forked, the process dies (or power fails, with any fate of what was not safe), one more member or leg may be lost with
 * it, recovery may die again on the way, and the next server has to come up with everything that was acknowledged. Then it
 * is all taken back, and the run goes on as if nothing had been.
 */

import { SECTOR_BYTES } from '../src/base/units.ts';
import { GAP } from '../src/core/overlay.ts';
import type { Problem } from '../src/core/problems.ts';
import { coversCrash } from './budget.ts';
import { withholdCopies } from './copies.ts';
import { forgetsLeg, forgetsWindow, logIsLost, membersAreLost } from './evidence.ts';
import { crash, type Fate, nothingKept } from './fate.ts';
import { anyNeedsAbsent } from './hosts.ts';
import { Objection, objectTo } from './objection.ts';
import type { CrashKind, ForkKind } from './oracle.ts';
import { usedElsewhere, withholdElsewhere } from './other-drives.ts';
import type { Pool } from './pools.ts';
import type { Scene } from './scene.ts';
import { Server } from './server.ts';
import { World } from './world.ts';

export interface Probe {
  readonly kind: CrashKind;
  readonly fate: Fate;
  /** A member or leg that is gone from then on. */
  readonly lose: string | null;
  /** Recovery itself dies after so many operations of drives, each time again. */
  readonly again: readonly number[];
  /** The window is closed and its log replayed before the volume is read. */
  readonly closeWindow: boolean;
  /** For people, and for finding it again. */
  readonly title: string;
}

const LIMIT_US = 30 * 60 * 1_000_000;
/** A replay of a volume this small takes no time; what waits longer waits for something. */
const REPLAY_LIMIT_US = 20 * 1_000_000;
const READ_SECTORS = 128;
/** Nothing is written while a fork is read. */
const NOT_YET = Number.POSITIVE_INFINITY;

export function probe(scene: Scene, what: Probe): Promise<void> {
  scene.remember();
  if (
    !coversCrash(scene) ||
    logIsLost(scene, what.lose) ||
    forgetsLeg(scene, what.lose) ||
    forgetsWindow(scene, what.lose) ||
    membersAreLost(scene, what.lose)
  )
    return Promise.resolve();
  scene.coverage.count('crash states');
  scene.coverage.hit(
    `probe: ${what.lose === null ? '' : 'one more lost, '}${what.kind}`,
    scene.state,
  );
  return scene.machine.fork(async () => {
    const pool = scene.pools.take();
    scene.forkDepth++;
    try {
      await inFork(scene, what, pool);
    } catch (error) {
      if (error instanceof Objection)
        throw new Objection(error.checker, `${what.title}: ${error.message}`);
      throw error;
    } finally {
      scene.forkDepth--;
      scene.pools.give(pool);
    }
  });
}

async function inFork(scene: Scene, what: Probe, pool: Pool): Promise<void> {
  const { machine, plan } = scene;
  const overlay = what.kind === 'kill' && what.again.length === 0 ? overlayOf(scene) : null;
  crash(machine.media.values(), what.kind === 'power', what.fate);
  if (what.lose !== null) machine.at(what.lose).vanish();
  withholdCopies(scene);
  let deaths = 0;
  for (const operations of what.again) {
    if (await dies(scene, pool, operations)) deaths++;
    crash(machine.media.values(), what.kind === 'power', what.fate);
  }
  scene.coverage.count('crashes during recovery', deaths);
  if (deaths > 0)
    scene.coverage.hit(`C-3 recovery died ${deaths} times, ${what.kind}`, scene.state);
  const world = new World(plan.seed, scene.world.nowUs);
  const server = newServer(scene, world, pool);
  try {
    if (!(await start(scene, world, server, what))) return;
    const { core } = server.volume;
    if (overlay !== null && core.mode === 'frozen') {
      const found = piecesOf(server);
      objectTo(
        'log',
        found !== overlay,
        () => `the log decodes to ${found}, in memory it was ${overlay}`,
      );
    }
    if (core.window !== null && what.closeWindow) await closeWindow(world, server);
    const fork = { kind: what.kind, copyLost: what.lose !== null };
    const refused = await readEverything(scene, world, server, fork);
    if (refused.length > 0 && plan.promise === 'covered') {
      const of = `${refused.length} reads refused, the first at sector ${refused[0]}`;
      throw new Objection('one member fewer', `${of} (${server.state}): ${lastWords(server)}`);
    }
  } finally {
    server.kill();
  }
}

function newServer(scene: Scene, world: World, pool: Pool): Server {
  const { machine, plan } = scene;
  const latency = (): number => 0;
  const { limits } = plan.config;
  return new Server({ world, machine, pool, latency, randomName: 'fork', limits });
}

/** True: it died in the middle; false: it was done before. */
async function dies(scene: Scene, pool: Pool, operations: number): Promise<boolean> {
  const world = new World(scene.plan.seed, scene.world.nowUs);
  const server = newServer(scene, world, pool);
  const end = scene.operations + operations;
  let done = false;
  server.assemble().then(
    () => {
      done = true;
    },
    (error: unknown) => {
      world.thrown ??= { error };
    },
  );
  await world.run(() => done || scene.operations >= end, LIMIT_US);
  server.kill();
  return !done || scene.operations >= end;
}

async function settle<T>(world: World, work: Promise<T>): Promise<T> {
  let done = false;
  const mark = (): void => {
    done = true;
  };
  work.then(mark, mark);
  const finished = await world.run(() => done, LIMIT_US);
  objectTo('liveness', finished !== 'done', () => `nothing is left to happen (${finished})`);
  return work;
}

/** A drive that cannot be read at a start is left out by force, if the others are complete. */
export const unreadable: ReadonlySet<string> = new Set([
  'superblock-corrupt',
  'label-corrupt',
  'drive-smaller',
]);

/**
 * What an operator takes out because a start names it: a copy of a drive or of a leg that is there as well, or in the place
 * of the one that was in use; and a drive that he has himself rolled back, so far that no label remembers its generation any
 * more. That one cannot be told from one that was used elsewhere, and nobody may choose between the two but a person.
 */
export function namedOdd(scene: Scene, { code, detail }: Problem): readonly string[] {
  const path = String(detail['path']);
  const copies = scene.oddCopies;
  if (code === 'member-cloned' || code === 'leg-cloned') return copies;
  const isOdd = code === 'drive-stale' || code === 'log-ahead' || code === 'history-split';
  // By its own records one that was used elsewhere may be the newer one, and those that went on here are named, or too old.
  const elsewhere = isOdd || code === 'members-missing' ? usedElsewhere(scene) : [];
  if (elsewhere.length > 0) return elsewhere;
  if (isOdd && copies.includes(path)) return copies;
  const isRolledBack = scene.rolledBack.has(path) && scene.changed.has(path);
  return code === 'history-split' && isRolledBack ? [path] : [];
}

async function start(scene: Scene, world: World, server: Server, what: Probe): Promise<boolean> {
  // Asked before: a fault that strikes once is used up by the start that it makes fail.
  const anyBroken = scene.anyBroken();
  let outcome = await assembled(scene, world, server, false);
  // Force starts from what is left, however old: with more lost than the promises cover nothing is promised of that.
  if (!outcome.ok && scene.plan.promise === 'beyond') return false;
  // Nobody has it on record as gone, or its metadata cannot be read: an operator has to say that it is out.
  const { problem } = outcome.ok ? { problem: null } : outcome;
  // One whose contents are not its own any more (another was put in its place a moment ago) is as good as gone.
  const anyOther = scene.standing().slots.some(({ path }) => scene.changed.has(path));
  const anyGone = what.lose !== null || scene.anyGone() || anyOther;
  const isLost = anyGone && problem?.code === 'members-missing';
  const isBroken = problem !== null && unreadable.has(problem.code) && anyBroken;
  // By another process as well.
  if (isLost || isBroken) crash(scene.machine.media.values(), false, nothingKept);
  if (isLost || isBroken) withholdElsewhere(scene);
  if (isLost || isBroken) outcome = await assembled(scene, world, server, true);
  if (outcome.ok) return true;
  throw new Objection('start', `not assembled: ${JSON.stringify(outcome.problem)}`);
}

/** Again without what an operator takes out, as often as one of those that are left is named. */
async function assembled(
  scene: Scene,
  world: World,
  server: Server,
  force: boolean,
): ReturnType<Server['assemble']> {
  const { machine } = scene;
  const isGiven = (path: string): boolean =>
    machine.drivePaths.includes(path) || machine.logPaths.includes(path);
  for (;;) {
    const outcome = await settle(world, server.assemble(force));
    const odd = outcome.ok ? [] : namedOdd(scene, outcome.problem).filter(isGiven);
    if (odd.length === 0) return outcome;
    machine.takeOut(odd);
    // By another process: a drive that hangs is one that the first could not let go.
    crash(machine.media.values(), false, nothingKept);
  }
}

/** False: it was not taken back. */
async function closeWindow(world: World, server: Server): Promise<boolean> {
  const { volume } = server;
  const request = { drivePath: null, verify: 'recent' as const, rebuild: false };
  if (volume.core.window?.state === 'open') {
    const closed = await settle(world, volume.closeWindow(request));
    if (!closed.ok) return false;
  }
  const over = (): boolean => volume.core.window === null || volume.core.halted;
  return (await world.run(over, REPLAY_LIMIT_US)) === 'done';
}

async function readEverything(
  scene: Scene,
  world: World,
  server: Server,
  fork: ForkKind,
): Promise<number[]> {
  const refused: number[] = [];
  const { sectors } = scene.oracle;
  const reads: Promise<void>[] = [];
  for (let lba = 0; lba < sectors; lba += READ_SECTORS) {
    const count = Math.min(READ_SECTORS, sectors - lba);
    reads.push(
      server.read(lba * SECTOR_BYTES, count * SECTOR_BYTES, (errno, data) => {
        if (errno === 0) scene.oracle.checkFork(lba, data, fork, server.state);
        else if (
          !anyNeedsAbsent(scene, server.volume.core, { lba, sectors: count, calledAt: NOT_YET })
        )
          refused.push(lba);
      }),
    );
  }
  await settle(world, Promise.all(reads));
  return refused;
}

/** What a log that is read back has to decode to, if that can be told; null: it cannot. */
export function overlayOf(scene: Scene): string | null {
  if (!scene.server.running) return null;
  const { core } = scene;
  // With a write under way the log may hold more than was acknowledged, and that is legal.
  if (core.mode !== 'frozen' || scene.oracle.openWrites > 0 || core.log === null) return null;
  return piecesOf(scene.server);
}

function piecesOf(server: Server): string {
  const { core } = server.volume;
  const runs: { kind: number; from: number; end: number }[] = [];
  const sectors = core.geometry.volumeBytes / SECTOR_BYTES;
  core.log?.overlay.forEachPiece(0, sectors, (from, count, kind) => {
    if (kind === GAP) return;
    const last = runs.at(-1);
    if (last !== undefined && last.end === from && last.kind === kind) last.end += count;
    else runs.push({ kind, from, end: from + count });
  });
  return runs.map(({ kind, from, end }) => `${kind}:${from}-${end}`).join(' ');
}

const lastWords = (server: Server): string =>
  server.said
    .slice(-4)
    .map(({ kind, message }) => `${kind}: ${message}`)
    .join(' | ');
