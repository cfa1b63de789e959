/**
 * RELIABILITY.md, from the record of a run: what is promised and how it is checked, what was run, what it met, what failed,
 * and what was not covered. Every figure comes from the record; the prose is report-prose.ts's.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoreCoverage, Share } from './coverage.ts';
import { classIdOf, columnOf, type HoldingTest, heldBy } from './faults.ts';
import { howToRun, limitsOfTheMethod, partsNamed, promises, reading } from './report-prose.ts';
import { coverageTable, emptyCells, rowsOf, table } from './report-tables.ts';
import { type RunRecord, totalOf } from './run-record.ts';

export interface Report {
  readonly page: string;
  readonly json: string;
  /** Relative to the repository. */
  readonly jsonPath: string;
}

/** Counts that a reader looks for first, by the names that the parts give them. */
const headlines: readonly (readonly [string, RegExp])[] = [
  ['host operations', /^(recorded )?host operations$/],
  ['seeds of the simulator', /^(simulated |simulator )?seeds$/],
  ['crash states of the simulator', /crash states/],
  ['kill cycles on the built server', /^kill cycles$/],
  ['kills during recovery', /^kills during recovery$/],
  ['power-cut prefixes', /^power-cut prefixes$/],
  ['power-cut images', /^power-cut images$/],
  ['system-call faults', /system-call faults/],
  ['fuzzed NBD messages', /NBD messages|fuzz messages/],
  ['volumes judged by the Linux kernel', /judged by the kernel/],
];

const hoursOfYear = 8_766;
const textKept = 4_000;

export function reportOf(record: RunRecord, root: string): Report {
  const day = record.endedAt.slice(0, 10);
  const commit = (record.commits.at(-1) ?? 'unknown').replace('+', '-');
  const jsonPath = `docs/reliability/${day}-${commit}.json`;
  const failures = record.failures.map((one) => ({ ...one, text: one.text.slice(0, textKept) }));
  const json = `${JSON.stringify({ ...record, failures }, null, 1)}\n`;
  const sections = [
    '# Reliability',
    '',
    verdict(record),
    ...failed(record),
    '',
    `Made by \`npm run torture\` from [the record of the run](${jsonPath}); not edited by hand.`,
    ...whatWasRun(record),
    ...promises,
    ...partsMissing(record),
    ...countsByPart(record),
    '',
    '## Faults by state',
    '',
    ...reading,
    '',
    ...coverageTable(rowsOf(record)),
    ...mutants(record),
    ...branchCoverage(record.core),
    ...defects(root),
    ...notCovered(record),
    ...howToRun,
  ];
  return { page: `${sections.join('\n').trimEnd()}\n`, json, jsonPath };
}

function hours(seconds: number): string {
  return seconds < 3600
    ? `${(seconds / 60).toFixed(1)} minutes`
    : `${(seconds / 3600).toFixed(2)} hours`;
}

const number = (value: number): string =>
  Number.isInteger(value)
    ? value.toLocaleString('en-US').replaceAll(',', ' ')
    : value.toLocaleString('en-US', { maximumFractionDigits: 1 }).replaceAll(',', ' ');

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 'S'}`;

function verdict(record: RunRecord): string {
  const survivors = record.mutants.filter(({ killer }) => killer === null).length;
  const ended = record.finished ? '' : ' It was interrupted: this is what it had done until then.';
  const ran = `This run lasted ${hours(record.elapsedSeconds)}.${ended}`;
  const open = record.failures.filter(({ settled }) => settled === undefined).length;
  if (open > 0) {
    return `**${plural(open, 'FAILURE')}.** The promises below do not hold on this commit. ${ran}`;
  }
  if (record.failures.length > 0) {
    const count = record.failures.length;
    const all = `${count} check${count === 1 ? '' : 's'}`;
    return `**${all} failed on the way**, each looked into and mended: [what failed](#what-failed). ${ran}`;
  }
  if (survivors > 0) {
    return `**${plural(survivors, 'MUTANT')} SURVIVED.** Nothing else failed, but the checks missed a bug made on purpose. ${ran}`;
  }
  if (record.slices.length === 0) return `**Nothing was run.** ${ran}`;
  return `No check failed. ${ran} What was not covered is listed [at the end](#what-was-not-covered).`;
}

/** On top, because nothing below matters as much. */
function failed(record: RunRecord): string[] {
  if (record.failures.length === 0) return [];
  const lines = ['', '## What failed', ''];
  for (const { part, seed, seconds, text, kept, settled } of record.failures) {
    const first = text.split('\n').slice(0, 2).join(' ').slice(0, 400).replaceAll('|', '\\|');
    const where = kept === '' ? '' : `, scratch files in \`${kept}\``;
    lines.push(
      `- **${part}**, seed ${seed}: ${first}`,
      `  (\`node dist/torture/slice.js ${part} ${seed} ${seconds} FOLDER RESULT\`${where})`,
      settled === undefined ? '  **Open.**' : `  Settled: ${settled}`,
    );
  }
  return lines;
}

