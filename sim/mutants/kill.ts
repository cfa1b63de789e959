/**
 * Runs tests against a mutant until one fails. Each test file is a process of its own, in the mutant's copy of the build;
 * only the named tests of it run, unless all are asked for.
 *
 * A test that hangs has noticed something as well, but says nothing: it counts after a limit that no healthy run comes near,
 * and is reported as that.
 */

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { distRoot } from './build.ts';
import type { Killer } from './mutant.ts';
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

/** Folders of tests that run on drives in memory, quick ones first; and files that take longer than all others. */
const suiteFolders = [
  'tests/directed-traps',
  'tests/unit/core',
  'tests/unit/io',
  'tests/unit/nbd',
  'tests/unit/engine-log',
  'tests/unit/engine',
  'tests/directed',
];
const longOnes = /crash-points|mishaps|returns|random|grid|enumerated/;

/** null: every one of the tests passed, the mutant survives. */
export async function killByName(root: string, killers: readonly Killer[]): Promise<Kill | null> {
  for (const { file, titles } of byFile(killers)) {
    const [first] = await failuresOf(root, file, titles);
    if (first !== undefined) return first;
  }
  return null;
}

/**
 * The first of all tests that notices. What fails in the control, an unpatched copy, fails for want of something that a copy
 * does not have, and says nothing.
 */
export class WholeSuite {
  readonly #control: string;
  readonly #failing = new Map<string, Promise<Set<string>>>();

  constructor(control: string) {
    this.#control = control;
  }

  async firstToNotice(root: string): Promise<Kill | null> {
    const files = suiteFolders.flatMap(filesIn);
    const order = [
      ...files.filter((file) => !longOnes.test(file)),
      ...files.filter((file) => longOnes.test(file)),
    ];
    for (const file of order) {
      const kills = await failuresOf(root, file, []);
      if (kills.length === 0) continue;
      const failing = await this.#failingInControl(file);
      const kill = kills.find(({ by }) => !failing.has(by));
      if (kill !== undefined) return kill;
    }
    return null;
  }

  #failingInControl(file: string): Promise<Set<string>> {
    const known = this.#failing.get(file);
    if (known !== undefined) return known;
    const failing = failuresOf(this.#control, file, []).then(
      (kills) => new Set(kills.map(({ by }) => by)),
    );
    this.#failing.set(file, failing);
    return failing;
  }
}

function filesIn(folder: string): string[] {
  const path = join(distRoot, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(folder, file))
    .sort();
}

function byFile(killers: readonly Killer[]): { file: string; titles: string[] }[] {
  const files = new Map<string, string[]>();
  for (const { file, title } of killers) files.set(file, [...(files.get(file) ?? []), title]);
  return [...files].map(([file, titles]) => ({ file, titles }));
}

async function failuresOf(root: string, file: string, titles: readonly string[]): Promise<Kill[]> {
  const { reports, code, hung, lastWords } = await runTests(root, file, titles);
  const failed = reports.filter(({ passed }) => !passed);
  if (failed.length > 0) return failed.map(({ title, why }) => ({ by: title, file, why }));
  if (hung) return [{ by: titles[0] ?? file, file, why: `did not end within ${hungAfterMs} ms` }];
  for (const title of titles) {
    if (!reports.some((report) => report.title === title))
      throw new Error(`${file} has no test "${title}" (exit ${code}): ${lastWords}`);
  }
  return code === 0 ? [] : [{ by: file, file, why: `ended with ${code}: ${lastWords}` }];
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
