/** The coverage table, and tables in general: Markdown with a row for each fault class and a column for each state. */

import { classIdOf, columnOf, faultClasses, stateColumns } from './faults.ts';
import type { RunRecord } from './run-record.ts';

export interface Row {
  readonly id: string;
  readonly name: string;
  /** Column → hits. */
  readonly states: ReadonlyMap<string, number>;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)];
}

/** One row for each known class, hit or not, and one for everything else that was hit. */
export function rowsOf(record: RunRecord): Row[] {
  const known = new Map(faultClasses.map(({ id }) => [id, new Map<string, number>()]));
  const others = new Map<string, Map<string, number>>();
  for (const { coverage } of Object.values(record.parts)) {
    for (const [fault, states] of Object.entries(coverage)) {
      const id = classIdOf(fault);
      let row = id === null ? undefined : known.get(id);
      if (row === undefined) {
        row = others.get(fault) ?? new Map<string, number>();
        others.set(fault, row);
      }
      for (const [state, hits] of Object.entries(states)) {
        const column = columnOf(state);
        row.set(column, (row.get(column) ?? 0) + hits);
      }
    }
  }
  return [
    ...faultClasses.map(({ id, name }) => ({ id, name, states: known.get(id) ?? new Map() })),
    ...[...others].map(([name, states]) => ({ id: '', name, states })),
  ];
}

const total = ({ states }: Row): number => [...states.values()].reduce((a, b) => a + b, 0);

/** Short enough for a cell: 12 345 → 12k. */
function hits(count: number): string {
  if (count === 0) return '·';
  if (count < 10_000) return String(count);
  return count < 10_000_000 ? `${Math.round(count / 1000)}k` : `${Math.round(count / 1_000_000)}M`;
}

export function coverageTable(rows: readonly Row[]): string[] {
  const head = [
    '',
    'fault',
    ...stateColumns.map((state) => state.replace('second failure', '2nd')),
  ];
  return table(
    head,
    rows.map((row) => [
      row.id,
      row.name.replaceAll('|', '/'),
      ...stateColumns.map((state) => hits(row.states.get(state) ?? 0)),
    ]),
  );
}

/** What was never met at all, and for the rest the states in which it was not. */
export function emptyCells(rows: readonly Row[]): { neverMet: string[]; gaps: string[] } {
  const neverMet: string[] = [];
  const gaps: string[] = [];
  for (const row of rows) {
    const title = `${row.id} ${row.name}`.trim();
    if (total(row) === 0) {
      neverMet.push(title);
      continue;
    }
    // What hosts do wrong does not depend on the state of the volume.
    if (row.id.startsWith('N-')) continue;
    const empty = stateColumns.filter((state) => state !== 'other' && !row.states.has(state));
    if (empty.length > 0) gaps.push(`- ${title}: not in ${empty.join(', ')}.`);
  }
  return { neverMet, gaps };
}
