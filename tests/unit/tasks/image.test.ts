/** A firmware image is looked at before anything is touched. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkImage, IMAGE_BYTES_MAX } from '../../../src/tasks/image.ts';
import { refusedAs, rig, valueOf } from './rig.ts';

test('a good image is reported with its size and checksum', async (t) => {
  const r = rig(t);
  const path = r.path('fw.bin');
  const bytes = Buffer.alloc(3_000_000, 'firmware');
  writeFileSync(path, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const report = { path, sizeBytes: 3_000_000, sha256 };
  assert.deepEqual(valueOf(await checkImage(path, null)), report);
  assert.deepEqual(valueOf(await checkImage(path, sha256.toUpperCase())), report);
});

test('every other image is refused, each with its own reason', async (t) => {
  const r = rig(t);
  const path = r.path('fw.bin');
  refusedAs(await checkImage(path, null), 'image-unreadable');
  refusedAs(await checkImage(r.directory, null), 'image-unreadable');
  writeFileSync(path, '');
  refusedAs(await checkImage(path, null), 'image-empty');
  writeFileSync(path, 'x');
  refusedAs(await checkImage(path, '0'.repeat(64)), 'image-wrong-checksum');
  truncateSync(path, IMAGE_BYTES_MAX + 1);
  refusedAs(await checkImage(path, null), 'image-too-large');
});
