/**
 * Progress of a job in one line: a bar, how much, how fast, how long still. Never more than 100 %, and the time left
 * is only said when there is a rate to compute it from.
 */

import { formatBytes, formatClock, formatRate } from '../../api/units.ts';
import type { JobStatus } from '../../core/status.ts';

const BAR_CELLS = 24;

export const shareDone = (job: Pick<JobStatus, 'doneBytes' | 'totalBytes'>): number =>
  job.totalBytes === 0 ? 1 : Math.min(1, job.doneBytes / job.totalBytes);

export function progressLine(job: JobStatus, columns: number): string {
  const share = shareDone(job);
  const percent = `${(Math.floor(share * 1000) / 10).toFixed(1)}%`;
  const where = job.slot === null ? job.kind : `${job.kind} of slot ${job.slot}`;
  const words = [
    where,
    bar(share),
    percent,
    `${formatBytes(job.doneBytes)} of ${formatBytes(job.totalBytes)}`,
  ];
  if (job.state === 'running' && job.bytesPerSecond > 0) {
    const leftMs = ((job.totalBytes - job.doneBytes) / job.bytesPerSecond) * 1000;
    words.push(formatRate(job.bytesPerSecond), `${formatClock(leftMs)} left`);
  } else if (job.state !== 'running') {
    words.push(job.state);
  }
  if (job.mismatches > 0) words.push(`${job.mismatches} mismatches`);
  if (job.reason !== '') words.push(`(${job.reason})`);
  const line = words.join('  ');
  // A narrow terminal loses the bar, not the numbers.
  return line.length > columns ? words.filter((word) => !word.startsWith('[')).join('  ') : line;
}

function bar(share: number): string {
  const full = Math.floor(share * BAR_CELLS);
  const head = full > 0 && full < BAR_CELLS ? '>' : '';
  return `[${'='.repeat(full - head.length)}${head}${'.'.repeat(BAR_CELLS - full)}]`;
}