function whatWasRun(record: RunRecord): string[] {
  const { machine } = record;
  const head = headlines.map(([name, matching]) => {
    const total = totalOf(record, matching);
    return [name, total === 0 ? 'none' : number(total)];
  });
  const years =
    totalOf(record, /^virtual years$/) +
    totalOf(record, /^virtual hours$/) / hoursOfYear +
    totalOf(record, /^virtual seconds$/) / (hoursOfYear * 3600);
  const killed = record.mutants.filter(({ killer }) => killer !== null).length;
  const sittings = record.sittings > 1 ? `, in ${record.sittings} sittings` : '';
  const facts = [
    ['commit', record.commits.map((commit) => `\`${commit}\``).join(', ')],
    ['begun, ended', `${record.startedAt.slice(0, 16)}Z, ${record.endedAt.slice(0, 16)}Z`],
    [
      'time',
      `${hours(record.elapsedSeconds)} of ${record.hours} h asked for${sittings}, two slices at a time`,
    ],
    [
      'machine',
      `${machine.cores} cores, ${machine.cpu}, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB`,
    ],
    ['kernel, Node', `Linux ${machine.kernel}, Node ${machine.node}`],
    ['seed of the run', String(record.seed)],
    ['slices, each with a seed of its own', number(record.slices.length)],
    ...head,
    ['virtual years', years === 0 ? 'none' : years.toFixed(years < 1 ? 3 : 1)],
    [
      'mutants killed',
      record.mutants.length === 0 ? 'none tried' : `${killed} of ${record.mutants.length}`,
    ],
  ];
  return ['', '## What was run', '', ...table(['', ''], facts as string[][])];
}

/** The promises name parts; those that this run did without are said right there. */
function partsMissing(record: RunRecord): string[] {
  const missing = partsNamed.filter((name) => (record.parts[name]?.slices ?? 0) === 0);
  if (missing.length === 0) return [];
  return ['', `**Not in this run:** ${missing.join(', ')}.`];
}

function countsByPart(record: RunRecord): string[] {
  const lines = ['', '## By part'];
  for (const [name, { slices, seconds, counts }] of Object.entries(record.parts)) {
    lines.push('', `### ${name}`, '');
    if (slices === 0) {
      lines.push('It did not run.');
      continue;
    }
    lines.push(`${slices} slices with a seed each, ${hours(seconds)}.`, '');
    const figures = Object.entries(counts).filter(([, count]) => count > 0);
    if (figures.length === 0) lines.push('It counted nothing.');
    else
      lines.push(
        ...table(
          ['done', ''],
          figures.map(([what, count]) => [what, number(count)]),
        ),
      );
  }
  return lines;
}

function mutants(record: RunRecord): string[] {
  const lines = [
    '',
    '## Test of the tests',
    '',
    'Each mutant is the server with one bug made on purpose. A suite that lets one live would not have found that bug.',
    '',
  ];
  if (record.mutants.length === 0) return [...lines, 'No mutant was tried in this run.'];
  const rows = record.mutants
    .toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
    .map(({ name, change, killer }) => [name, change, killer ?? '**survived**']);
  return [...lines, ...table(['mutant', 'what it gets wrong', 'noticed by'], rows)];
}

function branchCoverage(core: CoreCoverage | null): string[] {
  if (core === null) return [];
  const percent = ({ covered, total }: Share): string =>
    `${((100 * covered) / Math.max(1, total)).toFixed(1)} % (${covered} of ${total})`;
  return [
    '',
    '## Coverage of `core/`',
    '',
    `By the everyday tests of core alone: lines ${percent(core.lines)}, functions ${percent(core.functions)}, ` +
      `branches ${percent(core.branches)}.`,
  ];
}

/** What the proof has turned up so far stands in a file of its own, with the test that keeps it away. */
function defects(root: string): string[] {
  const path = 'docs/reliability/defects.md';
  const lines = ['', '## Defects found', ''];
  if (!existsSync(join(root, path))) return [...lines, 'None is recorded.'];
  const text = readFileSync(join(root, path), 'utf8');
  const entries = text.split('\n').filter((line) => /^(- |\d+\. |### |\| (?!-|defect))/.test(line));
  return [
    ...lines,
    `${entries.length} defects were found by this proof and mended, each with a test of its own: [${path}](${path}).`,
  ];
}

function notCovered(record: RunRecord): string[] {
  const lines = ['', '## What was not covered', ''];
  for (const [name, { slices, notCovered: sentences }] of Object.entries(record.parts)) {
    if (slices === 0) lines.push(`- The part \`${name}\` did not run.`);
    for (const sentence of sentences) lines.push(`- ${name}: ${sentence}`);
  }
  if (record.only.length > 0)
    lines.push(`- Only ${record.only.join(', ')} were asked for in this run.`);
  const { neverMet, gaps } = emptyCells(rowsOf(record));
  lines.push(...neverMetLines(neverMet));
  lines.push(...limitsOfTheMethod, '');
  if (gaps.length === 0) return lines;
  return [...lines, 'Empty cells of the table above, for the classes that were met:', '', ...gaps];
}

/** A class that a run did not meet may be held by tests of its own; what is left is covered by nothing. */
function neverMetLines(classes: readonly string[]): string[] {
  const held = classes.filter((title) => testsFor(title).length > 0);
  const open = classes.filter((title) => testsFor(title).length === 0);
  const lines: string[] = [];
  if (held.length > 0) {
    lines.push('- Fault classes that this run never met, each held by tests of its own:');
    for (const title of held) {
      const tests = testsFor(title).map(({ file, test }) => `\`${file}\`: ${test}`);
      lines.push(`  - ${title}: ${tests.join('; ')}.`);
    }
  }
  if (open.length > 0)
    lines.push(
      `- Fault classes that this run never met and no test of their own holds, so not covered: ${open.join('; ')}.`,
    );
  return lines;
}

const testsFor = (title: string): readonly HoldingTest[] => heldBy[classIdOf(title) ?? ''] ?? [];

/** For tests: the state words of a record that have no column of their own. */
export const strangeStates = (record: RunRecord): string[] =>
  rowsOf(record)
    .flatMap(({ states }) => [...states.keys()])
    .filter((state) => columnOf(state) !== state);
