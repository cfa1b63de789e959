/** `locum status`: everything on one screen, live with --watch, as a monitoring check with --check. */

import type { Command } from 'commander';
import { exitCodes } from '../../api/errors.ts';
import type { StatusReply } from '../../api/schema.ts';
import { leaf, outputOption } from '../options.ts';
import { type Nagios, unknown, verdict } from '../render/nagios.ts';
import { renderStatus } from '../render/status.ts';
import { type Session, sessionOf } from '../session.ts';
import { Stop, stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

const WATCH_MS = 1000;

interface StatusOptions {
  watch?: true;
  check?: true;
}

export function statusCommand(terminal: Terminal, exitWith: (code: Nagios) => void): Command {
  return leaf('status', 'show volumes, drives, log, windows, jobs and alarms', [
    'locum status',
    'locum status v1 --watch',
    'locum status -o json',
    'locum status --check          one line and 0/1/2/3 for Nagios and its relatives',
  ])
    .argument('[name]')
    .addOption(outputOption())
    .option('--watch', 'keep showing it')
    .option('--check', 'answer as a monitoring plug-in: 0 ok, 1 warning, 2 critical, 3 unknown')
    .action(async (name: string | undefined, options: StatusOptions, command: Command) => {
      const session = sessionOf(terminal, command);
      if (options.check) return exitWith(await check(session, name));
      if (options.watch) return await watch(session, name);
      session.answer(await read(session, name), ({ volumes }) =>
        renderStatus(volumes, session.view),
      );
    });
}

const read = (session: Session, name: string | undefined): Promise<StatusReply> =>
  name === undefined
    ? session.client.call('status')
    : session.client.call('volumeStatus', { params: { volume: name } });

async function check(session: Session, name: string | undefined): Promise<Nagios> {
  let result: ReturnType<typeof verdict>;
  try {
    result = verdict((await read(session, name)).volumes);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    result = unknown(error.message);
  }
  session.terminal.out(`${result.line}\n`);
  return result.exitCode;
}

/** Redraws on a terminal; elsewhere prints one JSON document a line, or the text each time it has changed. */
async function watch(session: Session, name: string | undefined): Promise<void> {
  const { terminal } = session;
  let interrupted = false;
  const release = terminal.onInterrupt(() => {
    interrupted = true;
  });
  let previous = '';
  try {
    while (!interrupted) {
      const reply = await read(session, name);
      const text = session.json
        ? `${JSON.stringify(reply)}\n`
        : renderStatus(reply.volumes, session.view);
      if (terminal.interactive && !session.json) {
        terminal.out(
          `\u001b[H\u001b[2J${text}\n${session.paint('dim', 'Ctrl-C ends the watch.')}\n`,
        );
      } else if (text !== previous) {
        terminal.out(session.json ? text : `${text}\n`);
      }
      previous = text;
      await terminal.sleep(WATCH_MS);
    }
  } finally {
    release();
  }
  throw stopQuietly(exitCodes.done);
}
