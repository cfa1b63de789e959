/** The options that several commands share, each described once. */

import { Command, Option } from 'commander';
import { purposes, verifyModes } from '../core/status.ts';
import { doubleAbsence, duration } from './arguments.ts';

export const stateOption = (): Option =>
  new Option('--state <dir>', "the server's state directory (or LOCUM_STATE)").hideHelp(false);

export const outputOption = (): Option =>
  new Option('-o, --output <form>', 'how to answer').choices(['table', 'json']).default('table');

export const forceOption = (): Option =>
  new Option('--force', 'overwrite what the drive carries (the refusal names it)');

export const waitOption = (what: string): Option =>
  new Option('--wait', `wait for ${what}, with a progress line`);

export const timeoutOption = (): Option =>
  new Option('--timeout <duration>', 'give up waiting after this time (exit code 6)').argParser(
    duration,
  );

export const verifyOption = (): Option =>
  new Option(
    '--verify <how>',
    'compare with the frozen drives: recent writes, and a sample, or everything',
  ).choices([...verifyModes]);

export const purposeOption = (): Option =>
  new Option('--for <purpose>', 'what the drive goes away for')
    .choices([...purposes])
    .makeOptionMandatory();

/** The options by which a window is planned, opened and run. */
export function addWindowOptions(command: Command): Command {
  return command
    .addOption(purposeOption())
    .option('--max <duration>', 'time limit of the window (30m)', duration)
    .option(
      '--on-double-absence <wait[:60s]|error>',
      'what reads do that need two absent drives: wait for one of them, or fail at once',
      doubleAbsence,
    )
    .option('--allow-degraded', 'open although a drive has failed already')
    .option('--allow-single-log', 'open although the log has one leg only');
}

/** A command of the tree, with the options that all have, and its examples before everything else. */
export function leaf(name: string, summary: string, examples: readonly string[] = []): Command {
  const command = new Command(name).summary(summary).description(summary).addOption(stateOption());
  return withExamples(command, examples);
}

export function group(name: string, summary: string, examples: readonly string[] = []): Command {
  return withExamples(new Command(name).summary(summary).description(summary), examples);
}

export function withExamples(command: Command, examples: readonly string[]): Command {
  if (examples.length === 0) return command;
  const lines = examples.map((example) => `  ${example}\n`).join('');
  return command.addHelpText('before', `Examples:\n${lines}`);
}
