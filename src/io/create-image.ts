/**
 * Makes a pre-allocated image file, so that a member or a log leg never meets "no space" while it
 * is in use. A file that could not be completed is removed again.
 */

import fs from 'node:fs';
import path from 'node:path';
import { EEXIST, ENOENT, ENOSPC, ENOTSUP, type Errno, OK } from '../base/errno.ts';
import { MIB } from '../base/units.ts';
import { closeFile } from './close-file.ts';
import { type IoOutcome, opened, refused } from './io-outcome.ts';
import { native } from './native.ts';
import { errnoOf } from './open-file.ts';

const ENOTDIR = 20;
const EDQUOT = 122;
const EFBIG = 27;
/** Between two pieces the event loop runs: on tmpfs the kernel clears every page it allocates. */
const PIECE_BYTES = 128 * MIB;

export async function createImage(file: string, sizeBytes: number): Promise<IoOutcome<void>> {
  const freeBytes = await freeBytesAt(path.dirname(file));
  if (freeBytes !== null && freeBytes < sizeBytes) {
    return refused('space-missing', { path: file, neededBytes: sizeBytes, freeBytes });
  }
  let handle: fs.promises.FileHandle;
  try {
    handle = await fs.promises.open(file, 'wx', 0o600);
  } catch (error) {
    return refusalOf(file, sizeBytes, errnoOf(error as NodeJS.ErrnoException));
  }
  const errno = await fill(handle, sizeBytes);
  await handle.close();
  if (errno === OK) {
    await syncDirectory(path.dirname(file));
    return opened(undefined);
  }
  await fs.promises.rm(file, { force: true });
  return refusalOf(file, sizeBytes, errno);
}

async function fill(handle: fs.promises.FileHandle, sizeBytes: number): Promise<Errno> {
  try {
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
      const lengthBytes = Math.min(PIECE_BYTES, sizeBytes - at);
      const result = native()?.fallocate(handle.fd, 0, at, lengthBytes) ?? -ENOTSUP;
      if (result === -ENOTSUP) await writeZeroes(handle, at, lengthBytes);
      else if (result < 0) return -result;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await handle.sync();
    return OK;
  } catch (error) {
    return errnoOf(error as NodeJS.ErrnoException);
  }
}

async function writeZeroes(
  handle: fs.promises.FileHandle,
  from: number,
  lengthBytes: number,
): Promise<void> {
  const zeroes = new Uint8Array(MIB);
  let at = from;
  while (at < from + lengthBytes) {
    const { bytesWritten } = await handle.write(
      zeroes,
      0,
      Math.min(MIB, from + lengthBytes - at),
      at,
    );
    at += bytesWritten;
  }
}

async function freeBytesAt(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await fs.promises.statfs(directory);
    return bavail * bsize;
  } catch {
    // Opening the file will say what is wrong.
    return null;
  }
}

/** So that the name survives a power cut as well. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.promises.open(directory, 'r');
  try {
    await handle.sync();
  } catch {
    // Some file systems cannot; there is nothing better to do.
  } finally {
    await closeFile(handle);
  }
}

function refusalOf(file: string, sizeBytes: number, errno: Errno): IoOutcome<void> {
  if (errno === ENOSPC || errno === EDQUOT || errno === EFBIG) {
    return refused('space-missing', { path: file, neededBytes: sizeBytes });
  }
  if (errno === ENOENT || errno === ENOTDIR)
    return refused('drive-path-missing', { path: path.dirname(file) });
  if (errno === EEXIST)
    return refused('drive-has-data', { path: file, found: 'a file that was there before' });
  return refused('drive-not-writable', { path: file });
}
