/**
 * Sizes, durations and rates as people type and read them. One place, so that the command line, the API's
 * messages and the documentation agree.
 *
 * Sizes are binary: `64KiB`, `64K` and `65536` are the same number. The decimal forms (`64kB`) are refused,
 * because nobody who types one into a storage tool means it. Durations are `90s`, `30m`, `2h`, `1d` or
 * `500ms`; a bare number is refused, because its unit would be a guess.
 * Parsers answer null when the text is not one of theirs; the caller knows the option's name and says so.
 */

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  tib: 2 ** 40,
};

const durationUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `64KiB`, `1.5G`, `4096` → bytes. Null for anything else, for fractions of a byte, and beyond 2^53. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim());
  if (!match) return null;
  const factor = sizeUnits[match[2]!.toLowerCase()];
  if (factor === undefined) return null;
  const bytes = Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** `90s`, `30m`, `2h`, `1h30m` → milliseconds. Null for anything else. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim().toLowerCase();
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(trimmed)) return null;
  let totalMs = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    totalMs += Number(count) * durationUnitsMs[unit!]!;
  }
  return Number.isSafeInteger(totalMs) ? totalMs : null;
}

export interface DoubleAbsence {
  readonly onDoubleAbsence: 'wait' | 'error';
  readonly waitMs: number;
}

export const DOUBLE_ABSENCE_WAIT_MS = 60_000;

/** `wait`, `wait:90s` or `error`: what a read does that needs two absent members. */
export function parseDoubleAbsence(text: string): DoubleAbsence | null {
  if (text === 'error') return { onDoubleAbsence: 'error', waitMs: 0 };
  if (text === 'wait') return { onDoubleAbsence: 'wait', waitMs: DOUBLE_ABSENCE_WAIT_MS };
  if (!text.startsWith('wait:')) return null;
  const waitMs = parseDuration(text.slice('wait:'.length));
  return waitMs === null ? null : { onDoubleAbsence: 'wait', waitMs };
}

const sizeNames = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** 1536 → `1.5 KiB`. Three significant digits at most; whole numbers stay whole. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < sizeNames.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || Number.isInteger(value) || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return `${digits > 0 ? text.replace(/\.?0+$/, '') : text} ${sizeNames[unit]}`;
}

export const formatRate = (bytesPerSecond: number): string => `${formatBytes(bytesPerSecond)}/s`;

/** 754 000 → `12m34s`; the two largest units are enough to plan by. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))}ms`;
  const seconds = Math.round(milliseconds / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join('');
}

/** 754 000 → `12:34`, 3 754 000 → `1:02:34`: the running clock of a progress line. */
export function formatClock(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const tail = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}
