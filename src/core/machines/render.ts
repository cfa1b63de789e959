/**
 * A machine as Markdown: a diagram of its moves and a table with every cell. docs/states/*.md hold
 * exactly this text; a test compares them.
 */

import type { Cell, Machine, Move } from './machine.ts';

type AnyMachine = Machine<string, string, string>;
type AnyCell = Cell<string, string>;

/** `machine` as a mermaid diagram, followed by the table of all its cells. */
export function renderMachine<State extends string, Event extends string, Effect extends string>(
  machine: Machine<State, Event, Effect>,
): string {
  const any = machine as unknown as AnyMachine;
  return `${diagramOf(any)}\n\n${tableOf(any)}\n`;
}

function diagramOf(machine: AnyMachine): string {
  const lines = ['```mermaid', 'stateDiagram-v2'];
  for (const from of machine.states) {
    const labels = new Map<string, string[]>();
    for (const event of machine.events) {
      for (const [move, when] of movesOf(cellOf(machine, from, event))) {
        // Staying where one is says nothing in a picture; the table has it.
        if (move.to === from) continue;
        labels.set(move.to, [...(labels.get(move.to) ?? []), event + when]);
      }
    }
    for (const [to, events] of labels) lines.push(`  ${from} --> ${to}: ${events.join(', ')}`);
  }
  return [...lines, '```'].join('\n');
}

function cellOf(machine: AnyMachine, state: string, event: string): AnyCell | undefined {
  return (machine.rows[state] as Readonly<Record<string, AnyCell>>)[event];
}

function movesOf(cell: AnyCell | undefined): [Move<string, string>, string][] {
  if (cell === undefined || typeof cell === 'string') return [];
  if ('to' in cell) return [[cell, '']];
  return [
    [cell.alone, ' (alone)'],
    [cell.second, ' (second absent)'],
  ];
}

function tableOf(machine: AnyMachine): string {
  const rows = [
    ['event', ...machine.states],
    ['---', ...machine.states.map(() => '---')],
  ];
  for (const event of machine.events) {
    rows.push([event, ...machine.states.map((state) => cellText(cellOf(machine, state, event)))]);
  }
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function cellText(cell: AnyCell | undefined): string {
  if (cell === undefined) return '—';
  if (cell === 'ignored') return '·';
  if (cell === 'refused') return 'refused';
  return movesOf(cell)
    .map(([move, when]) => `${moveText(move)}${when}`)
    .join('; ');
}

function moveText({ to, effects }: Move<string, string>): string {
  return effects.length === 0 ? `**${to}**` : `**${to}** / ${effects.join(', ')}`;
}
