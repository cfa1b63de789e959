/**
 * How the demo speaks: headings, plain sentences, and every command as it is run. Colour only on a terminal.
 */

import { type StdioOptions, spawn } from 'node:child_process';
import { type Locum, locumPath } from '../../tests/support/locum.ts';

const onTerminal = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
const paint = (code: string, text: string): string =>
  onTerminal ? `\x1b[${code}m${text}\x1b[0m` : text;
const indented = (text: string): string => text.replace(/^(?=.)/gm, '    ');

export const mebi = 2 ** 20;
export const megabytes = (bytes: number): string => `${(bytes / mebi).toFixed(1)} MiB`;

export class DemoFailed extends Error {
  override readonly name = 'DemoFailed';
}

export class Stage {
  #step = 0;

  act(title: string): void {
    const line = `── ${title} `.padEnd(78, '─');
    console.log(`\n${paint('1;36', line)}`);
  }

  step(text: string): void {
    console.log(`\n${paint('1', `${++this.#step}. ${text}`)}`);
  }

  say(text: string): void {
    console.log(`   ${text}`);
  }

  good(text: string): void {
    console.log(`   ${paint('32', '✔')} ${text}`);
  }

  /** What must hold for the demo to go on. */
  check(holds: boolean, text: string): void {
    if (!holds) throw new DemoFailed(`not so: ${text}`);
    this.good(text);
  }

  command(line: string): void {
    console.log(`   ${paint('33', `$ ${line}`)}`);
  }

  /** Runs `locum ARGS`, shows what it says, and fails when it fails. */
  async run(locum: Locum, ...args: readonly string[]): Promise<void> {
    this.command(`locum ${args.join(' ')}`);
    console.log(indented((await locum.must(...args)).trimEnd()));
  }

  /** Like `run`, but the command has the terminal to itself, so that its progress line moves. */
  async runLive(locum: Locum, ...args: readonly string[]): Promise<void> {
    if (!onTerminal) return this.run(locum, ...args);
    this.command(`locum ${args.join(' ')}`);
    const env = { ...process.env, LOCUM_STATE: locum.state };
    const stdio: StdioOptions = ['ignore', 'inherit', 'inherit'];
    const child = spawn(locumPath, args, { env, cwd: locum.folder, stdio });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('exit', resolve);
      child.on('error', reject);
    });
    if (code !== 0) throw new DemoFailed(`locum ${args.join(' ')} ended with ${code}`);
  }
}
