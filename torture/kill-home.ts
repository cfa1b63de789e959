/**
 * The end of a life: every fault is put right the way an operator would, by what the status asks for, until the volume is
 * optimal. Then all of it is read back, a scrub finds nothing, the volume is stopped and the server ends on its own.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeStatus } from '../src/core/status.ts';
import type { SectorLedger } from '../tests/support/sector-ledger.ts';
import type { LifeEnd } from './kill-life.ts';
import { isLogToMend, mendLog } from './kill-log.ts';
import { Broken, describe, type KillScene, members, volume } from './kill-scene.ts';
import { verifyAll } from './kill-verify.ts';

const limitMs = 120_000;
/** A new leg may be refused while something else is changing; not for ever. */
const legRefusalsMost = 60;

export async function bringHome(scene: KillScene, ledger: SectorLedger): Promise<LifeEnd> {
  scene.note('brought home');
  const limit = performance.now() + limitMs;
  let legRefusals = 0;
  for (;;) {
    const status = await scene.look();
    if (status === null) throw new Broken('the server does not answer any more');
    if (isHome(status)) break;
    if (performance.now() > limit || legRefusals > legRefusalsMost) {
      throw new Broken(`the volume does not become optimal: ${JSON.stringify(status, null, 1)}`);
    }
    // With every member out or away there is nobody to note a new leg on: refused, until the drive of the window is back.
    const isLegIn = isLogToMend(status) && (await mendLog(scene, status));
    if (isLogToMend(status) && !isLegIn) legRefusals++;
    if (!isLegIn) await mend(scene, status);
    await sleep(150);
  }
  scene.exposed = false;
  const { wrong, sectors, digest } = await verifyAll(scene, ledger);
  if (wrong.length > 0) throw new Broken(`at home: ${wrong.slice(0, 8).join('\n')}`);
  scene.tally.count('sectors verified at the end of a life', sectors);
  await scrubbed(scene);
  const drives = members((await scene.look()) as VolumeStatus)
    .toSorted((a, b) => Number(a.slot) - Number(b.slot))
    .map(({ path }) => path);
  const stopped = await scene.of('stop', {});
  if (stopped.kind !== 'done') throw new Broken(`the volume does not stop: ${describe(stopped)}`);
  await scene.locum.stop('SIGTERM');
  if (scene.locum.server.exitCode !== 0) {
    throw new Broken(`the server ended with ${scene.locum.server.exitCode}`);
  }
  return { drives, digest };
}

function isHome(status: VolumeStatus): boolean {
  const running = status.jobs.some(({ kind, state }) => kind !== 'scrub' && state === 'running');
  return (
    status.state === 'optimal' &&
    status.window === null &&
    !running &&
    members(status).every(({ state }) => state === 'online') &&
    (status.log?.legs ?? []).every(({ state }) => state === 'online')
  );
}

async function mend(scene: KillScene, status: VolumeStatus): Promise<void> {
  if (status.alarms.some(({ code }) => code === 'volume-stopped')) {
    const reply = await scene.assemble();
    scene.stopping = false;
    if (reply.kind !== 'done') for (const path of scene.pulled.keys()) scene.putBack(path);
    return;
  }
  const gone = members(status).find(({ state }) => state === 'failed' || state === 'missing');
  if (status.window !== null) return closeWindow(scene, status);
  if (gone === undefined || status.drives.some(({ state }) => state === 'rebuilding')) return;
  await scene.of('drives/replace', { drive: String(gone.slot), with: await blank(scene) });
}

async function blank(scene: KillScene): Promise<string> {
  const path = scene.newFile('d');
  await scene.blankImage(path);
  return path;
}

async function closeWindow(scene: KillScene, status: VolumeStatus): Promise<void> {
  if (status.window?.state !== 'open') return;
  const { path } = status.window.drive;
  if (scene.pulled.has(path)) scene.putBack(path);
  const how = scene.sacrificed ? { rebuild: true } : {};
  // Killed while a new drive took the place of the one that is away, a server knows of neither.
  const where = path === '' ? { drivePath: await blank(scene) } : {};
  const reply = await scene.of('window/close', { ...how, ...where });
  if (reply.kind !== 'refused' || reply.code === 'window-wrong-state') return;
  if (!scene.sacrificed) throw new Broken(`the window does not close: ${reply.message}`);
}

async function scrubbed(scene: KillScene): Promise<void> {
  await scene.of('scrub/stop');
  const begun = await scene.of('scrub', {});
  if (begun.kind !== 'done') throw new Broken(`the scrub does not start: ${describe(begun)}`);
  const limit = performance.now() + limitMs;
  for (;;) {
    const status = await scene.look();
    const job = status?.jobs.find(({ kind }) => kind === 'scrub');
    if (job?.state === 'done') {
      if (job.mismatches > 0)
        throw new Broken(`${job.mismatches} stripes of ${volume} do not add up`);
      scene.tally.count('scrubs without a mismatch');
      return;
    }
    if (performance.now() > limit) throw new Broken('the scrub does not end');
    await sleep(50);
  }
}
