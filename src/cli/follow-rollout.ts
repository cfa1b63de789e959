/**
 * Following a firmware update: a line for each drive when something has become of it, and on a terminal one live line below.
 * Ctrl-C detaches. The server may be restarted meanwhile: the update goes on, and so does this.
 */

import { exitCodes } from '../api/errors.ts';
import type { RolloutReport } from '../core/rollout-report.ts';
import { driveLine, rolloutLine } from './render/firmware.ts';
import type { Session } from './session.ts';
import { Stop, stopFor, stopQuietly } from './stop.ts';

const POLL_MS = 500;
/** How long a server that went away may take to come back. */
const SERVER_WAIT_MS = 60_000;

/** Resolves when it has ended, is halted, or was paused or stopped by somebody and nothing is at work any more. */
export async function followRollout(
  session: Session,
  begun: RolloutReport,
): Promise<RolloutReport> {
  const { terminal } = session;
  const told = new Told(session);
  let rollout = begun;
  let isDetached = false;
  let answeredMs = terminal.nowMs();
  const release = terminal.onInterrupt(() => {
    isDetached = true;
  });
  try {
    for (;;) {
      const seen = await look(session, rollout.id);
      if (seen !== null) {
        answeredMs = terminal.nowMs();
        rollout = seen;
        told.tell(rollout);
      } else if (terminal.nowMs() - answeredMs > SERVER_WAIT_MS) {
        throw stopFor('server-unreachable', {
          reason: 'the update goes on when it is started again',
        });
      }
      if (isAtRest(rollout)) return rollout;
      if (isDetached) {
        told.clear();
        session.note(
          `Detached: the update goes on in the server. \`locum firmware status ${rollout.id} --watch\` follows it, ` +
            `\`locum firmware pause ${rollout.id}\` pauses it.`,
        );
        throw stopQuietly(exitCodes.done);
      }
      await terminal.sleep(POLL_MS);
    }
  } finally {
    release();
    told.clear();
  }
}

/** Nothing more happens to it by itself. */
function isAtRest({ state, drives }: RolloutReport): boolean {
  if (state === 'running') return false;
  return !drives.some((drive) => drive.state === 'running' || drive.state === 'soaking');
}

/** Null: the server does not answer at the moment. */
async function look(session: Session, id: string): Promise<RolloutReport | null> {
  try {
    return (await session.client.call('rolloutShow', { params: { rollout: id } })).rollout;
  } catch (error) {
    if (error instanceof Stop && error.problem?.code === 'server-unreachable') return null;
    throw error;
  }
}

class Told {
  readonly #session: Session;
  readonly #lines = new Map<string, string>();
  #isShown = false;

  constructor(session: Session) {
    this.#session = session;
  }

  tell(rollout: RolloutReport): void {
    const { terminal, json } = this.#session;
    if (json) return;
    this.clear();
    for (const drive of rollout.drives) {
      const line = driveLine(drive);
      const key = `${drive.volumes[0]} ${drive.path} ${drive.slot}`;
      if (line === null || this.#lines.get(key) === line) continue;
      this.#lines.set(key, line);
      terminal.out(`${line}\n`);
    }
    if (!terminal.interactive) return;
    terminal.out(rolloutLine(rollout, terminal.nowMs()).slice(0, terminal.columns - 1));
    this.#isShown = true;
  }

  clear(): void {
    if (this.#isShown) this.#session.terminal.out('\r\u001b[K');
    this.#isShown = false;
  }
}
