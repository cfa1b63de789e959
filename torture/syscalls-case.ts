/** One system call that fails, from a fresh volume to the proof that nothing was lost. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stream } from '../sim/streams.ts';
import { awaySlot, failedSlot, Stage, type StageName } from './drives-stage.ts';
import { Broken, KillScene, type Shape } from './kill-scene.ts';
import { type Injection, Tracer } from './syscalls-strace.ts';
import type { Tally } from './tally.ts';

export type Effect = 'EIO' | 'ENOSPC' | 'KILL' | 'EINTR' | 'EAGAIN' | 'EBUSY';

export interface Case {
  readonly stage: StageName;
  /** `fdatasync`, or `io_uring_enter` of a server that works with io_uring. */
  readonly call: string;
  readonly effect: Effect;
  readonly nth: number;
  readonly isSticky: boolean;
  /** Whose calls are counted. */
  readonly on: 'a member' | 'a leg' | 'all drives' | 'the server';
  readonly shape: Shape;
  readonly seed: number;
}

/** libuv's names of one thing: a buffer, or several. */
const callsOf: Readonly<Record<string, readonly string[]>> = {
  pwrite64: ['pwrite64', 'pwritev'],
  pread64: ['pread64', 'preadv'],
};

const waitMs = 6_000;
const saidWithinMs = 20_000;
/** With ticks this short, probes and deadlines do not make a case long. */
const serveArgs = ['--limit', 'tickMs=200'];

export const nameOf = (it: Case): string =>
  `${it.stage}, --io ${it.shape.io}: ${it.call} number ${it.nth}${it.isSticky ? ' and all after it' : ''} on ${it.on}: ${it.effect}`;

/** False: the stage was over before the N-th call. Throws what went wrong. */
export async function runCase(it: Case, folder: string, tally: Tally): Promise<boolean> {
  mkdirSync(folder, { recursive: true });
  const scene = new KillScene(folder, it.shape, tally, serveArgs);
  const stage = new Stage(scene, it.stage, new Stream(it.seed, 'load'));
  let tracer: Tracer | null = null;
  try {
    await stage.prepare();
    stage.mayRefuse = isBeyond(it);
    const injection = injectionOf(it, stage);
    tracer = await Tracer.attach(scene.locum.server.pid, injection, join(folder, 'strace.txt'));
    const moving = stage.move();
    moving.catch(() => undefined);
    const hit = await untilHit(tracer, scene);
    if (it.effect === 'KILL' && hit) await scene.locum.server.ended();
    await sleep(200);
    await tracer.detach();
    await moving.catch((error: unknown) => {
      if (it.effect !== 'KILL') throw error;
    });
    const first = tracer.injected[0] ?? '';
    scene.note(`injected: ${first}`);
    if (hit) await judge(it, stage, first);
    if (!scene.locum.server.alive) await stage.restart();
    await stage.end();
    if (hit) tally.hit(classOf(it), it.stage);
    return hit;
  } catch (error) {
    const why = error instanceof Broken ? error.message : ((error as Error).stack ?? String(error));
    throw new Broken(`${why}\n  ${scene.story.slice(-25).join('\n  ')}\n${lastWords(scene)}`);
  } finally {
    await tracer?.detach();
    await stage.abandon();
  }
}

function lastWords(scene: KillScene): string {
  return scene.locum.server.output.slice(-2_000);
}

/** One parity or mirror covers one fault: these are the second, and the volume may refuse the host until it is mended. */
const isBeyond = ({ stage, on, isSticky }: Case): boolean =>
  (stage !== 'optimal' && on !== 'a leg') || (isSticky && on === 'all drives');

function injectionOf(it: Case, stage: Stage): Injection {
  const other = it.shape.members - 1;
  const member = stage.pathOf(other === awaySlot || other === failedSlot ? 2 : other);
  const paths = {
    'a member': [member],
    'a leg': stage.legPaths.slice(0, 1),
    'all drives': [
      ...Array.from({ length: it.shape.members }, (_, slot) => stage.pathOf(slot)),
      ...stage.legPaths,
    ],
    'the server': [],
  }[it.on];
  return {
    calls: callsOf[it.call] ?? [it.call],
    effect: it.effect === 'KILL' ? 'signal=KILL' : `error=${it.effect}`,
    nth: it.nth,
    isSticky: it.isSticky,
    paths: paths.filter((path) => path !== ''),
  };
}

async function untilHit(tracer: Tracer, scene: KillScene): Promise<boolean> {
  const limitMs = performance.now() + waitMs;
  while (performance.now() < limitMs) {
    if (tracer.injected.length > 0) return true;
    if (!scene.locum.server.alive) return true;
    await sleep(20);
  }
  return false;
}

/** What the server made of it, before anything is mended. */
async function judge(it: Case, stage: Stage, first: string): Promise<void> {
  const { server } = stage.scene.locum;
  if (it.effect === 'KILL') return;
  if (!server.alive) throw new Broken(`the server ended by itself (${server.exitCode}): ${first}`);
  // What may be tried again without anybody being told.
  if (['EINTR', 'EAGAIN', 'EBUSY'].includes(it.effect) || it.call === 'openat') return;
  const limitMs = performance.now() + saidWithinMs;
  while (!(await stage.hasSaid())) {
    if (performance.now() > limitMs) throw new Broken(`nobody was told of it: ${first}`);
    await sleep(100);
  }
}

function classOf({ call, effect, isSticky, on }: Case): string {
  if (effect === 'KILL') return `C-1 killed at a system call (${call})`;
  const often = isSticky ? 'and from then on' : 'once';
  if (on === 'a leg') return `R-1 a leg: ${call} answers ${effect}, ${often}`;
  const classes: Readonly<Record<string, string>> = { pread64: 'F-2', fdatasync: 'F-11' };
  const own = effect === 'ENOSPC' ? 'F-13' : (classes[call] ?? 'F-1');
  return `${call === 'io_uring_enter' ? 'F-23' : own} ${call} answers ${effect}, ${often}`;
}
