/**
 * What a story of the lab is told with: sentences, commands as they are run, checks that end the story when they do not
 * hold, and a Locum server beside the disks. Runs inside the lab's kernel, as root, alone on its machine: nothing needs to
 * be put back in order at the end.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { VolumeStatus } from '../../../src/core/status.ts';
import { Locum } from '../../support/locum.ts';
import { type Finished, runProgram } from '../../support/processes.ts';

/** In memory: the only place of the lab that may be written to. */
export const scratch = '/dev/shm/story';

export class StoryFailed extends Error {
  override readonly name = 'StoryFailed';
}

/** System calls are slow in the lab, and the machine may have other work: a limit is there only to end a hang. */
const commandLimitMs = 360_000;
/** Of what a command says, where not all of it is to be shown. */
const outputLinesMax = 4;

export class Stage {
  readonly locum: Locum;
  readonly #startMs = performance.now();

  constructor() {
    mkdirSync(join(scratch, 'state'), { recursive: true });
    this.locum = new Locum(join(scratch, 'state'), {
      folder: scratch,
      commandLimitMs,
    });
  }

  say(text: string): void {
    this.#line(text);
  }

  check(holds: boolean, text: string): void {
    if (!holds) throw new StoryFailed(`not so: ${text}`);
    this.#line(`✔ ${text}`);
  }

  /** Runs `locum ARGS` in front of the reader, who sees the beginning of what it says. */
  does(...args: readonly string[]): Promise<string> {
    return this.#run(args, outputLinesMax);
  }

  /** As `does`, with all that it says. */
  shows(...args: readonly string[]): Promise<string> {
    return this.#run(args, Number.POSITIVE_INFINITY);
  }

  /** Runs `locum ARGS -o json`, shown without that; the answer, whatever the exit code, when there is one. */
  async asks(...args: readonly string[]): Promise<string> {
    this.#line(`$ locum ${args.join(' ')}`);
    const { stdout, stderr } = await this.locum.run(...args, '-o', 'json');
    if (!stdout.startsWith('{')) throw new StoryFailed(`no answer: ${stdout}${stderr}`);
    return stdout;
  }

  /** Runs `locum ARGS`, which must be refused or fail, and shows the sentence. */
  async fails(why: RegExp, ...args: readonly string[]): Promise<void> {
    this.#line(`$ locum ${args.join(' ')}`);
    const { code, stdout, stderr } = await this.locum.run(...args);
    this.#quote(stderr === '' ? stdout : stderr);
    if (code === 0) throw new StoryFailed('it did not fail');
    if (!why.test(`${stdout}${stderr}`)) throw new StoryFailed(`it does not say ${why}`);
  }

  /** Any other program; `good` are the exit codes that it may end with. */
  async runs(
    program: string,
    args: readonly string[],
    good: readonly number[] = [0],
  ): Promise<Finished> {
    this.#line(`$ ${program} ${args.join(' ')}`);
    return this.quietly(program, args, good);
  }

  async quietly(
    program: string,
    args: readonly string[],
    good: readonly number[] = [0],
  ): Promise<Finished> {
    const finished = await runProgram(program, args, { timeoutMs: commandLimitMs, cwd: scratch });
    if (finished.code === null || !good.includes(finished.code)) {
      const said = `${finished.stdout}${finished.stderr}`.trim();
      throw new StoryFailed(`${program} ${args.join(' ')} ended with ${finished.code}: ${said}`);
    }
    return finished;
  }

  until(
    volume: string,
    what: string,
    is: (status: VolumeStatus) => boolean,
  ): Promise<VolumeStatus> {
    return this.locum.until(volume, what, is, commandLimitMs);
  }

  /** Volume of RAID 5 and its two log legs, in sync. */
  async makeVolume(
    name: string,
    drives: readonly string[],
    legs: readonly string[],
  ): Promise<void> {
    await this.does(
      ...['volume', 'create', name, '--level', '5'],
      ...['--drive', ...drives, '--log', ...legs],
    );
    await this.until(name, 'optimal', ({ state }) => state === 'optimal');
  }

  /** For a story that has failed: the state of the server, what it said, and what the kernel said. */
  async lastWords(): Promise<string> {
    const status = await this.locum.run('status');
    const events = await this.locum.run('event', 'ls');
    const kernel = await runProgram('dmesg', []);
    return [
      status.stdout + status.stderr,
      events.stdout.split('\n').slice(-20).join('\n'),
      this.locum.server.output.slice(-3000),
      kernel.stdout.split('\n').slice(-15).join('\n'),
    ].join('\n');
  }

  async #run(args: readonly string[], linesMax: number): Promise<string> {
    this.#line(`$ locum ${args.join(' ')}`);
    const said = await this.locum.must(...args);
    this.#quote(said, linesMax);
    return said;
  }

  #quote(said: string, linesMax = outputLinesMax): void {
    const lines = said.split('\n').filter((line) => line.trim() !== '');
    for (const line of lines.slice(0, linesMax)) this.#line(`  ${line}`);
    if (lines.length > linesMax) this.#line(`  … ${lines.length - linesMax} more lines`);
  }

  #line(text: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(6);
    process.stdout.write(`${seconds} s  ${text}\n`);
  }
}
