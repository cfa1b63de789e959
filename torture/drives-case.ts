/** One fault of one drive in one state, from a fresh volume to what is left for the judge: nothing acknowledged is lost. */

import { mkdirSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stream } from '../sim/streams.ts';
import { mustRun, runProgram } from '../tests/support/processes.ts';
import type { DriveFault } from './drives-faults.ts';
import { type MountedDrive, MountedScene } from './drives-faulty.ts';
import { awaySlot, failedSlot, Stage, type StageName } from './drives-stage.ts';
import type { LifeEnd } from './kill-life.ts';
import { Broken, describe, members, type Shape } from './kill-scene.ts';
import type { Tally } from './tally.ts';

const deadlineMs = 1_500;
const serveArgs = ['tickMs=200', `driveDeadlineMs=${deadlineMs}`, 'readmitFirstMs=200'].flatMap(
  (limit) => ['--limit', limit],
);
/** The deadline and a failure's own steps, with much room for a machine that has other things to do. */
const stallMostMs = deadlineMs + 12_000;
const saidWithinMs = 15_000;
const holdMs = 600;
const takenBackWithinMs = 30_000;
const mebi = 2 ** 20;

export interface DriveCase {
  readonly stage: StageName;
  readonly shape: Shape;
  readonly seed: number;
}

/** Opens the scene, plays, and takes everything down again, whatever happened. */
async function onScene(
  it: DriveCase,
  folder: string,
  tally: Tally,
  play: (scene: MountedScene, stage: Stage) => Promise<void>,
): Promise<LifeEnd> {
  mkdirSync(folder, { recursive: true });
  const scene = await MountedScene.open(folder, it.shape, tally, serveArgs);
  const stage = new Stage(scene, it.stage, new Stream(it.seed, 'load'));
  try {
    await play(scene, stage);
    const { drives, digest } = await stage.end();
    return { drives: await scene.images(drives), digest };
  } catch (error) {
    const why = error instanceof Broken ? error.message : ((error as Error).stack ?? String(error));
    throw new Broken(`${why}\n  ${scene.story.slice(-25).join('\n  ')}\n${lastWords(scene)}`);
  } finally {
    // A drive that still hangs would keep the server from dying.
    for (const drive of scene.mounted.values()) drive.mount.goOn();
    await stage.abandon();
    await scene.close();
  }
}

function lastWords(scene: MountedScene): string {
  try {
    return scene.locum.server.output.slice(-2_000);
  } catch {
    return '';
  }
}

export function runFault(
  fault: DriveFault,
  it: DriveCase,
  folder: string,
  tally: Tally,
): Promise<LifeEnd> {
  return onScene(it, folder, tally, async (scene, stage) => {
    await stage.prepare();
    const target = targetOf(fault, it, stage);
    stage.mayRefuse = fault.on === 'a member' && it.stage !== 'optimal';
    const stall = new StallWatch(stage);
    scene.note(`${fault.name}: ${target.path}`);
    await fault.begin(target);
    const moving = stage.move();
    moving.catch(() => undefined);
    try {
      await untilSaid(fault, it, stage);
      await sleep(holdMs);
    } finally {
      await fault.end(target);
      scene.note('the fault is over');
    }
    await moving;
    await sleep(holdMs);
    const longestMs = stall.stop();
    tally.count('longest stall of the host in ms, summed over the cases', longestMs);
    if (longestMs > stallMostMs) throw new Broken(`the hosts waited for ${longestMs} ms`);
    if (!scene.locum.server.alive) throw new Broken('the server ended by itself');
    await takeBack(fault, stage, target);
    tally.hit(fault.name, it.stage);
  });
}

function targetOf(fault: DriveFault, it: DriveCase, stage: Stage): MountedDrive {
  const scene = stage.scene as MountedScene;
  if (fault.on === 'a leg') return scene.at(stage.legPaths[0] ?? '');
  const last = it.shape.members - 1;
  return scene.at(stage.pathOf(last === awaySlot || last === failedSlot ? 2 : last));
}

async function untilSaid(fault: DriveFault, it: DriveCase, stage: Stage): Promise<void> {
  const limitMs =
    performance.now() + (fault.isSaid(it.stage, it.shape.level) ? saidWithinMs : 1_500);
  while (!(await stage.hasSaid())) {
    if (performance.now() > limitMs) {
      if (fault.isSaid(it.stage, it.shape.level)) throw new Broken('nobody was told of it');
      return;
    }
    await sleep(50);
  }
}

