/**
 * What every command gets: the terminal, a client for the state directory it was told, and the few ways in which a
 * command answers (JSON or text). Built once a command, from the options common to all of them.
 */

import type { Command } from 'commander';
import { stateDirectory } from './arguments.ts';
import { Client } from './client.ts';
import type { View } from './render/status.ts';
import { type Paint, painter } from './render/text.ts';
import type { Terminal } from './terminal.ts';

export interface CommonOptions {
  readonly state?: string;
  readonly output?: 'table' | 'json';
}

export class Session {
  readonly terminal: Terminal;
  readonly client: Client;
  readonly json: boolean;
  readonly paint: Paint;

  constructor(terminal: Terminal, options: CommonOptions) {
    this.terminal = terminal;
    this.client = new Client(stateDirectory(terminal, options.state));
    this.json = options.output === 'json';
    this.paint = painter(terminal.color);
  }

  get view(): View {
    return { paint: this.paint, columns: this.terminal.columns, nowMs: this.terminal.nowMs() };
  }

  /** The reply as it came, or the text made from it. */
  answer<T extends object>(reply: T, render: (reply: T) => string): void {
    this.terminal.out(this.json ? `${JSON.stringify(reply, null, 2)}\n` : render(reply));
  }

  say(sentence: string): void {
    if (!this.json) this.terminal.out(`${sentence}\n`);
  }

  note(sentence: string): void {
    this.terminal.err(`${sentence}\n`);
  }
}

/** The options of a command including those given before its name (`locum --state DIR status`). */
export const sessionOf = (terminal: Terminal, command: Command): Session =>
  new Session(terminal, command.optsWithGlobals<CommonOptions>());
