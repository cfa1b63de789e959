/**
 * The main job of Locum, played once: a drive is away, another one fails, and nothing acknowledged is lost.
 *
 * Both acts are this one story on the same volume; they differ in the drives, and in the second the server is killed in
 * the middle of it. A background writer keeps writing through all of it and remembers what was acknowledged.
 */

import { open, readdir, readlink, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobStatus } from '../../src/core/status.ts';
import {
  BackgroundWriter,
  blockContents,
  Ledger,
  ledgerBlockBytes,
} from '../../tests/support/ledger.ts';
import type { Locum } from '../../tests/support/locum.ts';
import type { NbdClient } from '../../tests/support/nbd-client.ts';
import { findProgram, runProgram } from '../../tests/support/processes.ts';
import { DemoFailed, mebi, megabytes, type Stage } from './stage.ts';

export const volume = 'tank';
export const memberBytes = 64 * mebi;
/** At the end of the volume, written before the window and left alone by the writer: reads of it need the members. */
const quietBytes = 4 * mebi;

export interface Cast {
  readonly stage: Stage;
  readonly locum: Locum;
  readonly folder: string;
  readonly ledger: Ledger;
  readonly figures: Figures;
}

export interface Figures {
  acknowledgedWrites: number;
  acknowledgedBytes: number;
  comparedBytes: number;
  longestPauseMs: number;
  heldReadMs: number;
}

export interface Act {
  /** The drive that goes away, and the one that fails meanwhile. */
  readonly away: number;
  readonly failing: number;
  readonly kill: boolean;
  /** Where the drives of the slots are now; a replaced drive has another path. */
  readonly drives: string[];
}

export function ledgerFor(sizeBytes: number): Ledger {
  return new Ledger(Math.floor((sizeBytes - quietBytes) / ledgerBlockBytes));
}

export async function play(cast: Cast, act: Act): Promise<void> {
  const { stage, locum, ledger, figures } = cast;
  const writer = new BackgroundWriter({
    connect: () => locum.connect(volume),
    ledger,
    inFlight: 4,
    pauseMs: 20,
    blocksMax: 4,
  });

  stage.step('A host writes, all the time');
  const quiet = await fillQuietPart(cast);
  await writer.start();
  await sleep(1500);
  stage.good(
    `${writer.acknowledgedWrites} writes acknowledged so far; the writer goes on in the background`,
  );

  const awayPath = act.drives[act.away] ?? '';
  const hiddenPath = `${awayPath}.at-the-vendor`;
  await openWindow(cast, act, writer, awayPath);
  stage.say(
    `The drive leaves the machine: ${basename(awayPath)} is moved away while its firmware is "updated".`,
  );
  await rename(awayPath, hiddenPath);
  await keepWriting(cast, writer, 1500);

  await loseDrive(cast, act, writer);
  if (act.kill) await killAndRestart(cast, writer);
  const held = await holdRead(cast, writer, quiet);

  stage.step(`Drive ${act.away} comes back`);
  await rename(hiddenPath, awayPath);
  await stage.runLive(locum, 'window', 'close', volume, '--wait');
  await held.answered();
  await writer.stop();
  collect(figures, writer);
  stage.check(writer.errors.length === 0, 'the host never saw an error');

  stage.step('Read back every byte that was ever acknowledged');
  await compareAll(cast);

  await replaceFailed(cast, act);

  stage.step('Check the parity of the whole volume');
  await stage.runLive(locum, 'scrub', 'start', volume, '--wait');
  const { job } = JSON.parse(await locum.must('scrub', 'status', volume, '-o', 'json')) as {
    job: JobStatus;
  };
  stage.check(
    job.state === 'done' && job.mismatches === 0,
    'parity right everywhere: 0 mismatches',
  );
  await compareAll(cast);
}

/** Known contents at the end of the volume, and where they are. */
async function fillQuietPart({ locum }: Cast): Promise<{ offset: number; bytes: Buffer }> {
  const client = await locum.connect(volume);
  const offset = client.sizeBytes - quietBytes;
  const blocks = Array.from({ length: quietBytes / ledgerBlockBytes }, (_, block) =>
    blockContents(block, 1),
  );
  const bytes = Buffer.concat(blocks);
  await client.write(offset, bytes);
  await client.flush();
  await client.close();
  return { offset, bytes };
}

async function openWindow(
  cast: Cast,
  act: Act,
  writer: BackgroundWriter,
  path: string,
): Promise<void> {
  const { stage, locum, figures } = cast;
  stage.step(`Drive ${act.away} needs new firmware: open a window`);
  await stage.run(locum, 'window', 'plan', volume, String(act.away), '--for', 'firmware');
  writer.resetGap();
  await stage.run(
    locum,
    'window',
    'open',
    volume,
    String(act.away),
    '--for',
    'firmware',
    '--max',
    '10m',
  );
  await sleep(300);
  figures.longestPauseMs = Math.max(figures.longestPauseMs, writer.longestGapMs);
  stage.good(`the longest that the host waited meanwhile: ${writer.longestGapMs.toFixed(0)} ms`);
  await proveClosed(cast, path);
}

/** The server has nothing open of the drive, and another program may lock it for itself. */
async function proveClosed({ stage, locum, folder }: Cast, path: string): Promise<void> {
  const names = await openFiles(locum.server.pid);
  const others = (await readdir(folder)).filter((name) => names.has(join(folder, name)));
  stage.check(
    !names.has(path) && others.length > 0,
    `the server has ${basename(path)} closed (still open: ${others.sort().join(', ')})`,
  );
  if (!findProgram('flock')) return;
  stage.command(`flock --exclusive --nonblock ${basename(path)} true`);
  const { code } = await runProgram('flock', ['--exclusive', '--nonblock', path, 'true']);
  stage.check(code === 0, 'another program has it for itself');
}

