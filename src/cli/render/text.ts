/** Plain text in columns and, where it is welcome, in colour. Colour never carries what the words do not. */

import type { DriveState, VolumeState } from '../../core/status.ts';

export type Paint = (style: Style, text: string) => string;
export type Style = 'good' | 'notice' | 'bad' | 'dim' | 'bold';

const codes: Readonly<Record<Style, string>> = {
  good: '32',
  notice: '33',
  bad: '31',
  dim: '2',
  bold: '1',
};

export const painter =
  (color: boolean): Paint =>
  (style, text) =>
    color && text !== '' ? `\u001b[${codes[style]}m${text}\u001b[0m` : text;

const escapes = /\u001b\[[0-9;]*m/g;
export const widthOf = (text: string): number => text.replace(escapes, '').length;

/** Left-aligned columns two spaces apart; nothing is cut, and no line ends in spaces. */
export function table(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
    });
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => cell + ' '.repeat(widths[column]! - widthOf(cell)));
      return `${indent}${cells.join('  ')}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}

export const heading = (paint: Paint, ...names: string[]): string[] =>
  names.map((name) => paint('dim', name));

/**
 * Wraps at `columns`, later lines below the first one's text: for sentences behind a label.
 * Words longer than a line (paths) are never broken, so that they can be copied.
 */
export function labelled(label: string, text: string, columns: number, indent = '  '): string {
  const prefix = `${indent}${label}  `;
  const room = Math.max(30, columns - widthOf(prefix));
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > room) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines
    .map((each, index) => `${index === 0 ? prefix : ' '.repeat(widthOf(prefix))}${each}\n`)
    .join('');
}

export const driveStyle: Readonly<Record<DriveState, Style>> = {
  online: 'good',
  away: 'notice',
  returning: 'notice',
  failed: 'bad',
  missing: 'bad',
  rebuilding: 'notice',
  spare: 'dim',
};

export const volumeStyle: Readonly<Record<VolumeState, Style>> = {
  optimal: 'good',
  degraded: 'bad',
  resyncing: 'notice',
  rebuilding: 'notice',
  freezing: 'notice',
  frozen: 'notice',
  replaying: 'notice',
  thawing: 'notice',
  suspended: 'bad',
  halted: 'bad',
};

export const severityStyle = { info: 'dim', warning: 'notice', critical: 'bad' } as const;
export const count = (number: number, one: string, many = `${one}s`): string =>
  `${number} ${number === 1 ? one : many}`;
