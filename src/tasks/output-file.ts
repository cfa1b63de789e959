/**
 * What a command prints goes to a file, which it has open for appending, and which is kept small while the command runs:
 *
 *   the first 64 KiB │ "[… 123456789 bytes left out …]" │ the last 64 KiB or more
 *
 * The file says itself how much was left out, so that a server that is started again goes on where the last one was.
 * Between the reading of the end and the cut, a few lines of a flood can be lost without being counted; nothing else can.
 */

import { open, readFile } from 'node:fs/promises';

export const KEPT_BYTES = 64 * 1024;
/** The file is cut when it is longer than this. */
const CUT_ABOVE_BYTES = 16 * KEPT_BYTES;
const COUNT_DIGITS = 15;

const marker = (bytes: number): string =>
  `\n[… ${String(bytes).padStart(COUNT_DIGITS)} bytes left out …]\n`;
const MARKER_BYTES = Buffer.byteLength(marker(0));

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
    bytes.subarray(KEPT_BYTES, KEPT_BYTES + MARKER_BYTES).toString('utf8'),
  );
  const omittedBefore = found === null ? 0 : Number(found[1]);
  const rest = bytes.subarray(KEPT_BYTES + (found === null ? 0 : MARKER_BYTES));
  const tail = rest.subarray(Math.max(0, rest.length - KEPT_BYTES));
  return { head, omittedBytes: omittedBefore + rest.length - tail.length, tail };
}

const joined = ({ head, omittedBytes, tail }: Parts): Buffer =>
  Buffer.concat([head, Buffer.from(omittedBytes > 0 ? marker(omittedBytes) : ''), tail]);

/** Cuts the file when it has grown too long. A file that is not there is left alone. */
export async function cutOutput(path: string): Promise<void> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r+');
  } catch {
    return;
  }
  try {
    const { size } = await file.stat();
    if (size <= CUT_ABOVE_BYTES) return;
    // A flood may have written gigabytes by now: only the ends of it are read.
    const head = Buffer.alloc(KEPT_BYTES + MARKER_BYTES);
    await file.read(head, 0, head.length, 0);
    const tail = Buffer.alloc(KEPT_BYTES);
    await file.read(tail, 0, tail.length, size - tail.length);
    const parts = boundOutput(Buffer.concat([head, tail]));
    const between = size - head.length - tail.length;
    const omitted = marker(parts.omittedBytes + between);
    await file.truncate(KEPT_BYTES);
    await file.write(Buffer.concat([Buffer.from(omitted), tail]), 0, undefined, KEPT_BYTES);
  } catch {
    // A full disk: the tool is watched all the same, and the next cut tries again.
  } finally {
    await file.close();
  }
}

/** The kept output as text for a record: bounded, without the colours and the cursor movements of a terminal. */
export async function readOutput(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch {
    return '';
  }
  return withoutPercents(plainText(joined(boundOutput(bytes)).toString('utf8')));
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
  let file: Awaited<ReturnType<typeof open>>;
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
  } finally {
    await file.close();
  }
}
