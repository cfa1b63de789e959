/** `locum event …`: what has happened, and what happens. */

import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import { wholeNumber } from '../arguments.ts';
import { group, leaf, outputOption } from '../options.ts';
import { renderEvent } from '../render/event.ts';
import { type Session, sessionOf } from '../session.ts';
import { Stop } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

const RECONNECT_MS = 1_000;

interface ListOptions {
  volume?: string;
  limit?: number;
  after?: number;
}

export function eventCommands(terminal: Terminal): Command {
  return group('event', 'read the events of the server')
    .addCommand(list(terminal))
    .addCommand(tail(terminal));
}

function list(terminal: Terminal): Command {
  return leaf('ls', 'list past events, oldest first')
    .option('--volume <name>', 'of this volume only')
    .option('--limit <n>', 'at most this many, the newest (100)', wholeNumber)
    .option('--after <sequence>', 'later than this event', wholeNumber)
    .addOption(outputOption())
    .action(async (options: ListOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const query = {
        ...(options.volume === undefined ? {} : { volume: options.volume }),
        ...(options.after === undefined ? {} : { after: String(options.after) }),
        limit: String(options.limit ?? 100),
      };
      const reply = await session.client.call('events', { query });
      session.answer(reply, ({ events }) =>
        events.length === 0
          ? 'No events.\n'
          : events.map((event) => renderEvent(event, session.paint)).join(''),
      );
    });
}

function tail(terminal: Terminal): Command {
  return leaf('tail', 'print events as they happen; with -o json one document a line')
    .option('--volume <name>', 'of this volume only')
    .option('--after <sequence>', 'begin after this event', wholeNumber)
    .addOption(outputOption())
    .action(async (options: ListOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      const release = terminal.onInterrupt(() => process.exit(exitCodes.done));
      try {
        await tailForever(session, options);
      } finally {
        release();
      }
    });
}

/** Survives restarts of the server; a server that was never there is an error. */
async function tailForever(session: Session, options: ListOptions): Promise<void> {
  let after = options.after ?? null;
  let connected = false;
  for (;;) {
    try {
      const stream = session.client.events(after, options.volume ?? null);
      for await (const event of stream) {
        connected = true;
        after = event.sequence;
        session.terminal.out(
          session.json ? `${JSON.stringify(event)}\n` : renderEvent(event, session.paint),
        );
      }
      connected = true;
    } catch (error) {
      if (!(error instanceof Stop) && (error as NodeJS.ErrnoException).code !== 'ECONNRESET')
        throw error;
      if (!connected) throw error;
    }
    await session.terminal.sleep(RECONNECT_MS);
  }
}
