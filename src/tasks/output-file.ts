/**
 * What a command prints goes to a file, which it has open for appending, and which is kept small while the command runs:
 *
 *   the first 64 KiB │ a hole that takes no room │ the last 64 KiB or more
 *
 * The hole is punched behind the back of the command: nothing that it prints meanwhile is lost, and all is counted. Once it
 * has ended the file is cut, and says itself how much was left out. Where a file system knows no holes it is cut while the
 * command runs, too; between the reading of the end and the cut, a few lines of a flood can then be lost, uncounted.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { closeFile } from '../io/close-file.ts';
import { native } from '../io/native.ts';

export const KEPT_BYTES = 64 * 1024;
/** The file is looked at when this much has come since. */
const CUT_ABOVE_BYTES = 16 * KEPT_BYTES;
const COUNT_DIGITS = 15;
const FALLOC_KEEP_SIZE_PUNCH_HOLE = 3;

const marker = (bytes: number): string =>
  `\n[… ${String(bytes).padStart(COUNT_DIGITS)} bytes left out …]\n`;
const MARKER_BYTES = Buffer.byteLength(marker(0));
const HEAD_BYTES = KEPT_BYTES + MARKER_BYTES;

/** The three parts of a file: `omittedBytes` is 0 when nothing was left out, and then all is in `head` and `tail`. */
interface Parts {
  readonly head: Buffer;
  readonly omittedBytes: number;
  readonly tail: Buffer;
}

/** Pure: what is kept of the bytes of a file that was perhaps cut before. */
export function boundOutput(bytes: Buffer): Parts {
  const head = bytes.subarray(0, KEPT_BYTES);
  const found = /^\n\[… +(\d+) bytes left out …\]\n$/.exec(
    bytes.subarray(KEPT_BYTES, HEAD_BYTES).toString('utf8'),
  );
  const omittedBefore = found === null ? 0 : Number(found[1]);
  const rest = bytes.subarray(KEPT_BYTES + (found === null ? 0 : MARKER_BYTES));
  const tail = rest.subarray(Math.max(0, rest.length - KEPT_BYTES));
  return { head, omittedBytes: omittedBefore + rest.length - tail.length, tail };
}

const joined = ({ head, omittedBytes, tail }: Parts): Buffer =>
  Buffer.concat([head, Buffer.from(omittedBytes > 0 ? marker(omittedBytes) : ''), tail]);

/** Of a file of any size only the ends are read: there may be gigabytes, or a hole, between them. */
async function partsOf(file: FileHandle, sizeBytes: number): Promise<Parts> {
  const headBytes = Math.min(sizeBytes, HEAD_BYTES);
  const tailBytes = Math.min(sizeBytes - headBytes, KEPT_BYTES);
  const ends = Buffer.alloc(headBytes + tailBytes);
  await file.read(ends, 0, headBytes, 0);
  await file.read(ends, headBytes, tailBytes, sizeBytes - tailBytes);
  const parts = boundOutput(ends);
  return { ...parts, omittedBytes: parts.omittedBytes + sizeBytes - headBytes - tailBytes };
}

/**
 * Makes room when the file has grown too long. A file that is not there is left alone. `isWritten`: a command still prints
 * to it.
 */
export async function cutOutput(path: string, isWritten: boolean): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r+');
  } catch {
    return;
  }
  try {
    const { size, blocks } = await file.stat();
    // Some file systems count no blocks.
    const usedBytes = blocks === 0 ? size : Math.min(size, blocks * STAT_BLOCK_BYTES);
    if ((isWritten ? usedBytes : size) <= CUT_ABOVE_BYTES) return;
    if (isWritten && punched(file.fd, HEAD_BYTES, size - HEAD_BYTES - KEPT_BYTES)) return;
    const { omittedBytes, tail } = await partsOf(file, size);
    await file.truncate(KEPT_BYTES);
    const rest = Buffer.concat([Buffer.from(marker(omittedBytes)), tail]);
    await file.write(rest, 0, undefined, KEPT_BYTES);
  } catch {
    // A full disk: the tool is watched all the same, and the next cut tries again.
  } finally {
    await closeFile(file);
  }
}

const STAT_BLOCK_BYTES = 512;

const punched = (fd: number, offsetBytes: number, lengthBytes: number): boolean =>
  native()?.fallocate(fd, FALLOC_KEEP_SIZE_PUNCH_HOLE, offsetBytes, lengthBytes) === 0;

/** The kept output as text for a record: bounded, without the colours and the cursor movements of a terminal. */
export async function readOutput(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = await file.stat();
    const parts = await partsOf(file, size);
    return withoutPercents(plainText(joined(parts).toString('utf8')));
  } catch {
    return '';
  } finally {
    await closeFile(file);
  }
}

/** Of the percents that our own tools count in, a line each, the last one tells a reader enough. */
export const withoutPercents = (text: string): string =>
  text.replace(/^\d{1,3} %\n(?=\d{1,3} %$)/gm, '');

/** Progress bars become lines, and nothing is left that a terminal would obey. */
export const plainText = (text: string): string =>
  text
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/\r+\n?/g, '\n')
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, '');

/** The last bytes of the file, for those who look for progress in it. */
export async function readTail(path: string, lengthBytes: number): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, lengthBytes));
    await file.read(bytes, 0, bytes.length, size - bytes.length);
    return plainText(bytes.toString('utf8'));
  } catch {
    return '';
  } finally {
    await closeFile(file);
  }
}
