/**
 * Running a script of this folder in the lab (scripts/lab), and what a test does around it: scratch images, skipping
 * with the reason where the lab cannot be had, and the answers of the script.
 *
 * A script answers with lines `name=value`; everything else it prints is only shown when it fails.
 */

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runProgram } from '../support/processes.ts';
import { type Program, whyNot } from './programs.ts';
import { alwaysNeeded, type Story } from './stories/story.ts';

const repository = join(import.meta.dirname, '../../..');

/** Skips the test, with the reason, and answers true when one of the programs is missing. */
export function skipWithout(t: TestContext, programs: readonly Program[]): boolean {
  const reason = whyNot(programs);
  if (reason !== null) t.skip(reason);
  return reason !== null;
}

export const skipWithoutLab = (t: TestContext): boolean =>
  skipWithout(t, ['linux.uml', 'modprobe', 'mdadm']);

export function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'locum-lab-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** `count` sparse images of `sizeBytes`; their paths. */
export function blankImages(
  folder: string,
  prefix: string,
  count: number,
  sizeBytes: number,
): string[] {
  return Array.from({ length: count }, (_, index) => {
    const path = join(folder, `${prefix}${index}.img`);
    const file = openSync(path, 'w');
    ftruncateSync(file, sizeBytes);
    closeSync(file);
    return path;
  });
}

/** Runs tests/lab/`script` with the images as /dev/ubda …; throws with all its output when it fails. */
export async function inLab(
  script: string,
  images: readonly string[],
  args: readonly string[] = [],
): Promise<ReadonlyMap<string, string>> {
  const path = join(repository, 'tests/lab', script);
  const command = [path, ...images, '--', ...args];
  const { code, stdout, stderr } = await runProgram(join(repository, 'scripts/lab'), command, {
    cwd: repository,
    // The lab ends itself first, so that no kernel is left behind.
    env: { ...process.env, LAB_TIMEOUT: '440', LAB_MEM: '2G' },
    timeoutMs: 460_000,
  });
  if (code !== 0) throw new Error(`${script} failed (${code}):\n${stdout}${stderr}`);
  const answers = new Map<string, string>();
  for (const line of stdout.split('\n')) {
    const match = /^([a-z0-9-]+)=(.*)$/.exec(line);
    if (match) answers.set(match[1]!, match[2]!);
  }
  return answers;
}

/**
 * A story (`npm run lab`) as a test; it decides by itself whether it went as it should. A file each: a file has a limit, and
 * on a busy machine a story takes minutes.
 */
export function testStory({ name, title, needs }: Story): void {
  test(`${name}: ${title}`, async (t) => {
    if (skipWithout(t, [...alwaysNeeded, ...needs])) return;
    await inLab('stories/tell.sh', [], [name]);
  });
}
