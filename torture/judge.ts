/**
 * Another judge: the md driver of a Linux kernel, booted in user space (scripts/lab), assembles the members that a stopped
 * volume has left behind, checks every stripe, and says what the array holds. It shares no line of code with the server.
 */

import { rmSync } from 'node:fs';
import { inLab } from '../tests/lab/lab.ts';
import { findProgram } from '../tests/support/processes.ts';
import type { Tally } from './tally.ts';

export interface Accused {
  readonly name: string;
  /** In the order of the slots. */
  readonly drives: readonly string[];
  /** SHA-256 of everything that the volume held when it was stopped. */
  readonly digest: string;
}

/** The lab has sixteen drives. */
const drivesAtOnce = 16;

/** Why there is no judge here; null when there is one. */
function whyNoJudge(): string | null {
  for (const program of ['linux.uml', 'modprobe', 'mdadm']) {
    if (findProgram(program) === null) return `${program} is not installed`;
  }
  return null;
}

/** What the kernel found wrong; empty when all of them passed. */
async function judge(all: readonly Accused[]): Promise<string[]> {
  const images = all.flatMap(({ drives }) => drives);
  const counts = all.map(({ drives }) => String(drives.length));
  const said = await inLab('md-kernel.sh', images, ['recheck', ...counts]);
  const wrong: string[] = [];
  for (const [group, { name, digest }] of all.entries()) {
    const mismatches = said.get(`mismatches-${group}`);
    const state = said.get(`state-${group}`) ?? 'not assembled';
    const held = said.get(`digest-${group}`);
    if (mismatches !== '0') wrong.push(`${name}: the kernel counts ${mismatches} mismatches`);
    if (!state.endsWith(' 0')) wrong.push(`${name}: the kernel finds it ${state} (degraded)`);
    if (held !== digest) wrong.push(`${name}: the kernel reads ${held}, the server read ${digest}`);
  }
  return wrong;
}

/** Stopped volumes wait here until there are enough for one boot of the kernel. Those that pass need no images any more. */
export class Bench {
  readonly #tally: Tally;
  readonly #noJudge = whyNoJudge();
  readonly #waiting: (Accused & { readonly folder: string })[] = [];

  constructor(tally: Tally) {
    this.#tally = tally;
    if (this.#noJudge !== null)
      tally.notCovered(`The kernel did not judge the members: ${this.#noJudge}.`);
  }

  async add(one: Accused & { readonly folder: string }): Promise<void> {
    const drives = this.#waiting.reduce((sum, { drives }) => sum + drives.length, 0);
    const isFull = drives + one.drives.length > drivesAtOnce;
    const full = isFull ? this.#waiting.splice(0) : [];
    this.#waiting.push(one);
    await this.#judge(full);
  }

  async sentence(): Promise<void> {
    await this.#judge(this.#waiting.splice(0));
  }

  async #judge(all: readonly (Accused & { readonly folder: string })[]): Promise<void> {
    if (all.length === 0) return;
    const wrong = this.#noJudge === null ? await judge(all) : [];
    for (const what of wrong) this.#tally.fail(`the kernel as judge: ${what}`);
    if (this.#noJudge === null) this.#tally.count('volumes judged by the kernel', all.length);
    if (wrong.length > 0) return;
    for (const { folder } of all) rmSync(folder, { recursive: true, force: true });
  }
}
