/**
 * `npm run lab`: drive tasks on real disks, told as stories. Each story has a Linux kernel of its own (user-mode Linux),
 * with SCSI disks as real block devices, the kernel's NBD client, ext4, md, and a Locum server beside them.
 *
 *   npm run lab                  all stories
 *   npm run lab -- flash pulled  these
 *   npm run lab -- --list        what there is
 *
 * It needs no root on this machine. Ends with exit code 1 when a story did not go as it should; a story whose programs
 * are not installed is SKIPPED, with the reason.
 */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { flagsOf } from '../../scripts/flags/flags.ts';
import { repositoryRoot } from '../support/locum.ts';
import { whyNot } from './programs.ts';
import { stories } from './stories/catalogue.ts';
import { alwaysNeeded, type Story } from './stories/story.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const heading = (story: Story): string => `── ${story.name}: ${story.title} `.padEnd(100, '─');

/** What is printed is passed through as it comes. */
function tell(story: Story): Promise<boolean> {
  const script = join(repositoryRoot, 'tests/lab/stories/tell.sh');
  const child = spawn(join(repositoryRoot, 'scripts/lab'), [script, '--', story.name], {
    cwd: repositoryRoot,
    env: { LAB_TIMEOUT: '600', LAB_MEM: '2G', ...process.env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code === 0));
  });
}

async function main(): Promise<number> {
  const { values, positionals } = flagsOf(import.meta.url, {
    allowPositionals: true,
    options: { list: { type: 'boolean', default: false } },
  });
  const unknown = positionals.find((word) => !stories.some(({ name }) => name === word));
  if (unknown !== undefined) {
    say(`There is no story ${unknown}. \`npm run lab -- --list\` shows what there is.`);
    return 2;
  }
  if (values.list) {
    for (const { name, title } of stories) say(`${name.padEnd(12)}  ${title}`);
    return 0;
  }
  const chosen = stories.filter(
    ({ name }) => positionals.length === 0 || positionals.includes(name),
  );
  const results: string[] = [];
  let failed = 0;
  for (const story of chosen) {
    say(`\n${heading(story)}`);
    const reason = whyNot([...alwaysNeeded, ...story.needs]);
    const startedMs = performance.now();
    const well = reason !== null || (await tell(story));
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    if (!well) failed++;
    const result =
      reason === null ? `${well ? 'passed' : 'FAILED'} (${seconds} s)` : `SKIPPED: ${reason}`;
    if (reason !== null) say(result);
    results.push(`${story.name.padEnd(12)}  ${result}`);
  }
  say(`\n${results.join('\n')}`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
