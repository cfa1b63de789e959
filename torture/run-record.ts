/**
 * The record of a torture run: what was asked for, each slice with its seed, and everything the parts handed back, added
 * up. It is saved after every slice, so that an interrupted run goes on from it, and it is what the page is made from.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { CoreCoverage } from './coverage.ts';
import type { MutantVerdict, PartResult } from './evidence.ts';
import type { Machine } from './machine.ts';

export interface SliceRecord {
  readonly part: string;
  readonly seed: number;
  readonly seconds: number;
  readonly failures: number;
}

export interface FailureRecord {
  readonly part: string;
  readonly seed: number;
  /** What was asked of the slice, which repeats it. */
  readonly seconds: number;
  readonly text: string;
  /** Where its scratch files were kept; empty when they were not. */
  readonly kept: string;
  /** Written in afterwards by whoever looked into it: what was at fault, what was done, which test holds it now. */
  readonly settled?: string;
}

export interface PartRecord {
  readonly weight: number;
  slices: number;
  seconds: number;
  counts: Record<string, number>;
  coverage: Record<string, Record<string, number>>;
  notCovered: string[];
}

export interface RunRecord {
  readonly version: 1;
  readonly startedAt: string;
  endedAt: string;
  readonly hours: number;
  readonly seed: number;
  /** Empty: all parts. */
  readonly only: readonly string[];
  readonly machine: Machine;
  /** More than one when the run was resumed after a change. */
  commits: string[];
  /** Of the clock on the wall, over all sittings. */
  elapsedSeconds: number;
  sittings: number;
  finished: boolean;
  nextSlice: number;
  parts: Record<string, PartRecord>;
  slices: SliceRecord[];
  failures: FailureRecord[];
  mutants: MutantVerdict[];
  /** Of the everyday tests; null when it was not measured before the run. */
  core: CoreCoverage | null;
}

export function newRecord(
  asked: Pick<RunRecord, 'hours' | 'seed' | 'only' | 'machine'>,
  commit: string,
  parts: readonly { readonly name: string; readonly weight: number }[],
): RunRecord {
  const now = new Date().toISOString();
  const blank = ({ name, weight }: { name: string; weight: number }): [string, PartRecord] => [
    name,
    { weight, slices: 0, seconds: 0, counts: {}, coverage: {}, notCovered: [] },
  ];
  return {
    version: 1,
    startedAt: now,
    endedAt: now,
    ...asked,
    commits: [commit],
    elapsedSeconds: 0,
    sittings: 1,
    finished: false,
    nextSlice: 0,
    parts: Object.fromEntries(parts.map(blank)),
    slices: [],
    failures: [],
    mutants: [],
    core: null,
  };
}

export interface SliceEnd {
  readonly part: string;
  readonly seed: number;
  readonly askedSeconds: number;
  readonly tookSeconds: number;
  readonly result: PartResult;
  readonly kept: string;
}

export function addSlice(record: RunRecord, end: SliceEnd): void {
  const { part, seed, askedSeconds, tookSeconds, result, kept } = end;
  const into = record.parts[part];
  if (into === undefined) throw new Error(`no part is called ${part}`);
  into.slices++;
  into.seconds += tookSeconds;
  for (const [name, more] of Object.entries(result.counts)) {
    into.counts[name] = (into.counts[name] ?? 0) + more;
  }
  for (const [fault, states] of Object.entries(result.coverage)) {
    const row = (into.coverage[fault] ??= {});
    for (const [state, more] of Object.entries(states)) row[state] = (row[state] ?? 0) + more;
  }
  for (const sentence of result.notCovered) {
    if (!into.notCovered.includes(sentence)) into.notCovered.push(sentence);
  }
  for (const verdict of result.mutants ?? []) addMutant(record, verdict);
  for (const text of result.failures) {
    record.failures.push({ part, seed, seconds: askedSeconds, text, kept });
  }
  const failures = result.failures.length;
  record.slices.push({ part, seed, seconds: Math.round(tookSeconds), failures });
}

/** A mutant tried more than once is killed when it was killed each time. */
function addMutant(record: RunRecord, verdict: MutantVerdict): void {
  const at = record.mutants.findIndex(({ name }) => name === verdict.name);
  if (at < 0) record.mutants.push(verdict);
  else if (record.mutants[at]?.killer !== null) record.mutants[at] = verdict;
}

export function totalOf(record: RunRecord, matching: RegExp): number {
  let total = 0;
  for (const { counts } of Object.values(record.parts)) {
    for (const [name, count] of Object.entries(counts)) if (matching.test(name)) total += count;
  }
  return total;
}

export function saveRecord(path: string, record: RunRecord): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 1)}\n`);
  renameSync(`${path}.new`, path);
}

export function loadRecord(path: string): RunRecord | null {
  if (!existsSync(path)) return null;
  const record = JSON.parse(readFileSync(path, 'utf8')) as RunRecord;
  if (record.version !== 1) throw new Error(`${path} is of another version`);
  return record;
}
