/** `locum scrub …`: read everything and compare. */

import type { Command } from 'commander';
import type { JobStatus } from '../../core/status.ts';
import { follow } from '../follow.ts';
import { group, leaf, outputOption, timeoutOption, waitOption } from '../options.ts';
import { progressLine } from '../render/progress.ts';
import { count } from '../render/text.ts';
import { sessionOf } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function scrubCommands(terminal: Terminal): Command {
  return group('scrub', 'read all drives of a volume and check that they agree')
    .addCommand(start(terminal))
    .addCommand(stop(terminal))
    .addCommand(status(terminal));
}

function start(terminal: Terminal): Command {
  return leaf('start', 'start reading and comparing in the background')
    .argument('<volume>')
    .option('--repair', 'rewrite what disagrees: parity from data, mirrors from the first one')
    .addOption(waitOption('its end'))
    .addOption(timeoutOption())
    .addOption(outputOption())
    .action(
      async (
        volume: string,
        options: { repair?: true; wait?: true; timeout?: number },
        command: Command,
      ) => {
        const session = sessionOf(terminal, command);
        const body = { repair: options.repair === true };
        const reply = await session.client.call('scrubStart', { params: { volume }, body });
        if (!options.wait) {
          session.answer(
            reply,
            () => `Scrub of ${volume} has started. \`locum scrub status ${volume}\` shows it.\n`,
          );
          return;
        }
        const timeoutMs = options.timeout ?? null;
        await follow(session, {
          volume,
          what: 'the scrub',
          kinds: ['scrub'],
          timeoutMs,
          finished: () => true,
        });
        const ended = await session.client.call('scrubStatus', { params: { volume } });
        session.answer(ended, ({ job }) => sentence(volume, job));
      },
    );
}

function stop(terminal: Terminal): Command {
  return leaf('stop', 'stop a running scrub')
    .argument('<volume>')
    .addOption(outputOption())
    .action(async (volume: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('scrubStop', { params: { volume } });
      session.answer(reply, ({ job }) => sentence(volume, job));
    });
}

function status(terminal: Terminal): Command {
  return leaf('status', 'show the running scrub or the result of the last one')
    .argument('<volume>')
    .addOption(outputOption())
    .action(async (volume: string, _options: object, command: Command) => {
      const session = sessionOf(terminal, command);
      const reply = await session.client.call('scrubStatus', { params: { volume } });
      session.answer(reply, ({ job }) => sentence(volume, job, terminal.columns));
    });
}

function sentence(volume: string, job: JobStatus, columns = 80): string {
  if (job.state === 'running' || job.state === 'paused') return `${progressLine(job, columns)}\n`;
  const found = job.mismatches === 0 ? 'no mismatch' : count(job.mismatches, 'mismatching stripe');
  const reason = job.reason === '' ? '' : ` (${job.reason})`;
  return `Scrub of ${volume}: ${job.state}${reason}, ${found} found.\n`;
}
