/**
 * The everyday share of failing system calls: twelve cases, two of each state, N up to 60. The seed is printed; LOCUM_SEED
 * repeats the cases.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { runSyscalls } from '../../torture/syscalls.ts';
import { noStraceBecause } from '../../torture/syscalls-strace.ts';
import { shortFolder } from '../support/locum.ts';

test('the N-th system call fails or is the last: nothing acknowledged is lost', async (t) => {
  const reason = noStraceBecause();
  if (reason !== null) return t.skip(reason);
  const seed = Number(process.env['LOCUM_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`LOCUM_SEED=${seed}`);
  const folder = await shortFolder();
  const say = (line: string): void => t.diagnostic(line);
  const options = { seed, seconds: 900, directory: folder.path, say };
  const result = await runSyscalls(options, { casesMax: 12, nthMax: 60 });
  for (const [name, count] of Object.entries(result.counts)) t.diagnostic(`${name}: ${count}`);
  assert.deepEqual(result.failures, []);
  assert.ok((result.counts['system-call faults'] ?? 0) > 0, 'some were hit');
  // What failed keeps its images; what passed does not.
  await folder.remove();
});
