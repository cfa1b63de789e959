/**
 * What an administrator does: commands of a plan, and, when a plan is over, whatever it takes to bring the volume back to
 * optimal, by the story that the status tells. A command that is refused changes nothing; that is part of the test.
 */

import type { Outcome } from '../src/core/problems.ts';
import { Objection } from './objection.ts';
import type { Action } from './plan.ts';
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
  carryOut(scene, server, action).then(
    (outcome) => {
      if (!server.alive) return;
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
    case 'close-window':
      return volume.closeWindow({
        drivePath: null,
        verify: action.verify,
        rebuild: action.rebuild,
      });
    case 'abort-window':
      return volume.abortWindow();
    case 'extend-window':
      return volume.extendWindow(action.byMs);
    case 'fail':
      return volume.failDrive(String(action.slot));
    case 'remove':
      return volume.removeDrive(String(action.slot));
    case 'replace': {
      const { path } = scene.addDrive();
      return volume.replaceDrive(String(action.slot), path, false);
    }
    case 'add-spare':
      return volume.addDrive(scene.addDrive().path, true, false);
    case 'add-back': {
      const added = await volume.addDrive(action.path, false, false);
      if (added.ok) scene.changed.delete(action.path);
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
  const legs = core.log?.status().legs ?? [];
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
  const legs = core.log?.status().legs ?? [];
  const bad = legs.findIndex(({ state }) => state !== 'online');
  if (bad >= 0) {
    const alive = legs.some(({ state }) => state === 'online');
    const { path } = alive ? scene.addLegForCopy() : scene.addLeg();
    if (alive) {
      const request = { leg: String(bad), path, sizeBytes: null, force: false };
      return said('replace leg', await volume.replaceLeg(request));
    }
    const both = [path, scene.addLeg().path];
    return said('add log', await volume.addLog({ paths: both, sizeBytes: null, force: false }));
  }
  if (core.rebuildJob?.running === true || core.mode !== 'direct') return 'wait';
  const gone = core.members.slots.find(({ state }) => state === 'failed' || state === 'missing');
  if (gone === undefined) return 'wait';
  return said(
    `replace slot ${gone.slot}`,
    await volume.replaceDrive(String(gone.slot), scene.addDrive().path, false),
  );
}

/** The drive comes back as it is; what is not taken back is rebuilt, if the others are complete. */
async function closeWindow(scene: Scene): Promise<string> {
  const { core, server } = scene;
  const drivePath = core.window?.path ?? null;
  const changed = drivePath !== null && scene.changed.has(drivePath);
  const request = { drivePath: null, verify: 'full' as const, rebuild: changed };
  const closed = await server.volume.closeWindow(request);
  if (closed.ok) {
    if (drivePath !== null) scene.changed.delete(drivePath);
    return 'close window: done';
  }
  if (closed.problem.code === 'window-drive-absent') {
    const fresh = scene.addDrive();
    const other = { drivePath: fresh.path, verify: 'full' as const, rebuild: true };
    const second = await server.volume.closeWindow(other);
    return `close window with a new drive: ${second.ok ? 'done' : second.problem.code}`;
  }
  if (closed.problem.code === 'window-verify-mismatch' || closed.problem.code === 'drive-stale') {
    const again = await server.volume.closeWindow({ ...request, rebuild: true });
    if (again.ok && drivePath !== null) scene.changed.delete(drivePath);
    return `close window and rebuild: ${again.ok ? 'done' : again.problem.code}`;
  }
  return `close window: ${closed.problem.code}`;
}
