/** The kernel as an NBD client of a server that runs beside it, with a file system on top. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab, skipWithout } from './lab.ts';

test('nbd-client, ext4, and a window with a second failure under the mounted file system', async (t) => {
  if (skipWithout(t, ['linux.uml', 'modprobe', 'nbd-client', 'mkfs.ext4'])) return;
  const answers = await inLab('nbd-client.sh', []);
  assert.equal(answers.get('fsck'), '0');
  assert.equal(answers.get('files'), '18');
});
