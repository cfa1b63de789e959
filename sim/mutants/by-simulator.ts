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
/** Seeds for one process: few, so that little runs on after the one that failed. */
const seedsAtOnce = 8;
const hungAfterMs = 5 * 60_000;

export const hasSimulator = (): boolean => existsSync(join(distRoot, main));

/** null: all of the seeds passed, or `mayGoOn` said no. */
export async function killBySeed(
  root: string,
  control: string,
  seeds: Seeds,
  mayGoOn: () => boolean = () => true,
): Promise<Kill | null> {
  for (let from = seeds.from; from <= seeds.to && mayGoOn(); from += seedsAtOnce) {
    const to = Math.min(seeds.to, from + seedsAtOnce - 1);
    for (const { seed, why } of await failingSeeds(root, { from, to })) {
      const elsewhere = await failingSeeds(control, { from: seed, to: seed });
      if (elsewhere.length === 0) return { by: `simulator, seed ${seed}`, file: main, why };
    }
  }
  return null;
}

/** The simulator says `seed N: …` of each that failed; ended by a signal or an exception, it says nothing of which. */
function failingSeeds(root: string, { from, to }: Seeds): Promise<{ seed: number; why: string }[]> {
  const args = ['--no-warnings', join(root, main), '--seeds', `${from}-${to}`];
  const { NODE_TEST_CONTEXT: _, LOCUM_SEED: __, ...env } = process.env;
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  const limit = setTimeout(() => child.kill('SIGKILL'), hungAfterMs);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.resume();
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      const said = [...out.matchAll(/^seed (\d+): (.*)$/gm)].map(([, seed, why]) => ({
        seed: Number(seed),
        why: (why ?? '').slice(0, 200),
      }));
      if (said.length > 0 || code === 0) return resolve(said);
      if (from === to) return resolve([{ seed: from, why: `the simulator ended with ${code}` }]);
      // One of them took the simulator along: which?
      one();
    });
    const one = (): void => {
      const each = async (): Promise<{ seed: number; why: string }[]> => {
        for (let seed = from; seed <= to; seed++) {
          const found = await failingSeeds(root, { from: seed, to: seed });
          if (found.length > 0) return found;
        }
        return [];
      };
      each().then(resolve, reject);
    };
  });
}
