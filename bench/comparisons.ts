/**
 * The comparisons: one kind of work, Locum and its peers side by side, in turns.
 *
 * Turns and not blocks: the machine's speed drifts (other tenants, heat, page cache), and drift that meets both sides
 * alike leaves the ratio alone.
 */

import { type Figures, fio, type Work } from './fio.ts';
import { type LocumSubject, locumVolume, mirrorOfTwo, parityOfFour } from './locum.ts';
import { btrfs, nbdkit, type Peer, qemuNbd, quorum, type Subject } from './peers.ts';
import { type Result, ratio, type Series } from './report.ts';

export interface Bench {
  /** On tmpfs, unless that lacks room. */
  readonly folder: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly sizeBytes: number;
  readonly tell: (text: string) => void;
}

const read4k: Work = { pattern: 'randread', blockBytes: 4096, outstanding: 32 };
const write4k: Work = { pattern: 'randwrite', blockBytes: 4096, outstanding: 32 };
const write1m: Work = { pattern: 'write', blockBytes: 2 ** 20, outstanding: 8 };
const read4kAlone: Work = { pattern: 'randread', blockBytes: 4096, outstanding: 1 };

interface Comparison {
  readonly id: string;
  readonly work: string;
  readonly fio: Work;
  readonly shape: typeof mirrorOfTwo;
  readonly peers: readonly Peer[];
  readonly unit: string;
  readonly figure: (figures: Figures) => number;
  readonly aim: NonNullable<Result['aim']>;
}

const requests = { unit: 'requests/s', figure: (it: Figures) => it.requestsPerSecond };
const bandwidth = { unit: 'MiB/s', figure: (it: Figures) => it.bytesPerSecond / 2 ** 20 };
const latency = { unit: 'µs mean', figure: (it: Figures) => it.latencyMeanUs };
const atLeast = (value: number): NonNullable<Result['aim']> => ({ sign: '≥', value, unit: '×' });

export const comparisons: readonly Comparison[] = [
  {
    id: 'mirror-read',
    work: 'RAID 1, 4 KiB random reads, 32 outstanding',
    fio: read4k,
    shape: mirrorOfTwo,
    peers: [nbdkit, qemuNbd],
    ...requests,
    aim: atLeast(1),
  },
  {
    id: 'mirror-write',
    work: 'RAID 1, 4 KiB random writes',
    fio: write4k,
    shape: mirrorOfTwo,
    peers: [quorum],
    ...requests,
    aim: atLeast(2),
  },
  {
    id: 'parity-read',
    work: 'RAID 5 of 4, 4 KiB random reads',
    fio: read4k,
    shape: parityOfFour,
    peers: [nbdkit, qemuNbd],
    ...requests,
    aim: atLeast(0.9),
  },
  {
    id: 'parity-write',
    work: 'RAID 5 of 4, 4 KiB random writes',
    fio: write4k,
    shape: parityOfFour,
    peers: [btrfs],
    ...requests,
    aim: atLeast(3),
  },
  {
    id: 'parity-stream',
    work: 'RAID 5 of 4, 1 MiB sequential writes',
    fio: write1m,
    shape: parityOfFour,
    peers: [btrfs],
    ...bandwidth,
    aim: atLeast(1.5),
  },
  {
    id: 'latency',
    work: '1 outstanding 4 KiB read on RAID 1, latency',
    fio: read4kAlone,
    shape: mirrorOfTwo,
    peers: [nbdkit, qemuNbd],
    ...latency,
    aim: { sign: '≤', value: 1, unit: '×' },
  },
];

