/** The md superblock: against members made by mdadm, against damage, and against what Locum does not serve. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeSuperblock,
  encodeSuperblock,
  FEATURE_LOCUM_WINDOW,
  initialRoles,
  ownSlot,
  ROLE_FAULTY,
  ROLE_SPARE,
  superblockChecksum,
} from '../../../../src/core/format/superblock.ts';
import { fixture, fixtureNames, superblockBytes, superblockOf } from './fixtures.ts';

test('every member mdadm made: the checksum is right, and encoding gives its bytes back', () => {
  for (const name of fixtureNames) {
    const bytes = superblockBytes(fixture(name));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    assert.equal(superblockChecksum(bytes, 128), view.getUint32(0xd8, true), name);
    assert.deepEqual(encodeSuperblock(superblockOf(name)), bytes.slice(), name);
  }
});

test('what mdadm says about a clean RAID 5 is what we read', () => {
  const superblock = superblockOf('raid5-clean-2');
  assert.equal(superblock.setUuid, '3c01e01a-e860-a32f-61e5-4a96484674af');
  assert.equal(superblock.memberUuid, '5e4ddf8c-504f-c7af-f6eb-4a8b296e9170');
  assert.equal(superblock.setName, 'host:five');
  assert.deepEqual(
    [superblock.level, superblock.parityLayout, superblock.chunkBytes, superblock.memberCount],
    [5, 2, 65536, 4],
  );
  assert.deepEqual(
    [superblock.bitmapOffset, superblock.dataOffset, superblock.memberDataBytes],
    [8192, 2 ** 20, 63 * 2 ** 20],
  );
  assert.deepEqual(superblock.badBlockLog, { shift: 0, lengthBytes: 4096, offset: 12288 });
  assert.deepEqual(superblock.roles.slice(0, 5), [0, 1, 2, 3, ROLE_SPARE]);
  assert.equal(superblock.roles.length, 128);
  assert.equal(ownSlot(superblock), 2);
  assert.equal(superblock.resyncBytes, null, 'clean');
});

test('who wrote it last: md leaves zeroes where Locum leaves its mark', () => {
  const md = superblockOf('raid5-clean-2');
  assert.equal(md.byLocum, false);
  const bytes = encodeSuperblock({ ...md, byLocum: true });
  assert.deepEqual(Buffer.from(bytes.subarray(0xe0, 0xe8)).toString('latin1'), 'LOCUM\0\0\0');
  const read = decodeSuperblock(bytes);
  assert.ok(read.kind === 'superblock' && read.value.byLocum);
});

test('dirty, degraded and rebuilding members', () => {
  assert.equal(superblockOf('raid5-dirty-0').resyncBytes, 0);
  assert.deepEqual(superblockOf('raid1-degraded-0').roles.slice(0, 2), [0, ROLE_FAULTY]);
  assert.equal(superblockOf('raid1-degraded-0').chunkBytes, 0);
  const rebuilding = superblockOf('raid4-rebuilding-2');
  assert.ok(rebuilding.recoveryBytes !== null && rebuilding.recoveryBytes > 0);
  assert.equal(rebuilding.deviceNumber, 3);
  assert.equal(ownSlot(rebuilding), 2);
  assert.equal(superblockOf('raid4-rebuilding-0').recoveryBytes, null);
});

test('the bit of an open window is decoded and kept', () => {
  const superblock = superblockOf('raid5-clean-0');
  superblock.features += FEATURE_LOCUM_WINDOW;
  const again = decodeSuperblock(encodeSuperblock(superblock));
  assert.equal(again.kind, 'superblock');
  assert.deepEqual(again.kind === 'superblock' && again.value, superblock);
});

test('any damage to any byte that counts is found', () => {
  const good = superblockBytes(fixture('raid5-clean-0'));
  assert.equal(decodeSuperblock(new Uint8Array(4096)).kind, 'none');
  for (let offset = 0; offset < 512; offset++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const bytes = good.slice();
      bytes[offset]! ^= flip;
      const { kind } = decodeSuperblock(bytes);
      assert.equal(kind, offset < 4 ? 'none' : 'corrupt', `offset ${offset}`);
    }
  }
});

/** Sets 32-bit words and makes the checksum right again: impossible values, not accidents. */
function forged(words: Readonly<Record<number, number>>): ReturnType<typeof decodeSuperblock> {
  const bytes = superblockBytes(fixture('raid5-clean-0')).slice();
  const view = new DataView(bytes.buffer);
  for (const [offset, word] of Object.entries(words)) view.setUint32(Number(offset), word, true);
  const count = view.getUint32(0xdc, true);
  if (count <= 1920) view.setUint32(0xd8, superblockChecksum(bytes, count), true);
  return decodeSuperblock(bytes);
}

