/** A file system may fail at `close`, when all that was to be done with the file is done. */

import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeDescriptor, closeFile } from '../../../src/io/close-file.ts';

test('a file system that fails at close takes nothing from what came of the work', async (t) => {
  const folder = mkdtempSync('/tmp/locum-close-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = await open(join(folder, 'a'), 'w');
  closeSync(file.fd);
  await closeFile(file);
  const fd = openSync(join(folder, 'a'), 'r');
  closeSync(fd);
  assert.throws(() => closeSync(fd), 'as NFS might');
  closeDescriptor(fd);
});
