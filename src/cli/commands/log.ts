/** `locum log …`: what is in the log of a volume, whether all of it can be read, and legs for it. */

import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import { absolute, driveName, size } from '../arguments.ts';
import { forceOption, group, leaf, outputOption } from '../options.ts';
import { logIsSound, renderLog, renderLogCheck } from '../render/log.ts';
import { sessionOf } from '../session.ts';
import { stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

export function logCommands(terminal: Terminal): Command {
  return group('log', 'look at the log of a volume, give it legs')
    .addCommand(show(terminal))
    .addCommand(check(terminal))
    .addCommand(replace(terminal))
    .addCommand(add(terminal));
}

function show(terminal: Terminal): Command {
  return leaf('show', 'show how full the log is and the state of its legs')
    .argument('<volume>')
    .addOption(outputOption())
    .action(async (volume: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('logShow', { params: { volume } });
      session.answer(reply, ({ log }) => renderLog(volume, log, session.paint));
    });
}

function check(terminal: Terminal): Command {
  return leaf('check', 'read every record on every leg; exit code 1 when one is damaged')
    .argument('<volume>')
    .addOption(outputOption())
    .action(async (volume: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('logCheck', { params: { volume } });
      session.answer(reply, (answer) => renderLogCheck(volume, answer.check, session.paint));
      if (!logIsSound(reply.check)) throw stopQuietly(exitCodes.failed);
    });
}

interface LegOptions {
  logSize?: number;
  force?: true;
}

/** What both commands say of the legs beside their paths. */
const legBody = ({ logSize, force }: LegOptions): { sizeBytes?: number; force: boolean } => ({
  ...(logSize === undefined ? {} : { sizeBytes: logSize }),
  force: force === true,
});

function replace(terminal: Terminal): Command {
  return leaf('replace', 'put a new leg in the place of one that is out; a window may be open', [
    'locum log replace v1 0 --with /dev/disk/by-id/NEW',
  ])
    .argument('<volume>')
    .argument('<leg>', 'its number in `locum log show`, or its path')
    .requiredOption('--with <path>', 'the new leg')
    .option('--log-size <size>', 'create a missing leg of this size', size)
    .addOption(forceOption())
    .addOption(outputOption())
    .action(
      async (
        volume: string,
        leg: string,
        options: LegOptions & { with: string },
        command: Command,
      ) => {
        const session = sessionOf(terminal, command);
        const path = absolute(terminal, options.with);
        const body = { leg: driveName(terminal, leg), with: path, ...legBody(options) };
        const reply = await session.client.call('logReplace', { params: { volume }, body });
        session.answer(reply, () => `${path} holds the whole log of ${volume} now.\n`);
      },
    );
}

function add(terminal: Terminal): Command {
  return leaf('add', 'give a log to a volume that has none, or whose legs are all lost', [
    'locum log add v1 /dev/disk/by-id/A /dev/disk/by-id/B',
    'locum log add v1 l0.img l1.img --log-size 256MiB',
  ])
    .argument('<volume>')
    .argument('<path...>', 'one leg or two; two on different disks are recommended')
    .option('--log-size <size>', 'create missing legs of this size', size)
    .addOption(forceOption())
    .addOption(outputOption())
    .action(async (volume: string, paths: string[], options: LegOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const logs = paths.map((path) => absolute(terminal, path));
      const body = { logs, ...legBody(options) };
      const reply = await session.client.call('logAdd', { params: { volume }, body });
      session.answer(reply, () => `Volume ${volume} has a log on ${logs.join(' and ')}.\n`);
    });
}
