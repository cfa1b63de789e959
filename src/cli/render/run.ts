/** A run for people: the whole record, and where it is in one line. */

import { formatBytes, formatClock, formatDuration } from '../../api/units.ts';
import type { DriveFacts } from '../../core/drive-facts.ts';
import type { RunReport, StepReport } from '../../core/run-report.ts';
import type { VolumeStatus } from '../../core/status.ts';
import type { View } from './status.ts';
import { labelled, table } from './text.ts';

const outcomeStyle = {
  done: 'good',
  rehearsed: 'good',
  'not-applied': 'notice',
  recalled: 'notice',
  refused: 'notice',
  unhealthy: 'bad',
  failed: 'bad',
  'drive-lost': 'bad',
} as const;

export function renderRun(run: RunReport, { paint, columns }: View): string {
  const state =
    run.outcome === null
      ? `${run.state} (${run.step})`
      : paint(outcomeStyle[run.outcome], run.outcome);
  const { slot, path, uuid } = run.drive;
  const rows: string[][] = [
    ['volume', run.volumes.join(', ')],
    ['purpose', run.rehearsal ? `${run.purpose} (rehearsal)` : run.purpose],
    ['drive', `slot ${slot ?? '-'}, ${path}, ${uuid}`],
    ['asked by', run.requestedBy === '' ? '-' : run.requestedBy],
    ['state', state],
    ['started', run.startedAt],
    ...(run.endedAt === null ? [] : [['ended', run.endedAt]]),
    ...(run.image === null
      ? []
      : [
          [
            'image',
            `${run.image.path}, ${formatBytes(run.image.sizeBytes)}, sha256 ${run.image.sha256}`,
          ],
        ]),
    ...(run.before === null ? [] : [['before', factsLine(run.before)]]),
    ...(run.after === null ? [] : [['after', factsLine(run.after)]]),
    ['logged', formatBytes(run.loggedBytes)],
    ['replayed', formatBytes(run.replayedBytes)],
  ];
  const steps = run.steps.map((step) => [
    step.step,
    step.result,
    step.endedAt === null
      ? ''
      : formatDuration(Date.parse(step.endedAt) - Date.parse(step.startedAt)),
    step.exitStatus === null ? '' : `exit ${step.exitStatus}`,
    step.note,
  ]);
  const told = [
    ...(run.sentence === '' ? [] : [labelled('what:', run.sentence, columns, '  ')]),
    ...(run.next === '' ? [] : [labelled('next:', run.next, columns, '  ')]),
  ];
  return [
    `run ${run.id}\n`,
    table(rows, '  '),
    table(steps, '    '),
    ...run.steps.map(outputOf),
    ...told,
  ].join('');
}

function factsLine({
  model,
  serial,
  firmware,
  health,
  healthNote,
  capacityBytes,
}: DriveFacts): string {
  const parts = [
    model || 'model unknown',
    serial === '' ? '' : `serial ${serial}`,
    `firmware ${firmware || 'unknown'}`,
    capacityBytes === null ? '' : formatBytes(capacityBytes),
    health === 'unknown' ? '' : `health ${health}`,
    healthNote,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function outputOf({ step, command, output }: StepReport): string {
  if (command === '' && output === '') return '';
  const lines = output.trimEnd() === '' ? [] : output.trimEnd().split('\n');
  const shown = lines.map((line) => `    | ${printable(line)}\n`).join('');
  return `  ${step}${command === '' ? '' : `: ${printable(command)}`}\n${shown}`;
}

/** A tool may print anything; a terminal must not obey it. */
const printable = (line: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to take out
  line.replace(/[\u0000-\u0008\u000b-\u001f\u007f\u0080-\u009f]/g, '');

/** Step, elapsed of the window's limit, how full the log is, what is left of the time. */
export function runLine(run: RunReport, status: VolumeStatus | null, nowMs: number): string {
  const last = run.steps.at(-1);
  const note = last?.result === 'running' && last.note !== '' ? ` ${last.note}` : '';
  const words = [
    `${run.drive.path}: ${run.state === 'waiting' ? 'waiting in ' : ''}${run.step}${note}`,
  ];
  const window = status?.window ?? null;
  if (window !== null) {
    const openedMs = Date.parse(window.openedAt);
    const deadlineMs = Date.parse(window.deadlineAt);
    words.push(`${formatClock(nowMs - openedMs)} of ${formatClock(deadlineMs - openedMs)}`);
    const log = status?.log;
    if (log && log.capacityBytes > 0) {
      const percent = Math.min(100, (log.usedBytes / log.capacityBytes) * 100);
      words.push(`log ${percent.toFixed(percent < 10 ? 1 : 0)} %`);
    }
    if (window.recall) words.push('RECALLED');
    if (window.state === 'open') words.push(`${formatClock(deadlineMs - nowMs)} left`);
  }
  return words.join('  ');
}
