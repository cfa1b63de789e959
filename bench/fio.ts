/**
 * One fio run over NBD, and the figures we take from it.
 *
 * A run that writes ends with a flush, and the time of the flush counts: a server that only fills a cache would
 * otherwise be compared with one that has done the work (docs/benchmarks/method.md). fio's `runtime` covers the final
 * flush (checked against a server whose flush takes 3 s), so rates are requests and bytes by that time.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../tests/support/processes.ts';

export interface Work {
  readonly pattern: 'randread' | 'randwrite' | 'read' | 'write';
  readonly blockBytes: number;
  readonly outstanding: number;
}

export interface Figures {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly latencyMeanUs: number;
  readonly latencyP99Us: number;
}

interface FioSide {
  io_bytes: number;
  total_ios: number;
  runtime: number;
  clat_ns: { mean: number; percentile?: Record<string, number> };
}

export function nbdUri(socketPath: string, exportName: string): string {
  return `nbd+unix:///${exportName}?socket=${socketPath}`;
}

/** `seconds: 0` goes over the whole size once. */
export async function fio(
  uri: string,
  work: Work,
  options: { seconds: number; sizeBytes: number },
): Promise<Figures> {
  const writes = work.pattern === 'randwrite' || work.pattern === 'write';
  // fio leaves state files in its working directory.
  const folder = await mkdtemp(join(tmpdir(), 'locum-fio-'));
  try {
    const { stdout } = await mustRun(
      'fio',
      [
        '--name=bench',
        '--ioengine=nbd',
        `--uri=${uri}`,
        `--rw=${work.pattern}`,
        `--bs=${work.blockBytes}`,
        `--iodepth=${work.outstanding}`,
        `--size=${options.sizeBytes}`,
        ...(options.seconds > 0 ? ['--time_based', `--runtime=${options.seconds}`] : []),
        '--randrepeat=0',
        '--norandommap',
        ...(writes ? ['--end_fsync=1'] : []),
        '--output-format=json',
      ],
      { cwd: folder, timeoutMs: (options.seconds + 120) * 1000 },
    );
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      jobs: { read: FioSide; write: FioSide }[];
    };
    const side = report.jobs[0]?.[writes ? 'write' : 'read'];
    if (!side || side.total_ios === 0) throw new Error(`fio did nothing: ${stdout}`);
    const seconds = side.runtime / 1000;
    return {
      requestsPerSecond: side.total_ios / seconds,
      bytesPerSecond: side.io_bytes / seconds,
      latencyMeanUs: side.clat_ns.mean / 1000,
      latencyP99Us: (side.clat_ns.percentile?.['99.000000'] ?? 0) / 1000,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
