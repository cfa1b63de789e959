/**
 * `locum status --check`: one line and an exit code as monitoring plug-ins have them (0 OK, 1 WARNING, 2 CRITICAL,
 * 3 UNKNOWN). The worst volume comes first, because a pager shows the beginning of the line.
 */

import type { VolumeStatus } from '../../core/status.ts';
import { count } from './text.ts';

export const nagios = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

const names = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;

export type Nagios = 0 | 1 | 2 | 3;

export interface Verdict {
  readonly exitCode: Nagios;
  readonly line: string;
}

export function verdict(volumes: readonly VolumeStatus[]): Verdict {
  const judged = volumes
    .map((volume) => ({ volume, level: judge(volume) }))
    .sort((a, b) => b.level - a.level);
  const worst = judged[0]?.level ?? nagios.ok;
  const bad = judged.filter(({ level }) => level > nagios.ok);
  const text =
    bad.length === 0
      ? volumes.length === 0
        ? 'no volumes'
        : `${count(volumes.length, 'volume')} optimal`
      : bad.map(({ volume }) => `${volume.name} ${volume.state}: ${why(volume)}`).join('; ');
  return { exitCode: worst, line: `LOCUM ${names[worst]} - ${oneLine(text)}` };
}

export const unknown = (reason: string): Verdict => ({
  exitCode: nagios.unknown,
  line: `LOCUM ${names[nagios.unknown]} - ${oneLine(reason)}`,
});

/** Stopped on purpose is not an alarm; everything else that is not optimal is worth a look. */
function judge(volume: VolumeStatus): 0 | 1 | 2 {
  if (volume.alarms.some((alarm) => alarm.severity === 'critical')) return nagios.critical;
  const warned = volume.alarms.some((alarm) => alarm.severity === 'warning');
  const otherwise = warned ? nagios.warning : nagios.ok;
  if (volume.alarms.some((alarm) => alarm.code === 'volume-stopped')) return otherwise;
  if (volume.state === 'halted' || volume.state === 'suspended') return nagios.critical;
  return volume.state === 'optimal' ? otherwise : nagios.warning;
}

function why(volume: VolumeStatus): string {
  const rank = { critical: 0, warning: 1, info: 2 } as const;
  const first = [...volume.alarms].sort((a, b) => rank[a.severity] - rank[b.severity])[0];
  return first?.message ?? (volume.story.why || volume.story.state);
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').replaceAll('|', '/').trim();
