/** What a drive or a leg can do to a server, how it ends, and what must be said of it. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { MountedDrive } from './drives-faulty.ts';
import type { StageName } from './drives-stage.ts';

const EIO = 5;
const ENOSPC = 28;

export interface DriveFault {
  /** As in the coverage table. */
  readonly name: string;
  readonly on: 'a member' | 'a leg';
  readonly begin: (drive: MountedDrive) => void | Promise<void>;
  /** The drive is as it was, and holds what it has taken. */
  readonly end: (drive: MountedDrive) => void | Promise<void>;
  /** Where the server cannot but notice. */
  readonly isSaid: (stage: StageName, level: number) => boolean;
  /** The drive is still in use afterwards: the fault is no reason to lose it. */
  readonly isHarmless?: boolean;
}

const always = (): boolean => true;
/** A frozen volume writes to no member, and reads of it may come from the page cache. */
const whenWritten = (stage: StageName): boolean => stage !== 'frozen';

/** Mirrors need no image of a stripe in the log. */
const whenLogged = (stage: StageName, level: number): boolean =>
  stage === 'frozen' || (stage === 'degraded' && level !== 1);

const healthy = (drive: MountedDrive): void => drive.drive.setErrno(0);

export const driveFaults: readonly DriveFault[] = [
  {
    name: 'F-10 hung drive (SIGSTOP behind FUSE)',
    on: 'a member',
    begin: (drive) => drive.mount.hang(),
    // What hung goes on now, and answers a server that has given it up. Until then that has tried to have it back.
    end: async (drive) => {
      await sleep(1_500);
      drive.mount.goOn();
    },
    isSaid: always,
  },
  {
    name: 'R-11 log leg hung (SIGSTOP behind FUSE)',
    on: 'a leg',
    begin: (drive) => drive.mount.hang(),
    end: (drive) => drive.mount.goOn(),
    isSaid: always,
  },
  {
    name: 'F-1 EIO on demand, every request',
    on: 'a member',
    begin: (drive) => drive.drive.setErrno(EIO),
    end: healthy,
    isSaid: whenWritten,
  },
  {
    name: 'F-1 EIO on demand, writes',
    on: 'a member',
    begin: ({ drive }) => void (drive.errno.write = EIO),
    end: healthy,
    isSaid: whenWritten,
  },
  {
    name: 'F-11 flushes fail, once in a while',
    on: 'a member',
    begin: async ({ drive }) => {
      drive.errno.flush = EIO;
      await sleep(400);
      // From here on it says that all is well: what it lost before stays lost.
      drive.errno.flush = 0;
    },
    end: healthy,
    isSaid: () => false,
  },
  {
    name: 'F-13 member without space (ENOSPC)',
    on: 'a member',
    begin: ({ drive }) => void (drive.errno.write = ENOSPC),
    end: healthy,
    isSaid: whenWritten,
  },
  {
    name: 'R-1 leg without space (ENOSPC)',
    on: 'a leg',
    begin: ({ drive }) => void (drive.errno.write = ENOSPC),
    end: healthy,
    isSaid: whenLogged,
  },
  {
    name: 'F-9 slow drive',
    on: 'a member',
    begin: ({ drive }) => void (drive.delayMs = 60),
    end: ({ drive }) => void (drive.delayMs = 0),
    isSaid: () => false,
    isHarmless: true,
  },
  {
    name: 'F-14 the server of a drive dies; F-15 it comes back',
    on: 'a member',
    begin: (drive) => drive.die(),
    end: (drive) => drive.comeBack(),
    isSaid: always,
  },
  {
    name: 'R-1 the server of a leg dies and comes back',
    on: 'a leg',
    begin: (drive) => drive.die(),
    end: (drive) => drive.comeBack(),
    isSaid: always,
  },
];
