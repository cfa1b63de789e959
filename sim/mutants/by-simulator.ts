/**
 * The simulator as the one that notices: it runs seed after seed against a mutant until one fails. A control, an unpatched
 * copy, must pass the same seed; one that fails there as well has found something else, and kills nothing.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { distRoot } from './build.ts';
import type { Kill } from './kill.ts';

export interface Seeds {
  readonly from: number;
  readonly to: number;
}

const main = join('sim', 'main.js');
const hungAfterMs = 5 * 60_000;
/** Not a word about a seed: it did not come to that. */
const ENDED = 'the simulator ended with';

export const hasSimulator = (): boolean => existsSync(join(distRoot, main));

/** null: all of the seeds passed, or `mayGoOn` said no. */
export async function killBySeed(
  root: string,
  control: string,
  seeds: Seeds,
  mayGoOn: () => boolean = () => true,
): Promise<Kill | null> {
  for (let seed = seeds.from; seed <= seeds.to && mayGoOn(); seed++) {
    const why = await failureOf(root, seed);
    if (why === null) continue;
    const ofControl = await failureOf(control, seed);
    if (ofControl === null) return { by: `simulator, seed ${seed}`, file: main, why };
    // Then no seed would ever notice anything.
    if (ofControl.startsWith(ENDED)) throw new Error(`without any mutant, ${ofControl}`);
  }
  return null;
}

/** One process for each seed, so that an exception or a hang ends one seed. The simulator says `seed N: …` of a failure. */
function failureOf(root: string, seed: number): Promise<string | null> {
  const args = ['--no-warnings', join(root, main), '--seeds', `${seed}-${seed}`];
  const { NODE_TEST_CONTEXT: _, LOCUM_SEED: __, ...env } = process.env;
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'], env });
  const limit = setTimeout(() => child.kill('SIGKILL'), hungAfterMs);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      const said = /^seed \d+: (.*)$/m.exec(out)?.[1]?.slice(0, 200);
      resolve(said ?? (code === 0 ? null : `${ENDED} ${code}`));
    });
  });
}
