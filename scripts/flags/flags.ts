/**
 * Command lines of the programs for developers (`npm run sim`, `torture`, `bench`, …). What such a program can do stands in
 * the comment that its file opens with; `--help` prints that comment, so there is no second description to keep. Words that
 * it does not know, and values that are none, end it with one sentence and exit code 2, before it has begun.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>;

/** `program` is the `import.meta.url` of the file that has the comment. */
export function flagsOf<const T extends ParseArgsConfig>(program: string, config: T): Parsed<T> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    console.log(openingComment(readFileSync(fileURLToPath(program), 'utf8')));
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('ERR_PARSE_ARGS') !== true) throw error;
    return misused(message.split('. ')[0]!);
  }
}

/** The number that follows a flag; `flag` is how it is written. */
export function numberOf(flag: string, text: string, least = 0): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (number >= least) return number;
  return misused(`${flag} takes a number of at least ${least}, not '${text}'`);
}

/** Both ends of `FROM-TO`, or of one number alone. */
export function rangeOf(flag: string, text: string): { from: number; to: number } {
  const range = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = Number(range?.[1]);
  const to = Number(range?.[2] ?? range?.[1]);
  if (from <= to) return { from, to };
  return misused(`${flag} takes a range of whole numbers such as 1-100, not '${text}'`);
}

export function choiceOf<const T extends string>(
  flag: string,
  text: string,
  choices: readonly T[],
): T {
  const chosen = choices.find((choice) => choice === text);
  if (chosen !== undefined) return chosen;
  return misused(`${flag} takes ${choices.join(' or ')}, not '${text}'`);
}

/** Says what was wrong with the command line, in a sentence without its full stop, and ends the program. */
export function misused(sentence: string): never {
  console.error(`${sentence}. --help says what there is.`);
  process.exit(2);
}

/** The text of the first block comment of a source file, without its stars. */
export function openingComment(source: string): string {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(source)?.[1] ?? '';
  return comment
    .split('\n')
    .map((line) => line.replace(/^ \* ?/, '').trimEnd())
    .join('\n')
    .trim();
}
