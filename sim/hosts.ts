/**
 * Host requests: asked of the volume as NBD would, recorded in the oracle, and judged when they are answered. A request
 * that the process did not live to answer is judged by the crash.
 */

import { EIO, type Errno, ESHUTDOWN, OK } from '../src/base/errno.ts';
import type { StripeIndex, VolumeOffset } from '../src/base/units.ts';
import { SECTOR_BYTES } from '../src/base/units.ts';
import { bit, bitCount } from '../src/engine/members.ts';
import type { VolumeCore } from '../src/engine/volume-core.ts';
import { Objection } from './objection.ts';
import type { Asked, OpenRead } from './open-reads.ts';
import type { Action } from './plan.ts';
import type { Scene } from './scene.ts';
import type { Server } from './server.ts';

type HostAction = Extract<Action, { do: 'write' | 'zero' | 'trim' | 'read' | 'flush' }>;

/** A plan is written before anybody knows how large its volume is. */
export function inRange(scene: Scene, action: HostAction): HostAction {
  if (action.do === 'flush') return action;
  const { sectors } = scene.oracle;
  const lba = action.lba % sectors;
  return { ...action, lba, sectors: Math.min(action.sectors, sectors - lba) };
}

/** Resolves when it is answered; never, if the process dies first. Does not reject: an objection ends the run. */
export function ask(scene: Scene, action: HostAction): void {
  const { server, world } = scene;
  if (!server.running || server.volume.core.stopping) {
    scene.coverage.count('requests dropped: no server');
    return;
  }
  // The server takes in only so much at a time, and keeps the rest of its memory for what it has taken in.
  if (server.buffers.freeBytes < server.buffers.sizeBytes / 4) {
    scene.coverage.count('requests dropped: too many at once');
    return;
  }
  scene.coverage.count('host operations');
  scene.outstanding++;
  const settled = (errno: Errno): void => {
    if (!server.alive) return;
    scene.outstanding--;
    scene.answered++;
    world.trace.number(errno);
  };
  answerOf(scene, server, action).then(settled, (error: unknown) => {
    world.thrown ??= { error };
  });
}

async function answerOf(scene: Scene, server: Server, action: HostAction): Promise<Errno> {
  const { oracle } = scene;
  switch (action.do) {
    case 'read': {
      const calledAt = oracle.beginRead();
      const { lba, sectors } = action;
      const read = scene.openReads.begin(scene, { lba, sectors, calledAt });
      let answer: Errno = OK;
      await server.read(lba * SECTOR_BYTES, sectors * SECTOR_BYTES, (errno, data) => {
        answer = errno;
        if (!server.alive) return;
        oracle.endRead();
        scene.openReads.end(read);
        if (errno === OK) oracle.check(lba, data, calledAt, 'a read');
        else judgeRead(scene, errno, read);
      });
      return answer;
    }
    case 'flush': {
      const calledAt = oracle.now();
      const errno = await server.volume.flush();
      if (!server.alive) return errno;
      if (errno === OK) oracle.flushed(calledAt);
      else judge(scene, errno, 'a flush');
      return errno;
    }
    default: {
      const { lba, sectors, fua } = action;
      const open = oracle.begin(lba, sectors, action.do !== 'write');
      const offset = (lba * SECTOR_BYTES) as VolumeOffset;
      const lengthBytes = sectors * SECTOR_BYTES;
      let errno: Errno;
      if (action.do === 'write')
        errno = await server.write(lba * SECTOR_BYTES, lengthBytes, fua, (data) =>
          oracle.fill(open, data),
        );
      else if (action.do === 'trim') errno = await server.volume.trim(offset, lengthBytes, fua);
      else
        errno = await server.volume.zero(offset, lengthBytes, { fua, noHole: false, fast: false });
      if (!server.alive) return errno;
      // A trim is a hint: what was there may stay.
      oracle.answered(open, errno === OK && action.do !== 'trim', fua);
      if (errno !== OK)
        judgeWrite(scene, errno, action.do, { lba, sectors, calledAt: open.calledAt });
      return errno;
    }
  }
}

