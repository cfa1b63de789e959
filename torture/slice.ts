/**
 * One slice of the torture run, as a process of its own: one part, one seed, some seconds. So two slices use two cores,
 * and whatever a part does to itself (an exception nobody caught, a hang, no memory) ends the slice and not the run.
 *
 *   node dist/torture/slice.js --list                              the parts and their weights, as JSON
 *   node dist/torture/slice.js PART SEED SECONDS FOLDER RESULT     runs, and writes what came of it to the file RESULT
 *
 * The second form is also how a failure is reproduced by hand.
 */

import { renameSync, writeFileSync } from 'node:fs';
import type { PartResult } from './evidence.ts';
import { parts } from './parts.ts';

async function runSlice(words: readonly string[]): Promise<void> {
  const [name = '', seedText = '', secondsText = '', directory = '', resultPath = ''] = words;
  const part = parts.find((one) => one.name === name);
  const seed = Number(seedText);
  const seconds = Number(secondsText);
  if (part === undefined || !Number.isFinite(seed) || !(seconds > 0) || resultPath === '') {
    console.error('usage: slice.js PART SEED SECONDS FOLDER RESULT');
    console.error(`parts: ${parts.map((one) => one.name).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const say = (line: string): void => console.log(line);
  let result: PartResult;
  try {
    result = await part.run({ seconds, seed, directory, say });
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    result = {
      part: name,
      counts: {},
      coverage: {},
      failures: [`it threw: ${why}`],
      notCovered: [],
    };
  }
  // In one step, so that a file that is there is whole.
  writeFileSync(`${resultPath}.new`, JSON.stringify(result));
  renameSync(`${resultPath}.new`, resultPath);
}

const words = process.argv.slice(2);
if (words[0] === '--list') {
  console.log(JSON.stringify(parts.map(({ name, weight }) => ({ name, weight }))));
} else {
  await runSlice(words);
  // A part that left something running must not keep the slice alive.
  process.exit();
}
