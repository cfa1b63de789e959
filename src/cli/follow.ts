/**
 * Following work that the server does in the background: a live line on a terminal, a line now and then elsewhere.
 *
 * Ctrl-C detaches: the work goes on in the server, and the command says so. A wait with a limit that passes ends with
 * exit code 6. The server is polled, because its answer after a lost connection is then right again by itself.
 */

import { exitCodes } from '../api/errors.ts';
import { formatDuration } from '../api/units.ts';
import type { JobKind, JobStatus, VolumeStatus } from '../core/status.ts';
import { progressLine, shareDone } from './render/progress.ts';
import type { Session } from './session.ts';
import { stopFor, stopQuietly } from './stop.ts';

const POLL_MS = 500;
/** Without a terminal a line is printed at each tenth. */
const SHARE_STEP = 0.1;

export interface Follow {
  readonly volume: string;
  /** What is waited for, in a sentence: "the replay". */
  readonly what: string;
  readonly kinds: readonly JobKind[];
  readonly timeoutMs: number | null;
  /** True when there is nothing left to wait for; jobs of `kinds` that still run are waited for in any case. */
  readonly finished: (status: VolumeStatus) => boolean;
}

/** Resolves with the last status; throws `Stop` when detached, timed out, or when a job has failed. */
export async function follow(session: Session, request: Follow): Promise<VolumeStatus> {
  const { terminal } = session;
  const line = new LiveLine(session);
  const startedMs = terminal.nowMs();
  let detached = false;
  const release = terminal.onInterrupt(() => {
    detached = true;
  });
  try {
    for (;;) {
      const reply = await session.client.call('volumeStatus', {
        params: { volume: request.volume },
      });
      const status = reply.volumes[0]!;
      const jobs = status.jobs.filter((job) => request.kinds.includes(job.kind));
      const active = jobs.filter((job) => job.state === 'running' || job.state === 'paused');
      line.show(active);
      const broken = jobs.find((job) => job.state === 'failed');
      if (broken)
        throw stopFor('io-error', {
          path: `${request.what} of ${request.volume}`,
          reason: broken.reason,
        });
      if (active.length === 0 && request.finished(status)) return status;
      if (detached) {
        line.clear();
        session.note(
          `Detached: ${request.what} goes on in the server. \`locum status --watch\` follows it.`,
        );
        throw stopQuietly(exitCodes.done);
      }
      const waitedMs = terminal.nowMs() - startedMs;
      if (request.timeoutMs !== null && waitedMs >= request.timeoutMs) {
        throw stopFor('wait-timeout', { waited: formatDuration(waitedMs), what: request.what });
      }
      await terminal.sleep(POLL_MS);
    }
  } finally {
    release();
    line.clear();
  }
}

class LiveLine {
  readonly #session: Session;
  readonly #printed = new Map<JobKind, number>();
  #shown = false;

  constructor(session: Session) {
    this.#session = session;
  }

  show(jobs: readonly JobStatus[]): void {
    if (this.#session.json) return;
    const { terminal } = this.#session;
    if (terminal.interactive) {
      this.clear();
      const text = jobs.map((job) => progressLine(job, terminal.columns - 1)).join('   ');
      if (text === '') return;
      terminal.out(text.slice(0, terminal.columns - 1));
      this.#shown = true;
      return;
    }
    for (const job of jobs) {
      const step = Math.floor(shareDone(job) / SHARE_STEP);
      if (step > (this.#printed.get(job.kind) ?? 0)) {
        this.#printed.set(job.kind, step);
        terminal.out(`${progressLine(job, Number.POSITIVE_INFINITY)}\n`);
      }
    }
  }

  clear(): void {
    if (this.#shown) this.#session.terminal.out('\r\u001b[K');
    this.#shown = false;
  }
}
