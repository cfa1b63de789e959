/**
 * `npm run coverage`: which branches of a layer the tests take.
 *
 *   npm run coverage                                   src/core by tests/unit/core, held to the floor below
 *   npm run coverage -- --json FILE                    the same, and the figures into a file
 *   npm run coverage -- --of engine unit/engine        another layer, by the tests whose path contains a word; no floor
 *
 * Runs the tests with NODE_V8_COVERAGE, adds up what all their processes counted (coverage/counts.ts) and asks it for
 * each decision in the compiled sources (coverage/decisions.ts: what a branch is, and what is not counted). Stricter
 * than `node --test --experimental-test-coverage`, which knows only branches with a block of their own: an `if` without
 * `else` that always held counts there as covered.
 *
 * core/ decides everything that matters and has no I/O, so each of its branches can be reached by a plain test. What
 * cannot be reached by any input is an assertion or does not exist.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Counts, type V8Script } from './coverage/counts.ts';
import { figuresOf, fileFigures, tableOf } from './coverage/figures.ts';
import { flagsOf } from './flags/flags.ts';

/** Percent of the branches and of the functions of core/. A ratchet: it only ever rises. */
const floorPercent = 100;

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort();
}

/** By path of the script, from the root of the repository. */
function countsFrom(folder: string, scripts: ReadonlySet<string>): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  for (const file of filesBelow(folder, '.json')) {
    const { result } = JSON.parse(readFileSync(file, 'utf8')) as { result: V8Script[] };
    for (const script of result) {
      if (!script.url.startsWith('file:')) continue;
      const path = fileURLToPath(script.url).slice(process.cwd().length + 1);
      if (!scripts.has(path)) continue;
      const own = counts.get(path) ?? new Counts();
      own.add(script);
      counts.set(path, own);
    }
  }
  return counts;
}

const { values, positionals } = flagsOf(import.meta.url, {
  allowPositionals: true,
  options: { of: { type: 'string', default: 'core' }, json: { type: 'string' } },
});
const words = positionals.length === 0 ? [`unit/${values.of}/`] : positionals;
const tests = filesBelow('dist/tests', '.test.js').filter((file) =>
  words.some((word) => file.includes(word)),
);
if (tests.length === 0) {
  console.error(`No test file matches ${words.join(' ')}.`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'locum-coverage-'));
try {
  // Inside a test (tests/tidy) this would tell the runner that it is one of its own children.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const run = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=dot', '--test-concurrency=2', ...tests],
    {
      env: { ...environment, NODE_V8_COVERAGE: folder },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (run.status !== 0) throw new Error('tests fail: npm test says more');

  // A file of the layer that no test loads is in the table too, with nothing covered.
  const scripts = filesBelow(join('dist', 'src', values.of), '.js');
  const counts = countsFrom(folder, new Set(scripts));
  const figures = figuresOf(
    scripts.map((script) => {
      const source = script.slice('dist/'.length).replace(/\.js$/, '.ts');
      return fileFigures(script, source, counts.get(script) ?? new Counts());
    }),
  );
  console.log(`\n${tableOf(figures)}`);
  if (values.json !== undefined) {
    mkdirSync(dirname(values.json), { recursive: true });
    writeFileSync(
      values.json,
      `${JSON.stringify({ of: values.of, tests: words, ...figures }, null, 2)}\n`,
    );
  }
  for (const what of ['branches', 'functions'] as const) {
    const { covered, total } = figures[what];
    if (values.of !== 'core' || covered * 100 >= floorPercent * total) continue;
    console.error(`\nBelow the floor: ${floorPercent} % of the ${what} of core/.`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