export async function compare(bench: Bench, item: Comparison): Promise<Result> {
  const subjects: Subject[] = [];
  const reasons: string[] = [];
  try {
    subjects.push(await locumVolume(bench.folder, item.shape, bench.sizeBytes));
    for (const peer of item.peers) {
      const started = await peer(bench.folder, bench.sizeBytes);
      if ('skipped' in started) reasons.push(started.skipped);
      else subjects.push(started);
    }
    const runs = subjects.map(() => [] as number[]);
    for (let round = 0; round < bench.rounds; round++) {
      for (const [index, subject] of subjects.entries()) {
        bench.tell(`${item.work}: round ${round + 1} of ${bench.rounds}, ${subject.name}`);
        runs[index]?.push(item.figure(await fio(subject.uri, item.fio, bench)));
      }
    }
    const series = subjects.map((subject, index) => ({
      name: subject.name,
      runs: runs[index] ?? [],
    }));
    return result(item, series, reasons.join('; '));
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

/** The same volume outside and inside a window, in turns; each window is closed and replayed before the next turn. */
export async function compareWindow(bench: Bench): Promise<Result> {
  // Room for what can be logged in one turn, well under the level at which a window is recalled.
  const logBytes = Math.ceil(Math.max(1, bench.seconds * 0.6)) * 2 ** 30;
  const shape = { ...parityOfFour, legs: 2, logBytes };
  const item = {
    id: 'window-write',
    work: 'in a window, two legs, 4 KiB random writes (RAID 5 of 4)',
    unit: 'requests/s',
    aim: atLeast(1),
  };
  const subject: LocumSubject = await locumVolume(bench.folder, shape, bench.sizeBytes);
  const { locum } = subject;
  try {
    const inside: number[] = [];
    const outside: number[] = [];
    for (let round = 0; round < bench.rounds; round++) {
      bench.tell(`${item.work}: round ${round + 1} of ${bench.rounds}`);
      outside.push((await fio(subject.uri, write4k, bench)).requestsPerSecond);
      await locum.must('window', 'open', 'bench', '1', '--for', 'firmware');
      inside.push((await fio(subject.uri, write4k, bench)).requestsPerSecond);
      await locum.must('window', 'close', 'bench', '--wait');
    }
    return result(item, [
      { name: 'inside a window', runs: inside },
      { name: 'the same volume outside', runs: outside },
    ]);
  } finally {
    await subject.stop();
  }
}

/** What the stripe log costs: two servers with the same volume and log, one of which uses it only while degraded. */
export async function compareStripeLog(bench: Bench, work: 'write' | 'stream'): Promise<Result> {
  const shape = { ...parityOfFour, legs: 2, logBytes: 2 ** 30 };
  const kind = work === 'write' ? { fio: write4k, ...requests } : { fio: write1m, ...bandwidth };
  const item = {
    id: `stripe-log-${work}`,
    work: `every stripe to the log first, ${work === 'write' ? '4 KiB random' : '1 MiB sequential'} writes (RAID 5 of 4)`,
    unit: kind.unit,
    // A large write is written three times over: to the members and to both legs.
    aim: atLeast(work === 'write' ? 0.5 : 0.25),
  };
  const volume = (logDirect: 0 | 1): Promise<LocumSubject> => {
    const serve = ['--limit', `logDirect=${logDirect}`];
    return locumVolume(bench.folder, shape, bench.sizeBytes, { sparse: false, serve });
  };
  const subjects: LocumSubject[] = [];
  try {
    subjects.push(await volume(1), await volume(0));
    const runs = subjects.map(() => [] as number[]);
    for (let round = 0; round < bench.rounds; round++) {
      bench.tell(`${item.work}: round ${round + 1} of ${bench.rounds}`);
      for (const [index, { uri }] of subjects.entries())
        runs[index]?.push(kind.figure(await fio(uri, kind.fio, bench)));
    }
    return result(item, [
      { name: 'logged first', runs: runs[0] ?? [] },
      { name: 'in place at once', runs: runs[1] ?? [] },
    ]);
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

function result(
  item: Pick<Comparison, 'id' | 'work' | 'unit' | 'aim'>,
  series: readonly Series[],
  note = '',
): Result {
  const { id, work, unit, aim } = item;
  return { id, work, unit, aim, series, value: ratio(series), note };
}