/** An error where the promises do not allow one. What a full log cannot take is held, and never an error. */
function judge(scene: Scene, errno: Errno, what: string): void {
  scene.coverage.count('requests answered with an error');
  const isStopping = !scene.server.running || scene.core.stopping;
  if (scene.plan.promise === 'beyond' || (errno === ESHUTDOWN && isStopping)) return;
  throw new Objection('answer', `${what} was answered with errno ${errno}: ${recent(scene)}`);
}

/** With two members absent, exactly what needs both may be refused, or after a wait. */
function judgeRead(scene: Scene, errno: Errno, read: OpenRead): void {
  const { asked } = read;
  if (errno === EIO && scene.openReads.mayBeRefused(scene, read))
    scene.coverage.count('reads refused: two members absent');
  else judge(scene, errno, `a read of ${asked.lba}+${asked.sectors}`);
}

/**
 * What nobody can read any more cannot be written in part: the rest of its stripe would be made of it. Outside a window; in
 * one a write needs no member.
 */
function judgeWrite(scene: Scene, errno: Errno, what: string, asked: Asked): void {
  const core = scene.server.running ? scene.core : null;
  const isDirect = core?.mode === 'direct' && core.window === null;
  const mayBeRefused =
    isDirect && (anyNeedsAbsent(scene, core, asked) || anyLost(scene, core, asked));
  if (errno === EIO && mayBeRefused) scene.coverage.count('writes refused: two members absent');
  else judge(scene, errno, `a ${what} of ${asked.lba}+${asked.sectors}`);
}

/**
 * Does this sector need more members than there are? One with a bad sector in the stripe is as good as absent there. While
 * a window is open or what it left is made good, that may be one too many; otherwise nothing may be missing.
 */
function needsAbsent(scene: Scene, core: VolumeCore, sector: number, calledAt: number): boolean {
  if (core.halted) return false;
  // Unless it got there while the read was under way.
  const isInLog = core.log?.overlay.anyIn(sector, 1) === true && core.mode === 'frozen';
  if (isInLog && !scene.oracle.wroteSince(sector, calledAt)) return false;
  const offset = (sector * SECTOR_BYTES) as VolumeOffset;
  const { geometry, members } = core;
  const stripe: StripeIndex = geometry.stripeOf(offset);
  const bad = scene.badIn(core, stripe);
  if (core.window === null && bad === 0) return false;
  const absent = members.unusable(stripe) | bad;
  if (geometry.level.mirrored) return bitCount(absent) >= geometry.members;
  const slot = geometry.dataSlot(stripe, geometry.indexOf(offset));
  return (absent & bit(slot)) !== 0 && bitCount(absent) > core.tolerated;
}

/**
 * More members are out or bad in a stripe of this write than can be made up for. Its own place may be well: what cannot be
 * read may be the parity that has to change with it, and changed without it would make up the lost chunk some day.
 */
function anyLost(scene: Scene, core: VolumeCore, { lba, sectors }: Asked): boolean {
  const { geometry, members, tolerated } = core;
  if (geometry.level.mirrored) return false;
  const last = geometry.stripeOf(((lba + sectors - 1) * SECTOR_BYTES) as VolumeOffset);
  let stripe = geometry.stripeOf((lba * SECTOR_BYTES) as VolumeOffset);
  for (; stripe <= last; stripe = (stripe + 1) as StripeIndex) {
    const bad = scene.badIn(core, stripe);
    if (bad !== 0 && bitCount(members.unusable(stripe) | bad) > tolerated) return true;
  }
  return false;
}

/** The same of some sector of a read. */
export function anyNeedsAbsent(scene: Scene, core: VolumeCore, read: Asked): boolean {
  const end = read.lba + read.sectors;
  for (let sector = read.lba; sector < end; sector++)
    if (needsAbsent(scene, core, sector, read.calledAt)) return true;
  return false;
}

export const recent = (scene: Scene): string =>
  scene.server.said
    .slice(-6)
    .map(({ kind, message }) => `${kind}: ${message}`)
    .join(' | ');
