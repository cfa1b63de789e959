/** Events for people: one line each, oldest first. */

import type { LocumEvent } from '../../core/status.ts';
import { type Paint, severityStyle } from './text.ts';

export function renderEvent(event: LocumEvent, paint: Paint): string {
  const severity = paint(severityStyle[event.severity], event.severity.padEnd(8));
  return `${event.at}  ${severity}  ${event.volume || '-'}  ${event.kind}  ${event.message}\n`;
}
