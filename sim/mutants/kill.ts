/**
 * Runs tests against a mutant until one fails. Each test file is a process of its own, in the mutant's copy of the build;
 * only the named tests of it run, unless all are asked for.
 *
 * A test that hangs has noticed something as well, but says nothing: it counts after a limit that no healthy run comes near,
 * and is reported as that.
 */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { distRoot } from './build.ts';
import type { Killer, Mutant } from './mutant.ts';
import type { Reported } from './reporter.ts';

export interface Kill {
  /** Title of the test, or the seed of the simulator. */
  readonly by: string;
  /** Of the compiled test, from `dist/` on. */
  readonly file: string;
  readonly why: string;
}

const hungAfterMs = 5 * 60_000;
const reporterUrl = pathToFileURL(join(distRoot, 'sim', 'mutants', 'reporter.js')).href;

/** Files of the whole suite that run on drives in memory, quick ones first. */
const suiteFolders = [
  'tests/directed-traps',
  'tests/unit/core',
  'tests/unit/io',
  'tests/unit/nbd',
  'tests/unit/engine-log',
  'tests/unit/engine',
  'tests/directed',
];

/** null: every one of the tests passed, the mutant survives. */
export async function killByName(root: string, mutant: Mutant): Promise<Kill | null> {
  for (const { file, titles } of byFile(mutant.killers)) {
    const kill = await runFile(root, file, titles);
    if (kill !== null) return kill;
  }
  return null;
}

/** The first of all tests that notices. */
export async function killByAny(root: string): Promise<Kill | null> {
  for (const folder of suiteFolders) {
    const files = readdirSync(join(distRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.js') && !file.endsWith('docs.test.js'))
      .sort();
    for (const file of files) {
      const kill = await runFile(root, join(folder, file), []);
      if (kill !== null) return kill;
    }
  }
  return null;
}

function byFile(killers: readonly Killer[]): { file: string; titles: string[] }[] {
  const files = new Map<string, string[]>();
  for (const { file, title } of killers) files.set(file, [...(files.get(file) ?? []), title]);
  return [...files].map(([file, titles]) => ({ file, titles }));
}

async function runFile(
  root: string,
  file: string,
  titles: readonly string[],
): Promise<Kill | null> {
  const { reports, code, hung, lastWords } = await runTests(root, file, titles);
  const failed = reports.find(({ passed }) => !passed);
  if (failed !== undefined) return { by: failed.title, file, why: failed.why };
  if (hung) return { by: titles[0] ?? file, file, why: `did not end within ${hungAfterMs} ms` };
  for (const title of titles) {
    if (!reports.some((report) => report.title === title))
      throw new Error(`${file} has no test "${title}" (exit ${code}): ${lastWords}`);
  }
  if (code !== 0) return { by: file, file, why: `ended with ${code}: ${lastWords}` };
  return null;
}

interface Ran {
  readonly reports: readonly Reported[];
  readonly code: number | null;
  readonly hung: boolean;
  readonly lastWords: string;
}

function runTests(root: string, file: string, titles: readonly string[]): Promise<Ran> {
  const args = [
    '--no-warnings',
    `--test-reporter=${reporterUrl}`,
    '--test-reporter-destination=stdout',
  ];
  for (const title of titles) args.push(`--test-name-pattern=/^${escapeRegExp(title)}$/`);
  // A child of a test must not take itself for a part of it.
  const { NODE_TEST_CONTEXT: _, LOCUM_SEED: __, ...env } = process.env;
  const child = spawn(process.execPath, [...args, join(root, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  let out = '';
  let errors = '';
  let hung = false;
  const limit = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, hungAfterMs);
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (errors = (errors + text).slice(-4000)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      const lastWords =
        errors.split('\n').find((line) => /Error/.test(line)) ?? errors.slice(0, 200);
      resolve({ reports: parseReports(out), code, hung, lastWords });
    });
  });
}

/** What tests print themselves goes to the same stream. */
function parseReports(out: string): Reported[] {
  return out
    .split('\n')
    .filter((line) => line.startsWith('{"passed":'))
    .map((line) => JSON.parse(line) as Reported);
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