/** A drive that was only slow is still in use; one that was lost may come back with what it has. */
async function takeBack(fault: DriveFault, stage: Stage, target: MountedDrive): Promise<void> {
  const status = await stage.scene.look();
  const drive = status?.drives.find(({ path }) => path === target.path);
  const isOut = drive !== undefined && drive.state !== 'online';
  if (fault.isHarmless && isOut)
    throw new Broken(`${drive.path} is ${drive.state}: ${drive.reason}`);
  if (!isOut || status?.window !== null || status.state === 'halted') return;
  const reply = await stage.scene.of('drives', { path: target.path });
  if (reply.kind === 'refused') return;
  stage.scene.tally.count('drives that were lost and came back as they were');
}

/** The longest time in which the hosts got no answer. */
class StallWatch {
  readonly #timer: NodeJS.Timeout;
  #answers = 0;
  #sinceMs = performance.now();
  #longestMs = 0;

  constructor(stage: Stage) {
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      if (stage.answers !== this.#answers) this.#sinceMs = nowMs;
      this.#answers = stage.answers;
      this.#longestMs = Math.max(this.#longestMs, nowMs - this.#sinceMs);
    }, 25);
  }

  stop(): number {
    clearInterval(this.#timer);
    return Math.round(this.#longestMs);
  }
}

/** The drive that is away comes back changed: blank, or with its metadata and other contents. */
export function runZeroedWhileAway(
  isBlank: boolean,
  it: DriveCase,
  folder: string,
  tally: Tally,
): Promise<LifeEnd> {
  return onScene(it, folder, tally, async (scene, stage) => {
    await stage.prepare();
    const away = scene.at(stage.pathOf(awaySlot));
    // Behind the metadata when it is to be kept.
    away.drive.bytes.fill(0, isBlank ? 0 : mebi);
    scene.note(isBlank ? 'blank' : 'its data is zeroed');
    const reply = await scene.of('window/close', { verify: 'full' });
    if (!isBlank) {
      if (reply.kind !== 'refused' || reply.code !== 'window-verify-mismatch') {
        throw new Broken(`a drive that was zeroed while away was taken: ${describe(reply)}`);
      }
      scene.sacrificed = true;
    } else if (reply.kind !== 'done') {
      throw new Broken(`a blank drive was not rebuilt: ${describe(reply)}`);
    }
    tally.hit(isBlank ? 'O-6 blank after being away' : 'F-22 zeroed while away', it.stage);
  });
}

/** A member does not answer while the server starts: the volume comes up without it, and takes it back once it does. */
export function runHungAtStart(it: DriveCase, folder: string, tally: Tally): Promise<LifeEnd> {
  return onScene(it, folder, tally, async (scene, stage) => {
    await stage.prepare();
    const target = scene.at(stage.pathOf(it.shape.members - 1));
    try {
      // A process with a request that its drive holds cannot be killed: it hangs when the server is gone.
      await stage.restart({ force: true, meanwhile: () => target.mount.hang() });
    } finally {
      target.mount.goOn();
    }
    scene.note('it goes on');
    const limitMs = performance.now() + takenBackWithinMs;
    for (;;) {
      const status = await scene.look();
      if (status?.drives.some(({ path, state }) => path === target.path && state === 'online'))
        break;
      const reply = await scene.of('drives', { path: target.path });
      if (performance.now() > limitMs) {
        throw new Broken(`a drive that answers again is not taken back: ${describe(reply)}`);
      }
      await sleep(200);
    }
    tally.hit('F-10 hung at a start', it.stage);
  });
}

/** A leg on a file system that is smaller than the leg: it takes a while, then nothing more. */
export async function runFullLeg(it: DriveCase, folder: string, tally: Tally): Promise<LifeEnd> {
  const small = join(folder, 'small');
  mkdirSync(small, { recursive: true });
  await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'locum-torture', small]);
  try {
    return await onScene(it, folder, tally, async (scene, stage) => {
      const leg = join(small, 'leg.img');
      await writeFile(leg, '');
      await truncate(leg, it.shape.logBytes);
      scene.legBefore = leg;
      await stage.prepare();
      await stage.move();
      const limitMs = performance.now() + 30_000;
      for (;;) {
        const status = await scene.look();
        const isOut = (status?.log?.legs ?? []).some(({ state }) => state !== 'online');
        if (isOut) break;
        if (performance.now() > limitMs) throw new Broken('the full leg was never noticed');
        await sleep(50);
      }
      if (members((await scene.look())!).length === 0) throw new Broken('no members are told');
      tally.hit('F-13, R-1 leg on a full file system', it.stage);
    });
  } finally {
    await runProgram('umount', ['-l', small]);
  }
}
