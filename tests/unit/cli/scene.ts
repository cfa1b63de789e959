/** The command line against a fake control plane over a real socket, with a terminal that remembers. */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from '../../../src/cli/program.ts';
import type { Terminal } from '../../../src/cli/terminal.ts';
import { buildApp } from '../../../src/http/app.ts';
import { FakeControl } from '../http/fake-control.ts';

export class FakeTerminal implements Terminal {
  output = '';
  errors = '';
  interactive = false;
  color = false;
  columns = 100;
  env: Record<string, string | undefined> = {};
  cwd: string;
  /** Time passes only by sleeping. */
  #nowMs = Date.parse('2026-01-01T00:05:00.000Z');
  #interrupts = new Set<() => void>();
  onSleep: () => void = () => {};

  constructor(cwd: string) {
    this.cwd = cwd;
  }

  out(text: string): void {
    this.output += text;
  }

  err(text: string): void {
    this.errors += text;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  async sleep(milliseconds: number): Promise<void> {
    this.#nowMs += milliseconds;
    this.onSleep();
    await new Promise((resolve) => setImmediate(resolve));
  }

  onInterrupt(run: () => void): () => void {
    this.#interrupts.add(run);
    return () => void this.#interrupts.delete(run);
  }

  interrupt(): void {
    for (const run of this.#interrupts) run();
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function sceneWith(t: TestContext) {
  const state = mkdtempSync('/tmp/locum-cli-');
  const control = new FakeControl();
  const faults: unknown[] = [];
  const app = buildApp({ control, onFault: (error) => faults.push(error) });
  await app.listen({ path: join(state, 'control.sock') });
  t.after(async () => {
    await app.close();
    rmSync(state, { recursive: true, force: true });
  });
  const terminal = new FakeTerminal(state);
  const locum = async (...words: string[]): Promise<Ran> => {
    terminal.output = '';
    terminal.errors = '';
    terminal.env = { ...terminal.env, LOCUM_STATE: state, PATH: process.env['PATH'] };
    const code = await run(words, terminal);
    return { code, out: terminal.output, err: terminal.errors };
  };
  return { state, control, terminal, locum };
}
