/**
 * The exact N-th system call fails, or is the server's last: on the members, on the legs, on all drives of a real server.
 * With `--io node` the calls are those that do the I/O; with io_uring it is the one that submits it. Afterwards the server
 * goes on or is started again, and nothing that was acknowledged is lost.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Stream } from '../sim/streams.ts';
import { stageNames } from './drives-stage.ts';
import type { Part, PartOptions, PartResult } from './evidence.ts';
import type { Shape } from './kill-scene.ts';
import { type Case, nameOf, runCase } from './syscalls-case.ts';
import { noStraceBecause } from './syscalls-strace.ts';
import { Tally } from './tally.ts';

const nthMax = 500;
const atOnce = 2;
/** A stage has at least about so many of these. */
const flushesMost = 60;
const opensMost = 3;
const mebi = 2 ** 20;

export interface SyscallLimits {
  readonly casesMax: number;
  readonly nthMax: number;
}

export const syscallsPart: Part = {
  name: 'syscalls',
  weight: 2,
  leastSeconds: 60,
  run: (options) => runSyscalls(options, { casesMax: Number.POSITIVE_INFINITY, nthMax }),
};

export async function runSyscalls(
  options: PartOptions,
  limits: SyscallLimits,
): Promise<PartResult> {
  const tally = new Tally();
  const reason = noStraceBecause();
  if (reason !== null) {
    tally.notCovered(`The N-th system call failing: ${reason}.`);
    return tally.result(syscallsPart.name);
  }
  // For the servers that this process starts: strace counts for each thread by itself.
  process.env['UV_THREADPOOL_SIZE'] = '1';
  const until = performance.now() + options.seconds * 1000;
  let number = 0;
  const work = async (): Promise<void> => {
    while (number < limits.casesMax && performance.now() < until) {
      const it = caseFor(options.seed, number, limits.nthMax);
      const folder = join(options.directory, `case${number++}`);
      await oneCase(it, folder, tally, options.say);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return tally.result(syscallsPart.name);
}

async function oneCase(
  it: Case,
  folder: string,
  tally: Tally,
  say: PartOptions['say'],
): Promise<void> {
  const what = nameOf(it);
  tally.count('system-call cases');
  try {
    const hit = await runCase(it, folder, tally);
    say(`${what}: ${hit ? 'passed' : 'not that many calls'}`);
    if (!hit) tally.count('cases whose stage was over before the N-th call');
    else {
      const bucket = Math.ceil(it.nth / 100) * 100;
      tally.count('system-call faults');
      tally.count(`system-call faults at N = ${bucket - 99}…${bucket}`);
    }
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    say(`${what}: FAILED`);
    const why = error instanceof Error ? error.message : String(error);
    tally.fail(`${what} (seed ${it.seed}): ${why}; the images are in ${folder}`);
  }
}

/** Every N once before any comes again, in an order of its own for each seed; the rest by chance. */
function caseFor(seed: number, number: number, most: number): Case {
  const random = new Stream(seed, `case ${number}`);
  const first = new Stream(seed, 'first').below(most);
  // 197 and the limits used here have no common factor, so this visits all.
  const nth = 1 + ((first + number * 197) % most);
  const stage = stageNames[(number + seed) % stageNames.length]!;
  const io = random.chance(0.75) ? 'node' : 'uring';
  const level = random.pick([1, 3, 4, 5]);
  const shape: Shape = {
    level,
    members: 3 + random.below(2),
    memberBytes: 8 * mebi,
    chunkBytes: level === 4 || level === 5 ? 16_384 : null,
    logBytes: 64 * mebi,
    io,
  };
  const common = { stage, nth, shape, seed: random.u32() };
  if (io === 'uring') {
    const effect = random.pick(['KILL', 'KILL', 'EINTR', 'EAGAIN', 'EBUSY'] as const);
    return { ...common, call: 'io_uring_enter', effect, isSticky: false, on: 'the server' };
  }
  const effect = random.pick(['EIO', 'ENOSPC', 'KILL'] as const);
  const isKill = effect === 'KILL';
  const legsBusy = stage === 'frozen' || stage === 'replaying' || stage === 'degraded';
  const single = legsBusy && random.chance(0.5) ? ('a leg' as const) : ('a member' as const);
  // A frozen volume writes to nothing but its log.
  const isQuiet = stage === 'frozen' && single === 'a member';
  const on = isKill || isQuiet || random.chance(0.5) ? ('all drives' as const) : single;
  const calls = on === 'a leg' ? ['pwrite64'] : ['pwrite64', 'pwrite64', 'pread64'];
  // Rarer ones, of which no stage has hundreds.
  const rare = nth <= flushesMost ? ['fdatasync'] : [];
  const call = nth <= opensMost ? 'openat' : random.pick([...calls, ...rare]);
  const isSticky = on !== 'all drives' && random.chance(0.3);
  return { ...common, call, effect, isSticky, on };
}
