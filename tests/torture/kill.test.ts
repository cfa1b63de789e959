/**
 * The everyday share of `kill -9` under verified load: twenty cycles on four volumes, one of each level, on both kinds of
 * I/O, and the kernel's word on all four at the end. The seed is printed; LOCUM_SEED repeats the play, not the instants.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { killUnderLoad } from '../../torture/kill.ts';
import { shortFolder } from '../support/locum.ts';

test('twenty kills under load: nothing acknowledged is lost, and the kernel agrees', async (t) => {
  const seed = Number(process.env['LOCUM_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`LOCUM_SEED=${seed}`);
  const folder = await shortFolder();
  const result = await killUnderLoad(
    { seed, seconds: 900, directory: folder.path, say: (line) => t.diagnostic(line) },
    { livesMax: 4, cyclesOfLife: 5 },
  );
  for (const [name, count] of Object.entries(result.counts)) t.diagnostic(`${name}: ${count}`);
  for (const sentence of result.notCovered) t.diagnostic(sentence);
  assert.deepEqual(result.failures, []);
  // What failed keeps its images; what passed does not.
  await folder.remove();
});
