/** What `window open` and `window run` have in common: their options as a request, and two sentences. */

import type { WindowBody } from '../../api/schema.ts';
import { type DoubleAbsence, formatBytes, formatDuration } from '../../api/units.ts';
import type { Purpose, WindowReport } from '../../core/status.ts';
import { driveName } from '../arguments.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface OpenOptions {
  for: Purpose;
  max?: number;
  onDoubleAbsence?: DoubleAbsence;
  allowDegraded?: true;
  allowSingleLog?: true;
}

/** The body of plan and open; what is left out is decided by the server. */
export function windowBody(terminal: Terminal, drive: string, options: OpenOptions): WindowBody {
  return {
    drive: driveName(terminal, drive),
    purpose: options.for,
    ...(options.max === undefined ? {} : { maxMs: options.max }),
    ...(options.onDoubleAbsence ?? {}),
    allowDegraded: options.allowDegraded === true,
    allowSingleLog: options.allowSingleLog === true,
  };
}

export function opened(session: Session, window: WindowReport): string {
  const leftMs = Date.parse(window.deadlineAt) - session.terminal.nowMs();
  return [
    `Window ${window.id} is open: drive ${window.drive.slot} (${window.drive.path}) is away for ${window.purpose}.\n`,
    `The server has let go of it. Bring it back within ${formatDuration(leftMs)}: `,
    `\`locum window close ${window.volume} --wait\`\n`,
  ].join('');
}

export const closedSentence = ({ window }: { window: WindowReport }): string =>
  `Window ${window.id} is ${window.state}${window.outcome === '' ? '' : ` (${window.outcome})`}: ` +
  `${formatBytes(window.loggedBytes)} logged, ${formatBytes(window.replayedBytes)} replayed.\n`;
