/** What to do next, in sentences: the commands are a contract with the command line (cli/commands/firmware.ts). */

import type { Verdict } from '../../core/machines/rollout-decisions.ts';
import type { RolloutDriveState } from '../../core/rollout-report.ts';
import type { RolloutRecord } from './rollout-record.ts';

export const nextWhenPaused = ({ report: { id } }: RolloutRecord): string =>
  `\`locum firmware resume ${id}\` goes on, \`locum firmware stop ${id}\` ends it.`;

/**
 * `next`: what the run itself says should be done about its drive. One that was put off is begun again as it is; one that
 * has a result only when that is asked for.
 */
export function nextAfterBadResult(
  { report: { id } }: RolloutRecord,
  next: string,
  state: RolloutDriveState,
): string {
  const first = next === '' ? '' : `${next.replace(/\.+$/, '')}. `;
  const resume =
    state === 'pending'
      ? 'tries it again and goes on with the others'
      : 'goes on with the others (with --retry: with this one too)';
  return `${first}\`locum firmware resume ${id}\` ${resume}, \`locum firmware stop ${id}\` ends it.`;
}

export function nextAfterTrouble(
  record: RolloutRecord,
  volume: string,
  { what, slot }: Extract<Verdict, { kind: 'trouble' }>,
): string {
  const { id } = record.report;
  const resume = `\`locum firmware resume ${id}\``;
  const stop = `\`locum firmware stop ${id}\` ends it.`;
  switch (what) {
    case 'second-failure':
      return (
        `Replace the drive first: \`locum drive replace ${volume} ${slot} --with NEW_DRIVE\`, then ${resume}; ` +
        `or go on without it: ${resume.slice(0, -1)} --allow-degraded\`. ${stop}`
      );
    case 'errors':
      return `Look at that drive first (cable, \`smartctl -a\`). ${resume} takes it as it is and goes on, ${stop}`;
    case 'log':
      return `Give the log its second leg back first: \`locum log replace ${volume} LEG --with NEW_LEG\`; then ${resume}. ${stop}`;
    case 'halted':
      return `\`locum status ${volume}\` says what it needs; then ${resume}. ${stop}`;
  }
}