test('impossible values behind a right checksum are corrupt, never an exception', () => {
  const cases: Record<string, Record<number, number>> = {
    'major version is not 1': { 0x04: 2 },
    'the roles table is longer than the block': { 0xdc: 1921 },
    'the device number is outside the roles table': { 0xa0: 128 },
    'it belongs at another place of the drive': { 0x90: 0 },
    'the member size exceeds the data size': { 0x50: 0x1f801 },
    'the data offset is impossibly large': { 0x84: 0x1000 },
    'dataOffsetSectors is impossibly large': { 0x84: 0x0fffffff },
    'the number of members is impossible': { 0x5c: 0 },
    'the event counter is impossibly large': { 0xc8: 0xffffffff, 0xcc: 0xffffffff },
    'the resync offset is impossibly large': { 0xd0: 0, 0xd4: 0x1000 },
    'a uuid is all zero': { 0xa8: 0, 0xac: 0, 0xb0: 0, 0xb4: 0 },
  };
  for (const [reason, words] of Object.entries(cases)) {
    assert.deepEqual(forged(words), { kind: 'corrupt', reason });
  }
});

test('valid md that Locum does not serve says why', () => {
  const cases: [RegExp, Record<number, number>][] = [
    [/md level 6/, { 0x48: 6 }],
    [/md level 10/, { 0x48: 10 }],
    [/md level 0/, { 0x48: 0 }],
    [/layout 0/, { 0x4c: 0 }],
    [/chunk 2048 KiB/, { 0x58: 4096 }],
    [/chunk 12 KiB/, { 0x58: 24 }],
    [/2 members/, { 0x5c: 2 }],
    [/100 members/, { 0x5c: 100 }],
    [/reshape/, { 0x08: 0x5 }],
    [/bad-block log has entries/, { 0x08: 0x9 }],
    [/hot replacement/, { 0x08: 0x11 }],
    [/recovery by bitmap/, { 0x08: 0x83 }],
    [/cluster/, { 0x08: 0x101 }],
    [/journal/, { 0x08: 0x200 }],
    [/partial parity log/, { 0x08: 0x400 }],
    [/unknown feature bits 0x2000/, { 0x08: 0x2001 }],
    [/unknown feature bits 0x40000000/, { 0x08: 0xc0000001 }],
    [/no multiple of the chunk/, { 0x50: 0x1f790 }],
    [/in front of the superblock/, { 0x60: -8 }],
  ];
  for (const [reason, words] of cases) {
    const result = forged(words);
    assert.equal(result.kind, 'unsupported', String(reason));
    assert.match(result.kind === 'unsupported' ? result.reason : '', reason);
  }
});

test('roles at creation', () => {
  const roles = initialRoles(3);
  assert.deepEqual(roles.slice(0, 4), [0, 1, 2, ROLE_SPARE]);
  assert.equal(roles.length, 128);
});

test('sizes and offsets that no drive has are corrupt, each of them', () => {
  const cases: [string, Record<number, number>][] = [
    ['the member size is impossibly large', { 0x54: 0x1000 }],
    ['the data size is impossibly large', { 0x8c: 0x1000 }],
    ['the recovery offset is impossibly large', { 0x08: 0x3, 0x9c: 0x1000 }],
    ['a uuid is all zero', { 0x10: 0, 0x14: 0, 0x18: 0, 0x1c: 0 }],
  ];
  for (const [reason, words] of cases) {
    assert.deepEqual(forged(words), { kind: 'corrupt', reason });
  }
});

test('a member without bitmap and without bad-block log, as Locum makes them', () => {
  const superblock = {
    ...superblockOf('raid5-clean-0'),
    features: 0,
    bitmapOffset: 0,
    badBlockLog: { shift: 0, lengthBytes: 0, offset: 0 },
  };
  assert.deepEqual(decodeSuperblock(encodeSuperblock(superblock)), {
    kind: 'superblock',
    value: superblock,
  });
});
