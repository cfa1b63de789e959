/**
 * `npm run bench`: Locum against what a user would run instead, alternating, with ratios.
 *
 *   npm run bench                          everything, about ten minutes
 *   npm run bench -- --quick               small and short: shows that it works, not how fast it is
 *   npm run bench -- --only mirror-read    one item, or several: each --only adds one (see --list)
 *   --seconds N --rounds N                 length of a run, number of alternations
 *   --folder DIR                           where the images go; /dev/shm unless it lacks room
 *
 * Prints each item as it is known and a Markdown table at the end, and writes bench/results/DATE-COMMIT.json.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { flagsOf, numberOf } from '../scripts/flags/flags.ts';
import { repositoryRoot } from '../tests/support/locum.ts';
import { findProgram } from '../tests/support/processes.ts';
import {
  type Bench,
  compare,
  compareStripeLog,
  compareWindow,
  comparisons,
} from './comparisons.ts';
import { imageFolder, thisMachine } from './machine.ts';
import { lines, markdownTable, type Result, save } from './report.ts';
import { freezePause, fullLog, unmeasured, xorAgainstCopy } from './scenes.ts';

const mebi = 2 ** 20;

const { values } = flagsOf(import.meta.url, {
  options: {
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    folder: { type: 'string' },
  },
});

const quick = values.quick;
const options = {
  seconds: numberOf('--seconds', values.seconds ?? (quick ? '1' : '3')),
  rounds: numberOf('--rounds', values.rounds ?? (quick ? '2' : '5'), 1),
  sizeBytes: (quick ? 256 : 1024) * mebi,
  records: quick ? 50_000 : 1_000_000,
};

interface Item {
  readonly id: string;
  readonly work: string;
  run(bench: Bench): Promise<Result[]>;
}

const items: readonly Item[] = [
  ...comparisons.map((item) => ({
    id: item.id,
    work: item.work,
    run: async (bench: Bench) => [await compare(bench, item)],
  })),
  {
    id: 'stripe-log-write',
    work: 'the stripe log, small writes',
    run: async (it) => [await compareStripeLog(it, 'write')],
  },
  {
    id: 'stripe-log-stream',
    work: 'the stripe log, large writes',
    run: async (it) => [await compareStripeLog(it, 'stream')],
  },
  { id: 'window-write', work: 'writes in a window', run: async (it) => [await compareWindow(it)] },
  { id: 'freeze', work: 'pause of a freeze', run: async (it) => [await freezePause(it)] },
  { id: 'full-log', work: 'restart and memory', run: (it) => fullLog(it, options.records) },
  { id: 'xor', work: 'XOR against memory copy', run: async (it) => [await xorAgainstCopy(it)] },
];

/** One line that is overwritten on a terminal, and nothing elsewhere. */
function tell(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text.slice(0, 110)}`);
}

async function main(): Promise<number> {
  if (values.list) {
    for (const item of items) console.log(`${item.id.padEnd(16)} ${item.work}`);
    return 0;
  }
  const unknown = values.only.filter((id) => !items.some((item) => item.id === id));
  if (unknown.length > 0) {
    console.error(
      `No such item: ${unknown.join(', ')}. There are: ${items.map((it) => it.id).join(', ')}.`,
    );
    return 2;
  }
  if (!findProgram('fio')) {
    console.error('fio is not installed: run `apt-get install fio` and try again.');
    return 1;
  }
  const machine = thisMachine();
  const folder = imageFolder(6 * options.sizeBytes, values.folder);
  console.log(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`,
  );
  console.log(
    `commit ${machine.commit}; ${options.rounds} alternations of ${options.seconds} s; images in ${folder}\n`,
  );

  const results: Result[] = [];
  const wanted = items.filter((item) => values.only.length === 0 || values.only.includes(item.id));
  try {
    for (const item of wanted) {
      for (const result of await attempt(item, { ...options, folder, tell })) {
        results.push(result);
        tell('');
        console.log(`${lines(result)}\n`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(markdownTable(results));
  console.log(
    `\nwritten to ${save(join(repositoryRoot, 'bench/results'), machine, options, results)}`,
  );
  return 0;
}

/** An item that fails says so and leaves the others alone. */
async function attempt(item: Item, bench: Bench): Promise<Result[]> {
  try {
    return await item.run(bench);
  } catch (error) {
    return [unmeasured(item.id, item.work, error instanceof Error ? error.message : String(error))];
  }
}

process.exitCode = await main();
