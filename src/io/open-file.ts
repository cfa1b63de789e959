/**
 * A drive that has been opened, whichever way its I/O is done: what the io_uring and the node:fs
 * drive share. Descriptors come from node:fs, so that node closes them when a worker thread ends.
 */

import fs from 'node:fs';
import { EIO, ENODEV, type Errno, OK } from '../base/errno.ts';

export interface OpenFile {
  readonly path: string;
  readonly fd: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Equal for two names of one file or device: see `identityOf`. */
  readonly identity: string;
  /** Gives up what made the opening exclusive beyond the descriptor itself. */
  readonly release: () => void;
}

/**
 * Device and inode of a file; of a block device its own number, so that two nodes of one device are
 * the same.
 */
export function identityOf(stat: fs.Stats): string {
  return stat.isBlockDevice() ? `device:${stat.rdev}` : `file:${stat.dev}:${stat.ino}`;
}

/** Does the path still lead to what was opened? */
export function isStillThere(file: OpenFile): Promise<Errno> {
  return new Promise((resolve) => {
    fs.stat(file.path, (error, stat) => {
      if (error) resolve(errnoOf(error));
      else resolve(identityOf(stat) === file.identity ? OK : ENODEV);
    });
  });
}

export function closeFile(file: OpenFile): Promise<void> {
  return new Promise((resolve) => {
    // A close that fails has closed all the same; what it could report was asked for by the flush
    // before.
    fs.close(file.fd, () => {
      file.release();
      resolve();
    });
  });
}

/** The errno of an error of node:fs: positive, EIO when it has none. */
export function errnoOf(error: NodeJS.ErrnoException): Errno {
  return error.errno === undefined || error.errno === 0 ? EIO : Math.abs(error.errno);
}
