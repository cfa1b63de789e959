/** Checks, plans, window reports and their history for people. */

import { formatBytes } from '../../api/units.ts';
import type { Check, WindowPlan, WindowReport } from '../../core/status.ts';
import type { View } from './status.ts';
import { count, heading, labelled, type Paint, table } from './text.ts';

const resultStyle = { pass: 'good', warn: 'notice', block: 'bad' } as const;
const resultWord = { pass: 'pass ', warn: 'WARN ', block: 'BLOCK' } as const;

/** Each check with its id; the reason and the fix where there is something to say. */
export function renderChecks(checks: readonly Check[], paint: Paint, columns: number): string {
  return checks
    .map((check) => {
      const head = `  ${paint(resultStyle[check.result], resultWord[check.result])}  ${check.id}  ${check.title}\n`;
      const indent = '         ';
      const reason = check.reason === '' ? '' : labelled('why:', check.reason, columns, indent);
      const fix = check.fix === '' ? '' : labelled('fix:', check.fix, columns, indent);
      return check.result === 'pass' ? head : head + reason + fix;
    })
    .join('');
}

export function renderPlan(volume: string, plan: WindowPlan, { paint, columns }: View): string {
  const blocking = plan.checks.filter((check) => check.result === 'block').length;
  const verdict = plan.allowed
    ? paint('good', 'The window may be opened.')
    : paint(
        'bad',
        `The window would be refused: ${count(blocking, 'check says', 'checks say')} no.`,
      );
  return [
    `${plan.purpose} of drive ${plan.drive.slot} (${plan.drive.path}) of volume ${volume}\n`,
    renderChecks(plan.checks, paint, columns),
    `${verdict} Nothing was changed.\n`,
  ].join('');
}

export function renderReport(report: WindowReport, { paint, columns }: View): string {
  const rows: string[][] = [
    ['volume', report.volume],
    ['purpose', report.purpose],
    ['drive', `slot ${report.drive.slot}, ${report.drive.path}, ${report.drive.uuid}`],
    ['state', report.outcome === '' ? report.state : `${report.state} (${report.outcome})`],
    ['opened', report.openedAt],
    ['deadline', report.deadlineAt],
    ...(report.closedAt === null ? [] : [['closed', report.closedAt]]),
    ['logged', formatBytes(report.loggedBytes)],
    ['replayed', formatBytes(report.replayedBytes)],
  ];
  if (report.verify) {
    const { mode, checkedBytes, differingStripes } = report.verify;
    const finding =
      differingStripes === 0 ? 'no difference' : count(differingStripes, 'differing stripe');
    rows.push(['verified', `${mode}, ${formatBytes(checkedBytes)} compared, ${finding}`]);
  }
  const failures = report.secondFailures.map((failure) =>
    labelled(
      paint('bad', 'SECOND FAILURE'),
      `slot ${failure.slot} (${failure.path}) at ${failure.at}: ${failure.reason}`,
      columns,
    ),
  );
  return `window ${report.id}\n${table(rows, '  ')}${failures.join('')}`;
}

export function renderReports(
  reports: readonly WindowReport[],
  none: string,
  { paint }: View,
): string {
  if (reports.length === 0) return `${none}\n`;
  return table([
    heading(
      paint,
      'WINDOW',
      'VOLUME',
      'PURPOSE',
      'DRIVE',
      'STATE',
      'OPENED',
      'CLOSED',
      'LOGGED',
      '2ND FAILURES',
    ),
    ...reports.map((report) => [
      report.id,
      report.volume,
      report.purpose,
      `${report.drive.slot} ${report.drive.path}`,
      report.outcome === '' ? report.state : `${report.state}: ${report.outcome}`,
      report.openedAt,
      report.closedAt ?? '-',
      formatBytes(report.loggedBytes),
      String(report.secondFailures.length),
    ]),
  ]);
}
