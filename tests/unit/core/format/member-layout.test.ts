/** Where things lie: plans for drives of all sizes never overlap, and members of mdadm have the room we think. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GIB, KIB, MIB } from '../../../../src/base/units.ts';
import {
  bitmapRegionBytes,
  layoutOfSuperblock,
  likelyLabelOffsets,
  type MemberLayout,
  planMember,
  planVolume,
} from '../../../../src/core/format/member-layout.ts';
import { bitmapOf, fixtureNames, superblockOf } from './fixtures.ts';

function assertSound(layout: MemberLayout, driveBytes: number): void {
  const { bitmapOffset, bitmapBytes, labelOffsets, dataOffset, dataBytes } = layout;
  assert.equal(layout.superOffset, 4096);
  assert.ok(bitmapOffset >= 8192);
  assert.ok(bitmapRegionBytes(dataBytes, layout.bitmapChunkBytes) <= bitmapBytes);
  assert.ok(bitmapOffset + bitmapBytes + 256 * KIB <= dataOffset);
  const [a, b] = labelOffsets;
  assert.ok(bitmapOffset + bitmapBytes <= a && a + 64 * KIB <= b && b + 64 * KIB <= dataOffset);
  assert.ok(dataBytes > 0 && dataBytes <= layout.dataSpaceBytes);
  assert.ok(dataOffset + layout.dataSpaceBytes <= driveBytes);
}

test('plans from 2 MiB to 100 TiB, with odd sizes', () => {
  for (let size = 2 * MIB; size < 100 * 1024 * GIB; size *= 1.37) {
    const driveBytes = Math.floor(size / 512) * 512;
    for (const chunkBytes of [4 * KIB, 64 * KIB, MIB]) {
      const geometry = planVolume({ drivesBytes: [driveBytes, 2 * driveBytes], chunkBytes });
      assert.equal(geometry.kind, 'geometry');
      if (geometry.kind !== 'geometry') continue;
      assert.equal(geometry.value.memberDataBytes % Math.max(chunkBytes, 64 * KIB), 0);
      for (const bytes of [driveBytes, 2 * driveBytes]) {
        const planned = planMember(bytes, geometry.value);
        assert.equal(planned.kind, 'layout');
        if (planned.kind !== 'layout') continue;
        assertSound(planned.value, bytes);
        assert.equal(planned.value.dataBytes, geometry.value.memberDataBytes);
      }
    }
  }
});

test('a small member is laid out as mdadm would', () => {
  const geometry = planVolume({ drivesBytes: [64 * MIB], chunkBytes: 64 * KIB });
  assert.ok(geometry.kind === 'geometry');
  const planned = planMember(64 * MIB, geometry.value);
  assert.deepEqual(planned, {
    kind: 'layout',
    value: {
      superOffset: 4096,
      bitmapOffset: 8192,
      bitmapBytes: 4096,
      bitmapChunkBytes: 128 * KIB,
      bitmapPresent: true,
      badBlockOffset: 0,
      badBlockBytes: 0,
      labelOffsets: [MIB - 128 * KIB, MIB - 64 * KIB],
      dataOffset: MIB,
      dataBytes: 63 * MIB,
      dataSpaceBytes: 63 * MIB,
    },
  });
  assert.deepEqual(likelyLabelOffsets(64 * MIB), [MIB - 128 * KIB, MIB - 64 * KIB]);
});

test('too small says what is needed, exactly', () => {
  for (const chunkBytes of [4 * KIB, 64 * KIB, MIB]) {
    const small = planVolume({ drivesBytes: [MIB, GIB], chunkBytes });
    assert.equal(small.kind, 'too-small');
    if (small.kind !== 'too-small') continue;
    const enough = planVolume({ drivesBytes: [small.leastBytes], chunkBytes });
    assert.equal(enough.kind, 'geometry');
    assert.equal(
      planVolume({ drivesBytes: [small.leastBytes - 512], chunkBytes }).kind,
      'too-small',
    );
  }
});

test('a replacement gives up spare room before it is refused', () => {
  const geometry = planVolume({ drivesBytes: [16 * GIB], chunkBytes: 64 * KIB });
  assert.ok(geometry.kind === 'geometry');
  const { memberDataBytes } = geometry.value;
  const same = planMember(16 * GIB, geometry.value);
  assert.ok(same.kind === 'layout');
  assert.equal(same.value.dataOffset, 16 * MIB);
  const tight = planMember(memberDataBytes + MIB, geometry.value);
  assert.ok(tight.kind === 'layout');
  assertSound(tight.value, memberDataBytes + MIB);
  assert.equal(tight.value.dataOffset, MIB);
  const small = planMember(memberDataBytes + MIB - 512, geometry.value);
  assert.deepEqual(small, { kind: 'too-small', leastBytes: memberDataBytes + MIB });
});

test('members made by mdadm have room for labels', () => {
  for (const name of fixtureNames) {
    const superblock = superblockOf(name);
    const adopted = layoutOfSuperblock(superblock, bitmapOf(name));
    assert.equal(adopted.kind, 'layout', name);
    if (adopted.kind !== 'layout') continue;
    const { value } = adopted;
    assert.deepEqual(value.labelOffsets, [MIB - 128 * KIB, MIB - 64 * KIB]);
    assert.deepEqual([value.badBlockOffset, value.badBlockBytes], [12288, 4096]);
    assert.equal(value.bitmapPresent, !name.startsWith('raid4'));
    assert.equal(value.bitmapOffset, 8192);
    assert.equal(value.bitmapBytes, 4096);
  }
});

test('no room: a small gap, a bad-block log in the way, a bitmap that cannot be read', () => {
  const superblock = superblockOf('raid5-clean-0');
  const bitmap = bitmapOf('raid5-clean-0');
  const reasonOf = (result: ReturnType<typeof layoutOfSuperblock>): string =>
    result.kind === 'no-room' ? result.reason : 'room';
  const early = layoutOfSuperblock({ ...superblock, dataOffset: 256 * KIB }, bitmap);
  assert.equal(reasonOf(early), '240 KiB are free in front of the data, 256 are needed');
  assert.equal(
    reasonOf(layoutOfSuperblock({ ...superblock, dataOffset: 272 * KIB }, bitmap)),
    'room',
  );
  assert.equal(
    reasonOf(layoutOfSuperblock({ ...superblock, dataOffset: 0 }, bitmap)).slice(0, 5),
    '0 KiB',
  );
  assert.match(reasonOf(layoutOfSuperblock(superblock, null)), /cannot be read/);
  const inTheWay = { shift: 0, lengthBytes: 4096, offset: 8192 };
  const blocked = layoutOfSuperblock({ ...superblock, badBlockLog: inTheWay }, bitmap);
  assert.match(reasonOf(blocked), /in front of the bad-block log/);
});

test('a bad-block log in front of the bitmap, or behind it, is in nobody’s way', () => {
  const superblock = superblockOf('raid5-clean-0');
  const bitmap = bitmapOf('raid5-clean-0');
  const placed = (bitmapOffset: number, offset: number) =>
    layoutOfSuperblock(
      { ...superblock, bitmapOffset, badBlockLog: { shift: 0, lengthBytes: 4096, offset } },
      bitmap,
    );
  for (const [bitmapOffset, offset, end] of [
    [12288, 8192, 16384],
    [8192, 12288, 16384],
    [8192, 65536, 69632],
  ] as const) {
    const result = placed(bitmapOffset, offset);
    assert.ok(result.kind === 'layout');
    assert.deepEqual(
      [result.value.bitmapOffset, result.value.badBlockOffset],
      [bitmapOffset, offset],
    );
    assert.ok(result.value.labelOffsets[0] >= end);
  }
  assert.equal(placed(12288, 12288).kind, 'no-room');
});
