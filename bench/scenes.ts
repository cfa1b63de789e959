/**
 * What is no comparison but a figure of its own: how long the host waits at a freeze, how long a restart takes with a
 * full log, how much memory the server needs, and the XOR kernel against a memory copy.
 */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../tests/support/locum.ts';
import type { NbdClient } from '../tests/support/nbd-client.ts';
import { mustRun } from '../tests/support/processes.ts';
import type { Bench } from './comparisons.ts';
import { type LocumSubject, locumVolume, mirrorOfTwo, parityOfFour } from './locum.ts';
import { imageFolder } from './machine.ts';
import { median, type Result, ratio } from './report.ts';

const mebi = 2 ** 20;
const gibi = 2 ** 30;

/** Writes 4 KiB without a pause, four at a time, and keeps the time of each answer. */
class SteadyWriter {
  readonly #client: NbdClient;
  readonly #sizeBytes: number;
  readonly #answersMs: number[] = [];
  #stopped = false;
  readonly #workers: Promise<void>[];

  constructor(client: NbdClient, sizeBytes: number) {
    this.#client = client;
    this.#sizeBytes = sizeBytes;
    this.#workers = [0, 1, 2, 3].map(() => this.#work());
  }

  async #work(): Promise<void> {
    const block = Buffer.alloc(4096, 0x5a);
    while (!this.#stopped) {
      const offset = Math.floor(Math.random() * (this.#sizeBytes / 4096)) * 4096;
      await this.#client.write(offset, block);
      this.#answersMs.push(performance.now());
      await sleep(0);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  /** The longest time without an answer between two moments. */
  longestGapMs(fromMs: number, toMs: number): number {
    const inside = this.#answersMs.filter((at) => at >= fromMs && at <= toMs);
    let longest = 0;
    for (let index = 1; index < inside.length; index++) {
      longest = Math.max(longest, (inside[index] ?? 0) - (inside[index - 1] ?? 0));
    }
    return longest;
  }
}

export async function freezePause(bench: Bench): Promise<Result> {
  const work = 'freeze: longest pause seen by the host';
  const shape = { ...parityOfFour, legs: 2, logBytes: gibi };
  const subject = await locumVolume(bench.folder, shape, bench.sizeBytes);
  const { locum } = subject;
  const pauses: number[] = [];
  const usual: number[] = [];
  try {
    for (let round = 0; round < bench.rounds; round++) {
      bench.tell(`${work}: round ${round + 1} of ${bench.rounds}`);
      const client = await locum.connect('bench');
      const writer = new SteadyWriter(client, subject.sizeBytes);
      await sleep(300);
      // The same work of another program, without a freeze: what the machine alone does to the gaps.
      const beforeMs = performance.now();
      await locum.must('window', 'plan', 'bench', '1', '--for', 'firmware');
      const openingMs = performance.now();
      await locum.must('window', 'open', 'bench', '1', '--for', 'firmware');
      await sleep(100);
      const openMs = performance.now();
      await writer.stop();
      usual.push(writer.longestGapMs(beforeMs, openingMs));
      pauses.push(writer.longestGapMs(openingMs, openMs));
      await client.close();
      await locum.must('window', 'close', 'bench', '--wait');
    }
  } finally {
    await subject.stop();
  }
  return {
    id: 'freeze',
    work,
    unit: 'ms',
    series: [
      { name: 'while the window opens', runs: pauses },
      { name: 'without a freeze, same load', runs: usual },
    ],
    value: Math.max(...pauses),
    aim: { sign: '≤', value: 50, unit: 'ms' },
    note: 'images on tmpfs: the flushes that the aim leaves out cost nothing here',
  };
}

interface Memory {
  readonly residentBytes: number;
  /** The part of the buffer pool that was ever touched. */
  readonly poolBytes: number;
}

/** The pool is one mapping of 256 MiB or more, the only readable and writable one of that size. */
async function memoryOf(pid: number): Promise<Memory> {
  const maps = await readFile(`/proc/${pid}/smaps`, 'utf8');
  let residentBytes = 0;
  let poolBytes = 0;
  for (const area of maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const kib = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(area)?.[1] ?? 0) * 1024;
    residentBytes += kib('Rss');
    if (kib('Size') >= 256 * mebi && / rw/.test(area)) poolBytes += kib('Rss');
  }
  return { residentBytes, poolBytes };
}

/**
 * One window with many live records, and three figures from it: memory idle, memory with the records, and the time from
 * the start of a killed server to its first answer to a read.
 */
export async function fullLog(bench: Bench, records: number): Promise<Result[]> {
  const volumeBytes = records * 4096 + 64 * mebi;
  // A record takes its data and its share of a segment; the log stays below the level at which a window is recalled.
  const logBytes = Math.ceil((records * 4300) / 0.8 / gibi) * gibi;
  const count = `${records.toLocaleString('en').replaceAll(',', ' ')} live log records`;
  // Two legs are large: they may need another place than the rest.
  const folder = imageFolder(2 * logBytes + gibi, undefined);
  const shape = { ...mirrorOfTwo, legs: 2, logBytes };
  const subject: LocumSubject = await locumVolume(folder, shape, volumeBytes, {
    sparse: true,
  });
  const { locum } = subject;
  try {
    bench.tell('memory: idle server');
    await sleep(2000);
    const idle = await memoryOf(subject.pid);
    bench.tell(`restart: writing ${count}`);
    await locum.must('window', 'open', 'bench', '1', '--for', 'firmware', '--max', '2h');
    await writeEach(subject, records);
    await sleep(2000);
    const full = await memoryOf(subject.pid);
    const { log } = JSON.parse(await locum.must('log', 'show', 'bench', '-o', 'json')) as {
      log: { records: number; usedBytes: number };
    };
    const starts: number[] = [];
    for (let round = 0; round < Math.min(3, bench.rounds); round++) {
      bench.tell(`restart: round ${round + 1}`);
      await locum.stop('SIGKILL');
      starts.push(await secondsToFirstRead(subject));
    }
    const idleMib = (idle.residentBytes - idle.poolBytes) / mebi;
    const moreMib = (full.residentBytes - full.poolBytes) / mebi - idleMib;
    return [
      {
        id: 'restart',
        work: `restart after kill -9 with ${count}`,
        unit: 's to the first read',
        series: [{ name: 'locum', runs: starts }],
        value: median(starts),
        aim: { sign: '≤', value: 3, unit: 's' },
        note: `the log holds ${log.records} records in ${(log.usedBytes / gibi).toFixed(2)} GiB, in ${folder}`,
      },
      {
        id: 'memory-idle',
        work: 'memory: server with one idle volume, without the buffer pool',
        unit: 'MiB',
        series: [{ name: 'locum', runs: [idleMib] }],
        value: idleMib,
        aim: { sign: '≤', value: 143, unit: 'MiB' },
        note: `touched of the buffer pool: ${(idle.poolBytes / mebi).toFixed(0)} MiB; 150 MB are 143 MiB`,
      },
      {
        id: 'memory-log',
        work: `memory: more with ${count}`,
        unit: 'MiB',
        series: [{ name: 'locum', runs: [moreMib] }],
        value: moreMib,
        aim: { sign: '≤', value: 95, unit: 'MiB' },
        note: `touched of the buffer pool: ${(full.poolBytes / mebi).toFixed(0)} MiB; 100 MB are 95 MiB`,
      },
    ];
  } finally {
    await subject.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** One 4 KiB write to each of `records` blocks that do not touch: nothing can be merged into one record. */
async function writeEach(subject: LocumSubject, records: number): Promise<void> {
  const client = await subject.locum.connect(subject.exportName);
  const block = Buffer.alloc(4096, 0xa5);
  // A stride that is prime to the number of blocks visits each block once, far from the one before.
  const blocks = Math.floor(subject.sizeBytes / 4096);
  let stride = 7919;
  while (blocks % stride === 0) stride += 2;
  let next = 0;
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (next < records) {
        const index = next++;
        await client.write(((index * stride) % blocks) * 4096, block);
      }
    }),
  );
  await client.close();
}

async function secondsToFirstRead(subject: LocumSubject): Promise<number> {
  const startedMs = performance.now();
  const starting = subject.locum.start();
  for (;;) {
    try {
      const client = await subject.locum.connect(subject.exportName);
      await client.read(0, 4096);
      const seconds = (performance.now() - startedMs) / 1000;
      client.destroy();
      await starting;
      return seconds;
    } catch (error) {
      if (performance.now() - startedMs > 120_000) throw error;
      await sleep(5);
    }
  }
}

/** bench/micro/xor.ts by itself, once a round; its two rates are of source data. */
export async function xorAgainstCopy(bench: Bench): Promise<Result> {
  const program = join(repositoryRoot, 'dist/bench/micro/xor.js');
  const xor: number[] = [];
  const copy: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const { stdout } = await mustRun('node', [program]);
    const rate = (what: string): number =>
      Number(new RegExp(`^${what} of 4 chunks +([\\d.]+) GB/s`, 'm').exec(stdout)?.[1]);
    xor.push(rate('xor'));
    copy.push(rate('copy'));
  }
  const series = [
    { name: 'XOR of four chunks', runs: xor },
    { name: 'memory copy', runs: copy },
  ];
  return {
    id: 'xor',
    work: 'XOR of four chunks',
    unit: 'GB/s of source data',
    series,
    value: ratio(series),
    aim: { sign: '≥', value: 0.5, unit: '×' },
    note: '',
  };
}

export function unmeasured(id: string, work: string, note: string): Result {
  return { id, work, unit: '', series: [], value: null, aim: null, note };
}
