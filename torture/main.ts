/**
 * `npm run torture -- --hours H [--only PART …] [--seed N] [--resume]`: every part of the proof, unattended,
 * for so many hours, two slices at a time. At the end, and on Ctrl-C, it writes RELIABILITY.md and the record that the page
 * is made from (docs/reliability/DATE-COMMIT.json).
 *
 *   --resume        goes on with the run that was interrupted; its record is in tmp/torture/
 *   --later PART …  leaves these parts to a later sitting of the same run
 *   --report FILE   only writes the page again, from a record
 *   --out FOLDER    where the page and the record go, instead of the repository
 *
 * The branch coverage of core/ is taken from tmp/coverage.json (`npm run coverage -- --json tmp/coverage.json`) when it is
 * there.
 *
 * Exit code 0: nothing failed; 1: something did; 130: interrupted.
 */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { flagsOf } from '../scripts/flags/flags.ts';
import { mix } from '../sim/streams.ts';
import { coreCoverage } from './coverage.ts';
import { thisCommit, thisMachine } from './machine.ts';
import { reportOf } from './report.ts';
import { addSlice, loadRecord, newRecord, type RunRecord, saveRecord } from './run-record.ts';
import { nextTurn, type Schedulable } from './schedule.ts';
import { Slices } from './slices.ts';

const root = resolve(import.meta.dirname, '../..');
const workFolder = join(root, 'tmp', 'torture');
const coveragePath = join(root, 'tmp', 'coverage.json');
const statePath = join(workFolder, 'run.json');
const lanes = 2;
const tellEveryMs = 60_000;

/** Asked of a process of its own: what the parts load takes over signals, which are the runner's here. */
function knownParts(): Schedulable[] {
  const slice = join(import.meta.dirname, 'slice.js');
  return JSON.parse(execFileSync(process.execPath, [slice, '--list'], { encoding: 'utf8' }));
}

class Run {
  readonly record: RunRecord;
  readonly #parts: readonly Schedulable[];
  readonly #slices: Slices;
  readonly #earlierSeconds: number;
  readonly #startedMs = performance.now();
  readonly #spent = new Map<string, number>();
  #isEnding = false;

  constructor(record: RunRecord, parts: readonly Schedulable[], slices: Slices) {
    this.record = record;
    this.#parts = parts;
    this.#slices = slices;
    this.#earlierSeconds = record.elapsedSeconds;
    for (const [name, { seconds }] of Object.entries(record.parts)) this.#spent.set(name, seconds);
  }

  get elapsedSeconds(): number {
    return this.#earlierSeconds + (performance.now() - this.#startedMs) / 1000;
  }

  get leftSeconds(): number {
    return Math.max(0, this.record.hours * 3600 - this.elapsedSeconds);
  }

  end(): void {
    this.#isEnding = true;
  }

