/**
 * From counts to figures: lines, functions and branches of each source file, and what no test reached, by the line of
 * the TypeScript source.
 *
 * A line counts when it has code, and is covered when any of that code ran. A branch is an outcome of a decision
 * (decisions.ts).
 */

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import type { Counts } from './counts.ts';
import { outcomesOf } from './decisions.ts';
import { type Token, tokensOf } from './tokens.ts';

export interface Share {
  readonly covered: number;
  readonly total: number;
}

export interface Missed {
  /** From 1, in the TypeScript source. */
  readonly line: number;
  readonly what: string;
  /** The line's text. */
  readonly text: string;
}

export interface FileFigures {
  /** Of the TypeScript source, from the root of the repository. */
  readonly path: string;
  readonly lines: Share;
  readonly functions: Share;
  readonly branches: Share;
  readonly missed: readonly Missed[];
}

export interface Figures {
  readonly lines: Share;
  readonly functions: Share;
  readonly branches: Share;
  readonly files: readonly FileFigures[];
}

export function figuresOf(files: readonly FileFigures[]): Figures {
  const sum = (of: 'lines' | 'functions' | 'branches'): Share => ({
    covered: files.reduce((total, file) => total + file[of].covered, 0),
    total: files.reduce((total, file) => total + file[of].total, 0),
  });
  return { lines: sum('lines'), functions: sum('functions'), branches: sum('branches'), files };
}

/** `script` is the compiled file, with its map beside it; `path` the source it was made from. */
export function fileFigures(script: string, path: string, counts: Counts): FileFigures {
  const compiled = readFileSync(script, 'utf8');
  const source = readFileSync(path, 'utf8').split('\n');
  const lineAt = lineMap(compiled, JSON.parse(readFileSync(`${script}.map`, 'utf8')));
  const tokens = tokensOf(compiled);
  const countAt = (offset: number): number => counts.at(offset);
  const missed: Missed[] = [];
  const miss = (offset: number, what: string): void => {
    const line = lineAt(offset);
    missed.push({ line, what, text: (source[line - 1] ?? '').trim() });
  };

  const lines = new Map<number, boolean>();
  for (const token of reachable(tokens)) {
    if (/^[)\]};,]$/.test(token.text)) continue;
    const line = lineAt(token.offset);
    lines.set(line, (lines.get(line) ?? false) || countAt(token.offset) > 0);
  }
  const functions = counts.functions();
  const outcomes = outcomesOf(tokens, countAt);
  for (const { startOffset, count } of functions) if (count === 0) miss(startOffset, 'function');
  for (const { offset, what, count } of outcomes) if (count <= 0) miss(offset, what);
  const covered = [...lines.values()].filter(Boolean).length;
  return {
    path,
    lines: { covered, total: lines.size },
    functions: shareOf(functions),
    branches: shareOf(outcomes),
    missed: missed.sort((a, b) => a.line - b.line),
  };
}

const shareOf = (counted: readonly { readonly count: number }[]): Share => ({
  covered: counted.filter(({ count }) => count > 0).length,
  total: counted.length,
});

/** Without what the compiler proves is never reached: the ends of exhaustive switches. */
function reachable(tokens: readonly Token[]): Token[] {
  const dropped = new Set<Token>();
  tokens.forEach((token, index) => {
    if (token.text !== 'unreachable' || tokens[index - 1]?.text !== 'return') return;
    const from = tokens[index - 3]?.text === 'default' ? index - 3 : index - 1;
    for (const each of tokens.slice(from, (tokens[index + 1]?.partner ?? index) + 1)) {
      dropped.add(each);
    }
  });
  return tokens.filter((token) => !dropped.has(token));
}

function lineMap(compiled: string, map: ConstructorParameters<typeof SourceMap>[0]) {
  const sourceMap = new SourceMap(map);
  const starts = [0];
  for (let at = compiled.indexOf('\n'); at >= 0; at = compiled.indexOf('\n', at + 1)) {
    starts.push(at + 1);
  }
  return (offset: number): number => {
    let line = starts.findIndex((start) => start > offset) - 1;
    if (line < 0) line = starts.length - 1;
    const entry = sourceMap.findEntry(line, offset - (starts[line] as number));
    return 'originalLine' in entry ? entry.originalLine + 1 : 1;
  };
}

const percent = ({ covered, total }: Share): string =>
  total === 0 ? '100 %' : `${(Math.floor((covered / total) * 1000) / 10).toFixed(1)} %`;

/** The table, and below it what was missed. */
export function tableOf({ files, ...all }: Figures): string {
  const row = (name: string, of: Omit<FileFigures, 'path' | 'missed'>): string =>
    [
      name.padEnd(44),
      ...[of.lines, of.functions, of.branches].map((share) =>
        `${share.covered}/${share.total} ${percent(share).padStart(7)}`.padStart(20),
      ),
    ].join('');
  const head = `${''.padEnd(44)}${'lines'.padStart(20)}${'functions'.padStart(20)}${'branches'.padStart(20)}`;
  const rows = files.map((file) => row(file.path, file));
  const missed = files.flatMap(({ path, missed }) =>
    missed.map(({ line, what, text }) => `  ${path}:${line}  ${what}\n      ${text}`),
  );
  const rest = missed.length === 0 ? [] : ['', 'Not reached by any test:', ...missed];
  return [head, ...rows, row('all', all), ...rest].join('\n');
}
