/**
 * What an administrator does: commands of a plan, and, when a plan is over, whatever it takes to bring the volume back to
 * optimal, by the story that the status tells. A command that is refused changes nothing; that is part of the test.
 */

import type { Outcome, Problem } from '../src/core/problems.ts';
import type { CloseRequest } from '../src/engine/contract.ts';
import type { Volume } from '../src/engine/volume.ts';
import { Objection } from './objection.ts';
import {
  broughtBy,
  differsInBlocks,
  givenAsBlank,
  judgeRefusal,
  setRight,
  withholdElsewhere,
} from './other-drives.ts';
import type { Action } from './plan.ts';
import { namedOdd, unreadable } from './probe.ts';
import { idleDrives } from './roles.ts';
import type { Scene } from './scene.ts';
import type { Server } from './server.ts';

type Command = Extract<
  Action,
  {
    do:
      | 'open-window'
      | 'close-window'
      | 'abort-window'
      | 'extend-window'
      | 'fail'
      | 'remove'
      | 'replace'
      | 'add-spare'
      | 'add-back'
      | 'replace-leg'
      | 'scrub'
      | 'check-log';
  }
>;

/** Begins a command and does not wait for its end: hosts, faults and other commands go on beside it. */
export function command(scene: Scene, action: Command): void {
  const { server, world } = scene;
  if (!server.running) return;
  const leaves = action.do === 'replace' ? scene.core.members.slots[action.slot]?.path : undefined;
  if (leaves !== undefined) scene.leaving.add(leaves);
  const brought = broughtBy(scene, action);
  carryOut(scene, server, action).then(
    (outcome) => {
      if (!server.alive) return;
      judgeRefusal(scene, brought, outcome);
      if (leaves !== undefined) scene.leaving.delete(leaves);
      const code = outcome.ok ? 'done' : outcome.problem.code;
      world.trace.line(`${action.do}: ${code}`);
      scene.coverage.count(`commands ${outcome.ok ? 'done' : 'refused'}`);
      if (outcome.ok) scene.coverage.hit(`command: ${action.do}`, scene.state);
    },
    (error: unknown) => {
      world.thrown ??= { error };
    },
  );
}

async function carryOut(scene: Scene, server: Server, action: Command): Promise<Outcome<unknown>> {
  const { volume } = server;
  switch (action.do) {
    case 'open-window':
      return volume.openWindow({
        drive: String(action.slot),
        purpose: action.purpose,
        maxMs: action.maxMs,
        onDoubleAbsence: action.onDoubleAbsence,
        waitMs: action.waitMs,
        allowDegraded: true,
        allowSingleLog: true,
      });
    case 'close-window': {
      const { verify, rebuild } = action;
      return close(scene, { drivePath: null, verify, rebuild });
    }
    case 'abort-window':
      return volume.abortWindow();
    case 'extend-window':
      return volume.extendWindow(action.byMs);
    case 'fail':
      return volume.failDrive(String(action.slot));
    case 'remove':
      return volume.removeDrive(String(action.slot));
    case 'replace': {
      const path = action.with ?? scene.addDrive().path;
      const replaced = await volume.replaceDrive(String(action.slot), path, false);
      if (replaced.ok) scene.machine.putBack(path);
      return replaced;
    }
    case 'add-spare':
      return volume.addDrive(scene.addDrive().path, true, false);
    case 'add-back': {
      const added = await volume.addDrive(action.path, false, false);
      if (added.ok) {
        scene.changed.delete(action.path);
        scene.machine.putBack(action.path);
      }
      return added;
    }
    case 'replace-leg': {
      const { path } = scene.addLegForCopy();
      const leg = String(action.leg);
      return volume.replaceLeg({ leg, path, sizeBytes: null, force: false });
    }
    case 'scrub':
      return volume.startScrub(action.repair);
    case 'check-log':
      return volume.checkLog();
  }
}

/** What he does about a start that was refused; true: use force next time. */
export function seeTo(scene: Scene, problem: Problem, attempt: number): boolean {
  const odd = namedOdd(scene, problem);
  if (odd.length > 0) {
    scene.machine.takeOut(odd);
    return false;
  }
  scene.noteUnseen();
  scene.pullOutHung();
  if (unreadable.has(problem.code) || attempt >= 4) withholdElsewhere(scene);
  if (problem.code === 'drive-busy') scene.machine.at(String(problem.detail['path'])).replug();
  if (unreadable.has(problem.code)) return true;
  if (attempt < 2) return false;
  for (const medium of scene.machine.media.values())
    if (medium.isVanished && !scene.dead.has(medium.path) && attempt < 4) medium.reappear();
  return attempt >= 4;
}

/** Virtual time in which everything has to be well again once nothing breaks any more. */
const RECOVERY_LIMIT_US = 30 * 60 * 1_000_000;

/**
 * Drives are plugged in again, broken ones replaced, windows closed, until the volume says optimal with a whole log, or
 * (beyond the promises) says that it cannot be.
 */
