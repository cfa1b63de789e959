/**
 * Another judge: the md driver of a Linux kernel, booted in user space (scripts/lab), assembles the members that a stopped
 * volume has left behind, checks every stripe, and says what the array holds. It shares no line of code with the server.
 */

import { inLab } from '../tests/lab/lab.ts';
import { findProgram } from '../tests/support/processes.ts';

export interface Accused {
  readonly name: string;
  /** In the order of the slots. */
  readonly drives: readonly string[];
  /** SHA-256 of everything that the volume held when it was stopped. */
  readonly digest: string;
}

/** The lab has sixteen drives. */
export const drivesAtOnce = 16;

/** Why there is no judge here; null when there is one. */
export function whyNoJudge(): string | null {
  for (const program of ['linux.uml', 'modprobe', 'mdadm']) {
    if (findProgram(program) === null) return `${program} is not installed`;
  }
  return null;
}

/** What the kernel found wrong; empty when all of them passed. */
export async function judge(all: readonly Accused[]): Promise<string[]> {
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
