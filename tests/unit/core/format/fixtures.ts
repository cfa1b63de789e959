/** The members made by mdadm, as bytes. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BitmapHeader, decodeBitmapHeader } from '../../../../src/core/format/bitmap.ts';
import { decodeSuperblock, type Superblock } from '../../../../src/core/format/superblock.ts';

export const fixtureNames = [
  'raid5-clean-0',
  'raid5-clean-1',
  'raid5-clean-2',
  'raid5-clean-3',
  'raid5-dirty-0',
  'raid1-degraded-0',
  'raid1-degraded-1',
  'raid4-rebuilding-0',
  'raid4-rebuilding-2',
] as const;

export type FixtureName = (typeof fixtureNames)[number];

const repository = join(import.meta.dirname, '../../../../..');

export function fixture(name: FixtureName): Uint8Array {
  const path = join(repository, 'tests/fixtures/format/mdadm-4.2', `${name}.bin`);
  return new Uint8Array(readFileSync(path));
}

export const superblockBytes = (member: Uint8Array): Uint8Array => member.subarray(4096, 8192);
export const bitmapBytes = (member: Uint8Array): Uint8Array => member.subarray(8192, 12288);

export function superblockOf(name: FixtureName): Superblock {
  const result = decodeSuperblock(superblockBytes(fixture(name)));
  if (result.kind !== 'superblock') throw new Error(`${name}: ${result.kind}`);
  return result.value;
}

export function bitmapOf(name: FixtureName): BitmapHeader | null {
  const result = decodeBitmapHeader(bitmapBytes(fixture(name)));
  return result.kind === 'bitmap' ? result.value : null;
}
