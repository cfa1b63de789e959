/** Results as a table for people and as JSON for later runs to compare with. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

export interface Series {
  readonly name: string;
  readonly runs: readonly number[];
}

export interface Result {
  readonly id: string;
  readonly work: string;
  readonly unit: string;
  /** The first series is Locum's; the others are what it is compared with. Empty when the item could not run. */
  readonly series: readonly Series[];
  /** What the aim speaks of: a ratio to the second series, or a figure of its own. */
  readonly value: number | null;
  readonly aim: { readonly sign: '≥' | '≤'; readonly value: number; readonly unit: string } | null;
  readonly note: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Locum's median over that of the series it is compared with. */
export function ratio(series: readonly Series[]): number | null {
  const [own, other] = series;
  return own && other ? median(own.runs) / median(other.runs) : null;
}

export function met(result: Result): boolean | null {
  if (result.value === null || !result.aim) return null;
  return result.aim.sign === '≥'
    ? result.value >= result.aim.value
    : result.value <= result.aim.value;
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function spread(series: Series): string {
  const low = Math.min(...series.runs);
  const high = Math.max(...series.runs);
  return series.runs.length > 1 ? ` (${figure(low)} … ${figure(high)})` : '';
}

/** One item of the table, printed as soon as it is known. */
export function lines(result: Result): string {
  const mark = { true: 'met', false: 'MISSED', null: '' }[String(met(result))] ?? '';
  const aim = result.aim ? `aim ${result.aim.sign} ${result.aim.value} ${result.aim.unit}` : '';
  const value =
    result.value === null ? 'not measured' : `${figure(result.value)} ${result.aim?.unit ?? ''}`;
  const head = `${result.work.padEnd(58)} ${value.padStart(12)}   ${aim.padEnd(22)} ${mark}`;
  const body = result.series.map(
    (it) =>
      `    ${it.name.padEnd(34)} ${figure(median(it.runs)).padStart(10)} ${result.unit}${spread(it)}`,
  );
  const note = result.note === '' ? [] : [`    ${result.note}`];
  return [head.trimEnd(), ...body, ...note].join('\n');
}

/** The short table at the end, in Markdown, so that it can be pasted as it is. */
export function markdownTable(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const others = result.series.map((it) => `${it.name} ${figure(median(it.runs))}`).join(', ');
    const aim = result.aim ? `${result.aim.sign} ${result.aim.value} ${result.aim.unit}` : '';
    const value = result.value === null ? '-' : `${figure(result.value)} ${result.aim?.unit ?? ''}`;
    const verdict = { true: 'yes', false: 'no', null: '-' }[String(met(result))] ?? '-';
    const medians = others === '' ? result.note : `${others} ${result.unit}`;
    return `| ${result.work} | ${aim} | ${value} | ${verdict} | ${medians} |`;
  });
  return ['| work | aim | measured | met | medians |', '|---|---|---|---|---|', ...rows].join('\n');
}

export function save(
  folder: string,
  machine: Machine,
  options: object,
  results: readonly Result[],
): string {
  mkdirSync(folder, { recursive: true });
  const date = new Date().toISOString();
  const path = join(folder, `${date.slice(0, 10)}-${machine.commit.replace('+', '-')}.json`);
  writeFileSync(path, `${JSON.stringify({ date, machine, options, results }, null, 2)}\n`);
  return path;
}
