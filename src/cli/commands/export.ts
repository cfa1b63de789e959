/** `locum export uri`: how to attach a volume, ready to paste. */

import { type Command, Option } from 'commander';
import { group, leaf, outputOption } from '../options.ts';
import { type Consumer, consumers, parseListen, renderExport, uri } from '../render/export.ts';
import { sessionOf } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function exportCommands(terminal: Terminal): Command {
  const command = leaf('uri', 'print the NBD address of a volume, or how to attach it', [
    'locum export uri v1',
    'sudo $(locum export uri v1 --for nbd-client)',
  ])
    .argument('<volume>')
    .addOption(new Option('--for <consumer>', 'print its command line').choices([...consumers]))
    .addOption(outputOption())
    .action(async (volume: string, options: { for?: Consumer }, self: Command) => {
      const session = sessionOf(terminal, self);
      const reply = await session.client.call('volumeExport', { params: { volume } });
      const addresses = reply.listen.map(parseListen).filter((address) => address !== null);
      const answer = { ...reply, uris: addresses.map((address) => uri(reply.name, address)) };
      session.answer(answer, () => renderExport(reply, options.for ?? null));
    });
  return group('export', 'attach volumes to hosts').addCommand(command);
}
