/** The pages of docs/format show the tables of the code, line by line, and examples that are true. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bitmapLayout } from '../../../../src/core/format/bitmap.ts';
import {
  memberReasons,
  stripeLogWords,
  windowOutcomes,
} from '../../../../src/core/format/label.ts';
import { encodeLabel } from '../../../../src/core/format/label-codec.ts';
import {
  doubtTable,
  labelLayout,
  legTable,
  logTable,
  memberTable,
  recoveryTable,
  scrubTable,
  windowTable,
} from '../../../../src/core/format/label-tables.ts';
import { superblockLayout } from '../../../../src/core/format/superblock.ts';
import { driveStates, purposes, windowStates } from '../../../../src/core/status.ts';
import { fixture } from './fixtures.ts';
import { plain } from './labels.ts';

const page = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../../../../docs/format', name), 'utf8');

/** The bytes of `OFFSET  HEX HEX …   words` lines, as [offset, hex]. */
function exampleLines(text: string): [number, string][] {
  return [...text.matchAll(/^([0-9a-f]{3,4}) {2}((?:[0-9a-f]{4,8} ?)+)/gm)].map((match) => [
    Number.parseInt(match[1]!, 16),
    match[2]!.replaceAll(' ', ''),
  ]);
}

test('superblock.md has the tables of the code and a true example', () => {
  const text = page('superblock.md');
  for (const layout of [superblockLayout, bitmapLayout]) assert.ok(text.includes(layout.table()));
  const member = fixture('raid5-clean-2');
  const lines = exampleLines(text);
  assert.ok(lines.length >= 8);
  for (const [offset, hex] of lines) {
    const bytes = member.subarray(offset, offset + hex.length / 2);
    assert.equal(Buffer.from(bytes).toString('hex'), hex);
  }
});

test('label.md has the tables and words of the code and a true example', () => {
  const text = page('label.md');
  const tables = [
    labelLayout,
    memberTable,
    logTable,
    legTable,
    windowTable,
    recoveryTable,
    doubtTable,
    scrubTable,
  ];
  for (const layout of tables) assert.ok(text.includes(layout.table()), layout.name);
  for (const words of [
    driveStates,
    memberReasons,
    windowStates,
    purposes,
    windowOutcomes,
    stripeLogWords,
  ]) {
    assert.ok(text.includes(words.map((word, code) => `${code} ${word}`).join(' · ')));
  }
  const bytes = encodeLabel(plain);
  const shown = new Uint8Array(bytes.length);
  for (const [offset, hex] of exampleLines(text)) shown.set(Buffer.from(hex, 'hex'), offset);
  assert.deepEqual(shown, bytes, 'and all other bytes are zero');
});