  async toTheEnd(): Promise<void> {
    const telling = setInterval(() => say(this.progress()), tellEveryMs);
    await Promise.all(Array.from({ length: lanes }, () => this.#lane()));
    clearInterval(telling);
    this.record.finished = !this.#isEnding;
    this.save();
  }

  save(): void {
    this.record.elapsedSeconds = this.elapsedSeconds;
    this.record.endedAt = new Date().toISOString();
    saveRecord(statePath, this.record);
  }

  async #lane(): Promise<void> {
    const total = this.record.hours * 3600 * lanes;
    while (!this.#isEnding) {
      const turn = nextTurn(this.#parts, this.#spent, total, this.leftSeconds);
      if (turn === null) return;
      const { part, seconds } = turn;
      const seed = mix(this.record.seed, this.record.nextSlice++, 0) % 1_000_000_000;
      this.#spend(part, seconds);
      const end = await this.#slices.run(part, seed, seconds);
      this.#spend(part, (end?.tookSeconds ?? 0) - seconds);
      if (end === null) continue;
      addSlice(this.record, end);
      this.save();
      const { failures } = end.result;
      const outcome = failures.length === 0 ? 'passed' : `FAILED: ${clipped(failures[0] ?? '')}`;
      say(`${part}, seed ${seed}, ${Math.round(end.tookSeconds)} s: ${outcome}`);
      // A part that fails at once must not spin.
      if (failures.length > 0) await sleep(1_000);
    }
  }

  #spend(part: string, seconds: number): void {
    this.#spent.set(part, (this.#spent.get(part) ?? 0) + seconds);
  }

  progress(): string {
    const slices = Object.entries(this.record.parts)
      .map(([name, { slices: count }]) => `${name} ${count}`)
      .join(', ');
    return (
      `── ${clock(this.elapsedSeconds)} of ${clock(this.record.hours * 3600)}, ${clock(this.leftSeconds)} left; ` +
      `slices: ${slices}; failures: ${this.record.failures.length}; now: ${this.#slices.running.join(', ')}`
    );
  }
}

const clipped = (text: string): string => text.split('\n').slice(0, 3).join(' | ').slice(0, 400);

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function say(line: string): void {
  console.log(line);
  appendFileSync(join(workFolder, 'run.log'), `${new Date().toISOString()} ${line}\n`);
}

function writeReport(record: RunRecord, out: string): void {
  const { page, json, jsonPath } = reportOf(record, root);
  mkdirSync(join(out, 'docs', 'reliability'), { recursive: true });
  writeFileSync(join(out, 'RELIABILITY.md'), page);
  writeFileSync(join(out, jsonPath), json);
  console.log(`written: ${join(out, 'RELIABILITY.md')} and ${join(out, jsonPath)}`);
}

function fail(why: string): never {
  console.error(why);
  process.exit(2);
}

const { values, positionals } = flagsOf(import.meta.url, {
  options: {
    hours: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    later: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
    resume: { type: 'boolean', default: false },
    report: { type: 'string' },
    out: { type: 'string', default: root },
  },
  // So that `--only kill power` means both.
  allowPositionals: true,
});

/** The record to go on with, new or of the run that was interrupted, and the parts that it is about. */
function begin(): { record: RunRecord; parts: Schedulable[] } {
  const all = knownParts();
  const commit = thisCommit();
  const later = new Set(values.later.flatMap((words) => words.split(',')));
  if (values.resume) {
    const record = loadRecord(statePath);
    if (record === null) fail('There is no run to resume.');
    if (record.finished) fail('The last run has ended by itself; there is nothing to resume.');
    if (!record.commits.includes(commit)) record.commits.push(commit);
    record.sittings++;
    return { record, parts: all.filter(({ name }) => name in record.parts && !later.has(name)) };
  }
  const hours = Number(values.hours);
  if (!(hours > 0)) fail('How long? For example --hours 1.5.');
  const only = [...values.only, ...positionals].flatMap((words) => words.split(','));
  for (const name of only) {
    if (all.some((part) => part.name === name)) continue;
    fail(`No part is called ${name}; there are ${all.map((part) => part.name).join(', ')}.`);
  }
  const parts = all.filter(({ name }) => only.length === 0 || only.includes(name));
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
  if (!Number.isInteger(seed)) fail('A seed is a whole number.');
  return {
    record: newRecord({ hours, seed, only, machine: thisMachine() }, commit, parts),
    parts: parts.filter(({ name }) => !later.has(name)),
  };
}

async function main(): Promise<number> {
  const out = resolve(values.out);
  if (values.report !== undefined) {
    const record = loadRecord(values.report);
    if (record === null) fail(`There is no ${values.report}.`);
    writeReport(record, out);
    return 0;
  }
  mkdirSync(workFolder, { recursive: true });
  const { record, parts } = begin();
  const scratch = mkdtempSync(join(tmpdir(), 'lt-'));
  const kept = join(workFolder, 'kept');
  const shortened = [
    [`${scratch}/`, 'SCRATCH/'],
    [`${root}/`, ''],
  ] as const;
  const slices = new Slices({ scratch, kept, shortened }, say);
  const run = new Run(record, parts, slices);
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130);
      say(`${signal}: ending; once more ends at once, without the page`);
      run.end();
      void slices.endAll();
    });
  }
  say(`torture: ${record.hours} hours, seed ${record.seed}, commit ${record.commits.join(', ')}`);
  say(`parts: ${parts.map(({ name, weight }) => `${name} (weight ${weight})`).join(', ')}`);
  record.core = coreCoverage(coveragePath);
  await run.toTheEnd();
  await slices.endAll();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  writeReport(record, out);
  say(run.progress());
  for (const { part, seed, kept: where } of record.failures) {
    say(`FAILED: ${part}, seed ${seed}; see ${where}`);
  }
  if (signals > 0) say('interrupted; `npm run torture -- --resume` goes on');
  return record.failures.length > 0 ? 1 : signals > 0 ? 130 : 0;
}

process.exitCode = await main();
