/**
 * Page-cached 4 KiB random reads of one file through the drives, with promises and the deadline
 * guard as the engine has them: aim ≥ 300 k/s with 32 outstanding on io_uring.
 *
 *   node dist/bench/micro/io.js [DIRECTORY]      the file of 256 MiB is made there, default /tmp
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { type DriveOffset, MIB } from '../../src/base/units.ts';
import { BufferPool } from '../../src/io/buffer-pool.ts';
import { createImage } from '../../src/io/create-image.ts';
import { DeadlineDrive } from '../../src/io/deadline-drive.ts';
import type { Drive } from '../../src/io/drive.ts';
import { openDrive } from '../../src/io/open-drive.ts';
import { SystemClock } from '../../src/io/system-clock.ts';
import { Ring } from '../../src/io/uring.ts';

const FILE_BYTES = 256 * MIB;
const REPEATS = 5;
const REPEAT_MS = 400;

const pool = new BufferPool();
const available = Ring.available();
const ring = available.ok ? new Ring() : null;
ring?.attachPool(pool);

const directory = fs.mkdtempSync(path.join(process.argv[2] ?? os.tmpdir(), 'locum-bench-'));
const file = path.join(directory, 'image');

/** Reads a second: the median of the repeats. */
async function readsPerSecond(drive: Drive, outstanding: number): Promise<number> {
  const rates: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    let count = 0;
    const begunMs = performance.now();
    const untilMs = begunMs + REPEAT_MS;
    const workers = Array.from({ length: outstanding }, async (_, seed) => {
      const address = pool.take(4096, 'engine');
      let state = seed + repeat;
      while ((count & 63) !== 0 || performance.now() < untilMs) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        const offset = (state % (FILE_BYTES / 4096)) * 4096;
        if ((await drive.read(offset as DriveOffset, address, 4096)) !== 0) throw new Error('EIO');
        count += 1;
      }
      pool.give(address);
    });
    await Promise.all(workers);
    rates.push((count * 1000) / (performance.now() - begunMs));
  }
  return rates.sort((a, b) => a - b)[REPEATS >> 1]!;
}

async function measure(name: string, backend: Ring | null, guarded: boolean): Promise<void> {
  const outcome = await openDrive(file, { ring: backend, buffers: pool });
  if (!outcome.ok) throw new Error(outcome.problem.code);
  const drive = guarded ? new DeadlineDrive(outcome.value, new SystemClock(), pool) : outcome.value;
  for (const outstanding of [1, 4, 32]) {
    const rate = await readsPerSecond(drive, outstanding);
    const each = (1e6 / rate) * outstanding;
    const text = `${(rate / 1000).toFixed(0)} k/s`.padStart(10);
    process.stdout.write(`${name.padEnd(22)} ${outstanding} outstanding`.padEnd(40));
    process.stdout.write(`${text}   ${each.toFixed(1).padStart(7)} µs\n`);
  }
  await drive.close();
}

try {
  const made = await createImage(file, FILE_BYTES);
  if (!made.ok) throw new Error(made.problem.code);
  fs.readFileSync(file);
  if (ring) {
    await measure('io_uring', ring, false);
    await measure('io_uring, guarded', ring, true);
  } else if (!available.ok) {
    process.stdout.write(`no io_uring: ${available.reason}\n`);
  }
  await measure('node:fs', null, false);
} finally {
  ring?.close();
  fs.rmSync(directory, { recursive: true });
}
