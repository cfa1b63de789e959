/**
 * `npm test`: format and lint, then every test under dist/tests, and node's own closing lines last.
 *
 *   npm test                        everything
 *   npm test -- unit/core e2e       only test files whose path contains one of the words
 *   npm test -- --name 'second'     only tests whose name matches
 *
 * Tests that were skipped are listed with their reasons just before the closing lines, so that "all passed" never
 * hides that half of it did not run. A failed format or lint check fails the run, but the tests still run: one slip of
 * layout should not cost another round to see the rest.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { flagsOf } from './flags/flags.ts';

/** Long suites first, so that the last ones to finish are short and both cores stay busy. */
const longFirst = ['sim', 'torture', 'lab', 'mutants', 'e2e', 'engine', 'clients', 'model'];
/** One file more than there are cores: those that kill servers and boot kernels wait as much as they compute. */
const filesAtOnce = availableParallelism() + 1;
/** For one test file. Nothing takes half of it; it is there so that a hang is reported and not waited for. */
const fileTimeoutMs = 20 * 60 * 1000;

/** What the runner says of tests that --name leaves out. */
const notMatching = 'test name does not match pattern';

interface TestEvent {
  type: string;
  data: {
    nesting: number;
    name?: string;
    message?: string;
    skip?: string | boolean;
    file?: string;
    details?: { duration_ms?: number };
  };
}

/** So many of the files that took longest are named: where the time of a run goes is not to be guessed. */
const longestFiles = 12;

/** Passes the runner's events on, and tells of what was skipped, and what took long, when the closing lines begin. */
class TellMore extends Transform {
  readonly #skipped = new Map<string, string[]>();
  readonly #msOf = new Map<string, number>();
  readonly #notes: readonly string[];
  #told = false;

  constructor(notes: readonly string[]) {
    super({ objectMode: true });
    this.#notes = notes;
  }

  override _transform(event: TestEvent, _encoding: string, done: TransformCallback): void {
    const { type, data } = event;
    if (
      type === 'test:pass' &&
      data.skip !== undefined &&
      data.skip !== false &&
      data.skip !== notMatching
    ) {
      const reason =
        typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason given';
      this.#skipped.set(reason, [...(this.#skipped.get(reason) ?? []), data.name ?? '?']);
    }
    const { file, details } = data;
    if ((type === 'test:pass' || type === 'test:fail') && data.nesting === 0 && file !== undefined)
      this.#msOf.set(file, (this.#msOf.get(file) ?? 0) + (details?.duration_ms ?? 0));
    const closing = type === 'test:diagnostic' && data.nesting === 0;
    if (closing && !this.#told && /^tests \d+$/.test(data.message ?? '')) {
      this.#told = true;
      for (const [reason, names] of this.#skipped)
        this.#say(`not run: ${names.join('; ')} (${reason})`);
      this.#say(`took longest: ${this.#longest()}`);
      for (const note of this.#notes) this.#say(note);
    }
    this.push(event);
    done();
  }

  #longest(): string {
    return [...this.#msOf]
      .sort(([, a], [, b]) => b - a)
      .slice(0, longestFiles)
      .map(([file, ms]) => `${relative('dist/tests', file)} ${Math.round(ms / 1000)} s`)
      .join(', ');
  }

  #say(message: string): void {
    this.push({ type: 'test:diagnostic', data: { nesting: 0, message } });
  }
}

function check(title: string, program: string, args: readonly string[]): string[] {
  const startedMs = performance.now();
  const result = spawnSync(join('node_modules', '.bin', program), args, { stdio: 'inherit' });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const passed = result.status === 0;
  console.log(`${title}: ${passed ? 'passed' : 'FAILED'} (${seconds} s)`);
  return passed ? [] : [`FAILED before the tests: ${title} (see the top of this output)`];
}

function testFiles(words: readonly string[]): string[] {
  const rank = (file: string): number => {
    const index = longFirst.findIndex((word) => file.includes(`/${word}/`));
    return index < 0 ? longFirst.length : index;
  };
  return readdirSync('dist/tests', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join('dist', 'tests', file))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

const { values, positionals } = flagsOf(import.meta.url, {
  allowPositionals: true,
  options: { name: { type: 'string' }, 'no-lint': { type: 'boolean', default: false } },
});

const sources = ['src', 'tests', 'scripts', 'bench', 'sim', 'torture'];
const notes = values['no-lint']
  ? []
  : [
      ...check('format', 'biome', ['check', '--reporter=summary']),
      ...check('lint', 'oxlint', ['--type-aware', '--deny-warnings', ...sources]),
    ];
if (notes.length > 0) process.exitCode = 1;

const files = testFiles(positionals);
if (files.length === 0) {
  console.error(`No test file matches ${positionals.join(' ')}.`);
  process.exit(1);
}
const events = run({
  files,
  concurrency: filesAtOnce,
  timeout: fileTimeoutMs,
  ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
});
events.on('test:fail', () => {
  process.exitCode = 1;
});
events.pipe(new TellMore(notes)).pipe(new spec()).pipe(process.stdout);
