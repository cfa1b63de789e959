/**
 * `locum serve`: the server itself. The command line is a client of the API and cannot see the daemon's layer, so the
 * daemon is loaded by name, and only here: no other command pays for it.
 */

import { type Command, Option } from 'commander';
import { type ExitCode, exitCodes } from '../../api/errors.ts';
import { POOL_BYTES_MIN, type Serve } from '../../api/serve-options.ts';
import { stateDirectory } from '../arguments.ts';
import { leaf } from '../options.ts';
import { stopFor, stopQuietly } from '../stop.ts';
import type { Terminal } from '../terminal.ts';

const DAEMON = new URL('../../daemon/main.js', import.meta.url).href;

interface ServeCommandOptions {
  state?: string;
  listen?: string[];
  io: 'auto' | 'uring' | 'node';
  logJson?: true;
  limit?: Record<string, number>;
}

export function serveCommand(terminal: Terminal): Command {
  return leaf('serve', 'run the server', [
    'locum serve',
    'locum serve --state /var/lib/locum --listen unix:/run/locum/nbd.sock tcp:127.0.0.1:10809',
  ])
    .option(
      '--listen <address...>',
      'where NBD clients connect: unix:PATH or tcp:HOST:PORT (unix:STATE/nbd.sock)',
    )
    .addOption(
      new Option('--io <way>', 'how to do I/O: io_uring, or plain node where that is not to be had')
        .choices(['auto', 'uring', 'node'])
        .default('auto'),
    )
    .option('--log-json', 'log JSON lines instead of text')
    .addOption(
      new Option('--limit <name=value>', 'override a limit of the engine or of NBD')
        .argParser(limits)
        .hideHelp(),
    )
    .action(async (_options: ServeCommandOptions, command: Command) => {
      const options = command.optsWithGlobals<ServeCommandOptions>();
      const { serve } = (await import(DAEMON)) as { serve: Serve };
      const code = await serve({
        stateDirectory: stateDirectory(terminal, options.state),
        listen: (options.listen ?? []).map((address) => listenAddress(terminal, address)),
        io: options.io,
        logJson: options.logJson === true,
        limits: options.limit ?? {},
      });
      if (code !== exitCodes.done) throw stopQuietly(code as ExitCode);
    });
}

function listenAddress(terminal: Terminal, text: string): string {
  const [, kind, rest] = /^(unix|tcp):(.+)$/.exec(text) ?? [];
  if (kind === 'unix') return `unix:${rest!.startsWith('/') ? rest! : `${terminal.cwd}/${rest!}`}`;
  if (kind === 'tcp' && /^(?:\[[^\]]+\]|[^:]+):\d{1,5}$/.test(rest!)) return text;
  throw stopFor('argument-invalid', {
    name: '--listen',
    value: text,
    expected: 'unix:PATH or tcp:HOST:PORT',
  });
}

function limits(
  text: string,
  previous: Record<string, number> | undefined,
): Record<string, number> {
  const [, name, value] = /^(\w+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (name === undefined)
    throw stopFor('argument-invalid', { name: '--limit', value: text, expected: 'NAME=NUMBER' });
  if (name === 'poolBytes' && Number(value) < POOL_BYTES_MIN) {
    const expected = `poolBytes of at least ${POOL_BYTES_MIN}`;
    throw stopFor('argument-invalid', { name: '--limit', value: text, expected });
  }
  return { ...previous, [name]: Number(value) };
}
