/** The log of a volume and the result of checking it, for people. */

import { formatBytes } from '../../api/units.ts';
import type { LogCheck, LogReport } from '../../core/status.ts';
import { count, heading, type Paint, table } from './text.ts';

export function renderLog(volume: string, log: LogReport, paint: Paint): string {
  const percent =
    log.capacityBytes === 0 ? 0 : Math.ceil((log.usedBytes / log.capacityBytes) * 100);
  return [
    `log of ${volume}  ${paint('dim', log.uuid)}\n`,
    table(
      [
        ['state', log.state],
        [
          'used',
          `${formatBytes(log.usedBytes)} of ${formatBytes(log.capacityBytes)} (${percent}%)`,
        ],
        ['live', `${formatBytes(log.liveBytes)} in ${count(log.records, 'record')}`],
        ['epoch', String(log.epoch)],
        ['last record', `${log.lastSequence}, durable through ${log.committedThrough}`],
        ...log.legs.map((leg, index) => [
          `leg ${index}`,
          `${leg.path}  ${paint(leg.state === 'online' ? 'good' : 'bad', leg.state)}${leg.reason === '' ? '' : `: ${leg.reason}`}`,
        ]),
      ],
      '  ',
    ),
  ].join('');
}

export const logIsSound = (check: LogCheck): boolean =>
  check.legs.every((leg) => leg.damagedRecords === 0 && leg.missingRecords === 0) &&
  check.damagedOnAllLegs === 0;

export function renderLogCheck(volume: string, check: LogCheck, paint: Paint): string {
  const verdict =
    check.damagedOnAllLegs > 0
      ? paint(
          'bad',
          `${count(check.damagedOnAllLegs, 'record is', 'records are')} damaged on every leg: data is lost there.`,
        )
      : logIsSound(check)
        ? paint('good', 'Every record is readable on every leg.')
        : paint('notice', 'Some records are damaged on one leg; another leg has them.');
  return [
    `log of ${volume}: ${count(check.records, 'record')}, ${formatBytes(check.bytes)} read\n`,
    table(
      [
        heading(paint, 'LEG', 'DAMAGED', 'MISSING'),
        ...check.legs.map((leg) => [
          leg.path,
          String(leg.damagedRecords),
          String(leg.missingRecords),
        ]),
      ],
      '  ',
    ),
    `${verdict}\n`,
  ].join('');
}