async function openFiles(pid: number): Promise<Set<string>> {
  const folder = `/proc/${pid}/fd`;
  const links = await Promise.all(
    // A descriptor may be closed between the two calls.
    (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')),
  );
  return new Set(links);
}

async function keepWriting(
  { stage }: Cast,
  writer: BackgroundWriter,
  forMs: number,
): Promise<void> {
  const before = writer.acknowledgedWrites;
  await sleep(forMs);
  await untilMore(writer, before);
  const more = writer.acknowledgedWrites - before;
  stage.check(more > 0, `writing went on: ${more} more writes acknowledged`);
}

/** A minute at most: a machine that has other things to do is no failure. */
async function untilMore(writer: BackgroundWriter, before: number): Promise<void> {
  for (let i = 0; i < 600 && writer.acknowledgedWrites === before; i++) await sleep(100);
}

async function loseDrive(cast: Cast, act: Act, writer: BackgroundWriter): Promise<void> {
  const { stage, locum } = cast;
  const path = act.drives[act.failing] ?? '';
  stage.step(`Drive ${act.failing} dies while drive ${act.away} is away`);
  stage.command(`rm ${basename(path)}`);
  await rm(path);
  const startedMs = performance.now();
  await locum.until(volume, `told of drive ${act.failing}`, (status) =>
    status.drives.some((it) => it.slot === act.failing && it.state === 'failed'),
  );
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  stage.good(`noticed after ${seconds} s`);
  await stage.run(locum, 'status', volume);
  await keepWriting(cast, writer, 1000);
}

async function killAndRestart(cast: Cast, writer: BackgroundWriter): Promise<void> {
  const { stage, locum } = cast;
  stage.step('And now the server is killed');
  stage.command(`kill -9 ${locum.server.pid}`);
  await locum.stop('SIGKILL');
  const connections = writer.connections;
  stage.command(`locum ${locum.serveArgs().join(' ')}`);
  await locum.start();
  await locum.until(volume, 'in its window again', (status) => status.window?.state === 'open');
  await stage.run(locum, 'window', 'show', volume);
  await keepWriting(cast, writer, 1000);
  stage.check(
    writer.connections > connections,
    'the host has reconnected by itself and goes on writing',
  );
}

interface HeldRead {
  answered(): Promise<void>;
}

/** Reads whole stripes that need both absent drives: no answer now, the right answer later. */
async function holdRead(
  { stage, locum, figures }: Cast,
  writer: BackgroundWriter,
  quiet: { offset: number; bytes: Buffer },
): Promise<HeldRead> {
  stage.step('A read that needs both absent drives');
  const client: NbdClient = await locum.connect(volume);
  const startedMs = performance.now();
  const before = writer.acknowledgedWrites;
  let isAnswered = false;
  const read = client.read(quiet.offset, mebi).finally(() => {
    isAnswered = true;
  });
  // Its failure is told by `answered`; until then nobody awaits it.
  read.catch(() => undefined);
  await sleep(1500);
  await untilMore(writer, before);
  stage.check(!isAnswered, 'it is held: no made-up data, no error');
  stage.check(
    writer.acknowledgedWrites > before,
    `and holds up nobody: ${writer.acknowledgedWrites - before} writes were acknowledged meanwhile`,
  );
  return {
    answered: async () => {
      const bytes = await read;
      figures.heldReadMs = Math.max(figures.heldReadMs, performance.now() - startedMs);
      const right = bytes.equals(quiet.bytes.subarray(0, bytes.length));
      stage.check(right, 'the read that was held has its answer, and the right one');
      await client.close();
    },
  };
}

export function collect(figures: Figures, writer: BackgroundWriter): void {
  figures.acknowledgedWrites += writer.acknowledgedWrites;
  figures.acknowledgedBytes += writer.acknowledgedBytes;
}

export async function compareAll({ stage, locum, ledger, figures }: Cast): Promise<void> {
  const client = await locum.connect(volume);
  const wrong = await ledger.verify(client);
  await client.close();
  if (wrong.length > 0) {
    throw new DemoFailed(
      `${wrong.length} blocks are wrong, the first: ${wrong.slice(0, 3).join('; ')}`,
    );
  }
  const bytes = ledger.blockCount * ledgerBlockBytes;
  figures.comparedBytes += bytes;
  stage.good(`${megabytes(bytes)} compared, every byte as acknowledged`);
}

async function replaceFailed(cast: Cast, act: Act): Promise<void> {
  const { stage, locum, folder } = cast;
  stage.step(`Drive ${act.failing} is replaced`);
  const name = await makeDrive(cast, `drive${act.failing}-${act.kill ? 'third' : 'second'}.img`);
  const failing = String(act.failing);
  await stage.runLive(locum, 'drive', 'replace', volume, failing, '--with', name, '--wait');
  act.drives[act.failing] = join(folder, name);
  await locum.until(volume, 'optimal', (status) => status.state === 'optimal');
  await stage.run(locum, 'status', volume);
}

/** A blank drive in the folder of the demo; its name is relative to that. */
export async function makeDrive({ folder }: Cast, name: string): Promise<string> {
  const file = await open(join(folder, name), 'wx');
  await file.truncate(memberBytes);
  await file.close();
  return name;
}
