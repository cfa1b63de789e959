/** `locum log …`: what is in the log of a volume, and whether all of it can be read. */

import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import { group, leaf, outputOption } from '../options.ts';
import { logIsSound, renderLog, renderLogCheck } from '../render/log.ts';
import { sessionOf } from '../session.ts';
import { stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

export function logCommands(terminal: Terminal): Command {
  return group('log', 'look at the log of a volume')
    .addCommand(show(terminal))
    .addCommand(check(terminal));
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
