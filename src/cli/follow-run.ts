/**
 * Following a run: a live line on a terminal, a line for each step elsewhere, and what it waits for in any case. The server
 * may be restarted meanwhile: the run goes on, and so does this.
 */

import { exitCodes } from '../api/errors.ts';
import { formatDuration } from '../api/units.ts';
import type { RunReport } from '../core/run-report.ts';
import type { VolumeStatus } from '../core/status.ts';
import { runLine } from './render/run.ts';
import type { Session } from './session.ts';
import { Stop, stopFor, stopQuietly } from './stop.ts';

const POLL_MS = 500;
/** How long a server that went away may take to come back. */
const SERVER_WAIT_MS = 60_000;

export async function followRun(
  session: Session,
  volume: string,
  begun: RunReport,
  timeoutMs: number | null,
): Promise<RunReport> {
  const { terminal } = session;
  const startedMs = terminal.nowMs();
  const told = new Told(session);
  let run = begun;
  let isDetached = false;
  let answeredMs = startedMs;
  const release = terminal.onInterrupt(() => {
    isDetached = true;
  });
  try {
    for (;;) {
      const seen = await look(session, volume, run.id);
      if (seen !== null) {
        answeredMs = terminal.nowMs();
        run = seen.run;
        told.tell(run, seen.status);
      } else if (terminal.nowMs() - answeredMs > SERVER_WAIT_MS) {
        throw stopFor('server-unreachable', { reason: 'the run goes on when it is started again' });
      }
      if (run.state === 'ended') return run;
      if (isDetached) {
        told.clear();
        session.note(
          `Detached: the run goes on in the server. \`locum window show ${volume}\` tells how it is.`,
        );
        throw stopQuietly(exitCodes.done);
      }
      const waitedMs = terminal.nowMs() - startedMs;
      if (timeoutMs !== null && waitedMs >= timeoutMs) {
        throw stopFor('wait-timeout', { waited: formatDuration(waitedMs), what: 'the run' });
      }
      await terminal.sleep(POLL_MS);
    }
  } finally {
    release();
    told.clear();
  }
}

/** Null: the server does not answer at the moment. */
async function look(
  session: Session,
  volume: string,
  id: string,
): Promise<{ run: RunReport; status: VolumeStatus | null } | null> {
  try {
    const { run } = await session.client.call('runShow', { params: { run: id } });
    if (run.state === 'ended' || session.json) return { run, status: null };
    const { volumes } = await session.client.call('volumeStatus', { params: { volume } });
    return { run, status: volumes[0] ?? null };
  } catch (error) {
    if (error instanceof Stop && error.problem?.code === 'server-unreachable') return null;
    throw error;
  }
}

class Told {
  readonly #session: Session;
  #stepCount = 0;
  #sentence = '';
  #isShown = false;

  constructor(session: Session) {
    this.#session = session;
  }

  tell(run: RunReport, status: VolumeStatus | null): void {
    const { terminal, json } = this.#session;
    this.clear();
    if (run.state === 'waiting' && run.sentence !== this.#sentence) {
      this.#session.note(`WAITING: ${run.sentence}`);
      if (run.next !== '') this.#session.note(`  next: ${run.next}`);
    }
    this.#sentence = run.sentence;
    if (json || run.state === 'ended') return;
    const line = runLine(run, status, terminal.nowMs());
    if (terminal.interactive) {
      terminal.out(line.slice(0, terminal.columns - 1));
      this.#isShown = true;
    } else if (run.steps.length > this.#stepCount) {
      terminal.out(`${line}\n`);
    }
    this.#stepCount = run.steps.length;
  }

  clear(): void {
    if (this.#isShown) this.#session.terminal.out('\r\u001b[K');
    this.#isShown = false;
  }
}
