/** What runs need of this machine: the tasks, the commands that they leave running, and a look at new drives. */

import { existsSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { NewDrive, RunTools, WholeDrive } from '../control/runs/run-tools.ts';
import { done, type Outcome, refuse } from '../core/problems.ts';
import { contentOf } from '../engine/drive-commands.ts';
import { readMemberMetadata } from '../engine/member-metadata.ts';
import { BufferPool } from '../io/buffer-pool.ts';
import type { Drive } from '../io/drive.ts';
import { foreignContent } from '../io/foreign-content.ts';
import { InTime } from '../io/in-time.ts';
import { openDrive } from '../io/open-drive.ts';
import { placeOf } from '../io/place.ts';
import { SystemClock } from '../io/system-clock.ts';
import { findCommand, isRunning, waitForProcess } from '../tasks/command.ts';
import { systemContext } from '../tasks/context.ts';
import { findDrive } from '../tasks/find-drive.ts';
import { checkImage } from '../tasks/image.ts';
import { taskFor } from '../tasks/open.ts';
import { checkUnused, physicalDrive } from '../tasks/physical.ts';
import { sidecarOf } from '../tasks/simulated.ts';

/** Shared by all that runs ask of paths: what hangs is known to all of them. */
const inTime = new InTime(new SystemClock());

/** A look at a drive reads a few places of it, one after the other. */
const LOOK_BYTES = 2 * 1024 * 1024;
/** A path that does not answer within this time hangs. */
const LOOK_MS = 2_000;
/** For the few reads of a look; the kernel itself gives a command of a disk 30 s. */
const READ_MS = 30_000;

export function runTools(): RunTools {
  const context = systemContext();
  return {
    placeOf: (path) => {
      const nowhere = { identity: `path:${path}`, disk: null, file: null, fileDisk: null };
      return inTime.ask(path, LOOK_MS, () => placeOf(path), nowhere);
    },
    wholeDrive: async (path) => {
      // Asked in a way that may hang, and left hanging: /sys is read at once only for what answers.
      const plain = await inTime.ask<WholeDrive | 'no answer' | null>(
        path,
        LOOK_MS,
        () => plainImage(path),
        'no answer',
      );
      if (plain === 'no answer') return refuse('drive-no-answer', { path });
      return plain === null ? physicalDrive(path, context) : done(plain);
    },
    taskOf: (transport, request) => taskFor(transport, request, context),
    findDrive: (wanted, task) => findDrive(wanted, task, context),
    waitForCommand: async ({ process, shown, mayStop }, control) => {
      const { outputPath } = control;
      const found = process ?? findCommand(outputPath);
      if (found !== null) return waitForProcess(found, { shown, mayStop }, control);
      if (!existsSync(`${outputPath}.status`)) return null;
      // It has ended before anybody could learn its number: no process has this one.
      return waitForProcess({ pid: NO_PROCESS, startTicks: 0 }, { shown, mayStop }, control);
    },
    findCommand,
    isRunning,
    imageOf: async (path) => {
      const image = await checkImage(path, null);
      return image.ok ? image.value : null;
    },
    newDrive,
    memberAt,
    // Files are neither mounted nor held, and may hang.
    checkUnused: (drive, ours) =>
      drive.transport === 'image' ? done(undefined) : checkUnused(drive, ours),
  };
}

/**
 * A file that is no image of a simulated drive is a drive of its own, as `physicalDrive` says. Nothing is asked for
 * at once: what has just answered from a cache may hang the next time, and all of the control plane with it.
 * Null: anything else, and what leads nowhere.
 */
async function plainImage(path: string): Promise<WholeDrive | null> {
  try {
    const real = await realpath(path);
    if (!(await stat(real)).isFile()) return null;
    const names = await readdir(dirname(real));
    if (names.some((name) => name.endsWith(sidecarOf('')))) return null;
    return { key: real, path: real, transport: 'image', parts: [real], sitsOn: [] };
  } catch {
    return null;
  }
}

/** Beyond the largest process number of Linux. */
const NO_PROCESS = 2 ** 22 + 1;

/** Opened as a volume would, so that what is mounted or in use is refused here already. */
const newDrive = (path: string): Promise<Outcome<NewDrive>> =>
  looked(path, async (drive, buffers) => {
    const metadata = await readMemberMetadata(buffers, drive);
    const environment = { foreignContent: () => foreignContent(drive, buffers) };
    const content = await contentOf({ environment }, drive, metadata);
    return { sizeBytes: drive.sizeBytes, content };
  });

const memberAt = (path: string): Promise<Outcome<string | null>> =>
  looked(path, async (drive, buffers) => {
    const { superblock } = await readMemberMetadata(buffers, drive);
    return superblock.kind === 'superblock' ? superblock.value.memberUuid : null;
  });

/** A drive that opens and then does not answer its reads must not hold up whoever asks. */
function looked<T>(
  path: string,
  look: (drive: Drive, buffers: BufferPool) => Promise<T>,
): Promise<Outcome<T>> {
  const reason = `its metadata could not be read within ${READ_MS / 1_000} s`;
  const otherwise = refuse('drive-no-answer', { path, reason });
  return inTime.ask<Outcome<T>>(path, READ_MS, () => read(path, look), otherwise);
}

async function read<T>(
  path: string,
  look: (drive: Drive, buffers: BufferPool) => Promise<T>,
): Promise<Outcome<T>> {
  const buffers = new BufferPool({ sizeBytes: LOOK_BYTES });
  const opened = await openDrive(path, { ring: null, buffers });
  if (!opened.ok) return opened;
  try {
    return done(await look(opened.value, buffers));
  } finally {
    await opened.value.close();
  }
}
