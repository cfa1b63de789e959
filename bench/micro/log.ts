/**
 * The window's log: appends of 4 KiB on two legs, and how fast and how large a log comes back after
 * a kill.
 *
 *   node dist/bench/micro/log.js [DIRECTORY] [RECORDS]
 *
 * Makes two legs in DIRECTORY (default /dev/shm) that hold RECORDS live records of 4 KiB (default 1
 * 000 000: 4.6 GB a leg), fills them, opens them again without a clean stop. Aims: ready in 2 s,
 * 100 MB for a million records.
 */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Address, KIB, MIB } from '../../src/base/units.ts';
import { DATA } from '../../src/core/overlay.ts';
import type { LogEnvironment } from '../../src/engine/log/legs.ts';
import { LogStore } from '../../src/engine/log/log-store.ts';
import { BufferPool } from '../../src/io/buffer-pool.ts';
import { createImage } from '../../src/io/create-image.ts';
import type { Drive } from '../../src/io/drive.ts';
import { openDrive } from '../../src/io/open-drive.ts';
import { SystemClock } from '../../src/io/system-clock.ts';
import { Ring } from '../../src/io/uring.ts';

const RECORDS = Number(process.argv[3] ?? 1_000_000);
const OUTSTANDING = 32;
const VOLUME = '11111111-2222-4333-8444-555555555555';
const PARTS = 5;

const pool = new BufferPool();
const available = Ring.available();
const ring = available.ok ? new Ring() : null;
ring?.attachPool(pool);
const environment: LogEnvironment = {
  buffers: pool,
  clock: new SystemClock(),
  random: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

const say = (what: string, value: string): void => {
  process.stdout.write(`${what.padEnd(56)} ${value.padStart(24)}\n`);
};

async function openLegs(paths: readonly string[]): Promise<Drive[]> {
  const drives: Drive[] = [];
  for (const file of paths) {
    const opened = await openDrive(file, { ring, buffers: pool });
    if (!opened.ok) throw new Error(opened.problem.code);
    drives.push(opened.value);
  }
  return drives;
}

/**
 * Each worker writes its own 4 KiB blocks; together they cover `records` blocks once, in a
 * scattered order.
 */
async function fill(
  store: LogStore,
  first: number,
  records: number,
  outstanding: number,
): Promise<string> {
  const begunMs = performance.now();
  const cpu = process.cpuUsage();
  let next = first;
  const worker = async (address: Address): Promise<void> => {
    while (next < first + records) {
      const block = (next++ * 7_368_787) % RECORDS;
      if ((await store.window!.append(DATA, block * 8, 8, address)) !== 0)
        throw new Error('append failed');
    }
  };
  const addresses = Array.from({ length: outstanding }, () => pool.take(4 * KIB, 'engine'));
  await Promise.all(addresses.map(worker));
  for (const address of addresses) pool.give(address);
  const { user, system } = process.cpuUsage(cpu);
  const rate = (records * 1000) / (performance.now() - begunMs);
  const cpuUs = (user + system) / records;
  return `${(rate / 1000).toFixed(1)} k/s, ${cpuUs.toFixed(1)} µs CPU`;
}

const used = (): number => {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

const paths = (base: string): string[] => ['leg0', 'leg1'].map((name) => path.join(base, name));

/** In a process of its own, which ends by a kill. */
async function fillAndDie(base: string): Promise<void> {
  const options = { volumeUuid: VOLUME, volumeName: 'bench' };
  const made = await LogStore.format(environment, await openLegs(paths(base)), options);
  if (!made.ok) throw new Error(made.problem.code);
  const store = made.value;
  say('io', ring ? 'io_uring' : 'node');
  await store.beginEpoch('aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee');
  const before = used();
  const slow = Math.min(20_000, Math.floor(RECORDS / 50));
  const one = await fill(store, 0, slow, 1);
  say('appends, 4 KiB, two legs, 1 outstanding', one);
  for (let part = 0; part < PARTS; part++) {
    const from = slow + Math.floor(((RECORDS - slow) * part) / PARTS);
    const to = slow + Math.floor(((RECORDS - slow) * (part + 1)) / PARTS);
    const rate = await fill(store, from, to - from, OUTSTANDING);
    const what = `appends, 4 KiB, two legs, ${OUTSTANDING} outstanding, to ${to} records`;
    say(what, rate);
  }
  say('log used', `${(store.status().usedBytes / MIB).toFixed(0)} MiB`);
  say('records in a segment', (RECORDS / store.report().lastSequence).toFixed(1));
  say('overlay and checksums', `${(store.memoryBytes / MIB).toFixed(1)} MiB`);
  say('heap and buffers, more than before', `${((used() - before) / MIB).toFixed(1)} MiB`);
  process.kill(process.pid, 'SIGKILL');
}

async function recover(base: string): Promise<void> {
  const drives = await openLegs(paths(base));
  const before = used();
  const begunMs = performance.now();
  const cpu = process.cpuUsage();
  const opened = await LogStore.open(environment, drives, { volumeUuid: VOLUME, logUuid: null });
  const tookMs = performance.now() - begunMs;
  const { user, system } = process.cpuUsage(cpu);
  if (opened.kind !== 'recovered') throw new Error(opened.kind);
  const { checkpointEntries, scannedSegments, verifiedSegments } = opened.recovery;
  say('recovery', `${(tookMs / 1000).toFixed(2)} s, ${((user + system) / 1e6).toFixed(2)} s CPU`);
  say('  entries of the checkpoint', `${checkpointEntries}`);
  say('  segments scanned, verified', `${scannedSegments}, ${verifiedSegments}`);
  say('  live records', `${opened.store.overlay.liveSectors / 8}`);
  say('  overlay and checksums', `${(opened.store.memoryBytes / MIB).toFixed(1)} MiB`);
  say('  heap and buffers, more than before', `${((used() - before) / MIB).toFixed(1)} MiB`);
  await opened.store.close();
}

const [, script, where = '/dev/shm', , fillIn] = process.argv;
if (fillIn !== undefined) await fillAndDie(fillIn);
const directory = fs.mkdtempSync(path.join(where, 'locum-bench-'));
try {
  const legBytes = Math.ceil((RECORDS * 4.8 * KIB + 128 * MIB) / MIB) * MIB;
  for (const file of paths(directory)) {
    const made = await createImage(file, legBytes);
    if (!made.ok) throw new Error(made.problem.code);
  }
  const args = ['--expose-gc', script!, where, `${RECORDS}`, directory];
  spawnSync(process.execPath, args, { stdio: 'inherit' });
  await recover(directory);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
  ring?.close();
}