export async function bringBack(
  scene: Scene,
  pass: (us: number) => Promise<void>,
): Promise<boolean> {
  const endUs = scene.world.nowUs + RECOVERY_LIMIT_US;
  let last = '';
  while (scene.world.nowUs < endUs) {
    if (!scene.server.running) return false;
    if (isWell(scene)) return true;
    last = await oneStep(scene);
    scene.world.trace.line(`operator: ${last}`);
    await pass(2_000_000);
  }
  if (scene.plan.promise === 'beyond') return false;
  const { state, story, alarms } = scene.server.volume.status();
  const codes = alarms.map(({ code }) => code).join(', ');
  throw new Objection(
    'liveness',
    `${state} for half an hour after the last fault (${story.why} ${story.next} Alarms: ${codes}; last: ${last})`,
  );
}

function isWell(scene: Scene): boolean {
  const { core } = scene;
  const legs = scene.server.volume.status().log?.legs ?? [];
  const whole =
    scene.plan.config.legs === 0 ||
    (legs.length > 0 && legs.every((leg) => leg.state === 'online'));
  return (
    scene.state === 'optimal' && whole && core.rebuildJob?.running !== true && !scene.anySevered()
  );
}

async function oneStep(scene: Scene): Promise<string> {
  const { core, server } = scene;
  const { volume } = server;
  const said = (what: string, outcome: Outcome<unknown>): string =>
    `${what}: ${outcome.ok ? 'done' : outcome.problem.code}`;
  if (core.mode === 'frozen' && core.window?.state === 'open') return closeWindow(scene);
  if (core.window !== null) return 'wait for the window';
  const legs = volume.status().log?.legs ?? [];
  const bad = legs.findIndex(({ state }) => state !== 'online');
  if (bad >= 0 && !core.halted) {
    const alive = legs.some(({ state }) => state === 'online');
    const { path } = alive ? scene.addLegForCopy() : scene.addLeg();
    if (alive) {
      const request = { leg: String(bad), path, sizeBytes: null, force: false };
      return said('replace leg', await withNew(scene, [path], volume.replaceLeg(request)));
    }
    const paths = [path, scene.addLeg().path];
    const added = volume.addLog({ paths, sizeBytes: null, force: false });
    return said('add log', await withNew(scene, paths, added));
  }
  if (core.rebuildJob?.running === true || core.mode !== 'direct') return 'wait';
  const gone = core.members.slots.find(({ state }) => state === 'failed' || state === 'missing');
  if (gone === undefined) return 'wait';
  const { path } = scene.addDrive();
  const replaced = volume.replaceDrive(String(gone.slot), path, false);
  return said(`replace slot ${gone.slot}`, await withNew(scene, [path], replaced));
}

/** What a refusal leaves unused goes back to the shop: he tries for half an hour, and drives are memory. */
async function withNew<T>(
  scene: Scene,
  paths: readonly string[],
  asked: Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const outcome = await asked;
  if (outcome.ok || !scene.server.running) return outcome;
  const { slots, legs, spares } = scene.standing();
  const known = new Set([...spares, ...[...slots, ...legs].map(({ path }) => path)]);
  for (const path of paths)
    if (!known.has(path) && !scene.liars.has(path)) scene.machine.throwAway(path);
  return outcome;
}

const close = (scene: Scene, request: CloseRequest): ReturnType<Volume['closeWindow']> =>
  givenAsBlank(scene, request, () => scene.server.volume.closeWindow(request));

/** The drive comes back as it is; what is not taken back is rebuilt, if the others are complete. */
async function closeWindow(scene: Scene): Promise<string> {
  const { core } = scene;
  const drivePath = core.window?.path ?? null;
  const changed = drivePath !== null && scene.changed.has(drivePath);
  const request = { drivePath: null, verify: 'full' as const, rebuild: changed };
  const closed = await close(scene, request);
  if (closed.ok) return 'close window: done';
  const { code } = closed.problem;
  if (notThere.has(code)) return closeWithAnother(scene);
  if (code === 'drive-changed' && drivePath !== null && differsInBlocks(scene, drivePath)) {
    setRight(scene, drivePath);
    return `close window: ${code}: it has its blocks again`;
  }
  if (isOutOfDate.has(code)) {
    const again = await close(scene, { ...request, rebuild: true });
    if (!again.ok && notThere.has(again.problem.code)) return closeWithAnother(scene);
    return `close window and rebuild: ${again.ok ? 'done' : again.problem.code}`;
  }
  return `close window: ${code}`;
}

/** It is not what left, or was cut short when it became a member: the others are there to make it anew. */
const isOutOfDate: ReadonlySet<string> = new Set([
  'window-verify-mismatch',
  'drive-stale',
  'drive-changed',
]);

/** Where the server looked there is no drive, or another one, or one that has lost the end where its label was. */
const notThere: ReadonlySet<string> = new Set([
  'window-drive-absent',
  'drive-foreign',
  'drive-smaller',
  'drive-too-small',
  'label-corrupt',
]);

/** One that lies around may be the one that it is about (a server that came up without it only guesses); or a new one. */
async function closeWithAnother(scene: Scene): Promise<string> {
  for (const drivePath of idleDrives(scene)) {
    const taken = await close(scene, { drivePath, verify: 'full', rebuild: false });
    if (taken.ok) return `close window with ${drivePath}: done`;
  }
  const drivePath = scene.addDrive().path;
  const asked = close(scene, { drivePath, verify: 'full', rebuild: true });
  const fresh = await withNew(scene, [drivePath], asked);
  return `close window with a new drive: ${fresh.ok ? 'done' : fresh.problem.code}`;
}
