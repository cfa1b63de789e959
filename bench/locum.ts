/**
 * Locum as a subject of the benchmark: one server with one volume on fresh images, reached like any peer.
 */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Locum } from '../tests/support/locum.ts';
import { mustRun } from '../tests/support/processes.ts';
import { fio, nbdUri } from './fio.ts';
import type { Subject } from './peers.ts';

export interface VolumeShape {
  readonly level: number;
  readonly members: number;
  /** Members of a volume that hold data; the size of a member follows from it. */
  readonly dataMembers: number;
  /** 0 = no log. */
  readonly legs: number;
  readonly logBytes: number;
}

export const mirrorOfTwo: VolumeShape = {
  level: 1,
  members: 2,
  dataMembers: 1,
  legs: 0,
  logBytes: 0,
};
export const parityOfFour: VolumeShape = {
  level: 5,
  members: 4,
  dataMembers: 3,
  legs: 0,
  logBytes: 0,
};

const mebi = 2 ** 20;
/** Superblock, bitmap, label and the gap before the data. */
const metadataBytes = 16 * mebi;

export interface LocumSubject extends Subject {
  readonly locum: Locum;
  readonly sizeBytes: number;
}

/** A sparse volume takes no room until it is written, and is not filled: for scenes that only fill the log. */
export async function locumVolume(
  folder: string,
  shape: VolumeShape,
  sizeBytes: number,
  options: { sparse: boolean; serve?: readonly string[] } = { sparse: false },
): Promise<LocumSubject> {
  const own = join(folder, `locum-${shape.level}-${options.serve?.join('-') ?? ''}`);
  await mkdir(own, { recursive: true });
  const locum = new Locum(join(own, 's'), { serveArgs: options.serve ?? [] });
  await mkdir(locum.state, { recursive: true });
  const remove = (): Promise<void> => rm(own, { recursive: true, force: true });
  try {
    await locum.start();
    const memberBytes = Math.ceil(sizeBytes / shape.dataMembers / mebi) * mebi + metadataBytes;
    const drives = Array.from({ length: shape.members }, (_, slot) =>
      join(own, `drive${slot}.img`),
    );
    const legs = Array.from({ length: shape.legs }, (_, leg) => join(own, `log${leg}.img`));
    if (options.sparse) {
      for (const path of drives) await mustRun('truncate', ['-s', String(memberBytes), path]);
    }
    await locum.must(
      'volume',
      'create',
      'bench',
      '--level',
      String(shape.level),
      ...drives.flatMap((path) => ['--drive', path]),
      ...legs.flatMap((path) => ['--log', path]),
      '--image-size',
      String(memberBytes),
      ...(shape.legs > 0 ? ['--log-size', String(shape.logBytes)] : []),
      '--assume-clean',
    );
    const status = await locum.statusOf('bench');
    const subject: LocumSubject = {
      name: `locum RAID ${shape.level} of ${shape.members}`,
      uri: nbdUri(locum.nbdPath, 'bench'),
      socketPath: locum.nbdPath,
      exportName: 'bench',
      pid: locum.server.pid,
      locum,
      sizeBytes: status.sizeBytes,
      stop: async () => {
        await locum.stop();
        await remove();
      },
    };
    if (!options.sparse) {
      // The peers' files are filled too: nobody is measured on holes.
      const work = { pattern: 'write', blockBytes: mebi, outstanding: 4 } as const;
      await fio(subject.uri, work, { sizeBytes, seconds: 0 });
    }
    return subject;
  } catch (error) {
    await locum.stop('SIGKILL');
    await remove();
    throw error;
  }
}
