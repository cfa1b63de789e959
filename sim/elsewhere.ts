/**
 * Another host: a drive that was pulled out is started there, written to, and brought back (F-17). Alone where the level
 * allows that, by force; otherwise together with copies of all others as they are at that moment, beside which it is
 * brought up to date first. It happens in a fork, of which nothing stays but the contents of that drive.
 */

import type { Outcome } from '../src/core/problems.ts';
import type { Volume } from '../src/engine/volume.ts';
import { crash, nothingKept } from './fate.ts';
import type { Image } from './medium.ts';
import { otherAt } from './other-drives.ts';
import type { Pool } from './pools.ts';
import type { Scene } from './scene.ts';
import { Server } from './server.ts';
import { World } from './world.ts';

const LIMIT_US = 10 * 60 * 1_000_000;
const WRITE_BYTES = 64 * 1024;
/** No sector that a host of the plan has written looks like this. */
const FOREIGN = 0xe7;

/** What is on it when it is back; null: no other host can do anything with it. */
export function useElsewhere(scene: Scene, path: string): Promise<Image | null> {
  const { machine } = scene;
  return machine.fork(async () => {
    const pool = scene.pools.take();
    scene.forkDepth++;
    try {
      // Another one that was on another host is not among what is copied.
      const others = machine.drivePaths.filter((own) => otherAt(scene, own) === undefined);
      const everyone = [...new Set([...others, path])];
      const legs = [...machine.logPaths];
      for (const medium of machine.media.values()) {
        // Copies have nothing of what befalls the drives that they are of.
        crash([medium], false, nothingKept);
        medium.mend();
      }
      machine.at(path).reappear();
      return (
        (await livesOn(scene, pool, path, [path], [])) ??
        (await livesOn(scene, pool, path, everyone, legs))
      );
    } finally {
      scene.forkDepth--;
      scene.pools.give(pool);
    }
  });
}

async function livesOn(
  scene: Scene,
  pool: Pool,
  path: string,
  drives: readonly string[],
  legs: readonly string[],
): Promise<Image | null> {
  const { machine, plan } = scene;
  machine.drivePaths.splice(0, machine.drivePaths.length, ...drives);
  machine.logPaths.splice(0, machine.logPaths.length, ...legs);
  for (const force of [false, true]) {
    crash(machine.media.values(), false, nothingKept);
    const world = new World(plan.seed, scene.world.nowUs);
    const server = new Server({
      world,
      machine,
      pool,
      latency: () => 0,
      randomName: `elsewhere ${path} ${scene.world.nowUs} ${force}`,
      limits: plan.config.limits,
    });
    const started = await inTime(world, server.assemble(force));
    const isIn = started?.ok === true && (await bringIn(world, started.value, path));
    const isWritten = isIn && (await inTime(world, writeAll(server)));
    // Some hosts are switched off, others stop.
    if (isWritten && machine.at(path).operations % 2 === 0)
      await inTime(
        world,
        server.stop(() => {}),
      );
    server.kill();
    if (isWritten) return machine.at(path).image();
  }
  return null;
}

/** It is a member that has everything. */
async function bringIn(world: World, volume: Volume, path: string): Promise<boolean> {
  const { core } = volume;
  const isIn = (): boolean =>
    core.mode === 'direct' &&
    core.window === null &&
    core.members.slots.some((member) => member.path === path && member.state === 'online');
  if (isIn()) return true;
  const asked: Promise<Outcome<unknown>> =
    core.window === null
      ? volume.addDrive(path, false, false)
      : volume.closeWindow({ drivePath: path, verify: 'recent', rebuild: false });
  const taken = await inTime(world, asked);
  return taken?.ok === true && (await world.run(isIn, LIMIT_US)) === 'done';
}

async function writeAll(server: Server): Promise<boolean> {
  const { sizeBytes } = server.volume;
  for (let at = 0; at < sizeBytes; at += WRITE_BYTES) {
    const lengthBytes = Math.min(WRITE_BYTES, sizeBytes - at);
    const errno = await server.write(at, lengthBytes, false, (data) => data.fill(FOREIGN));
    if (errno !== 0) return false;
  }
  return (await server.volume.flush()) === 0;
}

/** null: it does not end. */
async function inTime<T>(world: World, work: Promise<T>): Promise<T | null> {
  let ended: { readonly value: T } | null = null;
  work.then(
    (value) => {
      ended = { value };
    },
    (error: unknown) => {
      world.thrown ??= { error };
    },
  );
  await world.run(() => ended !== null, LIMIT_US);
  return (ended as { readonly value: T } | null)?.value ?? null;
}
