/**
 * Reads a drive to see whether its medium can be read, as a process of its own: a read that hangs in the kernel then
 * takes none of the server's threads with it, and the scan goes on when the server is started again.
 *
 *   read-tool.js sample|scan PATH… [--bad=OFFSET:LENGTH]…
 *
 * `sample` reads 1 MiB at the beginning, at the end and at 30 places evenly between; `scan` reads everything. Past the
 * page cache where that is possible: what the kernel remembers proves nothing. Each error is a line (at most 100 of them),
 * whole percents are lines, the exit status is 1 when anything could not be read. `--bad` is for the simulated drive.
 */

import { constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { roundUp, SECTOR_BYTES } from '../base/units.ts';
import { WASM_PAGE_BYTES, webAssembly } from '../base/wasm-memory.ts';
import { closeDescriptor } from '../io/close-file.ts';
import { sysfsOf } from '../io/drive-users.ts';
import { say } from './say.ts';

const PIECE_BYTES = 1024 * 1024;
const SAMPLES = 32;
const ERRORS_SHOWN = 100;
/** No device has larger blocks than a page; O_DIRECT reads whole ones. */
const BLOCK_BYTES_MAX = 4096;

/** A WebAssembly memory is aligned to pages, which O_DIRECT needs and a Buffer is not. */
const pages = PIECE_BYTES / WASM_PAGE_BYTES;
const memory = new Uint8Array(new webAssembly.Memory({ initial: pages, maximum: pages }).buffer);

interface BadRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

const [mode, ...rest] = process.argv.slice(2);
const paths = rest.filter((word) => !word.startsWith('--'));
const badRanges = rest
  .filter((word) => word.startsWith('--bad='))
  .map((word): BadRange => {
    const [offsetBytes, lengthBytes] = word.slice('--bad='.length).split(':').map(Number);
    return { offsetBytes: offsetBytes!, lengthBytes: lengthBytes! };
  });

let errors = 0;
let lastPercent = -1;

function report(path: string, offsetBytes: number, reason: string): void {
  errors += 1;
  if (errors <= ERRORS_SHOWN) say(`${path}: byte ${offsetBytes}: ${reason}`);
}

function offsetsOf(sizeBytes: number): number[] {
  const pieces = Math.ceil(sizeBytes / PIECE_BYTES);
  if (mode === 'scan' || pieces <= SAMPLES) {
    return Array.from({ length: pieces }, (_, i) => i * PIECE_BYTES);
  }
  return Array.from(
    { length: SAMPLES },
    (_, i) => Math.floor((i * (pieces - 1)) / (SAMPLES - 1)) * PIECE_BYTES,
  );
}

/** Some file systems, such as tmpfs, know no O_DIRECT. */
function openForReading(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return openSync(path, constants.O_RDONLY);
  }
}

function sizeOfOpen(fd: number): number {
  const stat = fstatSync(fd);
  if (!stat.isBlockDevice()) return stat.size;
  return Number(readFileSync(`${sysfsOf(stat.rdev)}/size`, 'utf8')) * SECTOR_BYTES;
}

function readPiece(path: string, fd: number, offsetBytes: number, lengthBytes: number): void {
  const isBad = badRanges.some(
    (bad) =>
      bad.offsetBytes < offsetBytes + lengthBytes &&
      offsetBytes < bad.offsetBytes + bad.lengthBytes,
  );
  if (isBad) return report(path, offsetBytes, 'input/output error (simulated)');
  const askedBytes = roundUp(lengthBytes, BLOCK_BYTES_MAX);
  let doneBytes = 0;
  while (doneBytes < lengthBytes) {
    let readBytes: number;
    try {
      readBytes = readSync(fd, memory, doneBytes, askedBytes - doneBytes, offsetBytes + doneBytes);
    } catch (error) {
      return report(path, offsetBytes, error instanceof Error ? error.message : String(error));
    }
    if (readBytes === 0) return report(path, offsetBytes + doneBytes, 'the drive ends here');
    doneBytes += readBytes;
  }
}

function readDrive(path: string, share: (done: number) => void): void {
  const fd = openForReading(path);
  try {
    const sizeBytes = sizeOfOpen(fd);
    if (sizeBytes === 0) return report(path, 0, 'it has no size');
    const offsets = offsetsOf(sizeBytes);
    offsets.forEach((offset, i) => {
      readPiece(path, fd, offset, Math.min(PIECE_BYTES, sizeBytes - offset));
      share((i + 1) / offsets.length);
    });
    say(`${path}: ${offsets.length} pieces of up to 1 MiB read`);
  } finally {
    closeDescriptor(fd);
  }
}

try {
  paths.forEach((path, i) => {
    readDrive(path, (done) => {
      const percent = Math.floor(((i + done) / paths.length) * 100);
      if (percent !== lastPercent) say(`${percent} %`);
      lastPercent = percent;
    });
  });
} catch (error) {
  report(paths.join(' '), 0, error instanceof Error ? error.message : String(error));
}
if (errors > 0) say(`${errors} ${errors === 1 ? 'place' : 'places'} cannot be read`);
process.exitCode = errors > 0 ? 1 : 0;
