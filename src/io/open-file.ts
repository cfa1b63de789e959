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
  /**
   * Its file system does the I/O on the thread that asks, however long that takes (FUSE, NFS): io_uring must hand it to
   * a thread of the kernel, or a drive that hangs would hang everything.
   */
  readonly blocksCaller: boolean;
}

/** Not the synchronous one: a drive that hangs may hang there as well. */
export function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

export function statDescriptor(fd: number): Promise<fs.Stats> {
  return new Promise((resolve, reject) => {
    fs.fstat(fd, (error, stat) => (error ? reject(error) : resolve(stat)));
  });
}

/**
 * Device and inode of a file; of a block device its own number, so that two nodes of one device are
 * the same.
 */
export function identityOf(stat: fs.Stats): string {
  const { dev, ino, rdev } = stat;
  return identityFrom({ dev, ino, rdev, isDevice: stat.isBlockDevice() });
}

export function identityFrom(
  found: Pick<fs.Stats, 'dev' | 'ino' | 'rdev'> & { isDevice: boolean },
): string {
  return found.isDevice ? `device:${found.rdev}` : `file:${found.dev}:${found.ino}`;
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
