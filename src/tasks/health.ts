/**
 * What a drive thinks of itself, by smartctl. It is asked last and only of drives that answer, and without smartctl the
 * health is unknown: no task is refused for that.
 */

import type { Health } from '../core/drive-facts.ts';
import { ask } from './ask.ts';
import type { TaskContext } from './context.ts';

export interface HealthFacts {
  readonly health: Health;
  readonly healthNote: string;
}

const unknown: HealthFacts = { health: 'unknown', healthNote: '' };

interface SmartctlJson {
  readonly smart_status?: {
    readonly passed?: boolean;
    readonly scsi?: { readonly ie_string?: string };
    readonly nvme?: { readonly value?: number };
  };
  readonly smartctl?: { readonly exit_status?: number };
}

/** What the bits of `critical_warning` mean (NVMe, SMART log). */
const nvmeWarnings = [
  'the spare blocks run out',
  'the temperature is out of range',
  'the reliability is degraded',
  'the medium is read-only',
  'the backup of the volatile memory failed',
  'the persistent memory is read-only or unreliable',
];

/** `smartctl -j -H`. Its exit status is not used: bit 1 also means a drive that sleeps, others are old errors in a log. */
export function parseHealth(json: string): HealthFacts {
  let status: SmartctlJson['smart_status'];
  try {
    status = (JSON.parse(json) as SmartctlJson | null)?.smart_status;
  } catch {
    return unknown;
  }
  if (typeof status?.passed !== 'boolean') return unknown;
  if (status.passed) return { health: 'ok', healthNote: '' };
  const warnings = nvmeWarnings.filter((_, bit) => ((status.nvme?.value ?? 0) >> bit) & 1);
  const note = status.scsi?.ie_string ?? (warnings.join(', ') || 'SMART: failure predicted');
  return { health: 'failing', healthNote: note };
}

const HEALTH_LIMIT_MS = 5000;

export async function readHealth(path: string, context: TaskContext): Promise<HealthFacts> {
  const answer = await ask(context, path, 'smartctl', ['-j', '-H', path], HEALTH_LIMIT_MS);
  return answer.ok ? parseHealth(answer.value.bytes.toString('utf8')) : unknown;
}
