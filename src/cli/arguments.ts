/**
 * Command-line words into values: sizes, durations, choices, paths. A word that is not understood is an
 * `InvalidArgumentError` of commander, which names the option; the result is one sentence and exit code 2.
 *
 * Paths are made absolute here, because the server has another working directory.
 */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { type DoubleAbsence, parseDoubleAbsence, parseDuration, parseSize } from '../api/units.ts';
import type { Terminal } from './terminal.ts';

export function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === null)
    throw new InvalidArgumentError('Expected a size such as 64KiB, 1GiB or 4096.');
  return bytes;
}

export function duration(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === null)
    throw new InvalidArgumentError('Expected a duration such as 90s, 30m or 2h.');
  return milliseconds;
}

export function doubleAbsence(text: string): DoubleAbsence {
  const parsed = parseDoubleAbsence(text);
  if (parsed === null) throw new InvalidArgumentError('Expected wait, wait:60s or error.');
  return parsed;
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

export function digest(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text))
    throw new InvalidArgumentError('Expected the 64 hexadecimal digits of a SHA-256.');
  return text.toLowerCase();
}

export const absolute = (terminal: Terminal, path: string): string => resolve(terminal.cwd, path);

/**
 * A DRIVE is a slot number, a path, or the beginning of a uuid. Only a path depends on where the caller stands: what
 * has a slash, or names a file that is there, becomes absolute; everything else goes to the server as it is.
 */
export function driveName(terminal: Terminal, text: string): string {
  if (/^\d+$/.test(text)) return text;
  const path = absolute(terminal, text);
  return text.includes('/') || existsSync(path) ? path : text;
}

/**
 * --state, then LOCUM_STATE, then the usual place: /var/lib/locum for root, ~/.locum for everybody else. Not a
 * directory under /run, because the list of known volumes has to outlive a reboot.
 */
export function stateDirectory(terminal: Terminal, option: string | undefined): string {
  const given = option ?? terminal.env['LOCUM_STATE'];
  if (given !== undefined && given !== '') return absolute(terminal, given);
  return process.getuid?.() === 0 ? '/var/lib/locum' : join(homedir(), '.locum');
}
