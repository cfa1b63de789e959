/**
 * The command tree and what is common to all of it: `run` parses the words, performs the command, and turns every way
 * to fail into one clear message and the right exit code. Nothing in the command line calls process.exit but main.ts.
 */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { exitCodes } from '../api/errors.ts';
import type { ProblemReply } from '../api/schema.ts';
import { driveCommands } from './commands/drive.ts';
import { eventCommands } from './commands/event.ts';
import { exportCommands } from './commands/export.ts';
import { firmwareCommands } from './commands/firmware.ts';
import { logCommands } from './commands/log.ts';
import { scrubCommands } from './commands/scrub.ts';
import { serveCommand } from './commands/serve.ts';
import { statusCommand } from './commands/status.ts';
import { volumeCommands } from './commands/volume.ts';
import { windowCommands } from './commands/window.ts';
import { stateOption, withExamples } from './options.ts';
import { painter } from './render/text.ts';
import { renderChecks } from './render/window.ts';
import { Stop } from './stop.ts';
import type { Terminal } from './terminal.ts';

export async function run(words: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = buildProgram(terminal, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...words], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error);
    if (error instanceof Stop) {
      if (error.problem) report(terminal, error.problem, words);
      return error.exitCode;
    }
    throw error;
  }
}

export function buildProgram(terminal: Terminal, exitWith: (code: number) => void): Command {
  const program = withExamples(new Command('locum'), [
    'locum serve                                         run the server',
    'locum volume create v1 --level 5 --drive a b c d --image-size 1GiB --log l0 l1 --log-size 256MiB',
    'locum status                                        how is everything?',
    'locum window run v1 1 --for firmware -- COMMAND     let drive 1 be away while COMMAND runs',
    'locum export uri v1 --for qemu                      attach it',
  ])
    .description(
      'A RAID server that lets one drive of a volume be away for a while and loses nothing.',
    )
    .version(version(), '--version', 'print the version')
    .addOption(stateOption())
    .addCommand(serveCommand(terminal))
    .addCommand(statusCommand(terminal, exitWith))
    .addCommand(volumeCommands(terminal))
    .addCommand(driveCommands(terminal))
    .addCommand(windowCommands(terminal))
    .addCommand(firmwareCommands(terminal))
    .addCommand(scrubCommands(terminal))
    .addCommand(logCommands(terminal))
    .addCommand(eventCommands(terminal))
    .addCommand(exportCommands(terminal))
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by a safety check, 5 no server, 6 wait timed out.',
    );
  adopt(program, terminal);
  return program;
}

/** Every command of the tree reports its usage errors in one sentence, and throws instead of exiting. */
function adopt(command: Command, terminal: Terminal): void {
  command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: (text, write) => write(usageSentence(text, pathOf(command))),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    })
    .helpCommand(false)
    .showSuggestionAfterError(true);
  for (const child of command.commands) adopt(child as Command, terminal);
}

const pathOf = (command: Command): string =>
  command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();

function usageSentence(text: string, path: string): string {
  const sentence = text
    .replace(/^error: /, '')
    .replace(/\s+/g, ' ')
    .trim();
  const ended = /[.?!)]$/.test(sentence) ? sentence : `${sentence}.`;
  return `locum: ${ended} See \`${path} --help\`.\n`;
}

function usageExit(error: CommanderError): number {
  return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
}

/** What happened, the checks that say no, and what to do next: on standard error. For scripts also as JSON. */
function report(terminal: Terminal, problem: ProblemReply, words: readonly string[]): void {
  const paint = painter(terminal.color);
  if (asksForJson(words))
    terminal.out(`${JSON.stringify({ apiVersion: 'locum/v1', problem }, null, 2)}\n`);
  terminal.err(`locum: ${problem.message}\n`);
  const failed = problem.checks.filter((check) => check.result === 'block');
  if (failed.length > 0) terminal.err(renderChecks(failed, paint, terminal.columns));
  if (problem.fix !== '') terminal.err(`  next: ${problem.fix}\n`);
}

function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  const own = end < 0 ? words : words.slice(0, end);
  return own.some(
    (word, index) =>
      word === '-ojson' ||
      word === '--output=json' ||
      (word === 'json' && ['-o', '--output'].includes(own[index - 1] ?? '')),
  );
}

export function version(): string {
  // dist/src/cli/program.js → the package's root.
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
