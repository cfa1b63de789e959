/**
 * `locum status` and `locum volume ls` for people: one row a volume, its drives and log legs, the window, the jobs,
 * the alarms, and the three sentences STATE, WHY, NEXT.
 */

import { formatBytes, formatDuration } from '../../api/units.ts';
import type { DriveStatus, LogStatus, VolumeStatus, WindowStatus } from '../../core/status.ts';
import { progressLine } from './progress.ts';
import {
  count,
  driveStyle,
  heading,
  labelled,
  type Paint,
  severityStyle,
  table,
  volumeStyle,
} from './text.ts';

export interface View {
  readonly paint: Paint;
  readonly columns: number;
  readonly nowMs: number;
}

export function renderVolumes(volumes: readonly VolumeStatus[], { paint }: View): string {
  if (volumes.length === 0) {
    return 'No volumes. Create one with `locum volume create`, or take one in with `locum volume assemble`.\n';
  }
  return table([
    heading(paint, 'VOLUME', 'LEVEL', 'STATE', 'SIZE', 'DRIVES', 'CAN LOSE', 'LOG', 'I/O'),
    ...volumes.map((volume) => [
      volume.name,
      `RAID ${volume.level}`,
      paint(volumeStyle[volume.state], volume.state),
      formatBytes(volume.sizeBytes),
      drivesInShort(volume.drives),
      String(volume.redundancy.canLose),
      logInShort(volume.log),
      volume.io,
    ]),
  ]);
}

export function renderStatus(volumes: readonly VolumeStatus[], view: View): string {
  const details = volumes.map((volume) => `\n${renderVolume(volume, view)}`);
  return renderVolumes(volumes, view) + details.join('');
}

function renderVolume(volume: VolumeStatus, view: View): string {
  const { paint, columns } = view;
  const sentence = (label: string, text: string): string =>
    text === '' ? '' : labelled(paint('bold', label), text, columns);
  return [
    `${paint('bold', volume.name)}  ${paint('dim', volume.uuid)}\n`,
    drives(volume.drives, paint),
    volume.log ? legs(volume.log, paint) : '',
    sentence('STATE', volume.story.state),
    sentence('WHY  ', volume.story.why),
    sentence('NEXT ', volume.story.next),
    volume.window
      ? labelled(paint('bold', 'WINDOW'), windowLine(volume.window, view.nowMs), columns)
      : '',
    ...volume.jobs
      .filter((job) => job.state === 'running' || job.state === 'paused' || job.state === 'failed')
      .map((job) => `  ${paint('bold', 'JOB  ')}  ${progressLine(job, columns - 9)}\n`),
    volume.writeHole === 'open'
      ? labelled(
          paint('notice', 'NOTE '),
          'write hole open: degraded without a log, a crash may damage stripes.',
          columns,
        )
      : '',
    ...volume.alarms.map((alarm) =>
      labelled(
        paint(severityStyle[alarm.severity], 'ALARM'),
        `${alarm.severity}: ${alarm.message} (${alarm.code})`,
        columns,
      ),
    ),
  ].join('');
}

export function drives(list: readonly DriveStatus[], paint: Paint, indent = '  '): string {
  return table(
    [
      heading(paint, 'SLOT', 'STATE', 'DRIVE', 'UUID', 'ERRORS R/W', 'REASON'),
      ...list.map((drive) => [
        drive.slot === null ? '-' : String(drive.slot),
        paint(driveStyle[drive.state], drive.state),
        drive.path === '' ? '-' : drive.path,
        drive.uuid.slice(0, 8) || '-',
        `${drive.errors.read}/${drive.errors.write}`,
        drive.reason,
      ]),
    ],
    indent,
  );
}

function legs(log: LogStatus, paint: Paint): string {
  const head = `${log.state}, ${formatBytes(log.usedBytes)} of ${formatBytes(log.capacityBytes)} used`;
  return table(
    log.legs.map((leg, index) => [
      paint('dim', index === 0 ? 'LOG ' : '    '),
      paint(leg.state === 'online' ? 'good' : 'bad', leg.state),
      leg.path,
      [
        leg.reason,
        leg.errors.read > 0 ? `${leg.errors.read} reads failed` : '',
        index === 0 ? head : '',
      ]
        .filter((text) => text !== '')
        .join('; '),
    ]),
    '  ',
  );
}

function drivesInShort(list: readonly DriveStatus[]): string {
  const members = list.filter((drive) => drive.state !== 'spare');
  const online = members.filter((drive) => drive.state === 'online').length;
  return online === members.length ? String(members.length) : `${online} of ${members.length}`;
}

function logInShort(log: LogStatus | null): string {
  if (!log) return 'none';
  const percent =
    log.capacityBytes === 0 ? 0 : Math.ceil((log.usedBytes / log.capacityBytes) * 100);
  return `${log.state} ${percent}%`;
}

export function windowLine(window: WindowStatus, nowMs: number): string {
  const leftMs = Date.parse(window.deadlineAt) - nowMs;
  const over = window.state === 'closed' || window.state === 'aborted';
  const parts = [
    `${window.id}: ${window.purpose} of drive ${window.drive.slot} (${window.drive.path})`,
    window.state,
    `logged ${formatBytes(window.loggedBytes)}`,
  ];
  if (window.replayedBytes > 0) parts.push(`replayed ${formatBytes(window.replayedBytes)}`);
  if (!over)
    parts.push(
      leftMs > 0 ? `${formatDuration(leftMs)} left` : `overdue by ${formatDuration(-leftMs)}`,
    );
  if (window.heldReads > 0)
    parts.push(`${count(window.heldReads, 'read')} waiting for an absent drive`);
  if (window.recall) parts.push('bring the drive back now');
  if (window.restoredBy.length > 0 && window.heldReads + window.restoredBy.length > 1) {
    const sets = window.restoredBy.map((set) => set.join('+')).join(' or ');
    parts.push(`full access returns with slot ${sets}`);
  }
  return parts.join(', ');
}
