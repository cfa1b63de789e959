/**
 * The everyday share of drives that misbehave: six faults, each in one state of a volume. The seed is printed; LOCUM_SEED
 * repeats the cases.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { runDrives } from '../../torture/drives.ts';
import { noFuseBecause } from '../../torture/drives-mount.ts';
import { shortFolder } from '../support/locum.ts';

test('drives that hang, fail, fill up or come back changed: nothing acknowledged is lost', async (t) => {
  const reason = noFuseBecause();
  if (reason !== null) return t.skip(reason);
  const seed = Number(process.env['LOCUM_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`LOCUM_SEED=${seed}`);
  const folder = await shortFolder();
  const say = (line: string): void => t.diagnostic(line);
  const options = { seed, seconds: 900, directory: folder.path, say };
  const result = await runDrives(options, 6);
  for (const [name, count] of Object.entries(result.counts)) t.diagnostic(`${name}: ${count}`);
  assert.deepEqual(result.failures, []);
  assert.equal(result.counts['drive faults'], 6);
  // What failed keeps its images; what passed does not.
  await folder.remove();
});
