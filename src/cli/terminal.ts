/**
 * The outside world of the command line in one object, so that every command can be tested without a terminal, a
 * clock or a process: where text goes, whether somebody watches, what time it is.
 */

import { setTimeout as delay } from 'node:timers/promises';

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Standard output is a terminal: animation is welcome. */
  readonly interactive: boolean;
  /** Colour is welcome: a terminal, and neither NO_COLOR nor TERM=dumb says otherwise. */
  readonly color: boolean;
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  nowMs(): number;
  sleep(milliseconds: number): Promise<void>;
  /** Calls `run` at Ctrl-C instead of ending the process. The returned function gives Ctrl-C back. */
  onInterrupt(run: () => void): () => void;
}

export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  const interactive = stdout.isTTY === true;
  // `locum status | head`: the reader left, which is its right.
  stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? 0 : 1),
  );
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    interactive,
    color: interactive && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
    get columns() {
      return stdout.columns ?? 80;
    },
    env,
    cwd: process.cwd(),
    nowMs: () => Date.now(),
    sleep: (milliseconds) => delay(milliseconds),
    onInterrupt: (run) => {
      process.on('SIGINT', run);
      return () => void process.off('SIGINT', run);
    },
  };
}
