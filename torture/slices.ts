/**
 * Runs slices as processes of their own, each in a process group of its own, so that it can be ended with everything that
 * it has started and so that Ctrl-C reaches the runner first. What a slice leaves when it fails is kept.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PartResult } from './evidence.ts';
import type { SliceEnd } from './run-record.ts';

const sliceProgram = join(import.meta.dirname, 'slice.js');
/** A slice ends by itself soon after its time; one that takes this much longer hangs. */
const patienceSeconds = 420;
/** As `npm run sim` has it: most of what the simulator allocates is garbage soon, and slices have one core each. */
const nodeFlags = [
  '--enable-source-maps',
  '--max-semi-space-size=256',
  '--single-threaded-gc',
  '--no-concurrent-recompilation',
];
const outputKeptBytes = 16_384;
/** Scratch files of this many failed slices are kept; images are large. */
const keptMost = 6;

export interface SlicePlaces {
  /** Short, because unix sockets live there. */
  readonly scratch: string;
  readonly kept: string;
  /** Paths that mean nothing on another machine, and what is said instead. */
  readonly shortened: readonly (readonly [string, string])[];
}

export class Slices {
  readonly #places: SlicePlaces;
  readonly #tell: (line: string) => void;
  readonly #running = new Map<ChildProcess, string>();
  #kept = 0;

  constructor(places: SlicePlaces, tell: (line: string) => void) {
    this.#places = places;
    this.#tell = tell;
  }

  get running(): readonly string[] {
    return [...this.#running.values()];
  }

  /** Null when it was ended by `endAll`: it has neither passed nor failed. */
  async run(part: string, seed: number, seconds: number): Promise<SliceEnd | null> {
    const folder = join(this.#places.scratch, `${part}-${seed}`);
    const resultPath = `${folder}.json`;
    mkdirSync(folder, { recursive: true });
    const startedMs = performance.now();
    const { how, output } = await this.#process(part, seed, seconds, folder, resultPath);
    const tookSeconds = (performance.now() - startedMs) / 1000;
    if (how === 'ended') {
      rmSync(folder, { recursive: true, force: true });
      return null;
    }
    const result = readResult(resultPath, part, how, output);
    rmSync(resultPath, { force: true });
    const kept = result.failures.length === 0 ? '' : this.#keep(folder, part, seed, result, output);
    rmSync(folder, { recursive: true, force: true });
    const failures = result.failures.map((text) => this.#shorten(text));
    return {
      part,
      seed,
      askedSeconds: seconds,
      tookSeconds,
      result: { ...result, failures },
      kept,
    };
  }

  /** Ends every slice with all that it has started; those that do not listen are killed. */
  async endAll(): Promise<void> {
    for (const child of this.#running.keys()) signal(child, 'SIGTERM');
    const limit = performance.now() + 8_000;
    while (this.#running.size > 0 && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    for (const child of this.#running.keys()) signal(child, 'SIGKILL');
  }

  #process(
    part: string,
    seed: number,
    seconds: number,
    folder: string,
    resultPath: string,
  ): Promise<{ how: string; output: string }> {
    const words = [part, String(seed), String(seconds), folder, resultPath];
    const args = [...nodeFlags, sliceProgram, ...words];
    return new Promise((resolve) => {
      const child = spawn(process.execPath, args, {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      this.#running.set(child, `${part} (seed ${seed}, ${seconds} s)`);
      let output = '';
      let isLate = false;
      const hear = (line: string): void => {
        output = `${output}${line}\n`.slice(-outputKeptBytes);
      };
      createInterface({ input: child.stdout }).on('line', (line) => {
        hear(line);
        this.#tell(`[${part}] ${line}`);
      });
      createInterface({ input: child.stderr }).on('line', hear);
      const late = setTimeout(
        () => {
          isLate = true;
          signal(child, 'SIGKILL');
        },
        (seconds * 1.5 + patienceSeconds) * 1000,
      );
      child.on('error', (error) => hear(error.message));
      child.on('close', (code, by) => {
        clearTimeout(late);
        this.#running.delete(child);
        // Whatever it may have left behind goes with it.
        signal(child, 'SIGKILL');
        const wasEnded = !isLate && (by === 'SIGTERM' || code === 130) && !existsSync(resultPath);
        const how = isLate ? 'did not end' : by === null ? `exit code ${code}` : `signal ${by}`;
        resolve({ how: wasEnded ? 'ended' : how, output });
      });
    });
  }

  #keep(folder: string, part: string, seed: number, result: PartResult, output: string): string {
    const kept = join(this.#places.kept, `${part}-${seed}`);
    mkdirSync(kept, { recursive: true });
    const text = `${result.failures.join('\n\n')}\n\nIts last words:\n${output}`;
    writeFileSync(join(kept, 'failure.txt'), text);
    if (this.#kept++ < keptMost) moveFolder(folder, join(kept, 'files'));
    return this.#shorten(kept);
  }

  #shorten(text: string): string {
    return this.#places.shortened.reduce((short, [from, to]) => short.replaceAll(from, to), text);
  }
}

function readResult(path: string, part: string, how: string, output: string): PartResult {
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as PartResult;
  const why = `the slice left no result (${how}); its last words:\n${output.slice(-2_000)}`;
  return { part, counts: {}, coverage: {}, failures: [why], notCovered: [] };
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // The group is gone already.
  }
}

function moveFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  try {
    renameSync(from, to);
  } catch {
    // Another file system.
    cpSync(from, to, { recursive: true });
  }
}
